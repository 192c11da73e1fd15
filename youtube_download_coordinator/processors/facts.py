"""Facts about a product, as one line of JSON. A manifest needs them; they come from the product's record and sidecars.

    {"type":"made","key":"yt:v:UKwSQSFN4Nw","kind":"audio","product":"audio-m4a","made_at":"2026-11-29T10:00:00Z",
     "files":[{"path":"Irish/x.m4a","bytes":4194348,"sha256":"9f86d0...","seconds":131.072,"codec":"mp4a.40.2",...}],
     "language":"en","track":"original","title":"...","channel":"...",...}

The facts are saved when the product is published (facts_spool.py), and can be read again from the place. Unknown values are left
out. This module is imported in child processes: no pydantic at its top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from youtube_download_coordinator.processors.captions import Caption
from youtube_download_coordinator.queue.done_fields import media_length
from youtube_download_coordinator.text import sanitize

_NUMBERS_END = 2**63
"""The largest integer in tables and JSON of other programs."""
NOT_FACTS = (msgspec.DecodeError, UnicodeDecodeError)
"""The errors that `decode` raises for any other line."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A file of a product. Unknown text is empty, and an unknown number is None."""

    path: str
    """The path below the output folder."""
    bytes: int | None = None
    sha256: str = ""
    seconds: float | None = None
    codec: str = ""
    sample_rate_hz: int | None = None
    channels: int | None = None
    language: str = ""
    """The language of subtitles."""
    automatic: bool | None = None
    """Whether YouTube's speech recognition wrote the subtitles."""
    captions: Sequence[Caption] = ()
    """The captions, if a person wrote them."""


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="made"):
    """A published product of a video."""

    key: str
    """The row's key."""
    kind: str
    product: str
    """The name of the product: `audio-m4a`."""
    generation: int = 1
    """The number of the product's record in object storage. The last record is valid."""
    made_at: str = ""
    """ISO-8601, UTC."""
    files: Sequence[FileFacts] = ()
    result: str = ""
    """The result if there are no files."""
    degraded: Sequence[str] = ()
    media_seconds: float | None = None
    """The measured length."""
    stated_seconds: float | None = None
    """The length that YouTube states."""
    track: str = ""
    language: str = ""
    """The language of the sound."""
    license: str = ""
    trainable: str = ""
    title: str = ""
    channel: str = ""
    channel_id: str = ""
    upload_date: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """Return a sort key that is greater for facts that replace others of the same product."""
        return self.generation, self.made_at


class CheckedRow(msgspec.Struct, frozen=True, kw_only=True, tag="checked"):
    """A mark that the place was read for a row, so that the index is complete for its key."""

    key: str
    version: int
    """The version of the row's lease at that time."""


class LineHead(msgspec.Struct, frozen=True):
    """The fields by which lines of an index are found."""

    key: str
    product: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ProductFacts | CheckedRow)
_head_decoder = msgspec.json.Decoder(LineHead)


def encode(facts: ProductFacts | CheckedRow) -> bytes:
    """Return facts as one line of JSON."""
    return _encoder.encode(facts) + b"\n"


def decode(line: bytes) -> ProductFacts | CheckedRow:
    """Return the facts in a line. Fields of newer versions are ignored. Raises one of NOT_FACTS."""
    return _decoder.decode(line)


def head_of(line: bytes) -> LineHead | None:
    """Return the key and the product in a line, or None if it is incomplete."""
    try:
        return _head_decoder.decode(line)
    except NOT_FACTS:
        return None


def file_facts(
    path: str,
    sidecar: Mapping[str, Any] | None,
    *,
    size: int | None = None,
    sha256: str = "",
    captions: Sequence[Caption] = (),
) -> FileFacts:
    """Return the facts about a file. `size` and `sha256` are used if it has no sidecar."""
    media, made_with = (_part(sidecar, name) for name in ("media", "made_with"))
    automatic = made_with.get("automatic")
    return FileFacts(
        path=sanitize(path),
        bytes=_number(_part(sidecar).get("bytes")) or size,
        sha256=_text(_part(sidecar).get("sha256")) or sha256,
        seconds=media_length(media.get("duration_seconds")),
        codec=_text(media.get("codec")),
        sample_rate_hz=_number(media.get("sample_rate_hz")),
        channels=_number(media.get("channels")),
        language=_text(made_with.get("language")),
        automatic=automatic if isinstance(automatic, bool) else None,
        captions=captions,
    )


def product_facts(
    key: str,
    kind: str,
    product: str,
    record: Mapping[str, Any],
    files: Sequence[FileFacts],
    sidecars: Sequence[Mapping[str, Any] | None],
    *,
    generation: int = 1,
    put_at: str = "",
) -> ProductFacts:
    """Return the facts about a product. `record` is the content of its record; any sidecar describes the video.

    `put_at` is when the record was put into the place. A record of an older version does not contain the time.
    """
    sidecar = next((content for content in sidecars if content), {})
    youtube, source, rights = (_part(sidecar, name) for name in ("youtube", "source", "rights"))
    degraded = record.get("degraded")
    return ProductFacts(
        key=sanitize(key),
        kind=sanitize(kind),
        product=sanitize(product),
        generation=generation,
        made_at=_text(record.get("made_at")) or put_at,
        files=files,
        result=_text(record.get("result")),
        degraded=[sanitize(str(reason)) for reason in degraded] if isinstance(degraded, list) else [],
        media_seconds=media_length(record.get("media_seconds")),
        stated_seconds=media_length(youtube.get("duration")),
        track=_text(source.get("track")),
        language=_text(source.get("language")) or _text(youtube.get("language")),
        license=_text(rights.get("license")) or _text(youtube.get("license")),
        trainable=_text(rights.get("trainable")),
        title=_text(youtube.get("title")),
        channel=_text(youtube.get("channel")) or _text(youtube.get("uploader")),
        channel_id=_text(youtube.get("channel_id")),
        upload_date=_text(youtube.get("upload_date")),
    )


def has_captions(sidecar: Mapping[str, Any] | None) -> bool:
    """Return whether a sidecar belongs to subtitles that a person wrote."""
    return _part(sidecar).get("kind") == "subtitles" and _part(sidecar, "made_with").get("automatic") is False


def extension_of(path: str) -> str:
    """Return the extension of a file's name, without a dot."""
    return PurePosixPath(path).suffix.removeprefix(".")


def _part(sidecar: Mapping[str, Any] | None, name: str = "") -> Mapping[str, Any]:
    part = (sidecar or {}).get(name) if name else sidecar
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str:
    return sanitize(value) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 <= value < _NUMBERS_END else None
