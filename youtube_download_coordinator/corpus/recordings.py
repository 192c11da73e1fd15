"""The typed records of a corpus, and the file in a place that contains all of them.

    .corpus/recordings.jsonl.gz    one line of JSON for each recording, in the order of the rows' IDs

`ydc manifest` writes it together with the manifest of a place. Every other format, the card and the changelog are made from these
records.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import Place

FOLDER = ".corpus"
"""The folder in a place with what describes the corpus. Programs that load data sets ignore hidden folders."""
RECORDINGS = f"{FOLDER}/recordings.jsonl.gz"
GZIP_LEVEL = 1
"""Twice as fast as the default, and a few percent larger."""
GZIP_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged file raises."""
_BUFFER_BYTES = 2**17


class Segment(NamedTuple):
    """A part of a recording with the text that is spoken in it, from captions that a person wrote."""

    start_seconds: float
    end_seconds: float
    text: str


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A media file of a video that is done, and what is known about it. Text is empty, and a number None, if it is not known.

    Change a field with `msgspec.structs.replace`.
    """

    id: int
    """The row's ID."""
    key: str
    """The row's canonical key."""
    url: str
    video_id: str
    path: str
    """Below `output_dir`."""
    product: str
    """What made it: `audio-m4a`, `download`."""
    bytes: int | None = None
    sha256: str = ""
    seconds: float | None = None
    """Measured; else as YouTube states it."""
    codec: str = ""
    sample_rate_hz: int | None = None
    channels: int | None = None
    """Audio channels."""
    title: str = ""
    accent: str = ""
    type: str = ""
    source_id: int | None = None
    channel: str = ""
    channel_id: str = ""
    upload_date: str = ""
    """YYYYMMDD."""
    language: str = ""
    """Of the sound, as YouTube states it."""
    track: str = ""
    """`original`, `default`, `unknown`, `dub` or `description` (docs/processors.md)."""
    license: str = ""
    """`creative-commons`, `youtube` or `unknown` (docs/rights.md); of a file of an older version, as YouTube states it."""
    trainable: str = ""
    """YouTube's answer on training by third parties: `all`, `none`, `unknown`, or companies separated by commas; empty if it was
    not asked."""
    degraded: str = ""
    """Why the file is worse than usual, separated by ", "."""
    availability: str = ""
    """Why YouTube no longer shows the video, as `ydc verify` has found: `gone`, `private`, `needs-account`. Empty if it does."""
    collected_at: str = ""
    """When the file was made: ISO-8601, UTC."""
    caption_language: str = ""
    """Of `segments`."""
    segments: tuple[Segment, ...] = ()
    """Captions that a person wrote."""
    columns: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The columns that people have added, by name."""

    @property
    def text(self) -> str:
        """Return the text of all segments."""
        return " ".join(segment.text for segment in self.segments)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Recording)


def encode(recording: Recording) -> str:
    """Return a recording as one line of JSON, without what is not known."""
    return _encoded(recording).decode()


def _encoded(recording: Recording) -> bytes:
    try:
        return _encoder.encode(recording) + b"\n"
    except UnicodeEncodeError:  # half a character in a file's name; the file gets a question mark
        known = {name: value for name, value in msgspec.structs.asdict(recording).items() if value}
        text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
        return f"{text}\n".encode("utf-8", "replace")


def decode(line: str | bytes) -> Recording:
    """Return the recording of a line. Fields that a newer version added are ignored. Raises ValueError."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"this line is not a recording: {error}") from None


def write(file: Path, recordings: Iterable[Recording]) -> int:
    """Write a file like RECORDINGS. Return the number of recordings. The same recordings give the same bytes."""
    count = 0
    with file.open("wb") as out, gzip.GzipFile("", "wb", GZIP_LEVEL, out, mtime=0) as packed:
        buffered = io.BufferedWriter(cast(io.RawIOBase, packed), _BUFFER_BYTES)
        for count, recording in enumerate(recordings, 1):  # noqa: B007
            buffered.write(_encoded(recording))
        buffered.flush()
        buffered.detach()
    return count


def read(place: Place | str | Path) -> Iterator[Recording]:
    """Yield the recordings of a place, in the order of the rows' IDs, as the last `ydc manifest` has written them.

    Memory does not grow with their number. Raises FileNotFoundError if the place has no manifest, ConfigError for an address that
    is not one of a place, ValueError for a damaged file, and what Place raises.
    """
    opened: Place = open_place(place) if isinstance(place, str | Path) else place
    try:
        with opened.open(RECORDINGS) as packed, gzip.GzipFile(fileobj=cast(IO[Any], packed)) as lines:
            for line in lines:
                yield decode(line)
    except (*GZIP_DAMAGE, ValueError) as error:
        raise ValueError(f"{opened.url(RECORDINGS)} is damaged: {error}") from None
