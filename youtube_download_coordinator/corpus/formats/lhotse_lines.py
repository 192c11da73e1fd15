"""Write recordings and supervisions for `lhotse.RecordingSet` and `lhotse.SupervisionSet`.

They are written without lhotse, which needs PyTorch: https://lhotse.readthedocs.io/en/latest/corpus.html describes the fields.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, cast

from youtube_download_coordinator.corpus.formats.entry import (
    COLLECTED_AT,
    DESCRIPTION,
    Entry,
    own_fields,
    values_of,
    without_empty,
)
from youtube_download_coordinator.corpus.formats.json_lines import json_line
from youtube_download_coordinator.corpus.recordings import GZIP_LEVEL


class LhotseWriter:
    """A writer of `recordings.jsonl.gz` and `supervisions.jsonl.gz`.

    A supervision is a segment, or the whole recording. Values without a field in lhotse are in `custom`.
    """

    def __init__(self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool) -> None:
        self._recordings, self._supervisions = (gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) for file in files)
        fields = [*DESCRIPTION, COLLECTED_AT]
        self._fields = fields + own_fields(columns, [field.name for field in fields])

    def write(self, entry: Entry) -> None:
        recording = entry.recording
        if recording.seconds is None or not recording.sample_rate_hz:
            raise ValueError("a recording for lhotse needs a length and a sample rate")
        recording_id = f"{recording.id}-{PurePosixPath(recording.path).name}"
        samples = round(recording.seconds * recording.sample_rate_hz)
        channels = list(range(recording.channels or 1))
        if entry.number == 0:
            source = {"type": "url" if "://" in entry.path else "file", "channels": channels, "source": entry.path}
            content: dict[str, Any] = {
                "id": recording_id,
                "sources": [source],
                "sampling_rate": recording.sample_rate_hz,
                "num_samples": samples,
                "duration": samples / recording.sample_rate_hz,
                "channel_ids": channels,
            }
            _write(self._recordings, content)
        supervision = {
            "id": f"{recording_id}-{entry.number:05d}",
            "recording_id": recording_id,
            "start": entry.segment.start_seconds if entry.segment else 0.0,
            "duration": entry.seconds if entry.segment else samples / recording.sample_rate_hz,
            "channel": channels if len(channels) > 1 else 0,
            "text": entry.text,
            "language": recording.language or recording.caption_language,
            "speaker": recording.channel_id,
            "custom": without_empty(values_of(self._fields, entry)),
        }
        _write(self._supervisions, without_empty(supervision))

    def close(self) -> None:
        self._recordings.close()
        self._supervisions.close()


def _write(file: gzip.GzipFile, values: object) -> None:
    cast(IO[bytes], file).write(json_line(values))
