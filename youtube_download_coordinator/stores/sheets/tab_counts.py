"""What an overview counts by, from the words of a tab and the cells that stand beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple

from youtube_download_coordinator.models import SKIPPED, Lease, State, columns_of
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    TALLIED_REASONS,
    VIDEO_TASKS,
    Table,
    Tally,
)
from youtube_download_coordinator.stores.sheets.cells import whole_number
from youtube_download_coordinator.stores.sheets.snapshot import TabSnapshot
from youtube_download_coordinator.text import parse_time


class _Beside(NamedTuple):
    accent: str = ""
    type: str = ""
    claimed_at: str = ""
    duration_seconds: str = ""


def _names(table: Table[Any], *attributes: str) -> list[str]:
    columns = columns_of(table.row_type).shown
    return [columns[attribute].name for attribute in attributes]


BESIDE: Mapping[str, Sequence[str]] = {
    SOURCES.name: _names(SOURCES, "accent", "type"),
    VIDEO_TASKS.name: _names(VIDEO_TASKS, *_Beside._fields),
    DEAD_LETTERS.name: _names(DEAD_LETTERS, "accent", "type"),
}
"""The columns that are read beside the key columns, by tab."""


def tallied(view: TabSnapshot, columns: Sequence[Sequence[str]], since: date) -> list[Tally]:
    """The tallies of a tab; `columns` are those of BESIDE, as they were read with this view."""
    rows: Counter[Tally] = Counter()
    seconds: Counter[Tally] = Counter()
    for kind, duration in _kinds(view, columns, since):
        rows[kind] += 1
        seconds[kind] += duration
    return [kind._replace(rows=number, seconds=seconds[kind]) for kind, number in rows.items()]


def _kinds(view: TabSnapshot, columns: Sequence[Sequence[str]], since: date) -> Iterator[tuple[Tally, int]]:
    """What each row is like, and how many seconds it plays."""
    for position, word in view.leases():
        if word.lease is not None:
            at = position - 1  # the columns begin below the header
            cells = _Beside(*(column[at] if at < len(column) else "" for column in columns))
            yield _kind(word.lease, cells, since), whole_number(cells.duration_seconds) or 0


def _kind(lease: Lease, cells: _Beside, since: date) -> Tally:
    return Tally(
        rows=0,
        state=lease.state,
        reason=lease.reason if lease.state in TALLIED_REASONS else "",
        holder=lease.holder,
        accent=cells.accent,
        type=cells.type,
        day=_day(lease, cells.claimed_at, since),
    )


def _day(lease: Lease, claimed_at: str, since: date) -> date | None:
    if lease.state is not State.DONE or lease.detail == SKIPPED or not claimed_at:
        return None
    moment = parse_time(claimed_at)
    day = moment.astimezone(UTC).date() if moment else None
    return day if day and day >= since else None
