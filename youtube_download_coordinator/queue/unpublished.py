"""Rows whose files wait on a machine's disk to be published in object storage (processors/place_archive.py).

When that machine releases such a row, others may claim it only an hour later than the machine itself. It can upload the existing
files, and another machine would have to make them again. The row needs no mark: the machine knows the keys of its files, and
ClaimedBy names the machine that had the row last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from youtube_download_coordinator.models import NEVER, Row, State, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.offers import Offer, waits
from youtube_download_coordinator.queue.store import Store, Table, Where

R = TypeVar("R", bound=Row)

Keys = Collection[str]
"""The keys of the videos whose files wait on this machine's disk."""
KEPT_FOR_MACHINE = timedelta(hours=1)
ReadKeys = Callable[[], Keys]


def kept(row: R, now: datetime, keys: Keys) -> R:
    """Delay a pending row by an hour for other machines if its files wait here. Return the row."""
    if row.key not in keys or row.lease.state is not State.PENDING or waits(row.lease):
        return row
    due = min(max(row.lease.not_before or now, now), NEVER - KEPT_FOR_MACHINE)
    return replace(row, lease=replace(row.lease, not_before=due + KEPT_FOR_MACHINE))


def early(row: Row, worker: str, keys: Keys) -> timedelta:
    """Return how much earlier than others the worker may claim the row, because its machine has the row's files."""
    is_kept = row.key in keys and row.claimed_by.partition("/")[0] == worker.partition("/")[0]
    return KEPT_FOR_MACHINE if is_kept else timedelta(0)


def is_due(row: Row, now: datetime, offer: Offer, worker: str, keys: Keys) -> bool:
    """Return whether the worker may claim the row."""
    return lifecycle.is_due(row, now + early(row, worker, keys), offer)


def due_rows(
    store: Store, table: Table[R], now: datetime, offer: Offer, worker: str, keys: Keys, except_ids: Collection[int]
) -> list[R]:
    """Return the rows with these keys that the worker may claim, except rows with these IDs."""
    return [
        row
        for row in _pending(store, table, keys)
        if is_due(row, now, offer, worker, keys) and row.id not in except_ids and not row.requested_status
    ]


def next_due(store: Store, table: Table[R], worker: str, keys: Keys, due: datetime | None) -> datetime | None:
    """Return when the worker may claim the next row. `due`: when any machine may."""
    times = [row.lease.not_before for row in _pending(store, table, keys) if early(row, worker, keys)]
    return min([time - KEPT_FOR_MACHINE for time in times if time] + ([due] if due else []), default=None)


def _pending(store: Store, table: Table[R], keys: Keys) -> list[R]:
    """Return the pending rows with these keys, due or not."""
    if not keys or table.row_type is not VideoTask:
        return []
    return store.scan(table, Where(state=State.PENDING, keys=sorted(keys)), limit=len(keys))
