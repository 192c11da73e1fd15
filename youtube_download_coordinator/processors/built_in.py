"""The built-in processors: `download`, `audio`, `metadata` and `subtitles`, each through yt-dlp.

Each has a recipe with the name of its product and the function that makes it. production.py runs the recipe. If the file
exists, it is returned at once, without a request. Docs: docs/processors.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import GoneError, PermanentError, TransientError
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Product
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.ffmpeg import find_ffmpeg
from youtube_download_coordinator.processors.media import make_media
from youtube_download_coordinator.processors.output_paths import safe_name
from youtube_download_coordinator.processors.production import Emit, Made, Recipe, produce
from youtube_download_coordinator.processors.sidecar import video_task_columns, yt_dlp_version
from youtube_download_coordinator.processors.subtitles import Choice, choose
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.youtube.error_rules import classify

__all__ = ["RECIPES", "Settings", "audio", "download", "metadata", "subtitles"]

# -- the four


def download(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the best video with the best audio. The result is the path of the file. Raises AttemptError."""
    return produce(task, settings, _download(task, settings, emit))


def audio(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download only the audio, as `audio_codec`. The result is the path of the file. Raises AttemptError."""
    return produce(task, settings, _audio(task, settings, emit))


def metadata(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Write all metadata of the video, and the row's columns, as `.info.json`. The result is its path. Raises AttemptError."""
    return produce(task, settings, _metadata(task, settings, emit))


def subtitles(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the subtitles in `subtitle_languages`. The result is the path of the file, or `x.{de,en}.vtt` for several.

    A video without subtitles is done, with a corresponding result. With `subtitles_required` it is a PermanentError.
    Raises AttemptError.
    """
    return produce(task, settings, _subtitles(task, settings, emit))


# -- their recipes


def _download(task: VideoTask, settings: Settings, emit: Emit | None) -> Recipe:
    return Recipe(
        product=Product(kind="download", name="download"),
        make=partial(make_media, task, settings, emit, for_audio=False),
        options={"ffmpeg_location": find_ffmpeg},
    )


def _audio(task: VideoTask, settings: Settings, emit: Emit | None) -> Recipe:
    codec = settings.audio_codec
    resampling = {"sample_rate_hz": settings.audio_sample_rate_hz, "mono": settings.audio_mono}
    product = Product(
        kind="audio",
        name=f"audio-{codec}",
        made_with={name: value for name, value in resampling.items() if value},
    )
    return Recipe(
        product=product,
        make=partial(make_media, task, settings, emit, for_audio=True),
        options={"ffmpeg_location": find_ffmpeg},
    )


def _metadata(task: VideoTask, settings: Settings, emit: Emit | None) -> Recipe:
    return Recipe(product=Product(kind="metadata", name="metadata"), make=partial(_make_metadata, task))


def _subtitles(task: VideoTask, settings: Settings, emit: Emit | None) -> Recipe:
    choice = {"languages": list(settings.subtitle_languages), "kinds": settings.subtitle_kinds}
    return Recipe(
        product=Product(kind="subtitles", name=f"subtitles-{settings.subtitle_format}", made_with=choice),
        make=partial(_make_subtitles, settings),
        without_files="" if settings.subtitles_required else _no_subtitles(settings),
    )


RECIPES: Mapping[str, Callable[[VideoTask, Settings, Emit | None], Recipe]] = {
    "download": _download,
    "audio": _audio,
    "metadata": _metadata,
    "subtitles": _subtitles,
}


def _no_subtitles(settings: Settings) -> str:
    kinds = "" if settings.subtitle_kinds == "both" else f"{settings.subtitle_kinds} "
    return f"no {kinds}subtitles in {', '.join(settings.subtitle_languages)}"


def is_no_subtitles(result: str) -> bool:
    """Return whether a row's result means that its video has no subtitles."""
    return re.match(r"no (?:\w+ )?subtitles in ", result) is not None


# -- making what is not media


def _make_metadata(task: VideoTask, extraction: Extraction, work: Path) -> Made:
    info = extraction.sanitized_info()
    added: dict[str, Any] = {"video_task": video_task_columns(task), "made_with": {"yt_dlp": yt_dlp_version()}}
    if extraction.rights:
        added["rights"] = extraction.rights
    path = work / "info.json"
    path.write_text(json.dumps({**info, **added}, ensure_ascii=True, default=str), encoding="ascii")
    return Made(info=info, files={"info.json": path})


def _make_subtitles(settings: Settings, extraction: Extraction, work: Path) -> Made:
    info = extraction.info
    choices = {
        f"{safe_name(choice.language)}.{safe_name(choice.track['ext'])}": choice
        for choice in choose(info, settings.subtitle_languages, settings.subtitle_kinds, settings.subtitle_format)
    }
    if not choices and settings.subtitles_required:
        raise PermanentError(_no_subtitles(settings), reason="no-subtitles")
    for suffix, choice in choices.items():
        _download_subtitles(extraction, choice, work / suffix)
    facts = {suffix: {"language": choice.language, "automatic": choice.automatic} for suffix, choice in choices.items()}
    return Made(info=info, files={suffix: work / suffix for suffix in choices}, facts=facts)


def _download_subtitles(extraction: Extraction, choice: Choice, path: Path) -> None:
    if choice.track.get("data") is not None:
        path.write_text(choice.track["data"], encoding="utf-8", newline="")
        return
    with extraction.youtube_dl() as ydl:
        headers = extraction.info.get("http_headers")
        try:
            ydl.dl(str(path), {"http_headers": headers, **choice.track}, subtitle=True)
        except Exception as error:
            failure = classify(error, extraction.messages)
            if isinstance(failure, GoneError):  # the address has expired; the video exists
                raise TransientError(f"the subtitles in {choice.language}: {failure}", reason="http-404") from error
            raise failure from error
