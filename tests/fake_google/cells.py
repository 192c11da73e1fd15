"""The content of a cell: how typed text becomes a value, and how a value is shown (locale en_US).

From the reference of the resource `spreadsheets.cells` (ExtendedValue, CellData), the page `ValueInputOption` and the
guide "Date & number formats". What is calculated of formulas is in formulas.py.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.fake_google.errors import Json, invalid
from tests.fake_google.formulas import result_of

CELL_CHARACTER_LIMIT = 50_000
"""Of "Files you can store in Google Drive": a cell holds up to 50,000 characters."""
_EPOCH = dt.datetime(1899, 12, 30)  # noqa: DTZ001  ("serial number format": days since December 30th 1899, no zone)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, with its leading `=`."""

    text: str

    @property
    def result(self) -> str | int | float:
        """The value that Google calculates."""
        return result_of(self.text)


Value: TypeAlias = str | int | float | bool | Formula
"""A value as entered; an empty cell is None."""

_NUMBER = re.compile(r"[+-]?\$?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?%?")
_TIME = r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*([AaPp][Mm])?"
_DATES = (
    re.compile(rf"(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}})(?:/(?P<y>\d{{4}}|\d{{2}}))?(?:\s+(?P<time>{_TIME}))?"),
    re.compile(rf"(?P<y>\d{{4}})[-/](?P<m>\d{{1,2}})[-/](?P<d>\d{{1,2}})(?:\s+(?P<time>{_TIME}))?"),
)
DEFAULT_YEAR = 2026
"""The year of a date typed without one; a constant, so that runs repeat."""


def check_length(text: str) -> str:
    """Return the text, or raise what Google answers when it is too long for a cell."""
    if len(text) > CELL_CHARACTER_LIMIT:
        raise invalid(
            f"Your input contains more than the maximum of {CELL_CHARACTER_LIMIT} characters in a single cell."
        )
    return text


def raw_value(given: Any) -> Value | None:
    """Store as is (`RAW`: "the values the user has entered will not be parsed"); "" empties the cell."""
    if isinstance(given, str):
        return check_length(given) or None
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float):
        return _number(given)
    raise invalid(f"Invalid values: {given!r} is not a string, a number or a bool")


def user_entered(given: Any, cell_format: Json | None) -> tuple[Value | None, Json | None]:
    """Parse as if typed into the UI; give the value and the number format that it brings, if any.

    "Numbers will stay as numbers, but strings may be converted to numbers, dates, etc. following the same rules that
    are applied when entering text into a cell via the Google Sheets UI." A cell formatted as plain text keeps text.
    """
    if not isinstance(given, str) or not given:
        return raw_value(given), None
    check_length(given)
    if (cell_format or {}).get("numberFormat", {}).get("type") == "TEXT":
        return given, None
    if given.startswith("'"):
        return given[1:] or None, None
    if given.startswith("=") and len(given) > 1:
        return Formula(given), None
    return _typed(given)


def _typed(text: str) -> tuple[Value, Json | None]:
    bare = text.strip()
    if bare.upper() in ("TRUE", "FALSE"):
        return bare.upper() == "TRUE", None
    if _NUMBER.fullmatch(bare) and any(letter.isdigit() for letter in bare):
        return _typed_number(bare)
    serial = _typed_moment(bare)
    return serial if serial is not None else (text, None)


def _typed_number(text: str) -> tuple[Value, Json | None]:
    number = float(re.sub(r"[$,%]", "", text))
    if text.endswith("%"):
        return _number(number / 100), {"type": "PERCENT", "pattern": "0.00%"}
    if "$" in text:
        return _number(number), {"type": "CURRENCY", "pattern": '"$"#,##0.00'}
    if "," in text:
        return _number(number), {"type": "NUMBER", "pattern": "#,##0.00" if "." in text else "#,##0"}
    return _number(number), None


def _typed_moment(text: str) -> tuple[Value, Json | None] | None:
    time = re.fullmatch(_TIME, text)
    if time:
        return _time_fraction(text), {"type": "TIME", "pattern": "h:mm:ss am/pm"}
    for pattern in _DATES:
        found = pattern.fullmatch(text)
        if found:
            return _typed_date(found)
    return None


def _typed_date(found: re.Match[str]) -> tuple[Value, Json | None] | None:
    year = int(found["y"] or DEFAULT_YEAR)
    try:
        day = dt.datetime(year + 2000 if year < 100 else year, int(found["m"]), int(found["d"]))  # noqa: DTZ001
    except ValueError:
        return None
    serial = (day - _EPOCH).days
    if found["time"]:
        return serial + _time_fraction(found["time"]), {"type": "DATE_TIME", "pattern": "M/d/yyyy H:mm:ss"}
    iso = re.match(r"\d{4}-", found[0])  # a date is shown as it was typed
    return serial, {"type": "DATE", "pattern": "yyyy-mm-dd" if iso else "M/d/yyyy"}


def _time_fraction(text: str) -> float:
    found = re.fullmatch(_TIME, text)
    if found is None:
        return 0.0
    hour = int(found[1])
    if found[4]:
        hour = hour % 12 + (12 if found[4].lower() == "pm" else 0)
    return (hour * 3600 + int(found[2]) * 60 + float(found[3] or 0)) / 86400


def _number(number: float) -> int | float:
    return int(number) if float(number).is_integer() and abs(number) < 2**53 else float(number)


def from_extended(given: Json | None) -> Value | None:
    """Read an ExtendedValue: a stringValue stays text whatever it looks like; no value empties the cell."""
    if not given:
        return None
    if "formulaValue" in given:
        return Formula(check_length(given["formulaValue"]))
    if "errorValue" in given:
        raise invalid("errorValue is read-only")
    return raw_value(next(iter(given.values())))


def to_extended(value: Value) -> Json:
    """Write an ExtendedValue."""
    if isinstance(value, Formula):
        return {"formulaValue": value.text}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"boolValue": value} if isinstance(value, bool) else {"numberValue": value}


def effective(value: Value) -> Json:
    """Write the effectiveValue: "for cells with formulas, this is the calculated value"."""
    return to_extended(value.result if isinstance(value, Formula) else value)


def shown(value: Value | None, cell_format: Json | None = None) -> str:
    """Give the formattedValue: "the value as it's shown to the user"."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Formula):
        return shown(value.result, cell_format)
    return _shown_number(value, (cell_format or {}).get("numberFormat", {}))


def number_type(cell_format: Json | None) -> str:
    """Give the type of the number format, such as DATE; "" without one."""
    return str((cell_format or {}).get("numberFormat", {}).get("type", ""))


def _shown_number(number: float, number_format: Json) -> str:
    kind, pattern = number_format.get("type", ""), number_format.get("pattern", "")
    if kind == "PERCENT":
        return f"{number * 100:.2f}%"
    if kind == "CURRENCY":
        return f"${number:,.2f}"
    if kind == "NUMBER" and pattern in ("#,##0.00", "#,##0"):
        return f"{number:,.2f}" if "." in pattern else f"{number:,.0f}"
    if kind in ("DATE", "TIME", "DATE_TIME"):
        return _shown_moment(number, kind, pattern)
    return str(number) if isinstance(number, int) else f"{number:.10g}"


def _shown_moment(number: float, kind: str, pattern: str) -> str:
    moment = _EPOCH + dt.timedelta(seconds=round(number * 86400))
    if kind == "TIME":
        return f"{moment.hour % 12 or 12}:{moment:%M:%S} {'PM' if moment.hour >= 12 else 'AM'}"
    iso = pattern == "yyyy-mm-dd"
    day = f"{moment:%Y-%m-%d}" if iso else f"{moment.month}/{moment.day}/{moment.year}"
    return day if kind == "DATE" else f"{day} {moment.hour}:{moment:%M:%S}"
