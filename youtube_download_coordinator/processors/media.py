"""Download the media of a video, and configure their conversion."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import TransientError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.disk_bounds import DiskBounds
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.media_check import check_media, degradations, measure, refusal
from youtube_download_coordinator.processors.output_paths import file_stem
from youtube_download_coordinator.processors.production import Emit, Made
from youtube_download_coordinator.processors.tracks import (
    AUDIO_FORMAT,
    VIDEO_FORMAT,
    VIDEO_SORT,
    audio_sort,
    check_offer,
    choose_track,
)
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.reasons import MEDIA_BLOCK

if TYPE_CHECKING:
    from youtube_download_coordinator.processors.post_processors import FFmpegCheckedAudioPP

_log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0


def make_media(
    task: VideoTask,
    settings: Settings,
    emit: Emit | None,
    extraction: Extraction,
    work: Path,
    *,
    for_audio: bool,
) -> Made:
    """Download the media. If they are refused, their addresses may have expired: extract them again, once."""
    try:
        return _download(task, settings, emit, extraction, work, for_audio=for_audio)
    except TransientError as error:
        if error.reason != MEDIA_BLOCK:
            raise
        _log.info("%s: %s; requesting the addresses of its media again", task.url, error)
    extraction.renew()
    return _download(task, settings, emit, extraction, work, for_audio=for_audio)


def _download(
    task: VideoTask, settings: Settings, emit: Emit | None, extraction: Extraction, work: Path, *, for_audio: bool
) -> Made:
    # An operator's own format may be without sound on purpose.
    needs_sound = for_audio or "format" not in settings.network.yt_dlp_options
    info = extraction.info
    with extraction.youtube_dl() as ydl:
        check_offer(info, extraction.messages, settings.audio_track, needs_sound=needs_sound)
        choose_format(ydl, settings, for_audio=for_audio)
        # yt-dlp expands variables and ~ in a template. file_stem contains none, and the operator chose the folder.
        stem = str(work / file_stem(task)).replace("%", "%%")
        ydl.params["outtmpl"]["default"] = f"{stem}.{_OF_FORMAT}.%(ext)s"
        bounds = _bound(ydl, task, settings)
        if emit:
            ydl.add_progress_hook(_progress_hook(emit))
        source = _set_post_processor(ydl, settings, for_audio=for_audio, needs_sound=needs_sound)
        try:
            info = ydl.process_ie_result(_without_choice(ydl, info), download=True)
        except Exception:
            bounds.check_failed()
            raise
        return _judged(info, extraction.messages, settings, source, for_audio=for_audio, needs_sound=needs_sound)


_OF_FORMAT = "%(format_id).40s.%(language|any).12s"
"""The format and track in the name of a part, so that it is never resumed with others."""


def choose_format(ydl: Any, settings: Settings, *, for_audio: bool) -> None:
    """Set the format of this product in yt-dlp. The operator's options take precedence."""
    own = settings.network.yt_dlp_options
    sort = audio_sort(settings.audio_codec) if for_audio else list(VIDEO_SORT)
    ydl.params["format_sort"] = own.get("format_sort", sort)
    select = ydl.build_format_selector(own.get("format", AUDIO_FORMAT if for_audio else VIDEO_FORMAT))
    ydl.format_selector = choose_track(select, settings.audio_track)


def _bound(ydl: Any, task: VideoTask, settings: Settings) -> DiskBounds:
    """Let yt-dlp check the disk space of the video, before and during the download."""
    bounds = DiskBounds(
        settings.output_dir,
        task,
        min_free_bytes=settings.min_free_disk_bytes,
        max_file_bytes=settings.max_file_bytes or 0,
    )
    # yt-dlp calls it with the chosen formats before it downloads anything.
    ydl.params["match_filter"] = lambda info, incomplete=False: None if incomplete else bounds.check_formats(info)
    ydl._progress_hooks[:] = [bounds.check_progress]
    return bounds


def _set_post_processor(ydl: Any, settings: Settings, *, for_audio: bool, needs_sound: bool) -> FFmpegCheckedAudioPP:
    """Let yt-dlp check the file and convert it. Replace the post-processor of another product."""
    from youtube_download_coordinator.processors.post_processors import FFmpegCheckedAudioPP

    conversion: dict[str, Any] = {
        "codec": settings.audio_codec,
        "sample_rate_hz": settings.audio_sample_rate_hz,
        "mono": settings.audio_mono,
    }
    source = FFmpegCheckedAudioPP(ydl, needs_sound=needs_sound, **(conversion if for_audio else {}))
    ydl._pps["post_process"].clear()
    ydl.add_post_processor(source)
    return source


def _without_choice(ydl: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the information without the format that yt-dlp chose at the extraction, if it lists all formats."""
    chosen = ydl._format_fields | {"requested_formats", "requested_downloads"} if info.get("formats") else set()
    return {name: value for name, value in info.items() if name not in chosen}


def _judged(
    info: Mapping[str, Any],
    messages: Sequence[str],
    settings: Settings,
    source: FFmpegCheckedAudioPP,
    *,
    for_audio: bool,
    needs_sound: bool,
) -> Made:
    """Return the file with its measured facts. Raises AttemptError if the file must not be kept."""
    path = Path(info["requested_downloads"][0]["filepath"])
    media = source.media
    if path != source.path:
        media = measure(path)
        check_media(media, info, needs_sound=needs_sound)
    degraded = degradations(info, messages, source.media, min_kbps=settings.audio_min_kbps, for_audio=for_audio)
    if degraded and not settings.accept_degraded:
        raise refusal(degraded)
    suffix = "ts" if media.container == "mpegts" else path.suffix[1:]  # as with the option `hls_use_mpegts`
    return Made(info=info, files={suffix: path}, media=media, degraded=degraded)


def _progress_hook(emit: Emit) -> Callable[[Mapping[str, Any]], None]:
    last = time.monotonic() - PROGRESS_SECONDS

    def hook(progress: Mapping[str, Any]) -> None:
        nonlocal last
        if progress.get("status") == "downloading" and time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            total = progress.get("total_bytes") or progress.get("total_bytes_estimate")
            emit({"downloaded_bytes": progress.get("downloaded_bytes"), "total_bytes": int(total) if total else None})

    return hook
