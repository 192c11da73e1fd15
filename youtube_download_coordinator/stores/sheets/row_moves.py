"""Move a row to another tab. One batch copies and deletes it, so that it is never in both tabs or in neither."""

from __future__ import annotations

from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, NothingToDo
from youtube_download_coordinator.stores.sheets.layout import with_columns
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease
from youtube_download_coordinator.stores.sheets.projection import Projections

MOVE_ROUNDS = 5
"""How often a row is moved again if a person has sorted the tab at the same moment."""


class Mover:
    """A mover of rows, which it finds by their encoded leases."""

    def __init__(self, batches: GuardedBatches, projections: Projections) -> None:
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self._projections = projections

    def move(self, name: str, encoded: str, row_id: int, target: str) -> bool:
        """Move the row with this encoded lease. Return whether it is in the target.

        If a person sorts the tab between the read and the batch, another row is moved instead. Any process that finds it in the
        wrong tab moves it back.
        """
        for round_number in range(MOVE_ROUNDS):
            try:
                self._batches.run(lambda _: self._move_requests(name, encoded, target))
            except NothingToDo:
                return round_number > 0 and self._position(target, encoded) is not None
            finally:
                for changed in (name, target):
                    self._spreadsheet.snapshot(changed).forget_lines()
            self._spreadsheet.reload([name, target], if_older_than_seconds=0)
            if self._position(target, encoded) is not None:
                self._projections.moved(row_id, name, target)
                return True
        raise StoreUnavailable(f"{encoded} cannot be moved: it is on another line each time")

    def _position(self, name: str, encoded: str) -> int | None:
        lines, wanted = self._spreadsheet.snapshot(name).leases(), decode_lease(encoded)
        return next((position for position, lease in lines if lease == wanted), None)

    def _move_requests(self, name: str, encoded: str, target_name: str) -> list[Json]:
        """Insert a line, copy each column into the column of the same name, delete the line."""
        source = self._position(name, encoded)
        if source is None:
            raise NothingToDo
        tab, target = self._spreadsheet.tab(name), self._spreadsheet.tab(target_name)
        missing = [column for column in tab.custom_columns if column not in target.header]
        end = max(len(self._spreadsheet.snapshot(target_name).key_cells), 1)
        line = {"sheetId": target.sheet_id, "dimension": "ROWS", "startIndex": end, "endIndex": end + 1}
        insert = {"insertDimension": {"range": line, "inheritFromBefore": True}}
        widen, target = with_columns(target, missing)
        areas = [
            {"source": tab.area(column, source), "destination": target.area(column, end)}
            for column in tab.header
            if column and column in target.header
        ]
        copies = [{"copyPaste": {**area, "pasteType": "PASTE_NORMAL"}} for area in areas]
        # Google refuses to delete the last line below the header, so add one first.
        spare = {"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": 1}}
        deleted = {"sheetId": tab.sheet_id, "dimension": "ROWS", "startIndex": source, "endIndex": source + 1}
        return [*widen, insert, *copies, spare, {"deleteDimension": {"range": deleted}}]
