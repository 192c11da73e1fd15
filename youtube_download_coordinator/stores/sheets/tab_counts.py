"""The tallies of an overview, from the leases of a tab and a few more columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple

from youtube_download_coordinator.models import Lease, State, columns_of
from youtube_download_coordinator.queue.offers import need_of, waits
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    TALLIED_REASONS,
    VIDEO_TASKS,
    PlayingTime,
    Table,
    Tally,
)
from youtube_download_coordinator.queue.targets import has_file, is_asked_for
from youtube_download_coordinator.stores.sheets.cells import whole_number
from youtube_download_coordinator.stores.sheets.snapshot import TabSnapshot
from youtube_download_coordinator.text import parse_time


class _TallyCells(NamedTuple):
    accent: str = ""
    type: str = ""
    claimed_at: str = ""
    duration_seconds: str = ""


def _names(table: Table[Any], *attributes: str) -> list[str]:
    columns = columns_of(table.row_type).shown
    return [columns[attribute].name for attribute in attributes]


TALLY_COLUMNS: Mapping[str, Sequence[str]] = {
    SOURCES.name: _names(SOURCES, "accent", "type"),
    VIDEO_TASKS.name: _names(VIDEO_TASKS, *_TallyCells._fields),
    DEAD_LETTERS.name: _names(DEAD_LETTERS, "accent", "type"),
}
"""The columns that are read along with the key columns, by tab."""


def tallies(snapshot: TabSnapshot, columns: Sequence[Sequence[str]], since: date) -> list[Tally]:
    """Return the tallies of a tab. `columns` are its TALLY_COLUMNS, read with the same request as the snapshot."""
    rows: Counter[Tally] = Counter()
    seconds: Counter[Tally] = Counter()
    for position, encoded in snapshot.leases():
        if encoded.lease is None:
            continue
        line = position - 1  # the columns begin below the header
        cells = _TallyCells(*(column[line] if line < len(column) else "" for column in columns))
        kind = _kind(encoded.lease, cells, since)
        rows[kind] += 1
        seconds[kind] += whole_number(cells.duration_seconds) or 0
    return [kind._replace(rows=number, seconds=seconds[kind]) for kind, number in rows.items()]


def playing_times(snapshot: TabSnapshot) -> list[PlayingTime]:
    """Return how much there is of each accent in a tab that was loaded with PLAYING_COLUMNS."""
    videos: Counter[tuple[str, State]] = Counter()
    seconds: Counter[tuple[str, State]] = Counter()
    for position, encoded in snapshot.leases():
        state = _played_state(encoded.lease) if encoded.lease else None
        if state and snapshot.playing is not None:
            group = snapshot.playing.accent(position), state
            videos[group] += 1
            seconds[group] += snapshot.playing.duration(position)
    return [PlayingTime(*group, number, seconds[group]) for group, number in videos.items()]


def _played_state(lease: Lease) -> State | None:
    """Return the state that a video with this lease counts as; None: it does not count."""
    if has_file(lease):
        return State.DONE
    is_counted = lease.state is State.HELD or (lease.state is State.PENDING and not is_asked_for(lease))
    return lease.state if is_counted else None


def _kind(lease: Lease, cells: _TallyCells, since: date) -> Tally:
    """Return the tally, still without numbers, that counts a row."""
    return Tally(
        rows=0,
        state=lease.state,
        reason=lease.reason if lease.state in TALLIED_REASONS else "",
        holder=lease.holder,
        accent=cells.accent,
        type=cells.type,
        day=_day(lease, cells.claimed_at, since),
        waits_for=str(need_of(lease)) if waits(lease) else "",
        degraded=lease.degraded,
        skipped=lease.skipped,
    )


def _day(lease: Lease, claimed_at: str, since: date) -> date | None:
    """Return the day when a finished row was claimed, if it is not before `since`."""
    if not lease.is_processed or not claimed_at:
        return None
    time = parse_time(claimed_at)
    day = time.astimezone(UTC).date() if time else None
    return day if day and day >= since else None
