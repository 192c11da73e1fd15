"""Find columns whose names are gone by their contents, for a message about what to undo.

With new columns instead, every row would look unprocessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from youtube_download_coordinator.models import SHEET_COLUMNS, Status
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sheets.layout import Tab, header_of, letters
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease

ROWS_MAX = 1000
"""The number of lines to search."""
HEADER_ROWS_MAX = 20
"""The number of lines in which to look for the column names."""
LEASE, SHOWN = SHEET_COLUMNS
URL, STATUS = "URL", "Status"

Rows = Sequence[Sequence[str]]


def column_problem(connection: Connection, tab: Tab, *, is_used: bool) -> str:
    """Return what a person must undo in the header of a tab with rows, or an empty text."""
    vital = {URL, LEASE} if is_used else {URL}
    if not vital - set(tab.header):
        return ""
    (values,) = connection.values([{"sheetId": tab.sheet_id, "endRowIndex": min(ROWS_MAX, tab.grid_rows)}])
    rows = values.rows
    header_row = _header_row(tab.name, rows)
    if header_row is not None and URL not in tab.header:
        return (
            f"the column names of the tab {tab.title!r} are in row {header_row + 1}; they must be in row 1: delete the"
            f" {header_row} above"
        )
    if not is_used:
        return ""
    lost = [name for name in (URL, LEASE) if name not in tab.header and _is_lost(name, tab, rows)]
    if not lost:
        return ""
    where = {name: column for name in lost if (column := _column_with(name, rows)) is not None}
    hint = "".join(f"; {name} was column {letters(column)}" for name, column in where.items())
    start_over = f", or delete {SHOWN} too to start over" if SHOWN in tab.header and LEASE in lost and not where else ""
    names = " and ".join(lost)
    return f"the column name {names} of the tab {tab.title!r} is gone from its first row: undo that{hint}{start_over}"


def misnamed_columns(connection: Connection, tabs: Sequence[Tab]) -> str:
    """Return what a person must undo if the names of vital columns were exchanged, or an empty text."""
    areas = [{"sheetId": tab.sheet_id, "endRowIndex": min(ROWS_MAX, tab.grid_rows)} for tab in tabs]
    problems = (_misnamed(tab, values.rows) for tab, values in zip(tabs, connection.values(areas), strict=True))
    return next(filter(None, problems), "")


def _misnamed(tab: Tab, rows: Rows) -> str:
    where = {
        name: column
        for name in _CONTENTS
        if name in tab.header
        and not _contains(name, rows, tab.column(name))
        and (column := _column_with(name, rows)) is not None
    }
    hint = ", and ".join(f"{name} was column {letters(column)}" for name, column in where.items())
    return f"the column names of the tab {tab.title!r} were exchanged: undo that; {hint}" if where else ""


def _header_row(name: str, rows: Rows) -> int | None:
    """Return the first line below the first one that contains column names."""
    for index, row in enumerate(rows[1:HEADER_ROWS_MAX], start=1):
        header = header_of(name, row)
        if URL in header and {"Status", LEASE} & set(header):
            return index
    return None


def _is_lost(name: str, tab: Tab, rows: Rows) -> bool:
    """Return whether rows need a missing column. If both Lease and Shown are missing, a person is starting over."""
    if not any(any(cell.strip() for cell in row) for row in rows[1:]):
        return False
    return name == URL or SHOWN in tab.header or _column_with(LEASE, rows) is not None


def _column_with(name: str, rows: Rows) -> int | None:
    """Return the column that has the contents of the coordinator's column with this name."""
    columns = range(max(map(len, rows), default=0))
    return next((column for column in columns if _contains(name, rows, column)), None)


def _contains(name: str, rows: Rows, column: int) -> bool:
    """Return whether most cells of a column below its header look like those of the coordinator's column."""
    cells = [row[column] for row in rows if column < len(row) and row[column].strip()]
    matches = sum(map(_CONTENTS[name], cells))
    return matches > 0 and matches * 2 > len(cells) - 1


_CONTENTS: Mapping[str, Callable[[str], bool]] = {
    URL: lambda cell: "://" in cell,
    STATUS: lambda cell: cell in set(Status),
    LEASE: lambda cell: decode_lease(cell) is not None,
}
"""Tests of the contents of vital columns."""
