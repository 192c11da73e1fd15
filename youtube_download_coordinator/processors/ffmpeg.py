"""Find ffmpeg: the system's, or else the one of the package imageio-ffmpeg. ffprobe is not needed (media_check.py)."""

from __future__ import annotations

import shutil

from youtube_download_coordinator.errors import UnfitError


def find_ffmpeg() -> str | None:
    """Return the path of ffmpeg, or None if the system has both ffmpeg and ffprobe. Raises UnfitError."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return None
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        text = f"there is no ffmpeg: {error} Install ffmpeg, or pip install imageio-ffmpeg"
        raise UnfitError(text, reason="no-ffmpeg") from error


def ffmpeg_program() -> str:
    """Return the command that runs ffmpeg. Raises UnfitError."""
    return find_ffmpeg() or "ffmpeg"
