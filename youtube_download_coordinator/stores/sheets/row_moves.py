"""Carrying a row from one tab to another: copied and deleted in one instant, so that it never stands in both or in none."""

from __future__ import annotations

from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.layout import Tab, with_columns
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.spreadsheet import NothingToDo, Spreadsheet

MOVE_ROUNDS = 5
"""How often a row is looked for anew because a person has sorted in the very moment of its move."""


class Mover:
    """Moves rows by the word in their Lease cell."""

    def __init__(self, book: Spreadsheet, projections: Projections) -> None:
        self._book = book
        self._projections = projections

    def move(self, name: str, word: str, row_id: int, target: str) -> bool:
        """Move the row with this word, or nothing; whether it moved.

        A sort between looking and moving carries another row along; whoever sees it there carries it back.
        """
        for moved in range(MOVE_ROUNDS):
            try:
                self._book.guarded_batch(lambda ledger: self._carry(name, word, target))
            except NothingToDo:
                return moved > 0 and self._line(target, word) is not None
            finally:
                for changed in (name, target):
                    self._book.snapshot(changed).forget_lines()
            self._book.reload([name, target], if_older_than_seconds=0)
            if self._line(target, word) is not None:
                self._projections.moved(row_id, name, target)
                return True
        raise StoreUnavailable(f"{word} cannot be moved: it stands somewhere else each time")

    def _line(self, name: str, word: str) -> int | None:
        return next((at for at, mark in enumerate(self._book.snapshot(name).key_cells) if mark.lease == word), None)

    def _carry(self, name: str, word: str, target_name: str) -> list[Json]:
        """Insert a line, copy each column into the column of the same name, delete the line."""
        source = self._line(name, word)
        if source is None:
            raise NothingToDo
        tab, target = self._book.tab(name), self._book.tab(target_name)
        missing = [column for column in tab.custom_columns if column not in target.header]
        at = max(len(self._book.snapshot(target_name).key_cells), 1)
        line = {"sheetId": target.sheet_id, "dimension": "ROWS", "startIndex": at, "endIndex": at + 1}
        insert = {"insertDimension": {"range": line, "inheritFromBefore": True}}
        wider, target = with_columns(target, missing)
        copies = [_copy(tab, target, column, source, at) for column in tab.header if column in target.header and column]
        # Google refuses to delete the last line below the header, so there is always one more.
        spare = {"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": 1}}
        gone = {"sheetId": tab.sheet_id, "dimension": "ROWS", "startIndex": source, "endIndex": source + 1}
        return [*wider, insert, *copies, spare, {"deleteDimension": {"range": gone}}]


def _copy(tab: Tab, target: Tab, column: str, source: int, at: int) -> Json:
    areas = {"source": tab.area(column, source), "destination": target.area(column, at)}
    return {"copyPaste": {**areas, "pasteType": "PASTE_NORMAL"}}
