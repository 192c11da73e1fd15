"""Whether this machine can list and process videos. The same for `ydc doctor` and for a worker before it claims.

Each look says what it found, or raises UnfitError with what to do. yt-dlp itself is not imported: a run with nothing to do
begins with this, and ends within a second.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.config import unknown_variables
from youtube_download_coordinator.errors import PreflightError, UnfitError
from youtube_download_coordinator.operations.examine import Check, examine
from youtube_download_coordinator.processors.ffmpeg import find_ffmpeg
from youtube_download_coordinator.processors.files import check_free_disk, in_megabytes
from youtube_download_coordinator.workers.find_processor import BUILT_INS
from youtube_download_coordinator.youtube.cookies import check_cookies

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

_log = logging.getLogger(__name__)

YT_DLP_MAX_AGE_DAYS = 90
"""yt-dlp itself warns from this age on: YouTube changes every few weeks."""
DENO_LEAST = (2, 3, 0)
"""yt-dlp takes no older one."""
DENO_SECONDS = 30.0
"""What saying its version may take it, on a machine that is very busy."""
NEEDS_FFMPEG = frozenset({"download", "audio"})


def checks(config: Config, processor: str = "download") -> Iterator[Check]:
    """What a worker with this processor needs; a function of somebody's own needs neither ffmpeg nor room on this disk."""
    yield Check("settings", check_variables, stops=False)
    yield Check("yt-dlp", check_yt_dlp, stops=False)
    if config.cookies_file:
        yield Check("cookies", partial(check_cookies, config.cookies_file))
    if processor in BUILT_INS:
        yield Check("JavaScript", check_javascript)
        yield Check("disk", partial(check_disk, config.output_dir, config.min_free_disk_bytes))
    if processor in NEEDS_FFMPEG:
        yield Check("ffmpeg", check_ffmpeg)


def require(config: Config, processor: str) -> None:
    """Raise PreflightError unless a worker can process videos here, in one line; what does not stop it is logged."""
    problems = [finding for finding in examine(checks(config, processor)) if not finding.ok]
    for finding in problems:
        if not finding.stops:
            _log.warning("%s", finding.text)
    stopping = "; ".join(finding.text for finding in problems if finding.stops)
    if stopping:
        raise PreflightError(f"this machine cannot process videos yet: {stopping}")


def check_variables() -> str:
    """Whether each variable that is named as a setting is one: another does nothing, and nobody would see that."""
    if unknown := unknown_variables():
        raise UnfitError(f"there is no setting {', '.join(unknown)}: `docs/settings.md` has them all")
    return "each variable YDC_... is a setting"


def check_yt_dlp(today: date | None = None) -> str:
    """How old yt-dlp is; its version is the day of its release."""
    version = metadata.version("yt-dlp")
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
    version = _deno_version()
    if version is None or tuple(map(int, version.split("."))) < DENO_LEAST:
        what = f"deno {version} is too old" if version else "there is no deno"
        least = ".".join(map(str, DENO_LEAST))
        raise UnfitError(
            f"{what}: yt-dlp needs deno {least} or newer for YouTube's player: pip install -U deno",
            reason="no-js-runtime",
        )
    return f"deno {version} for yt-dlp, with the scripts of yt-dlp-ejs {_scripts()}"


def _deno_version() -> str | None:
    """Of the one that yt-dlp takes: beside this Python, else in PATH."""
    beside = Path(sysconfig.get_path("scripts")) / f"deno{sysconfig.get_config_var('EXE') or ''}"
    program = str(beside) if os.access(beside, os.X_OK) else "deno"
    try:
        told = subprocess.run(
            [program, "--version"], capture_output=True, text=True, errors="replace", timeout=DENO_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"deno (\d+\.\d+\.\d+)", told.stdout)
    return found[1] if found else None


def _scripts() -> str:
    """The version of the scripts; yt-dlp takes none of another minor version than it asks for."""
    needed = scripts_needed()
    try:
        version = metadata.version("yt-dlp-ejs")
    except metadata.PackageNotFoundError:
        version = "none"
    if needed and version.split(".")[:2] != needed.split(".")[:2]:
        raise UnfitError(
            f"yt-dlp needs yt-dlp-ejs {needed} for YouTube's player, and there is {version}:"
            f" pip install yt-dlp-ejs=={needed}",
            reason="no-js-runtime",
        )
    return version


def scripts_needed() -> str:
    """The version of yt-dlp-ejs that yt-dlp's package names; nothing if it names none."""
    named = (re.match(r"yt-dlp-ejs==([\d.]+)", needed) for needed in metadata.requires("yt-dlp") or ())
    return next((found[1] for found in named if found), "")


def check_ffmpeg() -> str:
    """The ffmpeg that the built-in processors use."""
    return f"ffmpeg at {find_ffmpeg() or 'its place in PATH'}"


def check_disk(output_dir: Path, least_bytes: int) -> str:
    """The room for files."""
    return f"{in_megabytes(check_free_disk(output_dir, least_bytes))} are free in {output_dir}"
