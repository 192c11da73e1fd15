"""Read and write the typed records of a corpus, and the file in a place that contains all of them.

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
"""The folder in a place with data about the corpus. Programs that load data sets ignore hidden folders."""
RECORDINGS = f"{FOLDER}/recordings.jsonl.gz"
GZIP_LEVEL = 1
"""The compression level: twice as fast as the default, and a few percent larger."""
GZIP_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""The errors of reading a damaged file."""
_BUFFER_BYTES = 2**17


class Segment(NamedTuple):
    """A part of a recording with its spoken text, from captions that a person wrote."""

    start_seconds: float
    end_seconds: float
    text: str


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A media file of a finished video, with its known facts. Unknown text is empty, and an unknown number is None.

    Change a field with `msgspec.structs.replace`.
    """

    id: int
    """The row's ID."""
    key: str
    """The row's canonical key."""
    url: str
    video_id: str
    path: str
    """The path below `output_dir`."""
    product: str
    """The product that it is a file of: `audio-m4a`, `download`."""
    bytes: int | None = None
    sha256: str = ""
    seconds: float | None = None
    """The measured length, or else the length that YouTube states."""
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
    """The language of the sound that YouTube states."""
    track: str = ""
    """`original`, `default`, `unknown`, `dub` or `description` (docs/processors.md)."""
    license: str = ""
    """`creative-commons`, `youtube` or `unknown` (docs/rights.md), or for a file of an older version YouTube's own text."""
    trainable: str = ""
    """YouTube's answer on training by third parties: `all`, `none`, `unknown`, or companies separated by commas; empty if it
    was not requested."""
    degraded: str = ""
    """The reasons for which the file is degraded, separated by ", "."""
    availability: str = ""
    """The finding of `ydc verify` if YouTube no longer shows the video: `gone`, `private`, `needs-account`; else empty."""
    collected_at: str = ""
    """When the file was made: ISO-8601, UTC."""
    caption_language: str = ""
    """The language of `segments`."""
    segments: tuple[Segment, ...] = ()
    """Captions that a person wrote."""
    columns: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The custom columns, by name."""

    @property
    def text(self) -> str:
        """Return the text of all segments."""
        return " ".join(segment.text for segment in self.segments)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Recording)


def encode(recording: Recording) -> str:
    """Return a recording as one line of JSON without unknown values."""
    return _encoded(recording).decode()


def _encoded(recording: Recording) -> bytes:
    try:
        return _encoder.encode(recording) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate in a file's name becomes a question mark
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
    """Yield the recordings that the last `ydc manifest` has written to a place, in order of the rows' IDs.

    Memory does not grow with their number. Raises FileNotFoundError if the place has no manifest, ConfigError for a wrong
    address, ValueError for a damaged file, and the errors of Place.
    """
    opened: Place = open_place(place) if isinstance(place, str | Path) else place
    try:
        with opened.open(RECORDINGS) as packed, gzip.GzipFile(fileobj=cast(IO[Any], packed)) as lines:
            for line in lines:
                yield decode(line)
    except (*GZIP_DAMAGE, ValueError) as error:
        raise ValueError(f"{opened.url(RECORDINGS)} is damaged: {error}") from None
