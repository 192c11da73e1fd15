"""Text and times as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches

DETAIL_MAX_CHARACTERS = 300
"""A result or a reason is truncate to this length: a spreadsheet's cell is no place for a traceback."""


def did_you_mean(name: str, names: Iterable[str], most: int = 1) -> str:
    """What a message ends with: `; did you mean x?`, if some of the names look did_you_mean it, whatever their capitals."""
    small = {each.casefold(): each for each in names}
    close = [small[each] for each in get_close_matches(name.casefold(), small, n=most)]
    return f"; did you mean {' or '.join(close)}?" if close else ""


def truncate(text: str, max_characters: int = DETAIL_MAX_CHARACTERS) -> str:
    """One line of at most that many characters, an ellipsis showing that some are missing."""
    line = " ".join(text.split())
    return line if len(line) <= max_characters else line[: max_characters - 1] + "…"


def sanitize(text: str) -> str:
    """Without what a database refuses, NUL and halves of characters (a file name that is no UTF-8 has them), and without what
    some terminal or log viewer may obey: control characters but for tabs and ends of lines."""
    return _CONTROLS.sub("", text.encode("utf-8", "replace").decode())


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def format_utc(moment: datetime | None) -> str:
    """ISO-8601 in UTC with a Z, to the second; nothing for no moment."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


_WRITTEN_MOMENT = re.compile(
    r"(?P<first>\d{1,4})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<third>\d{1,4})"
    r"(?:(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:\.\d+)?)? ?(?P<half>[AP]M)?)?"
    r" ?(?P<zone>Z|UTC|GMT)?"
)


def parse_time(text: str) -> datetime | None:
    """A moment that a person wrote, or a spreadsheet in its own way: `2026-11-25 8:30`, `25.11.2026`, `11/25/2026 8:30 PM`.

    Without a zone it means UTC. None when it is no moment, or could be two (`5/6/2026`).
    """
    written = " ".join(text.split()).upper()
    found = _WRITTEN_MOMENT.fullmatch(written)
    try:
        moment = _moment_in_parts(found) if found else datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment_in_parts(found: re.Match[str]) -> datetime:
    first, second, third = (int(found[part]) for part in ("first", "second", "third"))
    orders = [(first, second, third)] if first > 31 else [(third, second, first), (third, first, second)]
    if found["sign"] == ".":
        orders = orders[:1]
    possible = {order for order in orders if 1 <= order[1] <= 12 and 1 <= order[2] <= 31 and order[0] > 31}
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] == "PM" else 0)
    (date,) = possible  # ValueError, as what else is no date
    return datetime(*date, hour, int(found["minute"] or 0), int(found["seconds"] or 0), tzinfo=UTC)
