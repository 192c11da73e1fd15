"""A person at the sheet, acting on the model directly and under its lock, between any two requests.

Rows and columns are zero-based; a column may also be named by its header in row 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fake_google.errors import Json
from tests.fake_google.grid import Contents, Sheet, Spreadsheet
from tests.fake_google.merging import merge_cells
from tests.fake_google.ranges import Rect, grid_range
from tests.fake_google.writing import sort_rows, type_into

ACTIONS = (
    "sort",
    "insert_row",
    "delete_row",
    "duplicate_row",
    "move_row",
    "edit",
    "clear_filter",
    "filter",
    "hide_column",
    "move_column",
    "insert_column",
    "delete_column",
    "rename_tab",
    "duplicate_tab",
    "delete_tab",
    "clear_tab",
)
"""What a person may be told to do through the control plane."""


class Person:
    """Someone who has the spreadsheet open. Each method is one action of the UI and one step of the undo history."""

    def __init__(self, book: Spreadsheet, title_of: Callable[[str], str] = str) -> None:
        """Open a spreadsheet. `title_of` gives the present title of a tab by the name that the methods are given."""
        self.book = book
        self._title_of = title_of

    def _tab(self, draft: Contents, tab: str) -> Sheet:
        sheet = draft.titled(self._title_of(tab))
        if sheet is None:
            raise KeyError(tab)
        return sheet

    def sort(self, tab: str, column: int | str, *, descending: bool = False, header_rows: int = 1) -> None:
        """Sort the sheet by a column ("Sort sheet A to Z"); `header_rows` stay above, as frozen rows do."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            area = Rect(min(header_rows, sheet.rows), sheet.rows, 0, sheet.columns)
            filled = Rect(area.top, max(area.top, sheet.values.height), 0, sheet.columns)
            sort_rows(sheet, filled, [(_column(sheet, column), descending)])

    def insert_row(self, tab: str, row: int, values: dict[str, Any] | None = None) -> None:
        """Insert a row before `row` and type values into it, by column header."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            draft.insert(sheet, "ROWS", row, 1, inherit_from_before=row > 0)
            for column, value in (values or {}).items():
                type_into(sheet, row, _column(sheet, column), value)

    def paste_link(self, tab: str, row: int, column: int | str, text: str, *addresses: str, chip: bool = False) -> None:
        """Paste a text with links, one for each of its first words, or a smart chip."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            at = _column(sheet, column)
            type_into(sheet, row, at, text)
            if chip:
                chips = [{"chip": {"richLinkProperties": {"uri": address}}} for address in addresses]
                sheet.chips.put(row, at, chips)
            else:
                starts = [text.index(word) for word in text.split()]
                runs: list[Json] = [
                    {"startIndex": start, "format": {"link": {"uri": address}}}
                    for start, address in zip(starts, addresses, strict=False)
                ]
                sheet.runs.put(row, at, runs)

    def delete_row(self, tab: str, row: int) -> None:
        """Delete a row."""
        with self.book.edit() as draft:
            draft.delete(self._tab(draft, tab), "ROWS", row, row + 1)

    def duplicate_row(self, tab: str, row: int, before: int | None = None) -> None:
        """Copy a row and insert the copy before row `before` (default: right below it)."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            target = row + 1 if before is None else before
            copied = [layer.row(row, 0, sheet.columns) for layer in sheet.layers]
            draft.insert(sheet, "ROWS", target, 1, inherit_from_before=False)
            for layer, items in zip(sheet.layers, copied, strict=True):
                for column, item in enumerate(items):
                    layer.put(target, column, item)

    def move_row(self, tab: str, row: int, before: int) -> None:
        """Drag a row to before another one."""
        with self.book.edit() as draft:
            self._tab(draft, tab).move("ROWS", row, row + 1, before)

    def edit(self, tab: str, row: int, column: int | str, text: Any) -> None:
        """Type into a cell; what is typed is parsed as the UI does (USER_ENTERED), "" empties it."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            type_into(sheet, row, _column(sheet, column), text)

    def merge(self, tab: str, row: int, first: int | str, last: int | str) -> None:
        """Merge the cells of a row from one column to another. The first keeps its content, the others lose theirs."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            area = Rect(row, row + 1, _column(sheet, first), _column(sheet, last) + 1)
            merge_cells(draft, {"range": grid_range(sheet.sheet_id, area), "mergeType": "MERGE_ALL"})

    def filter(self, tab: str, column: int | str, hidden_values: list[str]) -> None:
        """Filter the sheet: hide the rows that show one of these values in a column."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            area = grid_range(sheet.sheet_id, Rect(0, sheet.rows, 0, sheet.columns))
            spec = {"columnIndex": _column(sheet, column), "filterCriteria": {"hiddenValues": hidden_values}}
            sheet.basic_filter = {"range": area, "filterSpecs": [spec]}

    def clear_filter(self, tab: str) -> None:
        """Remove the filter."""
        with self.book.edit() as draft:
            self._tab(draft, tab).basic_filter = None

    def hide_column(self, tab: str, column: int | str) -> None:
        """Hide a column."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            layer, index = sheet.dimensions["COLUMNS"], _column(sheet, column)
            old: Json = layer.get(index, 0) or {}
            layer.put(index, 0, {**old, "hiddenByUser": True})

    def set_width(self, tab: str, column: int | str, pixels: int) -> None:
        """Drag the edge of a column."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            layer, index = sheet.dimensions["COLUMNS"], _column(sheet, column)
            old: Json = layer.get(index, 0) or {}
            layer.put(index, 0, {**old, "pixelSize": pixels})

    def move_column(self, tab: str, column: int | str, before: int) -> None:
        """Drag a column to before another one."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            index = _column(sheet, column)
            sheet.move("COLUMNS", index, index + 1, before)

    def insert_column(self, tab: str, before: int, header: str = "") -> None:
        """Insert a column and type its header."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            draft.insert(sheet, "COLUMNS", before, 1, inherit_from_before=before > 0)
            type_into(sheet, 0, before, header)

    def delete_column(self, tab: str, column: int | str) -> None:
        """Delete a column."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            index = _column(sheet, column)
            draft.delete(sheet, "COLUMNS", index, index + 1)

    def rename_tab(self, tab: str, title: str) -> None:
        """Rename a tab."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            sheet.properties = {**sheet.properties, "title": title}

    def duplicate_tab(self, tab: str, title: str) -> None:
        """Duplicate a tab. Its named ranges are duplicated, too: with the same names, valid in the new tab, and other IDs."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            copied = sheet.copy()
            copied.properties = {**sheet.properties, "sheetId": draft.new_id(), "title": title}
            draft.sheets.append(copied)
            for named in list(draft.named_ranges.values()):
                if named["range"].get("sheetId", 0) == sheet.sheet_id:
                    range_id = str(draft.new_id())
                    area = {**named["range"], "sheetId": copied.sheet_id}
                    draft.named_ranges[range_id] = {**named, "namedRangeId": range_id, "range": area}

    def delete_tab(self, tab: str) -> None:
        """Delete a tab; its named ranges break."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            draft.sheets.remove(sheet)
            draft.move_named_ranges(sheet, lambda _given: None)

    def clear_tab(self, tab: str) -> None:
        """Select all cells and delete their contents."""
        with self.book.edit() as draft:
            sheet = self._tab(draft, tab)
            for column in range(sheet.columns):
                for row in range(len(sheet.values.column(column))):
                    sheet.values.put(row, column, None)

    def restore_version(self, contents: Contents) -> None:
        """Restore an old version of the spreadsheet: contents that were copied before."""
        with self.book.edit() as draft:
            draft.sheets = contents.copy().sheets
            draft.named_ranges, draft.broken_ranges = dict(contents.named_ranges), dict(contents.broken_ranges)


def _column(sheet: Sheet, column: int | str) -> int:
    if isinstance(column, int):
        return column
    headers = sheet.values.row(0, 0, sheet.columns)
    return headers.index(column)
