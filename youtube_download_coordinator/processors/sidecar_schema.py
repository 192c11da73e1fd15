"""Define the model of a sidecar, and print its JSON Schema, docs/sidecar.schema.json:

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
    """The measured content of the file."""

    codec: str | None = None
    bit_rate_kbps: float | None = None
    """The bit rate of the sound."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    duration_seconds: float | None = None
    """The length up to the end of the last packet."""


class SourceFacts(_Part):
    """YouTube's version of the sound, before any conversion."""

    track: Literal["original", "default", "unknown", "dub", "description"]
    """`original`: the track that was recorded. `default`: the track that YouTube plays first. `unknown`: YouTube
    does not state the kind, as for most videos with one track. `dub` and `description`: only with `audio_track=any`."""
    language: str | None = None
    language_preference: int | None = None
    """yt-dlp's value: 10 for the original, 5 for the default, -1 unknown or another language, -10 a description."""
    format_id: str | None = None
    format_note: str | None = None
    """YouTube's names of the track and the quality."""
    drc: bool = False
    """Whether YouTube has compressed the loudness ("stable volume")."""
    codec: str | None = None
    bit_rate_kbps: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None


class YouTubeFacts(_Part):
    """YouTube's facts about the video and the chosen format, under yt-dlp's names."""

    id: str | None = None
    title: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    uploader: str | None = None
    upload_date: str | None = None
    """YYYYMMDD."""
    timestamp: float | None = None
    duration: float | None = None
    """The length in seconds that YouTube states."""
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
    """The rights of the video, looked up before its media were fetched: docs/rights.md."""

    license: Literal["creative-commons", "youtube", "unknown"] | None = None
    """`youtube` is YouTube's standard licence. YouTube's own text is in `youtube.license`."""
    trainable: str | None = None
    """`all`, `none`, companies separated by commas, or `unknown`. Left out if it was not requested."""
    etag: str | None = None
    """The ETag of YouTube's answer about `trainable`."""
    asked_at: str | None = None
    """When `trainable` was requested from YouTube: ISO-8601, UTC."""


class ProductEntry(_Part):
    """A product of the same video."""

    kind: str
    """The processor that made it."""
    name: str
    files: list[str] = []
    """The files' paths below the output folder."""
    result: str | None = None
    """The result if there are no files."""


class Sidecar(_Part):
    """`<file>.json`: facts that link a file with its row and with YouTube."""

    version: int = VERSION
    """The version of this schema."""
    file: str
    """The name of the file that this sidecar belongs to."""
    kind: str
    """The processor that made it."""
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    video_task: dict[str, Any]
    """The row's columns that do not change while it is processed, by name, and the custom columns."""
    media: MediaFacts | None = None
    source: SourceFacts | None = None
    degraded: list[str] | None = None
    """The reasons for which the file is degraded: docs/reasons.md#degraded."""
    rights: RightsFacts | None = None
    youtube: YouTubeFacts
    products: list[ProductEntry] | None = None
    """All recorded products of the video."""
    made_with: dict[str, Any]
    """The version of yt-dlp, and the settings that matter."""


def document() -> str:
    """Return the JSON Schema."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Sidecar.model_json_schema()}
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    print(document(), end="")
