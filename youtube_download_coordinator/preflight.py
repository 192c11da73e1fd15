"""Whether this machine can list and process videos: yt-dlp, a JavaScript runtime for it, ffmpeg.

Each function says what it found, or raises UnfitError with what to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date

from youtube_download_coordinator.errors import UnfitError

YT_DLP_MAX_AGE_DAYS = 90
"""yt-dlp itself warns from this age on: YouTube changes every few weeks."""


def check_yt_dlp(today: date | None = None) -> str:
    """How old yt-dlp is; its version is the day of its release."""
    from yt_dlp.version import __version__ as version

    year, month, day = map(int, version.split(".")[:3])
    age_days = ((today or date.today()) - date(year, month, day)).days  # noqa: DTZ011  (days, not moments)
    if age_days > YT_DLP_MAX_AGE_DAYS:
        raise UnfitError(
            f"yt-dlp {version} is {age_days} days old, and YouTube changes every few weeks: pip install -U yt-dlp yt-dlp-ejs",
            reason="old-yt-dlp",
        )
    return f"yt-dlp {version}, {max(age_days, 0)} days old"


def check_javascript() -> str:
    """The runtime that yt-dlp finds, and the scripts that it runs there."""
    from yt_dlp.utils._jsruntime import DenoJsRuntime

    found = DenoJsRuntime().info
    if found is None or not found.supported:
        least = ".".join(map(str, DenoJsRuntime.MIN_SUPPORTED_VERSION))
        what = f"deno {found.version} is too old" if found else "there is no deno"
        raise UnfitError(
            f"{what}: yt-dlp needs deno {least} or newer for YouTube's player: pip install -U deno",
            reason="no-javascript",
        )
    return f"deno {found.version} for yt-dlp, with the scripts of yt-dlp-ejs {_scripts()}"


def _scripts() -> str:
    """The version of the scripts; yt-dlp takes none of another minor version than its own."""
    from yt_dlp.extractor.youtube.jsc._builtin import vendor

    try:
        from yt_dlp_ejs import version
    except ImportError:
        version = "none"
    if version.split(".")[:2] != vendor.VERSION.split(".")[:2]:
        raise UnfitError(
            f"yt-dlp needs yt-dlp-ejs {vendor.VERSION} for YouTube's player, and there is {version}:"
            f" pip install yt-dlp-ejs=={vendor.VERSION}",
            reason="no-javascript",
        )
    return str(version)


def check_ffmpeg() -> str:
    """The ffmpeg that the built-in processors use."""
    return f"ffmpeg at {find_ffmpeg() or 'its place in PATH'}"


def find_ffmpeg() -> str | None:
    """Where ffmpeg is; None when the system has it, with ffprobe."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return None
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        text = f"there is no ffmpeg: {error}: install ffmpeg, or pip install imageio-ffmpeg"
        raise UnfitError(text, reason="no-ffmpeg") from error


CHECKS: dict[str, Callable[[], str]] = {
    "yt-dlp": check_yt_dlp,
    "JavaScript": check_javascript,
    "ffmpeg": check_ffmpeg,
}
"""What every worker needs, by name."""
