"""The spreadsheet: sheets of typed cells, and what hangs on them.

Values are the `userEnteredValue` of a cell; notes, formats, links, chips and data validation are kept as they came. Charts and
conditional formats are kept, moved along with inserted and deleted rows and columns, and never acted upon. Protected ranges
and merged cells are enforced (protection.py, merging.py).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.fake_google.cells import Formula, Value, raw_value, shown
from tests.fake_google.errors import Json, invalid
from tests.fake_google.layers import Layer
from tests.fake_google.ranges import (
    COLUMN_LIMIT,
    Dimension,
    Rect,
    Span,
    after_delete,
    after_insert,
    after_move,
    parse_cells,
    quoted_title,
    split_title,
)

CELL_LIMIT = 10_000_000
"""Of "Files you can store in Google Drive": up to 10 million cells in a spreadsheet."""
ATTRIBUTES = ("values", "formats", "notes", "validations", "runs", "chips")
_COUNTS = {"ROWS": "rowCount", "COLUMNS": "columnCount"}
_FROZEN = {"ROWS": "frozenRowCount", "COLUMNS": "frozenColumnCount"}


class Sheet:
    """A tab: its properties, its cells in one layer an attribute, and the objects on it."""

    def __init__(self, properties: Json) -> None:
        grid = {"rowCount": 1000, "columnCount": 26} | properties.get("gridProperties", {})
        self.properties: Json = {"sheetType": "GRID"} | properties | {"gridProperties": grid}
        self.values = Layer()
        self.formats = Layer()
        self.notes = Layer()
        self.validations = Layer()
        self.runs = Layer()
        self.chips = Layer()
        self.dimensions: dict[Dimension, Layer] = {"ROWS": Layer(), "COLUMNS": Layer()}
        self.basic_filter: Json | None = None
        self.protected_ranges: list[Json] = []
        self.merges: list[Json] = []
        self.depths: dict[Dimension, dict[int, int]] = {"ROWS": {}, "COLUMNS": {}}
        """How many groups each row or column is in."""
        self.conditional_formats: list[Json] = []
        self.charts: list[Json] = []

    def copy(self) -> Sheet:
        """Give a copy for a draft; JSON objects are shared and must be replaced, not changed."""
        sheet = Sheet(self.properties)
        for attribute in ATTRIBUTES:
            setattr(sheet, attribute, getattr(self, attribute).copy())
        sheet.dimensions = {dimension: layer.copy() for dimension, layer in self.dimensions.items()}
        sheet.basic_filter = self.basic_filter
        sheet.protected_ranges = list(self.protected_ranges)
        sheet.merges = list(self.merges)
        sheet.depths = {dimension: dict(depths) for dimension, depths in self.depths.items()}
        sheet.conditional_formats = list(self.conditional_formats)
        sheet.charts = list(self.charts)
        return sheet

    @property
    def sheet_id(self) -> int:
        """The ID, which never changes."""
        return int(self.properties["sheetId"])

    @property
    def title(self) -> str:
        """The name on the tab."""
        return str(self.properties["title"])

    @property
    def rows(self) -> int:
        """Return the number of rows, including empty ones."""
        return self.size("ROWS")

    @property
    def columns(self) -> int:
        """Return the number of columns, including empty ones."""
        return self.size("COLUMNS")

    def size(self, dimension: Dimension) -> int:
        """Return how many rows or columns the grid has."""
        return int(self.properties["gridProperties"][_COUNTS[dimension]])

    def frozen(self, dimension: Dimension) -> int:
        """Return how many rows or columns are frozen."""
        return int(self.properties["gridProperties"].get(_FROZEN[dimension], 0))

    def set_grid(self, **changes: int) -> None:
        """Change grid properties."""
        self.properties = {**self.properties, "gridProperties": {**self.properties["gridProperties"], **changes}}

    @property
    def layers(self) -> list[Layer]:
        """Every attribute of the cells."""
        return [getattr(self, attribute) for attribute in ATTRIBUTES]

    def insert(self, dimension: Dimension, at: int, count: int, *, inherit_from_before: bool) -> None:
        """Insert empty rows or columns; formats, validation and sizes come from the neighbour before or after."""
        for layer in self.layers:
            (layer.insert_rows if dimension == "ROWS" else layer.insert_columns)(at, count)
        self.dimensions[dimension].insert_rows(at, count)
        if at < self.frozen(dimension):
            self.set_grid(**{_FROZEN[dimension]: self.frozen(dimension) + count})
        self.set_grid(**{_COUNTS[dimension]: self.size(dimension) + count})
        self._inherit(dimension, at, count, at - 1 if inherit_from_before else at + count)
        self._move_objects(lambda given: after_insert(given, dimension, at, count))

    def _inherit(self, dimension: Dimension, at: int, count: int, source: int) -> None:
        if not 0 <= source < self.size(dimension):
            return
        sizes = self.dimensions[dimension]
        for index in range(at, at + count):
            sizes.put(index, 0, sizes.get(source, 0))
            for layer in (self.formats, self.validations):
                self._copy_line(layer, dimension, source, index)

    def _copy_line(self, layer: Layer, dimension: Dimension, source: int, target: int) -> None:
        if dimension == "ROWS":
            for column, item in enumerate(layer.row(source, 0, self.columns)):
                layer.put(target, column, item)
        else:
            for row, item in enumerate(list(layer.column(source))):
                layer.put(row, target, item)

    def delete(self, dimension: Dimension, start: int, end: int) -> list[Json]:
        """Delete rows or columns with all that is in them; give the protected ranges that vanished."""
        for layer in self.layers:
            (layer.delete_rows if dimension == "ROWS" else layer.delete_columns)(start, end)
        self.dimensions[dimension].delete_rows(start, end)
        frozen = self.frozen(dimension)
        if start < frozen:
            self.set_grid(**{_FROZEN[dimension]: frozen - (min(end, frozen) - start)})
        self.set_grid(**{_COUNTS[dimension]: self.size(dimension) - (end - start)})
        return self._move_objects(lambda given: after_delete(given, dimension, start, end))

    def move(self, dimension: Dimension, start: int, end: int, destination: int) -> None:
        """Move rows or columns to before index `destination`, counted before they are taken out."""
        block = list(range(start, end))
        if destination > end:
            first, order = start, [*range(end, destination), *block]
        else:
            first, order = destination, [*block, *range(destination, start)]
        for layer in self.layers:
            (layer.reorder_rows if dimension == "ROWS" else layer.reorder_columns)(first, order)
        self.dimensions[dimension].reorder_rows(first, order)
        places = {old: first + new for new, old in enumerate(order)}
        self._move_objects(lambda given: after_move(given, dimension, places))

    def _move_objects(self, move: Callable[[Json], Json | None]) -> list[Json]:
        moved = [(kept, move(kept["range"])) for kept in self.protected_ranges]
        self.protected_ranges = [{**kept, "range": place} for kept, place in moved if place is not None]
        self.merges = [place for merge in self.merges if (place := move(merge)) is not None]
        self.conditional_formats = [_moved_rule(rule, move) for rule in self.conditional_formats]
        if self.basic_filter is not None:
            place = move(self.basic_filter.get("range", {}))
            self.basic_filter = None if place is None else {**self.basic_filter, "range": place}
        return [kept for kept, place in moved if place is None]

    def resize(self, dimension: Dimension, size: int) -> None:
        """Grow or cut the grid at its end."""
        if size < self.size(dimension):
            self.delete(dimension, size, self.size(dimension))
        self.set_grid(**{_COUNTS[dimension]: size})

    def rect(self, given: Json) -> Rect:
        """Give the cells of a GridRange; missing indexes are unbounded. Strict: nothing may lie beyond the grid."""
        top, left = given.get("startRowIndex", 0), given.get("startColumnIndex", 0)
        bottom, right = given.get("endRowIndex", self.rows), given.get("endColumnIndex", self.columns)
        if not (0 <= top <= bottom <= self.rows and 0 <= left <= right <= self.columns):
            raise invalid(f"The range exceeds the grid limits. Max rows: {self.rows}, max columns: {self.columns}")
        return Rect(top, bottom, left, right)

    def clip(self, span: Span, written: str) -> Rect:
        """Give the cells of a range in A1 notation; it may end beyond the grid, but must start in it."""
        if span.top >= self.rows or span.left >= self.columns:
            limits = f"Max rows: {self.rows}, max columns: {self.columns}"
            raise invalid(f"Range ({written}) exceeds grid limits. {limits}")
        bottom = self.rows if span.bottom is None else min(span.bottom, self.rows)
        return Rect(span.top, bottom, span.left, self.columns if span.right is None else min(span.right, self.columns))

    def text_at(self, row: int, column: int) -> str:
        """Give a cell as it is shown."""
        return shown(self.values.get(row, column), self.formats.get(row, column))

    def hidden_by_filter(self, row: int) -> bool:
        """Return whether the basic filter hides a row. Of FilterCriteria only `hiddenValues` is simulated."""
        if self.basic_filter is None:
            return False
        area = self.rect(self.basic_filter.get("range", {}))
        if not area.top < row < area.bottom:
            return False
        specs = self.basic_filter.get("filterSpecs", [])
        return any(
            self.text_at(row, spec.get("columnIndex", 0)) in spec.get("filterCriteria", {}).get("hiddenValues", [])
            for spec in specs
        )


def _moved_rule(rule: Json, move: Callable[[Json], Json | None]) -> Json:
    places = [move(given) for given in rule.get("ranges", [])]
    return {**rule, "ranges": [place for place in places if place is not None]}


class Contents:
    """All that a batch may change: the sheets in their order, the named ranges and the properties."""

    def __init__(self, properties: Json, source: random.Random) -> None:
        self.properties = properties
        self.random = source
        self.sheets: list[Sheet] = []
        self.named_ranges: dict[str, Json] = {}
        self.broken_ranges: dict[str, Json] = {}
        self.metadata: list[Json] = []
        self.account = ""
        """The editor on whose behalf a draft is changed; "" is the owner, who may edit what is protected."""

    def copy(self) -> Contents:
        """Give a draft."""
        sheet = Contents(self.properties, self.random)
        sheet.sheets = [sheet.copy() for sheet in self.sheets]
        sheet.named_ranges = dict(self.named_ranges)
        sheet.broken_ranges = dict(self.broken_ranges)
        sheet.metadata = list(self.metadata)
        return sheet

    def new_id(self) -> int:
        """Choose an ID for a new object."""
        return self.random.randrange(1, 2**31)

    def sheet(self, sheet_id: int) -> Sheet:
        """Give the sheet with an ID."""
        for sheet in self.sheets:
            if sheet.sheet_id == sheet_id:
                return sheet
        raise invalid(f"No grid with id: {sheet_id}")

    def titled(self, title: str) -> Sheet | None:
        """Give the sheet with a title; titles are compared without case, as the UI does."""
        return next((sheet for sheet in self.sheets if sheet.title.lower() == title.lower()), None)

    def place(self, written: str) -> tuple[Sheet, Span]:
        """Find a range in A1 notation: with a title, of the first visible sheet, a named range, or a whole sheet."""
        title, cells = split_title(written)
        if title is None:
            found = self._bare_place(cells)
        else:
            sheet, span = self.titled(title), parse_cells(cells) if cells else Span()
            named = self._bare_place(cells) if span is None else None  # 'Sheet1'!NameOfARange
            found = named if span is None or sheet is None else (sheet, span)
        if found is None:
            raise invalid(f"Unable to parse range: {written}")
        return found

    def _bare_place(self, text: str) -> tuple[Sheet, Span] | None:
        span = parse_cells(text)
        if span is not None:
            return next(sheet for sheet in self.sheets if not sheet.properties.get("hidden")), span
        for named in self.named_ranges.values():
            if named["name"].lower() == text.lower():
                sheet = self.sheet(named["range"].get("sheetId", 0))
                area = sheet.rect(named["range"])
                return sheet, Span(area.top, area.bottom, area.left, area.right)
        whole = self.titled(text)
        return None if whole is None else (whole, Span())

    def rect(self, written: str) -> tuple[Sheet, Rect]:
        """Find the cells of a range in A1 notation."""
        sheet, span = self.place(written)
        _title, cells = split_title(written)
        named = f"{quoted_title(sheet.title)}!{cells}" if cells else quoted_title(sheet.title)
        return sheet, sheet.clip(span, named)

    def move_named_ranges(self, sheet: Sheet, move: Callable[[Json], Json | None]) -> None:
        """Move the named ranges of a sheet.

        One of which nothing is left is broken: it is listed no longer and cannot be deleted, but its name stays taken
        (gspread issue 1530, "Can't Delete Named Ranges when they are broken"; here its ID stays taken too).
        """
        for key, named in list(self.named_ranges.items()):
            if named["range"].get("sheetId", 0) != sheet.sheet_id:
                continue
            place = move(named["range"])
            if place is None:
                self.broken_ranges[key] = self.named_ranges.pop(key)
            else:
                self.named_ranges[key] = {**named, "range": place}

    def insert(self, sheet: Sheet, dimension: Dimension, at: int, count: int, *, inherit_from_before: bool) -> None:
        """Insert rows or columns, and move the named ranges."""
        sheet.insert(dimension, at, count, inherit_from_before=inherit_from_before)
        self.move_named_ranges(sheet, lambda given: after_insert(given, dimension, at, count))
        self.check_size(sheet)

    def delete(self, sheet: Sheet, dimension: Dimension, start: int, end: int) -> None:
        """Delete rows or columns, and move or break the named ranges."""
        sheet.delete(dimension, start, end)
        self.move_named_ranges(sheet, lambda given: after_delete(given, dimension, start, end))

    def check_size(self, sheet: Sheet) -> None:
        """Raise what Google answers when the workbook or a sheet becomes too large."""
        if sum(each.rows * each.columns for each in self.sheets) > CELL_LIMIT:
            action = "This action would increase the number of cells in the workbook"
            raise invalid(f"{action} above the limit of {CELL_LIMIT} cells.")
        if sheet.columns > COLUMN_LIMIT:
            raise invalid(f"This action would increase the number of columns above the limit of {COLUMN_LIMIT}.")


class Spreadsheet:
    """A file: its contents, whom it is shared with, and the one lock that orders everything done to it."""

    def __init__(self, spreadsheet_id: str, title: str, seed: int = 0) -> None:
        self.spreadsheet_id = spreadsheet_id
        defaults = {"locale": "en_US", "autoRecalc": "ON_CHANGE", "timeZone": "Etc/GMT"}
        self.contents = Contents({"title": title, **defaults}, random.Random(f"{spreadsheet_id}/{seed}"))
        self.roles: dict[str, str] = {}
        self.lock = threading.RLock()
        self.version = 0
        self.before: Contents | None = None
        """The contents before the last change."""

    def share(self, email: str, role: str = "writer") -> None:
        """Share with an account as `writer` or `reader`; any other role takes the access away."""
        if role in ("writer", "reader"):
            self.roles[email] = role
        else:
            self.roles.pop(email, None)

    @contextmanager
    def edit(self, account: str = "") -> Iterator[Contents]:
        """Give a draft under the lock; it becomes the contents at the end, and is dropped on an exception."""
        with self.lock:
            draft = self.contents.copy()
            draft.account = account
            yield draft
            self.before, self.contents = self.contents, draft
            self.version += 1

    def add_sheet(self, title: str, rows: list[list[Any]], row_count: int = 1000, column_count: int = 26) -> int:
        """Add a tab with RAW values, as large as asked or as needed; give its ID (the first tab's is 0)."""
        size = {"rowCount": max(row_count, len(rows)), "columnCount": max([column_count, *map(len, rows)])}
        with self.edit() as draft:
            sheet_id = draft.new_id() if draft.sheets else 0
            sheet = Sheet({"sheetId": sheet_id, "title": title, "gridProperties": size})
            draft.sheets.append(sheet)
            for row, values in enumerate(rows):
                for column, value in enumerate(values):
                    sheet.values.put(row, column, None if value is None else raw_value(value))
        return sheet_id

    def tab(self, title: str) -> Sheet:
        """Give a tab by its title, to look at."""
        sheet = self.contents.titled(title)
        if sheet is None:
            raise KeyError(title)
        return sheet

    def rows(self, title: str) -> list[list[Any]]:
        """Dump a tab's values, row by row, without empty tails; an empty cell is "", a formula its text."""
        with self.lock:
            sheet = self.tab(title)
            rows = [sheet.values.row(row, 0, sheet.columns) for row in range(sheet.values.height)]
        return [_without_tail([_plain(value) for value in row]) for row in rows]

    def formulas(self) -> list[tuple[str, int, int, str]]:
        """List every formula as (tab, row, column, text): a test may ask that there is none."""
        with self.lock:
            return [
                (sheet.title, row, column, value.text)
                for sheet in self.contents.sheets
                for column in range(sheet.columns)
                for row, value in enumerate(sheet.values.column(column))
                if isinstance(value, Formula)
            ]


def _plain(value: Value | None) -> Any:
    if value is None:
        return ""
    return value.text if isinstance(value, Formula) else value


def _without_tail(row: list[Any]) -> list[Any]:
    while row and row[-1] == "":
        row.pop()
    return row
