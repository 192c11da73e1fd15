"""Copy a queue from one store to another: a sheet, a SQLite file, or PostgreSQL, in any direction.

The tombstones of purged videos are copied first. Rows, including dead letters, are copied with their IDs, keys, leases and custom
columns, and compared at the end. An interrupted copy may be repeated. The source queue is not changed, except that stalled rows
are recovered, as a worker would do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import DUPLICATE, NO_KEY, Row, Source, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.maintenance import batches
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Store, Table
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

TABLES: tuple[Table[Any], ...] = (SOURCES, VIDEO_TASKS, DEAD_LETTERS)
DIFFERENCES_MAX = 5

Print = Callable[[str], None]
R = TypeVar("R", bound=Row)


class NotCopied(UserError):
    """Raised when the queue was not copied, or the copy differs from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """The number of copied rows by table, and the lines of a sheet that are not rows of a queue."""

    rows: dict[str, int]
    left_out: tuple[Row, ...]
    """Lines of a sheet that were not copied, because they have no valid URL, or the URL of another row."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.rows.items())
        return f"{counts}; {len(self.left_out)} left out" if self.left_out else counts


def copy_queue(source: Queue, target: Queue, report: Print = log.info) -> CopyReport:
    """Copy every row, then compare the two queues row by row. `report` is called with a line for each table.

    Raises NotCopied when rows are claimed, when the target contains another queue, or when the two differ afterwards.
    """
    source.recover(SOURCES)  # claims of dead workers, and people's requests
    source.recover(VIDEO_TASKS)
    _check_no_claims(source)
    for table in TABLES:
        _check_target(source, target, table)
    target.store.bury(source.store.tombstones())  # before there is a row that a worker could claim
    left_out: list[Row] = []
    for table in TABLES:
        for batch in batches(_rows(source, table, left_out)):
            target.store.restore(table, batch)
        report(f"{table.name.replace('_', ' ')} copied")
    _copy_controls(source.store, target.store)
    rows = {table.name: _compare(source, target, table) for table in TABLES}
    return CopyReport(rows=rows, left_out=tuple(left_out))


# --- before ----------------------------------------------------------------------------------------------------------


def _check_no_claims(source: Queue) -> None:
    held = [lease for table in TABLES for lease in source.store.leases(table, State.HELD)]
    if held:
        holders = sorted({lease.holder for lease in held})
        until = format_utc(max(lease.until for lease in held if lease.until))
        raise NotCopied(
            f"{len(held)} rows are held by {', '.join(holders[:3])}{' and others' if len(holders) > 3 else ''}: stop the workers "
            f"first (their claims expire by {until}), then copy"
        )


def _check_target(source: Queue, target: Queue, table: Table[Any]) -> None:
    """Raise NotCopied unless the target is empty, or contains a part of this queue from an interrupted copy."""
    if not target.store.scan(table, limit=1):
        return
    for original, copy in _side_by_side(_rows(source, table), target.rows(table)):
        if copy is not None and (original is None or _comparable(original) != _comparable(copy)):
            raise NotCopied(f"the target contains another queue: {_difference(original, copy)}; name an empty one")


def _copy_controls(source: Store, target: Store) -> None:
    """Copy the lines of Control, so that a paused fleet stays paused."""
    lines = source.controls(fresh=True)
    for line in lines:
        target.set_control(line.name, lambda _, line=line: line)  # type: ignore[misc]
    if missing := {line.name for line in lines} - {line.name for line in target.controls(fresh=True)}:
        raise NotCopied(f"lines of Control were not copied: {', '.join(sorted(missing))}")


# --- after -----------------------------------------------------------------------------------------------------------


def _compare(source: Queue, target: Queue, table: Table[Any]) -> int:
    """Compare a table in both queues and return its number of rows. Raises NotCopied with the first differences."""
    count, wrong = 0, []
    for original, copy in _side_by_side(_rows(source, table), target.rows(table)):
        count += 1
        if original is None or copy is None or _comparable(original) != _comparable(copy):
            wrong.append(_difference(original, copy))
    if wrong:
        differences = "; ".join(wrong[:DIFFERENCES_MAX])
        raise NotCopied(
            f"{len(wrong)} of {count} rows of {table.name} differ, because the queue or the copy was changed meanwhile: "
            f"{differences}. Do not use the copy; empty the target, make sure that no worker runs, and copy again"
        )
    return count


def _side_by_side(originals: Iterable[R], copies: Iterable[R]) -> Iterator[tuple[R | None, R | None]]:
    """Pair the rows of both queues by ID; both iterables are sorted by ID."""
    left, right = iter(originals), iter(copies)
    original, copy = next(left, None), next(right, None)
    while original is not None or copy is not None:
        if copy is None or (original is not None and original.id < copy.id):
            yield original, None
            original = next(left, None)
        elif original is None or copy.id < original.id:
            yield None, copy
            copy = next(right, None)
        else:
            yield original, copy
            original, copy = next(left, None), next(right, None)


def _comparable(row: R) -> R:
    """Return the row with the precision that every store has: seconds for times that people see, milliseconds for leases."""
    lease = replace(row.lease, not_before=_milliseconds(row.lease.not_before), until=_milliseconds(row.lease.until))
    extra = {name: text for name, text in row.extra.items() if text}
    plain = replace(row, lease=lease, extra=extra, claimed_at=_second(row.claimed_at), requested_status=None)
    return replace(plain, checked_at=_second(plain.checked_at)) if isinstance(plain, Source) else plain


def _milliseconds(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _second(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(microsecond=0)


def _difference(original: Row | None, copy: Row | None) -> str:
    if original is None or copy is None:
        row = original or copy
        return f"{row.url if row else ''} is only in the {'target' if original is None else 'source queue'}"
    left, right = _comparable(original), _comparable(copy)
    names = [name for name in left.__dataclass_fields__ if getattr(left, name) != getattr(right, name)]
    values = [f"{name} {getattr(left, name)!r} is {getattr(right, name)!r} in the target" for name in names[:2]]
    return f"row {original.id} ({original.url}): {', '.join(values)}"


def _rows(queue: Queue, table: Table[R], left_out: list[Row] | None = None) -> Iterator[R]:
    """Yield every row. Lines of a sheet that are not rows of a queue are appended to `left_out` instead."""
    for row in queue.rows(table):
        has_own_key = row.key != NO_KEY and not row.lease.detail.startswith(DUPLICATE)
        if has_own_key or row.lease.state is not State.ERROR:
            yield row
        elif left_out is not None:
            left_out.append(row)
