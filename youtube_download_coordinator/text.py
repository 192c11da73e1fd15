"""Parse and format text and times that people write or read."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache

DETAIL_MAX_CHARACTERS = 300
"""The length to which results and failures are truncated: a traceback does not belong in a cell of a sheet."""


def did_you_mean(name: str, names: Iterable[str], most: int = 1) -> str:
    """Return the end of a message, `; did you mean x?`, or an empty text if no name is similar. Letter case does not matter."""
    by_folded_name = {known.casefold(): known for known in names}
    similar = [by_folded_name[folded] for folded in get_close_matches(name.casefold(), by_folded_name, n=most)]
    return f"; did you mean {' or '.join(similar)}?" if similar else ""


def fold(text: str) -> str:
    """Return the form in which two texts are compared regardless of letter case, spaces and Unicode's variants of a character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def is_loopback(host: str) -> bool:
    """Return whether the name or address of a host means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def truncate(text: str, max_characters: int = DETAIL_MAX_CHARACTERS) -> str:
    """Return the text as one line of at most that many characters. If it is longer, it ends with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= max_characters else line[: max_characters - 1] + "…"


def literal_markdown(text: str, max_characters: int) -> str:
    """Return one truncated line of Markdown that shows the text literally, so that it becomes neither a link nor HTML."""
    return _MARKDOWN.sub(r"\\\1", truncate(text, max_characters))


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@/])")
"""Characters that have a meaning in Markdown or HTML, or turn text into a link."""


def sanitize(text: str) -> str:
    """Return the text without characters that a database refuses or a terminal interprets.

    Databases refuse NUL and lone surrogates, which occur in file names that are not UTF-8. Terminals and log viewers interpret
    control characters. Tabs and line breaks are kept.
    """
    return _CONTROLS.sub("", text.encode("utf-8", "replace").decode())


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


_FORMULA_SIGNS = frozenset("=+-@")
"""A spreadsheet program treats text that begins with one of these as a formula, which may open URLs and start programs."""


def no_formula(text: str) -> str:
    """Return the text, changed so that a spreadsheet program shows it and does not run it as a formula."""
    if text[:1].isalnum() and text.isprintable():  # nearly all text
        return text
    return "".join(f"'{line}" if _is_formula(line) else line for line in text.splitlines(keepends=True))


def _is_formula(line: str) -> bool:
    """Return whether a program might treat a line as a formula. Some programs skip blanks or accept full-width signs."""
    visible = line.lstrip(_skipped())
    return line.startswith(("\t", "\r")) or bool(_FORMULA_SIGNS & set(unicodedata.normalize("NFKC", visible[:1])))


@cache
def _skipped() -> str:
    """Return blanks and invisible characters."""
    characters = map(chr, range(0x10000))
    return "".join(char for char in characters if char.isspace() or unicodedata.category(char) in {"Cc", "Cf"})


def format_utc(time: datetime | None) -> str:
    """Return a time as ISO 8601 in UTC, to the second, or an empty text for None."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


_WRITTEN_TIME = re.compile(
    r"(?P<first>\d{1,4})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<third>\d{1,4})"
    r"(?:(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:\.\d+)?)? ?(?P<half>[AP]M)?)?"
    r" ?(?P<zone>Z|UTC|GMT)?"
)


def parse_time(text: str) -> datetime | None:
    """Parse a time that a person or a spreadsheet wrote: `2026-11-25 8:30`, `25.11.2026`, `11/25/2026 8:30 PM`.

    A time without a zone is in UTC. Return None if the text is not a time, or is ambiguous (`5/6/2026`).
    """
    normalized = " ".join(text.split()).upper()
    match = _WRITTEN_TIME.fullmatch(normalized)
    try:
        time = _time_of_match(match) if match else datetime.fromisoformat(normalized)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: its zone moves it beyond the year 1 or 9999
        return None


def _time_of_match(match: re.Match[str]) -> datetime:
    """Return the time in a match. Raises ValueError if its date does not exist or is ambiguous."""
    first, second, third = (int(match[part]) for part in ("first", "second", "third"))
    orders = [(first, second, third)] if first > 31 else [(third, second, first), (third, first, second)]
    if match["sign"] == ".":
        orders = orders[:1]
    possible = {order for order in orders if 1 <= order[1] <= 12 and 1 <= order[2] <= 31 and order[0] > 31}
    hour = int(match["hour"] or 0)
    if match["half"]:
        hour = hour % 12 + (12 if match["half"] == "PM" else 0)
    (date,) = possible
    return datetime(*date, hour, int(match["minute"] or 0), int(match["seconds"] or 0), tzinfo=UTC)
