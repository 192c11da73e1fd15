"""Insertion of rows: appended to a tab with the next IDs, in one guarded batch, without those whose keys are known."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from youtube_download_coordinator.models import Row, VideoTask
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.cells import row_cells
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, IndexEntry, NothingToDo, RowIndex
from youtube_download_coordinator.stores.sheets.spreadsheet import group_of

R = TypeVar("R", bound=Row)


def insert(batches: GuardedBatches, table: Table[R], rows: Sequence[R]) -> list[int | None]:
    """Append the rows with new keys. Return the ID of each, or None if its key is known."""
    added: dict[str, IndexEntry] = {}
    with suppress(NothingToDo):  # every key is known
        batches.run(lambda index: _insertion(batches, table, rows, index, added), by_line=False)
    ids = {key: entry.row_id for key, entry in added.items()}
    return [ids.pop(row.key, None) for row in rows]  # of two rows with one key the first was added


def _insertion(
    batches: GuardedBatches, table: Table[R], rows: Sequence[R], index: RowIndex, added: dict[str, IndexEntry]
) -> list[Json]:
    """Return the requests that append the rows with new keys and raise the next ID.

    `added` are the entries that an earlier round meant to add. If the index has one with its nonce, that round was applied.
    """
    group = group_of(table.name)
    known = index.keys[group]
    buried = _buried_keys(batches, table, [row.key for row in rows], index)
    for key in [key for key, entry in added.items() if known.get(key) != entry]:
        del added[key]
    new: dict[str, R] = {}
    for row in rows:
        if row.key not in known and row.key not in index.unadopted_keys[group] and row.key not in buried:
            new.setdefault(row.key, row)
    if not new:
        raise NothingToDo
    return _appending(batches, table, list(new.values()), index, added)


def _buried_keys(batches: GuardedBatches, table: Table[Any], keys: Sequence[str], index: RowIndex) -> set[str]:
    is_video = table.row_type is VideoTask
    return batches.tombstones.buried_keys(keys, index.numbers) if is_video else set()


def _appending(
    batches: GuardedBatches, table: Table[R], new: list[R], index: RowIndex, added: dict[str, IndexEntry]
) -> list[Json]:
    group, spreadsheet = group_of(table.name), batches.spreadsheet
    first, number_requests = batches.take_ids(index, group, len(new))
    rows = [replace(row, id=first + offset) for offset, row in enumerate(new)]
    entries = {row.key: IndexEntry(row.id, row.lease.nonce) for row in rows}
    index.keys[group] |= entries
    added |= entries
    tab = spreadsheet.tab(table.name)
    spreadsheet.snapshot(table.name).loaded_at = None  # they come after the lines of the snapshot
    return [append_lines(tab.sheet_id, [row_cells(tab, row) for row in rows]), *number_requests]
