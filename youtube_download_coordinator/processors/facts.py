"""The facts about a product that a manifest needs, as one line of JSON: what its record and its sidecars contain.

    {"key":"yt:v:UKwSQSFN4Nw","kind":"audio","product":"audio-m4a","made_at":"2026-11-29T10:00:00Z",
     "files":[{"path":"Irish/x.m4a","bytes":4194348,"sha256":"9f86d0...","seconds":131.072,"codec":"mp4a.40.2",...}],
     "language":"en","track":"original","title":"...","channel":"...",...}

They are written down when the product is published (facts_spool.py), and can be read again from the place. Unknown values are
left out. Imported in child processes: no pydantic at its top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from youtube_download_coordinator.processors.captions import Caption
from youtube_download_coordinator.queue.done_fields import media_length
from youtube_download_coordinator.text import sanitize


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One file of a product. Text is empty, and a number None, if it is not known."""

    path: str
    """Below the output folder."""
    bytes: int | None = None
    sha256: str = ""
    seconds: float | None = None
    codec: str = ""
    sample_rate_hz: int | None = None
    channels: int | None = None
    language: str = ""
    """Of subtitles."""
    automatic: bool | None = None
    """Of subtitles: whether YouTube's speech recognition wrote them."""
    captions: Sequence[Caption] = ()
    """What subtitles that a person wrote contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """A product of a video, as it was published."""

    key: str
    """The row's key."""
    kind: str
    product: str
    """The name of the product: `audio-m4a`."""
    generation: int = 1
    """Counts the records of the product in object storage: the last one is valid."""
    made_at: str = ""
    """ISO-8601, UTC."""
    files: Sequence[FileFacts] = ()
    result: str = ""
    """What there is instead of files."""
    degraded: Sequence[str] = ()
    media_seconds: float | None = None
    """Measured."""
    stated_seconds: float | None = None
    """As YouTube states it."""
    track: str = ""
    language: str = ""
    """Of the sound."""
    license: str = ""
    trainable: str = ""
    title: str = ""
    channel: str = ""
    channel_id: str = ""
    upload_date: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """Return what is greater for facts that replace others of the same product."""
        return self.generation, self.made_at


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRow:
    """Remembers that the place was read for a row: what the index has of its key is all there is."""

    key: str
    checked: int
    """The version of the row's lease then."""


_OPTIONAL = {
    kind: {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    for kind in (FileFacts, ProductFacts)
}


def encode(facts: ProductFacts | CheckedRow) -> str:
    """Return facts as one line of JSON."""
    if isinstance(facts, CheckedRow):
        content: dict[str, Any] = {"key": facts.key, "checked": facts.checked}
    else:
        content = _known(facts) | {"files": [_known(file) for file in facts.files]}
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n"


def _known(facts: ProductFacts | FileFacts) -> dict[str, Any]:
    defaults = _OPTIONAL[type(facts)]
    values = {each.name: getattr(facts, each.name) for each in fields(facts)}
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def facts_from(content: object) -> ProductFacts | CheckedRow:
    """Return the facts in the JSON of a line. What a newer version added is ignored. Raises ValueError, KeyError or TypeError."""
    if not isinstance(content, dict):
        raise ValueError("it is not an object")  # noqa: TRY004
    if "checked" in content:
        return CheckedRow(key=content["key"], checked=content["checked"])
    known = {name: content[name] for name in _OPTIONAL[ProductFacts] if name in content}
    files = [
        FileFacts(path=file["path"], **{name: file[name] for name in _OPTIONAL[FileFacts] if name in file})
        for file in content.get("files", ())
    ]
    return ProductFacts(
        key=content["key"], kind=content["kind"], product=content["product"], **known | {"files": files}
    )


def file_facts(
    path: str,
    sidecar: Mapping[str, Any] | None,
    *,
    size: int | None = None,
    sha256: str = "",
    captions: Sequence[Caption] = (),
) -> FileFacts:
    """Return the facts about a file. `size` and `sha256` are used where it has no sidecar."""
    media, made_with = (_part(sidecar, name) for name in ("media", "made_with"))
    automatic = made_with.get("automatic")
    return FileFacts(
        path=path,
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
    """Return the facts about a product: `record` is the content of its record; what describes the video is in any sidecar.

    `put_at` is when the record was put into the place: a record of an older version does not contain the time.
    """
    sidecar = next((content for content in sidecars if content), {})
    youtube, source, rights = (_part(sidecar, name) for name in ("youtube", "source", "rights"))
    degraded = record.get("degraded")
    return ProductFacts(
        key=key,
        kind=kind,
        product=product,
        generation=generation,
        made_at=_text(record.get("made_at")) or put_at,
        files=files,
        result=_text(record.get("result")),
        degraded=[str(reason) for reason in degraded] if isinstance(degraded, list) else [],
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
    """Return whether a sidecar is that of subtitles that a person wrote."""
    return _part(sidecar).get("kind") == "subtitles" and _part(sidecar, "made_with").get("automatic") is False


def extension_of(path: str) -> str:
    """Return the end of a file's name, without a dot."""
    return PurePosixPath(path).suffix.removeprefix(".")


def _part(sidecar: Mapping[str, Any] | None, name: str = "") -> Mapping[str, Any]:
    part = (sidecar or {}).get(name) if name else sidecar
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str:
    return sanitize(value) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
