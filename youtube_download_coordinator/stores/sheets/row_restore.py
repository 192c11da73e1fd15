"""Restore rows from another store: append them to a tab with their IDs and leases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from youtube_download_coordinator.models import Row
from youtube_download_coordinator.queue.store import Table, clash
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.cells import row_cells
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, IndexEntry, NothingToDo, RowIndex
from youtube_download_coordinator.stores.sheets.layout import with_columns
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet, group_of

R = TypeVar("R", bound=Row)


def restore(batches: GuardedBatches, table: Table[R], rows: Sequence[R]) -> None:
    """Append the rows that the tab lacks in one guarded batch. Later new IDs are greater than theirs."""
    spreadsheet = batches.spreadsheet
    with suppress(NothingToDo):
        batches.run(lambda index: _restoration(batches, table, rows, index), by_line=False)
    spreadsheet.snapshot(table.name).loaded_at = None
    if _new_columns(spreadsheet, table, rows):
        spreadsheet.forget_layout()


def _restoration(batches: GuardedBatches, table: Table[R], rows: Sequence[R], index: RowIndex) -> list[Json]:
    spreadsheet, group = batches.spreadsheet, group_of(table.name)
    new = _missing(rows, index, group)
    if not new:
        raise NothingToDo
    widen, tab = with_columns(spreadsheet.tab(table.name), _new_columns(spreadsheet, table, new))
    index.next_ids[group] = max(index.next_ids[group], max(row.id for row in new) + 1)
    index.keys[group] |= {row.key: IndexEntry(row.id, row.lease.nonce) for row in new}
    append = append_lines(tab.sheet_id, [row_cells(tab, row) for row in new])
    return [*widen, append, *batches.set_number(index, f"next {group}", index.next_ids[group])]


def _missing(rows: Sequence[R], index: RowIndex, group: str) -> list[R]:
    """Return the rows that are not in the tab. Raises StoreError if another row has the ID or the key of one."""
    known = index.keys[group]
    used_ids = {row.id for row in rows if row.id < index.next_ids[group]}
    keys = {entry.row_id: key for key, entry in known.items() if entry.row_id in used_ids} if used_ids else {}
    for row in rows:
        entry = known.get(row.key)
        if keys.get(row.id, row.key) != row.key or (entry and entry.row_id != row.id):
            raise clash(row)
    return [row for row in rows if row.key not in known]


def _new_columns(spreadsheet: Spreadsheet, table: Table[Any], rows: Sequence[Row]) -> list[str]:
    """Return the custom columns of the rows that the tab lacks."""
    header = spreadsheet.tab(table.name).header
    names = dict.fromkeys(name for row in rows for name, text in row.extra.items() if text)
    return [name for name in names if name not in header]
