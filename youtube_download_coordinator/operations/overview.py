"""How the queue stands: what people ask first in the morning. Read-only, and at most a few requests on a sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from youtube_download_coordinator.models import Control, State, VideoTask
from youtube_download_coordinator.queue import Queue, cooldown
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table, Tally, Where

TABLES: Mapping[str, Table[Any]] = {"sources": SOURCES, "videos": VIDEO_TASKS, "dead letters": DEAD_LETTERS}
DAYS = 30
"""So many days, today among them, are told apart."""


class Day(NamedTuple):
    """What was done of what was begun on a day in UTC."""

    day: date
    videos: int
    seconds: int
    """How long they play, as far as that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The queue at one moment. By the names of TABLES, unless something else is said."""

    at: datetime
    """By the store's clock."""
    counts: Mapping[str, Mapping[State, int]]
    reasons: Mapping[str, Mapping[str, int]]
    """How many rows failed last for which reason (the word at the front of LastError), the most frequent first."""
    accents: Mapping[str, Mapping[State, int]]
    """Of each accent, how many videos are in each state, dead letters among them; the most frequent first."""
    types: Mapping[str, Mapping[State, int]]
    """The same of each type."""
    days: Sequence[Day]
    """The last DAYS days, the first one first."""
    controls: Sequence[Control]
    """Whether the fleet is paused, and which machine cools down."""
    holders: Mapping[str, int]
    """How many rows each worker (`host/run`) holds."""
    oldest: VideoTask | None
    """Of the videos that may be claimed now, the one that may be for longest."""

    @property
    def is_idle(self) -> bool:
        """Whether a video waits to be claimed and nobody holds any row, though neither a person nor a cooldown says so."""
        return self.oldest is not None and not self.holders and not any(map(self._holds_up, self.controls))

    def _holds_up(self, line: Control) -> bool:
        if line.name == cooldown.FLEET:
            return cooldown.is_paused(line, self.at)
        return cooldown.value_of(line) is not cooldown.ControlValue.CLEAR and not cooldown.may_be_probed(line, self.at)


def overview(queue: Queue) -> Overview:
    """Look at the whole queue once. Raises StoreUnavailable."""
    now = queue.store.now()
    first = now.date() - timedelta(days=DAYS - 1)
    tallies = dict(zip(TABLES, queue.store.tally(list(TABLES.values()), first), strict=True))
    due = queue.store.scan(VIDEO_TASKS, Where(state=State.PENDING, due=now), limit=1)
    everything = [tally for found in tallies.values() for tally in found]
    videos = [*tallies["videos"], *tallies["dead letters"]]
    return Overview(
        at=now,
        counts={name: _in_order(_sums(found, lambda tally: tally.state)) for name, found in tallies.items()},
        reasons={name: _frequent(found, lambda tally: tally.reason) for name, found in tallies.items()},
        accents=_by_state(videos, lambda tally: tally.accent),
        types=_by_state(videos, lambda tally: tally.type),
        days=_days(tallies["videos"], first),
        controls=cooldown.shown(queue.store.controls()),
        holders=_frequent(everything, lambda tally: tally.holder),
        oldest=due[0] if due else None,
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


def _by_state(tallies: Sequence[Tally], by: Callable[[Tally], str]) -> dict[str, dict[State, int]]:
    counts = _sums(tallies, lambda tally: (by(tally), tally.state))
    names = ["", *_frequent(tallies, by)]
    found = {name: _in_order({state: counts[name, state] for state in State}) for name in names}
    return {name: states for name, states in sorted(found.items(), key=lambda each: -sum(each[1].values())) if states}


def _days(tallies: Sequence[Tally], first: date) -> list[Day]:
    videos = _sums(tallies, lambda tally: tally.day)
    seconds: Counter[date | None] = Counter()
    for tally in tallies:
        seconds[tally.day] += tally.seconds
    days = (first + timedelta(days=number) for number in range(DAYS))
    return [Day(day, videos[day], seconds[day]) for day in days]
