"""Store one attribute of every cell of a sheet by column, so that a draft costs next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Layer:
    """A column is a list from row 0 down; what is beyond its end is empty (None), and so it is trimmed.

    `copy` shares the columns; whichever copy writes to one copies that one first. A search down a column is a
    `list.index`, and inserting or deleting rows is a slice per column.
    """

    __slots__ = ("_columns", "_shared")

    def __init__(self) -> None:
        self._columns: list[list[Any]] = []
        self._shared: list[bool] = []

    def copy(self) -> Layer:
        """Give a copy that may be changed freely; the original must not be changed while the copy is in use."""
        layer = Layer()
        layer._columns = list(self._columns)
        layer._shared = [True] * len(self._columns)
        return layer

    def column(self, column: int) -> Sequence[Any]:
        """Give a column, to be read only."""
        return self._columns[column] if column < len(self._columns) else ()

    def get(self, row: int, column: int) -> Any:
        """Give what a cell has here, or None."""
        cells = self.column(column)
        return cells[row] if row < len(cells) else None

    def row(self, row: int, left: int, right: int) -> list[Any]:
        """Give a row's cells from `left` up to `right`."""
        return [cells[row] if row < len(cells) else None for cells in self._columns[left:right]]

    @property
    def height(self) -> int:
        """Return one more than the last row with content."""
        return max(map(len, self._columns), default=0)

    def put(self, row: int, column: int, item: Any) -> None:
        """Set what one cell has here."""
        cells = self._own(column)
        if row >= len(cells):
            if item is None:
                return
            cells.extend([None] * (row + 1 - len(cells)))
        cells[row] = item
        if item is None:
            _trim(cells)

    def insert_rows(self, at: int, count: int) -> None:
        """Insert empty rows before row `at`."""
        for column in self._longer_than(at):
            self._own(column)[at:at] = [None] * count

    def delete_rows(self, start: int, end: int) -> None:
        """Delete rows; what is below moves up."""
        for column in self._longer_than(start):
            cells = self._own(column)
            del cells[start:end]
            _trim(cells)

    def reorder_rows(self, start: int, order: Sequence[int], left: int = 0, right: int | None = None) -> None:
        """Put at row `start + i` what stood at row `order[i]`; the rows in `order` are those from `start` on."""
        for column in self._longer_than(start):
            if column < left or (right is not None and column >= right):
                continue
            cells = self._own(column)
            cells.extend([None] * (start + len(order) - len(cells)))
            cells[start : start + len(order)] = [cells[row] for row in order]
            _trim(cells)

    def insert_columns(self, at: int, count: int) -> None:
        """Insert empty columns before column `at`."""
        if at < len(self._columns):
            self._columns[at:at] = [[] for _ in range(count)]
            self._shared[at:at] = [False] * count

    def delete_columns(self, start: int, end: int) -> None:
        """Delete columns; what is to the right moves left."""
        del self._columns[start:end]
        del self._shared[start:end]

    def reorder_columns(self, start: int, order: Sequence[int]) -> None:
        """Put at column `start + i` what stood at column `order[i]`."""
        self._grow(start + len(order))
        self._columns[start : start + len(order)] = [self._columns[column] for column in order]
        self._shared[start : start + len(order)] = [self._shared[column] for column in order]

    def _longer_than(self, row: int) -> list[int]:
        return [column for column, cells in enumerate(self._columns) if len(cells) > row]

    def _own(self, column: int) -> list[Any]:
        self._grow(column + 1)
        if self._shared[column]:
            self._columns[column] = list(self._columns[column])
            self._shared[column] = False
        return self._columns[column]

    def _grow(self, count: int) -> None:
        missing = max(0, count - len(self._columns))
        self._columns.extend([] for _ in range(missing))
        self._shared.extend([False] * missing)


def _trim(cells: list[Any]) -> None:
    while cells and cells[-1] is None:
        cells.pop()
