"""Rows whose files wait on a machine's disk to be published in object storage (processors/place_archive.py).

Whenever that machine gives such a row back, others may claim it an hour later than the machine itself: it uploads what it has,
any other would have to make it anew. No mark in the row is needed. The machine knows the keys of its files, and ClaimedBy names
the machine that had the row last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TypeVar

from youtube_download_coordinator.models import Row, State, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.lifecycle import KEPT_FOR_MACHINE
from youtube_download_coordinator.queue.offers import Offer
from youtube_download_coordinator.queue.store import Store, Table, Where

R = TypeVar("R", bound=Row)

Keys = Collection[str]
"""The keys of the videos whose files wait on this machine's disk."""
ReadKeys = Callable[[], Keys]


def kept(row: R, now: datetime, keys: Keys) -> R:
    """Return the row, kept for this machine if its files wait here."""
    return lifecycle.keep_for_machine(row, now) if row.key in keys else row


def is_kept_for(worker: str, row: Row, keys: Keys) -> bool:
    """Return whether this worker's machine had the row last and has its files."""
    return row.key in keys and row.claimed_by.partition("/")[0] == worker.partition("/")[0]


def is_due(row: Row, now: datetime, offer: Offer, worker: str, keys: Keys) -> bool:
    """Return whether the worker may claim the row: an hour earlier than others if it is kept for its machine."""
    due = lifecycle.is_due_here if is_kept_for(worker, row, keys) else lifecycle.is_due
    return due(row, now, offer)


def due_rows(store: Store, table: Table[R], now: datetime, offer: Offer, worker: str, keys: Keys) -> list[R]:
    """Return the rows with these keys that the worker may claim."""
    rows = _pending(store, table, keys)
    return [row for row in rows if is_due(row, now, offer, worker, keys) and not row.requested_status]


def next_due(store: Store, table: Table[R], worker: str, keys: Keys, due: datetime | None) -> datetime | None:
    """Return when the worker may claim the first row; `due` is when any machine may."""
    times = [row.lease.not_before for row in _pending(store, table, keys) if is_kept_for(worker, row, keys)]
    return min([time - KEPT_FOR_MACHINE for time in times if time] + ([due] if due else []), default=None)


def _pending(store: Store, table: Table[R], keys: Keys) -> list[R]:
    """Return the pending rows with these keys, due or not."""
    if not keys or table.row_type is not VideoTask:
        return []
    return store.scan(table, Where(state=State.PENDING, keys=sorted(keys)), limit=len(keys))
