"""Read the installed version of yt-dlp. An upgrade may replace it while workers run; new child processes use it at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

YT_DLP, EJS = "yt-dlp", "yt-dlp-ejs"
KEPT_SECONDS = 10.0
"""How long a version is cached. It is needed several times for each video, and read from the disk."""


def installed_version(package: str) -> str:
    """Return the installed version, or an empty string. Reads the package's files, not an imported module."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_newer(version: str, than: str) -> bool:
    """Return whether a version of yt-dlp, which is a date, is later than another."""
    first, second = ([int(number) for number in re.findall(r"\d+", text)] for text in (version, than))
    return first > second


@dataclass(slots=True)
class InstalledYtDlp:
    """The installed version of yt-dlp, at most KEPT_SECONDS old. Empty: none."""

    monotonic: Callable[[], float]
    _version: str = ""
    _read_at: float = float("-inf")

    def __call__(self) -> str:
        now = self.monotonic()
        if now - self._read_at >= KEPT_SECONDS:
            # While pip replaces it, there is none for a moment: then keep the previous version.
            self._version, self._read_at = installed_version(YT_DLP) or self._version, now
        return self._version
