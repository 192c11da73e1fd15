"""Copying a queue from one store to another: a sheet, a SQLite file, PostgreSQL, in any direction.

Row by row, with IDs, keys, leases, dead letters and people's own columns; compared at the end. It may be interrupted and done
again. Nothing is changed in the queue that is copied, but for what any worker would tidy up there.
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
DIFFERENCES_SHOWN = 5

Print = Callable[[str], None]
R = TypeVar("R", bound=Row)


class NotCopied(UserError):
    """The queue was not copied, or the copy is not what was copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied: rows by table, and the lines that are no rows of a queue."""

    rows: dict[str, int]
    left_out: tuple[Row, ...]
    """A sheet's lines that are in error because their URL is none, or another row's: they stay where they are."""

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.rows.items())
        return f"{counted}; {len(self.left_out)} left out" if self.left_out else counted


def copy_queue(source: Queue, target: Queue, tell: Print = log.info) -> Copied:
    """Copy every row, then compare them one by one. `tell` hears of each table.

    Raises NotCopied when somebody works on the queue, when the target holds another one, or when the two differ in the end.
    """
    source.recover(SOURCES)  # what dead workers held, and what people asked for
    source.recover(VIDEO_TASKS)
    _check_nobody_works(source)
    for table in TABLES:
        _check_is_a_beginning(source, target, table)
    left_out: list[Row] = []
    for table in TABLES:
        for batch in batches(_rows(source, table, left_out)):
            target.store.restore(table, batch)
        tell(f"{table.name.replace('_', ' ')} copied")
    _copy_controls(source.store, target.store)
    rows = {table.name: _compare(source, target, table) for table in TABLES}
    return Copied(rows=rows, left_out=tuple(left_out))


# --- before ----------------------------------------------------------------------------------------------------------


def _check_nobody_works(source: Queue) -> None:
    held = [lease for table in TABLES for lease in source.store.leases(table, State.HELD)]
    if held:
        holders = sorted({lease.holder for lease in held})
        until = format_utc(max(lease.until for lease in held if lease.until))
        raise NotCopied(
            f"{len(held)} rows are held by {', '.join(holders[:3])}{' and others' if len(holders) > 3 else ''}: stop the workers "
            f"first (what they hold runs out by {until}), and copy then"
        )


def _check_is_a_beginning(source: Queue, target: Queue, table: Table[Any]) -> None:
    """The target is empty, or has a part of this queue because an earlier copy was interrupted."""
    if not target.store.scan(table, limit=1):
        return
    for ours, theirs in _side_by_side(_rows(source, table), target.rows(table)):
        if theirs is not None and (ours is None or _comparable(ours) != _comparable(theirs)):
            raise NotCopied(f"the target holds another queue already: {_difference(ours, theirs)}; name an empty one")


def _copy_controls(source: Store, target: Store) -> None:
    """The lines by which people steer the fleet: a fleet that is paused stays so."""
    lines = source.controls(fresh=True)
    for line in lines:
        target.set_control(line.name, lambda _, line=line: line)  # type: ignore[misc]
    if missing := {line.name for line in lines} - {line.name for line in target.controls(fresh=True)}:
        raise NotCopied(f"lines of Control did not arrive: {', '.join(sorted(missing))}")


# --- after -----------------------------------------------------------------------------------------------------------


def _compare(source: Queue, target: Queue, table: Table[Any]) -> int:
    """How many rows there are. Raises NotCopied with the first differences."""
    count, wrong = 0, []
    for ours, theirs in _side_by_side(_rows(source, table), target.rows(table)):
        count += 1
        if ours is None or theirs is None or _comparable(ours) != _comparable(theirs):
            wrong.append(_difference(ours, theirs))
    if wrong:
        told = "; ".join(wrong[:DIFFERENCES_SHOWN])
        raise NotCopied(
            f"{len(wrong)} of {count} rows of {table.name} differ, because somebody has changed the queue meanwhile, or the "
            f"copy: {told}. Do not use the copy; empty the target, see that nobody works, and copy again"
        )
    return count


def _side_by_side(ours: Iterable[R], theirs: Iterable[R]) -> Iterator[tuple[R | None, R | None]]:
    """The rows of both by ID, in which order they come."""
    left, right = iter(ours), iter(theirs)
    mine, other = next(left, None), next(right, None)
    while mine is not None or other is not None:
        if other is None or (mine is not None and mine.id < other.id):
            yield mine, None
            mine = next(left, None)
        elif mine is None or other.id < mine.id:
            yield None, other
            other = next(right, None)
        else:
            yield mine, other
            mine, other = next(left, None), next(right, None)


def _comparable(row: R) -> R:
    """As exact as every store is: what people see to the second, a lease to the millisecond."""
    lease = replace(row.lease, not_before=_milliseconds(row.lease.not_before), until=_milliseconds(row.lease.until))
    own = {name: text for name, text in row.extra.items() if text}
    plain = replace(row, lease=lease, extra=own, claimed_at=_second(row.claimed_at), requested_status=None)
    return replace(plain, checked_at=_second(plain.checked_at)) if isinstance(plain, Source) else plain


def _milliseconds(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _second(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(microsecond=0)


def _difference(ours: Row | None, theirs: Row | None) -> str:
    if ours is None or theirs is None:
        row = ours or theirs
        return f"{row.url if row else ''} stands only in the {'target' if ours is None else 'queue that is copied'}"
    mine, other = _comparable(ours), _comparable(theirs)
    names = [name for name in mine.__dataclass_fields__ if getattr(mine, name) != getattr(other, name)]
    values = [f"{name} {getattr(mine, name)!r} is {getattr(other, name)!r} in the target" for name in names[:2]]
    return f"row {ours.id} ({ours.url}): {', '.join(values)}"


def _rows(queue: Queue, table: Table[R], left_out: list[Row] | None = None) -> Iterator[R]:
    """Every row, but for lines of a sheet that are no row of a queue."""
    for row in queue.rows(table):
        if not _is_no_row(row):
            yield row
        elif left_out is not None:
            left_out.append(row)


def _is_no_row(row: Row) -> bool:
    """Two rows have never one key, and these lines have none or another's."""
    return row.lease.state is State.ERROR and (row.key == NO_KEY or row.lease.detail.startswith(DUPLICATE))
