"""Read a file of cookies as exported by browser extensions (Netscape format), and check its login. The file is never written.

yt-dlp rewrites its file of cookies on exit, and prints lines that it does not understand, with their secrets. So it gets a copy
of the valid lines in memory, and no copy is left on a disk, even if the process is killed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from youtube_download_coordinator.errors import UnfitError
from youtube_download_coordinator.reasons import COOKIES_HOW_TO
from youtube_download_coordinator.text import format_utc

CURED_BY_COOKIES = frozenset({"needs-account", "private", "nothing-listed"})
"""Reasons of failures that an account may avoid. A bot check is not one of them: it concerns the address, and a retry with the
account would put the account at risk."""
FIELDS = 7
HTTP_ONLY = "#HttpOnly_"
SESSION = "LOGIN_INFO"
SIGNATURES = frozenset({"SAPISID", "__Secure-1PAPISID", "__Secure-3PAPISID"})
"""yt-dlp is logged in with the session cookie and one of these."""


class Cookie(NamedTuple):
    """A cookie without its value, which is a secret."""

    domain: str
    name: str
    expires: datetime | None
    """None: it expires with the browser's session."""


def read_cookies(path: Path) -> str:
    """Return the file's valid lines in yt-dlp's format. Raises UnfitError."""
    lines = _lines(path)
    valid = [_with_its_flag(line) for line in lines if _cookie(line)]
    if valid:
        return "# Netscape HTTP Cookie File\n" + "".join(f"{line}\n" for line in valid)
    problem = "is JSON" if lines and lines[0].lstrip()[:1] in ("[", "{") else "has no cookies in it"
    raise UnfitError(f"{path} {problem}, not the Netscape format (cookies.txt): {COOKIES_HOW_TO}", reason="cookies")


def check_cookies(path: Path, now: datetime | None = None) -> str:
    """Describe whose cookies these are. Raises UnfitError when there are none of YouTube's, or its login has expired."""
    cookies = [cookie for line in read_cookies(path).splitlines() if (cookie := _cookie(line))]
    youtube = [cookie for cookie in cookies if re.search(r"(?:^|\.)youtube\.com$", cookie.domain)]
    if not youtube:
        raise UnfitError(f"{path} has no cookies of youtube.com: {COOKIES_HOW_TO}", reason="cookies")
    signatures = [cookie for cookie in youtube if cookie.name in SIGNATURES]
    signatures.sort(key=lambda cookie: cookie.expires or datetime.max.replace(tzinfo=UTC))
    # The session cookie, and the signature that expires last.
    login = [cookie for cookie in youtube if cookie.name == SESSION][:1] + signatures[-1:]
    if len(login) < 2:
        return f"{path} has cookies of youtube.com but no login: YouTube treats requests as a guest's"
    expires = min((cookie.expires for cookie in login if cookie.expires), default=None)
    if expires and expires <= (now or datetime.now(UTC)):  # noqa: TID251  nothing about a lease
        raise UnfitError(f"the login in {path} expired at {format_utc(expires)}: {COOKIES_HOW_TO}", reason="cookies")
    return f"{path} has a login for YouTube" + (f" until {format_utc(expires)}" if expires else "")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise UnfitError(
            f"the cookies in {path} cannot be read: {problem} (YDC_COOKIES_FILE)", reason="cookies"
        ) from error


def _with_its_flag(line: str) -> str:
    """Correct the second field to match the domain. Some extensions write it incorrectly, and then Python's reader fails."""
    domain, _, *rest = line.split("\t")
    return "\t".join([domain, "TRUE" if domain.removeprefix(HTTP_ONLY).startswith(".") else "FALSE", *rest])


def _cookie(line: str) -> Cookie | None:
    line = line.removeprefix(HTTP_ONLY)
    fields = line.split("\t")
    if line.startswith("#") or len(fields) != FIELDS or not re.fullmatch(r"(?:\d{1,12}(?:\.\d+)?)?", fields[4]):
        return None
    seconds = min(float(fields[4] or 0), 253402300799.0)  # the year 9999
    return Cookie(fields[0], fields[5], datetime.fromtimestamp(seconds, UTC) if seconds else None)
