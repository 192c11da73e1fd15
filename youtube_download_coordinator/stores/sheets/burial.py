"""Purge videos in a spreadsheet: add tombstones, and clear the rows."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import Row
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.cells import row_values, write_cells
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, NothingToDo, RowIndex
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet, shown_rows
from youtube_download_coordinator.stores.sheets.tombstone_tab import COUNT, SHEET, lines

log = logging.getLogger(__name__)

BATCH = 5000
"""The number of tombstones to add at once."""


def bury(batches: GuardedBatches, tombstones: Collection[str], *, are_all: bool) -> None:
    """Add tombstones with guarded batches, so that insertions that were prepared without them are refused."""
    wanted = sorted(set(tombstones))
    for first in range(0, len(wanted), BATCH):
        addition = _Addition(batches, wanted[first : first + BATCH], are_all=are_all)
        with suppress(NothingToDo):
            batches.run(addition.requests, by_line=False)
            batches.tombstones.remember(addition.all)


class _Addition:
    """The requests that add tombstones, and all tombstones afterwards."""

    def __init__(self, batches: GuardedBatches, wanted: Sequence[str], *, are_all: bool) -> None:
        self._batches = batches
        self._wanted = frozenset(wanted)
        self._are_all = are_all
        self.all: frozenset[str] = frozenset()

    def requests(self, index: RowIndex) -> list[Json]:
        """Return the requests. Raises NothingToDo."""
        tab, numbers = self._batches.tombstones, index.numbers
        in_tab = tab.read(numbers) if self._are_all else tab.known(numbers)
        self.all = in_tab | self._wanted
        is_there = tab.exists(numbers)
        if is_there and self.all == in_tab and numbers.get(COUNT) == len(in_tab):
            raise NothingToDo
        requests: list[Json] = []
        if not is_there:  # it is made again with all that are known
            sheet_id = self._batches.spreadsheet.random.randrange(1, 2**31 - 1)
            requests += [*tab.new(sheet_id), *self._batches.set_number(index, SHEET, sheet_id)]
        new = sorted(self.all - in_tab if is_there else self.all)
        requests += [lines(numbers[SHEET], new)] if new else []
        return [*requests, *self._batches.set_number(index, COUNT, len(self.all))]


def clear(spreadsheet: Spreadsheet, name: str, rows: Sequence[Row]) -> None:
    """Clear every cell of erased rows except the lease, by line, just after the lines were read.

    Raises StoreError if a person has sorted the tab in between, because cells of other rows were cleared then.
    """
    spreadsheet.reload([name], if_older_than_seconds=0)
    tab, snapshot = spreadsheet.tab(name), spreadsheet.snapshot(name)
    placed = {position: row for row in rows if (position := snapshot.position_of(row.id)) is not None}
    custom = dict.fromkeys(tab.custom_columns, "")
    requests: list[Json] = []
    for position, row in placed.items():
        values = {**custom, **row_values(row)}
        del values["Lease"]
        requests += write_cells(tab, position, values)
    if not requests:
        return
    try:
        answer = spreadsheet.write(requests, show=[tab.a1("Lease", position) for position in placed])
    except (Refused, AnswerLost) as error:
        raise StoreUnavailable(f"the texts of purged rows may not be cleared: {error}") from error
    shown = shown_rows(answer, tab.sheet_id)
    others = []
    for position, row in placed.items():
        text = next(iter(shown.get(position, ())), "")
        encoded = decode_lease(text)
        if encoded is None or encoded.row_id != row.id:
            others.append(encoded.row_id if encoded else position + 1)
            continue
        values = row_values(row)
        snapshot.update_line(position, KeyCells(text, values["Status"], values["Shown"], values["URL"]))
    if others:
        snapshot.loaded_at = None
        ids = ", ".join(map(str, sorted(others)[:10]))
        raise StoreError(
            f"somebody sorted the tab {tab.title!r} at this moment, and texts of the rows {ids} were cleared: restore them"
            " (File, Version history), then run the command again while nobody sorts"
        )
