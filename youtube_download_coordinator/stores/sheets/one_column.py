"""Store a long column of an API response in little memory, as one text instead of a list with a cell for each line."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, overload


class OneColumn(Sequence[Sequence[str]]):
    """The rows of one column in the form of the API, each with at most one cell, stored as one text."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        texts = [str(row[0]) if row else "" for row in rows]
        self._text = "".join(texts)
        self._ends = array("L", accumulate(map(len, texts), initial=0))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, position: int) -> Sequence[str]: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Sequence[str]]: ...
    def __getitem__(self, position: int | slice) -> Sequence[str] | Sequence[Sequence[str]]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        if not 0 <= position < len(self):
            raise IndexError(position)
        return (self._text[self._ends[position] : self._ends[position + 1]],)


PACKED_ROWS_MIN = 1000
"""The number of rows from which packing saves memory."""


def packed(value_range: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the API's response, with its cells as OneColumn if it is a long range of one column.

    It is called as soon as a range is parsed, so that the lists of one column are freed before the next ones are created.
    """
    rows = value_range.get("values")
    if isinstance(rows, list) and len(rows) >= PACKED_ROWS_MIN and all(len(row) <= 1 for row in rows):
        return {**value_range, "values": OneColumn(rows)}
    return value_range
