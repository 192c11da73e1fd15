"""Putting rows of another store into a tab as they are: with the IDs and the leases that they have."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from youtube_download_coordinator.models import Row
from youtube_download_coordinator.queue.store import Table, clash
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.cells import row_cells
from youtube_download_coordinator.stores.sheets.layout import with_columns
from youtube_download_coordinator.stores.sheets.spreadsheet import (
    IndexEntry,
    NothingToDo,
    RowIndex,
    Spreadsheet,
    group_of,
)

R = TypeVar("R", bound=Row)


def restore(book: Spreadsheet, table: Table[R], rows: Sequence[R]) -> None:
    """Append the rows that are not there yet in one token batch, and let new IDs go on behind theirs."""
    with suppress(NothingToDo):  # all of them are there
        book.guarded_batch(lambda ledger: _restoring(book, table, rows, ledger), by_line=False)
    book.snapshot(table.name).looked_at = None
    if _new_columns(book, table, rows):
        book.forget_layout()


def _restoring(book: Spreadsheet, table: Table[R], rows: Sequence[R], ledger: RowIndex) -> list[Json]:
    group = group_of(table.name)
    new = _missing(rows, ledger, group)
    if not new:
        raise NothingToDo
    wider, tab = with_columns(book.tab(table.name), _new_columns(book, table, new))
    ledger.next_ids[group] = max(ledger.next_ids[group], max(row.id for row in new) + 1)
    ledger.keys[group] |= {row.key: IndexEntry(row.id, row.lease.nonce) for row in new}
    lines = [row_cells(tab, row) for row in new]
    append = {"appendCells": {"sheetId": tab.sheet_id, "rows": lines, "fields": "userEnteredValue"}}
    return [*wider, append, *book.say(ledger, f"next {group}", ledger.next_ids[group])]


def _missing(rows: Sequence[R], ledger: RowIndex, group: str) -> list[R]:
    """The rows that do not stand there. Raises StoreError where another row has the ID or the key of one."""
    known = ledger.keys[group]
    given = {row.id for row in rows if row.id < ledger.next_ids[group]}
    keys = {each.row_id: key for key, each in known.items() if each.row_id in given} if given else {}
    for row in rows:
        standing = known.get(row.key)
        if keys.get(row.id, row.key) != row.key or (standing and standing.row_id != row.id):
            raise clash(row)
    return [row for row in rows if row.key not in known]


def _new_columns(book: Spreadsheet, table: Table[Any], rows: Sequence[Row]) -> list[str]:
    """Columns of people's own that the rows have and the tab has not."""
    header = book.tab(table.name).header
    names = dict.fromkeys(name for row in rows for name, text in row.extra.items() if text)
    return [name for name in names if name not in header]
