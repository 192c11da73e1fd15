"""Count the rows of the queue by state, reason, worker, accent, type and day. On a sheet this takes a few read requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from youtube_download_coordinator.models import Control, State, VideoTask
from youtube_download_coordinator.operations.estimate import RECENT, UNFINISHED, Estimate, estimate, pace_of
from youtube_download_coordinator.queue import Queue, cooldown
from youtube_download_coordinator.queue.offers import offers_in
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table, Tally

TABLES: Mapping[str, Table[Any]] = {"sources": SOURCES, "videos": VIDEO_TASKS, "dead letters": DEAD_LETTERS}
DAYS = 30
"""The number of days that are counted separately, including today."""


class Day(NamedTuple):
    """The videos of one day in UTC that are done. The start of the attempt counts."""

    day: date
    videos: int
    seconds: int
    """Their total known length: as measured if a file was made, otherwise as in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The numbers of a queue at one moment. The keys of mappings are names of TABLES unless documented otherwise."""

    at: datetime
    """The time by the store's clock."""
    counts: Mapping[str, Mapping[State, int]]
    reasons: Mapping[str, Mapping[str, int]]
    """Number of rows by the reason of their last failure (the first word of LastError), the most frequent first."""
    degraded: Mapping[str, int] = field(default_factory=dict)
    """Number of videos that are done with degraded files, by reason, the most frequent first."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Number of videos that are done without being fetched, by the filter (docs/rights.md), the most frequent first."""
    waiting: Mapping[str, int]
    """Number of rows that wait for a machine's offer, by offer (`region:BR`), the most frequent first."""
    accents: Mapping[str, Mapping[State, int]]
    """Number of videos by accent and state, including dead letters; the most frequent accent first."""
    types: Mapping[str, Mapping[State, int]]
    """Number of videos by type and state, including dead letters; the most frequent type first."""
    days: Sequence[Day]
    """The last DAYS days, in order."""
    controls: Sequence[Control]
    """The lines of Control: whether the fleet is paused, and which machines cool down."""
    holders: Mapping[str, int]
    """Number of rows that each worker (`host/run`) holds."""
    oldest: VideoTask | None
    """The video that has been claimable for the longest time, or None."""
    left: Estimate
    """The remaining videos, and the time for them."""

    @property
    def is_idle(self) -> bool:
        """Return whether a video is claimable, no worker holds a row, and the fleet is neither paused nor cooling down."""
        return self.oldest is not None and not self.holders and not any(map(self._blocks, self.controls))

    def _blocks(self, line: Control) -> bool:
        if line.name == cooldown.FLEET:
            return cooldown.is_paused(line, self.at)
        if not line.name.startswith(cooldown.COOLDOWN):
            return False
        return cooldown.value_of(line) is not cooldown.ControlValue.CLEAR and not cooldown.may_be_probed(line, self.at)


def overview(queue: Queue) -> Overview:
    """Count the whole queue once. Raises StoreUnavailable."""
    now = queue.store.now()
    first = now.date() - timedelta(days=DAYS - 1)
    tallies = dict(zip(TABLES, queue.store.tally(list(TABLES.values()), first, now - RECENT), strict=True))
    due = queue.store.scan(VIDEO_TASKS, queue.claimable(VIDEO_TASKS, now), limit=1)
    all_tallies = [tally for table_tallies in tallies.values() for tally in table_tallies]
    videos = [*tallies["videos"], *tallies["dead letters"]]
    holders = _frequent(all_tallies, lambda tally: tally.holder)
    controls = queue.store.controls()
    return Overview(
        at=now,
        counts={name: _in_order(_sums(rows, lambda tally: tally.state)) for name, rows in tallies.items()},
        reasons={name: _frequent(rows, lambda tally: tally.reason) for name, rows in tallies.items()},
        degraded=_degraded(tallies["videos"]),
        skipped=_frequent(tallies["videos"], lambda tally: tally.skipped),
        waiting=_frequent(all_tallies, lambda tally: tally.waits_for),
        accents=_by_state(videos, lambda tally: tally.accent),
        types=_by_state(videos, lambda tally: tally.type),
        days=_days(tallies["videos"], first),
        controls=cooldown.shown(controls),
        holders=holders,
        oldest=due[0] if due else None,
        left=estimate(
            tallies["videos"],
            pace_of(tallies["videos"], holders, now),
            offers_in(controls, now),
            queue.hours_by_target(),
            is_partial=any(tally.state in UNFINISHED for tally in tallies["sources"]),
        ),
    )


def _sums(tallies: Sequence[Tally], by: Callable[[Tally], Any]) -> Counter[Any]:
    sums: Counter[Any] = Counter()
    for tally in tallies:
        sums[by(tally)] += tally.rows
    return sums


def _in_order(counts: Mapping[State, int]) -> dict[State, int]:
    return {state: counts[state] for state in State if counts.get(state)}


def _frequent(tallies: Sequence[Tally], by: Callable[[Tally], str]) -> dict[str, int]:
    sums = _sums(tallies, by)
    return {name: sums[name] for name in sorted(sums, key=lambda name: (-sums[name], name)) if name}


def _degraded(tallies: Sequence[Tally]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for tally in tallies:
        sums.update(dict.fromkeys(tally.degraded.split(", "), tally.rows) if tally.degraded else {})
    return {reason: sums[reason] for reason in sorted(sums, key=lambda reason: (-sums[reason], reason))}


def _by_state(tallies: Sequence[Tally], by: Callable[[Tally], str]) -> dict[str, dict[State, int]]:
    counts = _sums(tallies, lambda tally: (by(tally), tally.state))
    names = ["", *_frequent(tallies, by)]
    by_name = {name: _in_order({state: counts[name, state] for state in State}) for name in names}
    entries = [(name, states) for name, states in by_name.items() if states]
    return dict(sorted(entries, key=lambda entry: sum(entry[1].values()), reverse=True))


def _days(tallies: Sequence[Tally], first: date) -> list[Day]:
    videos = _sums(tallies, lambda tally: tally.day)
    seconds: Counter[date | None] = Counter()
    for tally in tallies:
        seconds[tally.day] += tally.seconds
    days = (first + timedelta(days=number) for number in range(DAYS))
    return [Day(day, videos[day], seconds[day]) for day in days]
