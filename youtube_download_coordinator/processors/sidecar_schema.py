"""The model of a sidecar. Its JSON Schema is docs/sidecar.schema.json, which this module prints:

    python -m youtube_download_coordinator.processors.sidecar_schema > docs/sidecar.schema.json

This is a separate module because it imports pydantic, which an attempt without a new file does not need. Unknown values are left
out. Fields may be added. If a field changes its meaning, `version` increases.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class MediaFacts(_Part):
    """What the file contains, as it was measured."""

    codec: str | None = None
    bit_rate_kbps: float | None = None
    """Of the sound."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    duration_seconds: float | None = None
    """Up to the end of the last packet."""


class SourceFacts(_Part):
    """The sound as YouTube serves it, before any conversion."""

    track: Literal["original", "default", "unknown", "dub", "description"]
    """`original`: the track that was recorded. `default`: the track that YouTube plays first. `unknown`: nothing says what it
    is, as with most videos that have one track. `dub` and `description`: with `audio_track=any` alone."""
    language: str | None = None
    language_preference: int | None = None
    """yt-dlp's: 10 for the original, 5 for the default, -1 unknown or another language, -10 a description."""
    format_id: str | None = None
    format_note: str | None = None
    """YouTube's names of track and quality."""
    drc: bool = False
    """YouTube has compressed the loudness ("stable volume")."""
    codec: str | None = None
    bit_rate_kbps: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None


class YouTubeFacts(_Part):
    """What YouTube says of the video and of the format that was chosen; the names are yt-dlp's."""

    id: str | None = None
    title: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    uploader: str | None = None
    upload_date: str | None = None
    """YYYYMMDD."""
    timestamp: float | None = None
    duration: float | None = None
    """In seconds, as YouTube states it."""
    language: str | None = None
    license: str | None = None
    age_limit: int | None = None
    categories: list[str] | None = None
    webpage_url: str | None = None
    extractor_key: str | None = None
    availability: str | None = None
    format_id: str | None = None
    ext: str | None = None
    acodec: str | None = None
    vcodec: str | None = None
    asr: int | None = None
    audio_channels: int | None = None
    abr: float | None = None
    vbr: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None


class RightsFacts(_Part):
    """What may be done with the video, as it was found out before its media were fetched: docs/rights.md."""

    license: Literal["creative-commons", "youtube", "unknown"] | None = None
    """`youtube` is YouTube's standard licence. YouTube's own text is in `youtube.license`."""
    trainable: str | None = None
    """`all`, `none`, companies separated by commas, or `unknown`. Left out if nobody was asked."""
    etag: str | None = None
    """Of YouTube's answer about `trainable`."""
    asked_at: str | None = None
    """When YouTube was asked about `trainable`: ISO-8601, UTC."""


class ProductEntry(_Part):
    """A product of the same video."""

    kind: str
    """The processor that made it."""
    name: str
    files: list[str] = []
    """Paths below the output folder."""
    result: str | None = None
    """What there is instead of files."""


class Sidecar(_Part):
    """`<file>.json`: the facts that join a file with its row and with YouTube."""

    version: int = VERSION
    """Of this schema."""
    file: str
    """The name of the file beside which this one is."""
    kind: str
    """The processor that made it."""
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    video_task: dict[str, Any]
    """The row's columns that do not change while it is processed, by name, and those that people have added."""
    media: MediaFacts | None = None
    source: SourceFacts | None = None
    degraded: list[str] | None = None
    """Why the file is worse than usual: docs/reasons.md#degraded."""
    rights: RightsFacts | None = None
    youtube: YouTubeFacts
    products: list[ProductEntry] | None = None
    """All products of the video that were recorded."""
    made_with: dict[str, Any]
    """yt-dlp's version, and the settings that matter."""


def document() -> str:
    """Return the JSON Schema."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Sidecar.model_json_schema()}
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    print(document(), end="")
