"""Keep the tombstones of purged videos (queue/tombstones.py) in a hidden tab, with a warning before edits.

The tab is created when the first video is purged. Control, which is read with every other request, contains its sheetId and the
number of tombstones, so that the tab is read again only if the number changes. If the tab has fewer tombstones, a person has
deleted some. Then nothing is inserted, adopted or claimed until they are restored, because purged videos would be fetched again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from youtube_download_coordinator.queue.tombstones import TOMBSTONE, tombstone
from youtube_download_coordinator.stores.sheets.api import Json, Refused
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.layout import LayoutProblem, folded, text_cell
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet

TITLE = "Purged"
SHEET, COUNT = "tab purged", "purged"
"""The names of the numbers in Control: the sheetId of the tab, and the number of tombstones."""
_HEADER = "Tombstones of purged videos: do not delete or change them"
_TITLES_MAX = 100


class TombstoneTab:
    """The tombstones of one spreadsheet when this process last read them."""

    def __init__(self, spreadsheet: Spreadsheet) -> None:
        self._spreadsheet = spreadsheet
        self._known: frozenset[str] = frozenset()
        self._count = 0
        """The number in Control when the tombstones were read."""

    def known(self, numbers: Mapping[str, int]) -> frozenset[str]:
        """Return all tombstones. `numbers` are the numbers in Control. Raises LayoutProblem if a person has deleted some."""
        count = numbers.get(COUNT, 0)
        if count != self._count:
            known = self.read(numbers)
            if len(known) < count:
                raise LayoutProblem(
                    f"{count - len(known)} of {count} tombstones of purged videos are gone from the hidden tab"
                    f" {TITLE!r}: restore it (Undo, or File, Version history), or run ydc purge --restore"
                )
            self._known, self._count = known, count
        return self._known

    def remember(self, known: Collection[str]) -> None:
        """Record the tombstones that are in the tab after a change by this process."""
        self._known, self._count = frozenset(known), len(known)

    def read(self, numbers: Mapping[str, int]) -> frozenset[str]:
        """Return the tombstones in the tab, or an empty set if it is gone."""
        if SHEET not in numbers:
            return frozenset()
        try:
            (values,) = self._spreadsheet.connection.values([{"sheetId": numbers[SHEET]}])
        except Refused:
            return frozenset()
        return frozenset(cell for row in values.rows for cell in row if TOMBSTONE.fullmatch(cell))

    def buried_keys(self, keys: Collection[str], numbers: Mapping[str, int]) -> set[str]:
        """Return the keys that have a tombstone."""
        known = self.known(numbers)
        return {key for key in keys if tombstone(key) in known} if known else set()

    def exists(self, numbers: Mapping[str, int]) -> bool:
        """Return whether the tab with the sheetId in Control exists."""
        fields = "sheets.properties(sheetId)"
        sheets = self._spreadsheet.connection.properties(fields).get("sheets", []) if SHEET in numbers else []
        return any(sheet["properties"].get("sheetId", 0) == numbers[SHEET] for sheet in sheets)

    def new(self, sheet_id: int) -> list[Json]:
        """Return the requests that create the tab."""
        sheets = self._spreadsheet.connection.properties("sheets.properties(title)").get("sheets", [])
        taken = {folded(str(sheet["properties"].get("title", ""))) for sheet in sheets}
        titles = [TITLE, *(f"{TITLE} {number}" for number in range(2, _TITLES_MAX))]
        grid = {"rowCount": 100, "columnCount": 1, "frozenRowCount": 1}
        title = next(title for title in titles if folded(title) not in taken)
        properties = {"sheetId": sheet_id, "title": title, "hidden": True, "gridProperties": grid}
        warning = {"range": {"sheetId": sheet_id}, "description": _HEADER, "warningOnly": True}
        return [
            {"addSheet": {"properties": properties}},
            {"addProtectedRange": {"protectedRange": warning}},
            lines(sheet_id, [_HEADER]),
        ]


def lines(sheet_id: int, texts: Collection[str]) -> Json:
    """Return the request that appends a line for each text."""
    return append_lines(sheet_id, [{"values": [text_cell(text)]} for text in texts])
