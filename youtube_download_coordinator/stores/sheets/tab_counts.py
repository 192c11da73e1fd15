"""Count the rows of a tab for an overview, from the leases and a few more columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from youtube_download_coordinator.models import NEVER, Lease, State, columns_of
from youtube_download_coordinator.queue.offers import need_of, waits
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    TALLIED_REASONS,
    VIDEO_TASKS,
    PlayingTime,
    Table,
    Tally,
    claimed_accent,
)
from youtube_download_coordinator.queue.targets import has_file
from youtube_download_coordinator.stores.sheets.cells import integer
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
"""The columns that are read in addition to the key columns, by tab."""


def tallies(
    snapshot: TabSnapshot, columns: Sequence[Sequence[str]], since: date, recent: datetime = NEVER
) -> list[Tally]:
    """Return the tallies of a tab. `columns` are its TALLY_COLUMNS, read with the same request as the snapshot."""
    rows: Counter[Tally] = Counter()
    seconds: Counter[Tally] = Counter()
    with_length: Counter[Tally] = Counter()
    first_claims: dict[Tally, datetime] = {}
    for position, encoded in snapshot.leases():
        if encoded.lease is None:
            continue
        line = position - 1  # the columns begin below the header
        cells = _TallyCells(*(column[line] if line < len(column) else "" for column in columns))
        claimed_at = _claimed_at(encoded.lease, cells.claimed_at)
        kind = _kind(encoded.lease, cells, claimed_at, since, recent)
        rows[kind] += 1
        length = integer(cells.duration_seconds)
        if length is not None:
            seconds[kind] += length
            with_length[kind] += 1
        if claimed_at and kind.first_claim:
            first_claims[kind] = min(first_claims.get(kind, claimed_at), claimed_at)
    return [
        kind._replace(
            rows=number, seconds=seconds[kind], with_length=with_length[kind], first_claim=first_claims.get(kind)
        )
        for kind, number in rows.items()
    ]


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
    is_counted = lease.state is State.HELD or (lease.state is State.PENDING and not claimed_accent(lease, ""))
    return lease.state if is_counted else None


def _kind(lease: Lease, cells: _TallyCells, claimed_at: datetime | None, since: date, recent: datetime) -> Tally:
    """Return the tally, without numbers, to which a row belongs. Its `first_claim` is `recent` for later claims."""
    day = claimed_at.date() if claimed_at else None
    return Tally(
        rows=0,
        state=lease.state,
        reason=lease.reason if lease.state in TALLIED_REASONS else "",
        holder=lease.holder,
        accent=cells.accent,
        type=cells.type,
        day=day if day and day >= since else None,
        waits_for=str(need_of(lease)) if waits(lease) else "",
        degraded=lease.degraded,
        skipped=lease.skipped,
        first_claim=recent if claimed_at and claimed_at >= recent else None,
    )


def _claimed_at(lease: Lease, claimed_at: str) -> datetime | None:
    """Return the UTC time at which a processed row was claimed, or None for any other row."""
    if not lease.is_processed or not claimed_at:
        return None
    time = parse_time(claimed_at)
    return time.astimezone(UTC) if time else None
