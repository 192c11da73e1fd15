"""Downloads the media of a video, and what converts them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import TransientError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.output_paths import file_stem
from youtube_download_coordinator.processors.production import Emit, Made
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.reasons import MEDIA_BLOCK

_log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0


def make_media(
    task: VideoTask,
    settings: Settings,
    emit: Emit | None,
    extraction: Extraction,
    work: Path,
    *,
    resampled: bool = False,
) -> Made:
    """Download the media. Where they are refused, their addresses may have run out: extract them afresh, once."""
    try:
        return _download(task, settings, emit, extraction, work, resampled=resampled)
    except TransientError as error:
        if error.reason != MEDIA_BLOCK:
            raise
        _log.info("%s: %s; its media are looked up afresh", task.url, error)
    extraction.renew()
    return _download(task, settings, emit, extraction, work, resampled=resampled)


def _download(
    task: VideoTask, settings: Settings, emit: Emit | None, extraction: Extraction, work: Path, *, resampled: bool
) -> Made:
    with extraction.youtube_dl() as ydl:
        # yt-dlp expands variables and ~ in a template; file_stem has none, and the folder is the operator's own.
        ydl.params["outtmpl"]["default"] = str(work / file_stem(task)).replace("%", "%%") + ".%(ext)s"
        if emit:
            ydl.add_progress_hook(_progress_hook(emit))
        if resampled:
            from youtube_download_coordinator.processors.resampling import FFmpegResampleAudioPP

            rate, mono = settings.audio_sample_rate_hz, settings.audio_mono
            ydl.add_post_processor(FFmpegResampleAudioPP(ydl, settings.audio_codec, sample_rate_hz=rate, mono=mono))
        info = ydl.process_ie_result(dict(extraction.info), download=True)
        path = Path(info["requested_downloads"][0]["filepath"])
    return Made(info=info, files={path.suffix[1:]: path})


def _progress_hook(emit: Emit) -> Callable[[Mapping[str, Any]], None]:
    last = time.monotonic() - PROGRESS_SECONDS

    def hook(progress: Mapping[str, Any]) -> None:
        nonlocal last
        if progress.get("status") == "downloading" and time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            total = progress.get("total_bytes") or progress.get("total_bytes_estimate")
            emit({"downloaded_bytes": progress.get("downloaded_bytes"), "total_bytes": int(total) if total else None})

    return hook
