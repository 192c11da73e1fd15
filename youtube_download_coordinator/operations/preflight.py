"""Check whether this machine can list and process videos: for `ydc doctor`, and for a worker before it claims.

Each check returns its finding, or raises UnfitError with advice. yt-dlp is not imported, so that a run with nothing to do, which
begins with these checks, ends within a second.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.config import unknown_variables
from youtube_download_coordinator.errors import CoordinatorError, PreflightError, UnfitError
from youtube_download_coordinator.operations.check_place import check_opens
from youtube_download_coordinator.operations.examine import Check, examine
from youtube_download_coordinator.operations.package_index import (
    describe,
    ejs_version_in,
    release,
    run_program,
)
from youtube_download_coordinator.processors.ffmpeg import find_ffmpeg
from youtube_download_coordinator.processors.names import BUILT_INS, MEDIA, processor_names
from youtube_download_coordinator.storage.files import check_free_disk, in_megabytes
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.cookies import check_cookies
from youtube_download_coordinator.youtube.token_provider import PLUGIN, plugin_version, provider_url
from youtube_download_coordinator.youtube.versions import EJS, YT_DLP, installed_version, is_newer

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

_log = logging.getLogger(__name__)

YT_DLP_MAX_AGE_DAYS = 90
"""The age from which yt-dlp itself warns, because YouTube changes every few weeks."""
DENO_MIN_VERSION = (2, 3, 0)
"""The oldest version of deno that yt-dlp accepts."""
DENO_TIMEOUT_SECONDS = 30.0
"""How long deno may take to print its version on a busy machine."""
PING_SECONDS = 5.0
"""How long to wait for a token provider's `/ping`, as the plugin does."""
PING_BYTES = 10_000
PLUGIN_SECONDS = 60.0
FINDS_PLUGIN = """
import importlib.util, sys
import yt_dlp
sys.exit(importlib.util.find_spec("yt_dlp_plugins.extractor.getpot_bgutil_http") is None)
"""
"""Asks yt-dlp for the plugin, because yt-dlp also searches folders that pip does not know."""


def checks(config: Config, processor: str = "download") -> Iterator[Check]:
    """Yield the checks for a worker with these processors. The user's own function needs neither ffmpeg nor disk space."""
    names = processor_names(processor)
    yield Check("settings", check_variables, stops=False)
    yield Check("yt-dlp", check_yt_dlp, stops=False)
    if config.cookies_file:
        yield Check("cookies", partial(check_cookies, config.cookies_file))
    if config.offers:
        yield Check("offers", partial(check_offer, config), stops=False)
    if url := provider_url(config.yt_dlp_options):
        yield Check("tokens", partial(check_token_provider, url), stops=False)
    if not set(BUILT_INS).isdisjoint(names):
        yield Check("JavaScript", check_javascript)
        if isinstance(config.output_dir, str):
            yield Check("storage", partial(check_opens, config.output_dir))
        yield Check("disk", partial(check_disk, config.work_dir, config.min_free_disk_bytes))
    if not MEDIA.isdisjoint(names):
        yield Check("ffmpeg", check_ffmpeg)


def require(config: Config, processor: str) -> None:
    """Raise PreflightError, with one line, unless a worker can process videos here. Log warnings."""
    problems = [finding for finding in examine(checks(config, processor)) if not finding.ok]
    for finding in problems:
        if not finding.stops:
            _log.warning("%s", finding.text)
    fatal = "; ".join(finding.text for finding in problems if finding.stops)
    if fatal:
        raise PreflightError(f"this machine cannot process videos yet: {fatal}")


def check_variables() -> str:
    """Raise UnfitError for a variable `YDC_...` that is not a setting and would have no effect."""
    if unknown := unknown_variables():
        raise UnfitError(f"there is no setting {', '.join(unknown)}: `docs/settings.md` lists all settings")
    return "every variable YDC_... is a setting"


def check_offer(config: Config) -> str:
    """Check that a machine that offers an account has cookies."""
    if config.offer.account and not config.cookies_file:
        raise UnfitError(
            "YDC_OFFERS has account, but YDC_COOKIES_FILE is not set: only a processor of your own that logs in by itself can"
            " do what needs an account"
        )
    return f"this machine offers {config.offer}"


def check_yt_dlp(today: date | None = None) -> str:
    """Check the age of yt-dlp. Its version is the date of its release."""
    version = _yt_dlp_version()
    year, month, day = map(int, version.split(".")[:3])
    age_days = ((today or date.today()) - date(year, month, day)).days  # noqa: DTZ011  (days without times)
    if age_days > YT_DLP_MAX_AGE_DAYS:
        raise UnfitError(
            f"yt-dlp {version} is {age_days} days old, and YouTube changes every few weeks: ydc upgrade-yt-dlp",
            reason="old-yt-dlp",
        )
    return f"yt-dlp {version}, {max(age_days, 0)} days old"


def _yt_dlp_version() -> str:
    if version := installed_version(YT_DLP):
        return version
    raise UnfitError(f"there is no {YT_DLP} in this environment: ydc upgrade-yt-dlp installs it", reason="no-yt-dlp")


def check_newest() -> str:
    """Check whether the package index has a newer yt-dlp. It is not a problem if the index does not answer."""
    try:
        newest = release()
    except CoordinatorError as error:
        return f"cannot check for a newer yt-dlp: {error}"
    if is_newer(newest.yt_dlp, installed_version(YT_DLP)):
        raise UnfitError(f"{describe(newest)}: ydc upgrade-yt-dlp", reason="old-yt-dlp")
    return describe(newest)


def check_token_provider(url: str) -> str:
    """Check that the token provider answers, and that its version is compatible with yt-dlp's plugin.

    The request is the plugin's: `GET /ping`, without a proxy.
    """
    from http.client import HTTPException  # only needed with a provider
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(f"{url}/ping", timeout=PING_SECONDS) as response:
            answer = json.loads(response.read(PING_BYTES))
        version = str(answer["version"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        problem = str(getattr(error, "reason", "") or error) or type(error).__name__
        raise UnfitError(
            f"the token provider at {url} does not answer ({truncate(problem, 100)}): start it, or correct base_url in"
            f" YDC_YT_DLP_OPTIONS; without it YouTube may refuse videos (docs/yt-dlp.md)"
        ) from None
    plugin = plugin_version()
    if plugin and plugin.split(".")[0] != version.split(".")[0]:
        raise UnfitError(
            f"the token provider at {url} has version {version}, but its plugin here has version {plugin}: upgrade the older one"
        )
    if not plugin and run_program([sys.executable, "-P", "-c", FINDS_PLUGIN], seconds=PLUGIN_SECONDS).returncode:
        raise UnfitError(
            f"the token provider at {url} answers, but yt-dlp lacks the plugin that uses it: pip install {PLUGIN}=={version}"
        )
    return f"the token provider at {url} answers; version {version}{f', plugin {plugin}' if plugin else ''}"


def check_javascript() -> str:
    """Check the JavaScript runtime that yt-dlp uses, and the scripts that it runs there."""
    version = _deno_version()
    if version is None or tuple(map(int, version.split("."))) < DENO_MIN_VERSION:
        problem = f"deno {version} is too old" if version else "there is no deno"
        least = ".".join(map(str, DENO_MIN_VERSION))
        raise UnfitError(
            f"{problem}: yt-dlp needs deno {least} or newer for YouTube's player: pip install -U deno",
            reason="no-js-runtime",
        )
    return f"deno {version} for yt-dlp, with the scripts of yt-dlp-ejs {_scripts_version()}"


def _deno_version() -> str | None:
    """Return the version of the deno that yt-dlp uses: the one next to this Python, otherwise the one in PATH."""
    local = Path(sysconfig.get_path("scripts")) / f"deno{sysconfig.get_config_var('EXE') or ''}"
    program = str(local) if os.access(local, os.X_OK) else "deno"
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DENO_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"deno (\d+\.\d+\.\d+)", done.stdout)
    return version[1] if version else None


def _scripts_version() -> str:
    """Return the version of the scripts. Raises UnfitError unless its minor version is the one that yt-dlp requires."""
    required = required_scripts_version()
    version = installed_version(EJS) or "none"
    if required and version.split(".")[:2] != required.split(".")[:2]:
        raise UnfitError(
            f"yt-dlp needs yt-dlp-ejs {required} for YouTube's player, but {version} is installed:"
            f" pip install yt-dlp-ejs=={required}",
            reason="no-js-runtime",
        )
    return version


def required_scripts_version() -> str:
    """Return the version of yt-dlp-ejs that yt-dlp's package requires, or an empty string."""
    _yt_dlp_version()
    return ejs_version_in(metadata.requires(YT_DLP) or ())


def check_ffmpeg() -> str:
    """Check the ffmpeg that the built-in processors use."""
    return f"ffmpeg at {find_ffmpeg() or 'its place in PATH'}"


def check_disk(output_dir: Path, min_free_bytes: int) -> str:
    """Check the free disk space for files."""
    return f"{in_megabytes(check_free_disk(output_dir, min_free_bytes))} are free in {output_dir}"
