"""Media types of files, for object storage and browsers."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

_TYPES = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".json": "application/json",
    ".json3": "application/json",
    ".m4a": "audio/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".srt": "application/x-subrip",
    ".ts": "video/mp2t",
    ".ttml": "application/ttml+xml",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}
"""Media types by extension. `mimetypes` alone depends on the machine."""


def content_type_of(name: str) -> str:
    """Return the media type of a file by its extension."""
    suffix = PurePosixPath(name).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
