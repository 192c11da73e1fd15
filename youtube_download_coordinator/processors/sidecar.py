"""Write the sidecar of a file, `<file>.json`, which links the file with its row and with YouTube.

    {"version": 1, "file": "x.wav", "kind": "audio", "bytes": 4194348, "sha256": "9f86d0...",
     "video_task": {"ID": 7, "SourceID": 2, "URL": ..., "Accent": "Irish", "Type": ..., "Title": ..., "Gender": "f"},
     "media": {"codec": "wav", "bit_rate_kbps": 256.0, "sample_rate_hz": 16000, "channels": 1, "duration_seconds": 131.072},
     "source": {"track": "original", "language": "en", "format_note": "English original (default), medium", "drc": false, ...},
     "youtube": {"id": ..., "title": ..., "channel": ..., "upload_date": ..., "format_id": "140", "acodec": "mp4a.40.2", ...},
     "products": [{"kind": "audio", "name": "audio-wav", "files": ["Irish/x.wav"]}],
     "rights": {"license": "creative-commons", "trainable": "none", "etag": "...", "asked_at": "2026-11-29T12:00:00+00:00"},
     "made_with": {"yt_dlp": "2026.10.26", "audio_codec": "wav", ...}}

sidecar_schema.py has every field. Unknown values are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from youtube_download_coordinator.models import WRITTEN_ONCE, VideoTask, Writer, columns_of
from youtube_download_coordinator.processors.media_check import Media, stated_kbps
from youtube_download_coordinator.processors.tracks import is_drc, sound_of, track_of

SUFFIX = ".json"
KNOWN = (
    "id", "title", "channel", "channel_id", "uploader", "upload_date", "timestamp", "duration", "language", "license",
    "age_limit", "categories", "webpage_url", "extractor_key", "format_id", "ext", "acodec", "vcodec", "asr", "audio_channels",
    "abr", "vbr", "width", "height", "fps", "availability",
)  # fmt: skip
"""The fields of yt-dlp that are kept. The processor `metadata` writes all fields, including descriptions and formats."""


def video_task_columns(task: VideoTask) -> dict[str, object]:
    """Return the row's columns by name: those that do not change during processing, and custom columns."""
    columns = {
        attribute: column
        for attribute, column in columns_of(VideoTask).shown.items()
        if column.writer in WRITTEN_ONCE | {Writer.MEASURE}
    }
    values = {column.name: getattr(task, attribute) for attribute, column in columns.items()}
    return {name: value for name, value in values.items() if value not in (None, "")} | dict(task.extra)


def sidecar_text(content: Mapping[str, Any]) -> str:
    """Return a sidecar as JSON text."""
    return json.dumps(content, indent=1, default=str) + "\n"


def sidecar_content(
    made: Path,
    name: str,
    task: VideoTask,
    kind: str,
    info: Mapping[str, Any],
    made_with: Mapping[str, Any],
    *,
    media: Media | None = None,
    degraded: Sequence[str] = (),
    rights: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the sidecar of the file that is now at `made` and gets the given name. `media` is its measured content.

    `rights` is `Rights.to_json()`.
    """
    from youtube_download_coordinator.processors.sidecar_schema import Sidecar

    content: dict[str, Any] = {
        "file": name,
        "kind": kind,
        "bytes": made.stat().st_size,
        "sha256": sha256_of(made),
        "video_task": video_task_columns(task),
        "media": media_facts(made, Path(name).suffix, media) if media else None,
        "source": source_facts(info) if media else None,
        "degraded": list(degraded) or None,
        "rights": rights or None,
        "youtube": {name: info[name] for name in KNOWN if info.get(name) not in (None, "", [])},
        "made_with": {"yt_dlp": yt_dlp_version(), **made_with},
    }
    # Not validated: another version of yt-dlp, or another site, may have values of other types.
    sidecar = Sidecar.model_construct(**content)
    return sidecar.model_dump(exclude_none=True, warnings=False)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def media_facts(path: Path, suffix: str, media: Media) -> dict[str, Any]:
    """Return the measured facts about a file's content. The codec has the name that mutagen reads in the header."""
    header = _header(path)
    codec = getattr(header, "codec", None) or (suffix[1:] if header is not None else media.audio_codec)
    facts = {
        "codec": codec,
        "bit_rate_kbps": media.audio_kbps,
        "sample_rate_hz": media.sample_rate_hz,
        "channels": media.channels,
        "duration_seconds": round(media.seconds, 3),
    }
    return {name: value for name, value in facts.items() if value}


def source_facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about YouTube's version of the sound."""
    sound = sound_of(info)
    facts = {
        "track": track_of(sound, info.get("formats") or ()).value,
        "language": sound.get("language"),
        "language_preference": sound.get("language_preference"),
        "format_id": sound.get("format_id"),
        "format_note": sound.get("format_note"),
        "drc": is_drc(sound),
        "codec": sound.get("acodec"),
        "bit_rate_kbps": stated_kbps(sound),
        "sample_rate_hz": sound.get("asr"),
        "channels": sound.get("audio_channels"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _header(path: Path) -> Any:
    import mutagen

    try:
        file = mutagen.File(path)
    except mutagen.MutagenError:
        return None
    return file.info if file is not None else None


def yt_dlp_version() -> str:
    from yt_dlp.version import __version__

    return str(__version__)
