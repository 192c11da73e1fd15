"""The sidecar of a file, `<file>.json`: the facts that join it with its row and with YouTube.

    {"file": "x.wav", "kind": "audio", "bytes": 4194348,
     "video_task": {"ID": 7, "SourceID": 2, "URL": ..., "Accent": "Irish", "Type": ..., "Title": ..., "Gender": "f"},
     "media": {"codec": "wav", "sample_rate_hz": 16000, "channels": 1, "duration_seconds": 131.1},
     "youtube": {"id": ..., "title": ..., "channel": ..., "upload_date": ..., "format_id": "140", "acodec": "mp4a.40.2", ...},
     "made_with": {"yt_dlp": "2026.10.26", "audio_codec": "wav", ...}}

Unknown fields are left out. New fields may be added; none changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from youtube_download_coordinator.models import WRITTEN_ONCE, VideoTask, Writer, columns_of
from youtube_download_coordinator.processors.files import write_text

SUFFIX = ".json"
KNOWN = (
    "id", "title", "channel", "channel_id", "uploader", "upload_date", "timestamp", "duration", "language", "license",
    "age_limit", "categories", "webpage_url", "extractor_key", "format_id", "ext", "acodec", "vcodec", "asr", "audio_channels",
    "abr", "vbr", "width", "height", "fps", "availability",
)  # fmt: skip
"""The fields that are kept of yt-dlp's. The processor `metadata` writes all of them (descriptions, every format)."""


def video_task_columns(task: VideoTask) -> dict[str, object]:
    """Return the columns of the row that do not change while it is processed, by name, and those that people have added."""
    columns = {
        attribute: column
        for attribute, column in columns_of(VideoTask).shown.items()
        if column.writer in WRITTEN_ONCE | {Writer.MEASURE}
    }
    values = {column.name: getattr(task, attribute) for attribute, column in columns.items()}
    return {name: value for name, value in values.items() if value not in (None, "")} | dict(task.extra)


def write_sidecar(
    made: Path, path: Path, task: VideoTask, kind: str, info: Mapping[str, Any], made_with: Mapping[str, Any]
) -> None:
    """Write the sidecar of the file that is at `made` now and will be moved to `path`."""
    content = {
        "file": path.name,
        "kind": kind,
        "bytes": made.stat().st_size,
        "video_task": video_task_columns(task),
        "media": media_facts(made, info),
        "youtube": {name: info[name] for name in KNOWN if info.get(name) not in (None, "", [])},
        "made_with": {"yt_dlp": yt_dlp_version(), **made_with},
    }
    write_text(path.with_name(path.name + SUFFIX), json.dumps(content, indent=1, default=str) + "\n")


def media_facts(path: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about a file's content: from its header, where mutagen reads its format, else from yt-dlp."""
    header = _header(path)
    codecs = [info.get(name) for name in ("vcodec", "acodec")]
    facts = {
        "codec": path.suffix[1:]
        if header is not None
        else "+".join(str(name) for name in codecs if name not in (None, "none")),
        "sample_rate_hz": getattr(header, "sample_rate", None) or info.get("asr"),
        "channels": getattr(header, "channels", None) or info.get("audio_channels"),
        "duration_seconds": round(getattr(header, "length", 0), 3) or info.get("duration"),
    }
    codec = getattr(header, "codec", None)
    return {name: value for name, value in (facts | ({"codec": codec} if codec else {})).items() if value}


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
