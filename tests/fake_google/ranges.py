"""Rectangles, A1 notation ("Google Sheets API Overview", section A1 notation) and GridRange arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tests.fake_google.errors import Json

COLUMN_LIMIT = 18_278
"""Of "Files you can store in Google Drive": 18,278 columns, which is column ZZZ."""
Dimension = Literal["ROWS", "COLUMNS"]
_CELLS = re.compile(r"\$?([A-Za-z]{1,3})?\$?([1-9]\d*)?(?:(:)\$?([A-Za-z]{1,3})?\$?([1-9]\d*)?)?")
_LIKE_A_CELL = re.compile(r"[A-Za-z]{1,3}\d+|R\d*C\d*", re.IGNORECASE)
_PLAIN_TITLE = re.compile(r"[A-Za-z_]\w*")
EDGES = {"ROWS": ("startRowIndex", "endRowIndex"), "COLUMNS": ("startColumnIndex", "endColumnIndex")}


@dataclass(frozen=True, slots=True)
class Rect:
    """Cells from row `top` up to `bottom` and column `left` up to `right`; half open and zero-based."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class Span:
    """A range in A1 notation, before the size of the sheet is known; None is unbounded."""

    top: int = 0
    bottom: int | None = None
    left: int = 0
    right: int | None = None
    single: bool = False  # one cell without a colon: a place to start writing at, not a limit


def column_name(column: int) -> str:
    """Give the letters of a column: 0 is A, 26 is AA."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_index(letters: str) -> int:
    """Give the index of a column's letters: A is 0."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - 64
    return index - 1


def parse_cells(text: str) -> Span | None:
    """Parse the part after the `!`: A1, A1:B2, A:A, 1:2, A5:A. Give None for anything else."""
    found = _CELLS.fullmatch(text)
    if found is None:
        return None
    first_column, first_row, colon, last_column, last_row = found.groups()
    if not colon:
        return _single(first_column, first_row)
    if not (first_column or first_row) or not (last_column or last_row):
        return None
    top, bottom = _edges(int(first_row) - 1 if first_row else None, int(last_row) - 1 if last_row else None)
    left, right = _edges(*(column_index(name) if name else None for name in (first_column, last_column)))
    return Span(top, bottom, left, right)


def _single(column: str | None, row: str | None) -> Span | None:
    if not column or not row or column_index(column) >= COLUMN_LIMIT:
        return None
    top, left = int(row) - 1, column_index(column)
    return Span(top, top + 1, left, left + 1, single=True)


def _edges(first: int | None, last: int | None) -> tuple[int, int | None]:
    if first is None or last is None:
        return (first if first is not None else 0), (None if last is None else last + 1)
    return min(first, last), max(first, last) + 1


def split_title(text: str) -> tuple[str | None, str]:
    """Split `'My tab'!A1` into the title and the cells; the title is None where none is written."""
    quoted = re.fullmatch(r"'((?:[^']|'')*)'(?:!(.*))?", text, re.DOTALL)
    if quoted:
        return quoted[1].replace("''", "'"), quoted[2] or ""
    title, mark, cells = text.rpartition("!")
    return (title, cells) if mark else (None, text)


def quoted_title(title: str) -> str:
    """Write a title as in A1 notation: in single quotes where it has special characters or could be a cell's address."""
    plain = _PLAIN_TITLE.fullmatch(title) and not _LIKE_A_CELL.fullmatch(title)
    return title if plain else "'" + title.replace("'", "''") + "'"


def a1(title: str, rect: Rect) -> str:
    """Write a rectangle in A1 notation."""
    first = f"{column_name(rect.left)}{rect.top + 1}"
    last = f"{column_name(max(rect.left, rect.right - 1))}{max(rect.top + 1, rect.bottom)}"
    return f"{quoted_title(title)}!{first}" + (f":{last}" if last != first else "")


def grid_range(sheet_id: int, rect: Rect) -> Json:
    """Write a GridRange. A sheetId of 0 is left out, as a zero is in answers of the real API."""
    written = {
        "startRowIndex": rect.top,
        "endRowIndex": rect.bottom,
        "startColumnIndex": rect.left,
        "endColumnIndex": rect.right,
    }
    return {"sheetId": sheet_id, **written} if sheet_id else written


def after_insert(given: Json, dimension: Dimension, at: int, count: int) -> Json:
    """Give a GridRange as it is after rows or columns were inserted before index `at`."""
    start, end = EDGES[dimension]
    moved = dict(given)
    if given.get(start, 0) >= at and start in given:
        moved[start] = given[start] + count
    if end in given and given[end] > at:
        moved[end] = given[end] + count
    return moved


def after_delete(given: Json, dimension: Dimension, first: int, last: int) -> Json | None:
    """Give a GridRange as it is after the indexes from `first` up to `last` were deleted; None if nothing is left."""
    start, end = EDGES[dimension]
    moved = dict(given)
    for edge in (start, end):
        if edge in given:
            moved[edge] = given[edge] - max(0, min(given[edge], last) - first)
    emptied = end in given and moved[end] <= moved.get(start, 0)
    return None if emptied else moved


def after_move(given: Json, dimension: Dimension, order: dict[int, int]) -> Json:
    """Give a bounded GridRange as it is after a move; `order` maps old indexes to new ones.

    Simple on purpose: a range follows when all of it moved as one block, else it stays where it was.
    """
    start, end = EDGES[dimension]
    if end not in given or given[end] - given.get(start, 0) > len(order):
        return given
    places = [order.get(index, index) for index in range(given.get(start, 0), given[end])]
    if places and places == list(range(places[0], places[0] + len(places))):
        return {**given, start: places[0], end: places[-1] + 1}
    return given
