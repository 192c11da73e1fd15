"""Target hours: how many hours of each accent are wanted (`YDC_TARGET_HOURS=pt-BR:100,en-IE:50`), and how many there are.

Accents are compared regardless of letter case and spaces (text.fold). The hours of an accent are the playing time of its
videos that are done with a file. The videos that workers process now are on their way: they count before another one is claimed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from youtube_download_coordinator.models import Lease, Row, State, VideoTask
from youtube_download_coordinator.queue.product_requests import request_of
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    VIDEO_TASKS,
    AccentOrder,
    Store,
    claimed_accent,
)
from youtube_download_coordinator.text import fold

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

HOUR_SECONDS = 3600
HOURS_MAX = 1e9
COUNTED_SECONDS = 60.0
"""The playing times are counted this often."""
COUNTING_SHARE = 50
"""They are counted no more often than after this many times the duration of the last count."""
ACCENTS_SHOWN = 20
EXAMPLE = "write pt-BR:100,en-IE:50"


def parse_targets(value: object) -> dict[str, float]:
    """Return the hours by accent in a setting: a text `pt-BR:100,en-IE:50` or a mapping. Raises ValueError."""
    if not value or (isinstance(value, str) and not value.strip()):
        return {}
    if not isinstance(value, str | Mapping):
        raise ValueError(EXAMPLE)  # noqa: TRY004  (for pydantic)
    targets: dict[str, float] = {}
    for accent, hours in _parts(value) if isinstance(value, str) else value.items():
        name = str(accent).strip()
        if not name:
            raise ValueError(f"{f'{accent}:{hours}'!r} names no accent: {EXAMPLE}")
        if fold(name) in {fold(known) for known in targets}:
            raise ValueError(f"the accent {name!r} is there twice")
        targets[name] = _hours(name, hours)
    return targets


def _parts(text: str) -> Iterable[tuple[str, str]]:
    """Yield each accent and its hours. An accent may contain colons."""
    for part in text.split(","):
        accent, colon, hours = part.rpartition(":")
        if not colon:
            raise ValueError(f"{part.strip()!r} is not ACCENT:HOURS: {EXAMPLE}")
        yield accent, hours.strip()


def _hours(accent: str, value: object) -> float:
    try:
        hours = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        hours = math.nan
    if not 0 < hours <= HOURS_MAX:  # NaN is neither
        raise ValueError(f"the hours of {accent!r} are {value!r}, not a positive number: {EXAMPLE}")
    return hours


def has_file(lease: Lease) -> bool:
    """Return whether a video is done with a file. One that is asked for a further product keeps its file."""
    return lease.is_processed or bool(request_of(lease).result)


class _Part(NamedTuple):
    """The contribution of one video to the counts."""

    accent: str
    """Folded (text.fold)."""
    state: State
    seconds: int


_Group = tuple[str, State]
"""An accent, folded, and a state as in `PlayingTime`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProgress:
    """The progress of an accent that has a target."""

    accent: str
    """The accent, spelt as in the setting."""
    target_hours: float
    hours: float = 0.0
    """The hours of its videos that are done with a file."""
    hours_on_the_way: float = 0.0
    """The known hours of its videos that workers are processing."""
    pending: int = 0
    """The number of its videos that wait to be claimed."""

    @property
    def share(self) -> float:
        """Return the part of the target that is done or being processed; 1: the target is reached."""
        return (self.hours + self.hours_on_the_way) / self.target_hours

    @property
    def is_reached(self) -> bool:
        """Return whether the videos that are done reach the target."""
        return self.hours >= self.target_hours

    @property
    def holds_back(self) -> bool:
        """Return whether its pending videos are not claimed."""
        return self.share >= 1 and self.pending > 0

    def __str__(self) -> str:
        hours = f"{self.accent} has {self.hours:,.1f} of {self.target_hours:,g} hours"
        if self.share >= 1 and not self.is_reached:
            hours += f", and {self.hours_on_the_way:,.1f} more are on their way"
        videos = "its pending video is" if self.pending == 1 else f"its {self.pending:,} pending videos are"
        return f"{hours}: {videos} left" if self.holds_back else hours


@dataclass(slots=True, kw_only=True)
class Targets:
    """The targets of one process, and what it knows of them. Threads and queues may share it.

    The videos of all machines are counted once a minute. What this process claims and completes is added at once.
    """

    hours: Mapping[str, float] = field(default_factory=dict)
    """The targets by accent; empty: there are none, and nothing is counted."""
    monotonic: Callable[[], float] = lambda: 0.0
    _seconds: Counter[_Group] = field(default_factory=Counter)
    _videos: Counter[_Group] = field(default_factory=Counter)
    _held: dict[int, _Part] = field(default_factory=dict)
    """The contribution of each video that this process holds, by its ID."""
    _count_again_at: float | None = None
    """The time on the monotonic clock, or None before the first count."""
    _reported: set[str] = field(default_factory=set)
    """The accents whose target was logged as reached."""
    _is_checked: bool = False
    """Whether the accents were compared with those of the rows."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __bool__(self) -> bool:
        return bool(self.hours)

    def progress(self, store: Store) -> list[TargetProgress]:
        """Return the progress of each target, in the order of the setting. Raises StoreUnavailable.

        It is at most a minute old, or as old as 50 counts take.
        """
        if not self.hours:
            return []
        with self._lock:
            if self._count_again_at is None or self.monotonic() >= self._count_again_at:
                self._count(store)
            progress = [self._progress_of(accent) for accent in self.hours]
            self._report(progress)
        return progress

    def order(self, store: Store) -> AccentOrder | None:
        """Return which accents may be claimed, those first that lack most of their target, or None if there are no targets.

        Raises StoreUnavailable.
        """
        if not self.hours:
            return None
        progress = self.progress(store)
        return AccentOrder({fold(each.accent): each.share if each.share < 1 else None for each in progress})

    def fitting(self, rows: Sequence[R]) -> list[R]:
        """Return the rows that the targets still need, in order: each one may reach the target for those after it."""
        with self._lock:
            left = {fold(accent): self._seconds_left(accent) for accent in self.hours}
        kept = []
        for row in rows:
            accent = fold(claimed_accent(row.lease, row.accent))
            if left.get(accent, 1) > 0:
                kept.append(row)
                left[accent] = left.get(accent, math.inf) - _duration(row)
        return kept

    def claimed(self, rows: Iterable[Row]) -> None:
        """Count videos that this process has claimed as on their way. What has a file already counts as before."""
        if not self.hours:
            return
        with self._lock:
            for row in rows:
                state = State.DONE if has_file(row.lease) else State.HELD
                part = _Part(fold(row.accent), state, _duration(row))
                self._held[row.id] = part
                if state is State.HELD:
                    self._add(part, 1)
                    self._videos[part.accent, State.PENDING] -= 1

    def ended(self, rows: Iterable[Row]) -> None:
        """Count videos that this process no longer holds in their new state."""
        if not self.hours:
            return
        with self._lock:
            for row in rows:
                if before := self._held.pop(row.id, None):
                    self._add(before, -1)
                if before and has_file(row.lease):
                    self._add(_Part(fold(row.accent), State.DONE, _duration(row)), 1)
                elif before and row.lease.state is State.PENDING:
                    self._videos[before.accent, State.PENDING] += 1

    def _add(self, part: _Part, sign: int) -> None:
        self._seconds[part.accent, part.state] += sign * part.seconds

    def _seconds_left(self, accent: str) -> float:
        seconds = sum(self._seconds[fold(accent), state] for state in (State.DONE, State.HELD))
        return self.hours[accent] * HOUR_SECONDS - seconds

    def _progress_of(self, accent: str) -> TargetProgress:
        name = fold(accent)
        return TargetProgress(
            accent=accent,
            target_hours=self.hours[accent],
            hours=max(0, self._seconds[name, State.DONE]) / HOUR_SECONDS,
            hours_on_the_way=max(0, self._seconds[name, State.HELD]) / HOUR_SECONDS,
            pending=max(0, self._videos[name, State.PENDING]),
        )

    def _count(self, store: Store) -> None:
        began = self.monotonic()
        times = store.playing_times()
        self._seconds, self._videos = Counter(), Counter()
        for each in times:
            self._seconds[fold(each.accent), each.state] += each.seconds
            self._videos[fold(each.accent), each.state] += each.videos
        self._warn_of_unknown(store, {each.accent for each in times})
        ended = self.monotonic()
        self._count_again_at = ended + max(COUNTED_SECONDS, COUNTING_SHARE * (ended - began))

    def _report(self, progress: Iterable[TargetProgress]) -> None:
        """Log each target once when it is reached, and again if it was missed in between."""
        for each in progress:
            if not each.is_reached:
                self._reported.discard(each.accent)
            elif each.accent not in self._reported:
                self._reported.add(each.accent)
                log.info("%s", each)

    def _warn_of_unknown(self, store: Store, accents: set[str]) -> None:
        """Log once which accents no row has, and which there are. Sources count, too: their videos may not be listed yet."""
        if self._is_checked or not self._unknown(accents):
            return
        tallies = store.tally((SOURCES, VIDEO_TASKS, DEAD_LETTERS), store.now().date())
        accents = {tally.accent for table in tallies for tally in table}
        self._is_checked = bool(accents)
        if accents and (unknown := self._unknown(accents)):
            names = sorted(filter(None, accents), key=str.casefold)
            more = f" and {len(names) - ACCENTS_SHOWN} others" if len(names) > ACCENTS_SHOWN else ""
            there_are = f"there are {', '.join(names[:ACCENTS_SHOWN])}{more}" if names else "no row has an accent"
            log.warning("target_hours: no row has the accent %s: %s", " or ".join(map(repr, unknown)), there_are)

    def _unknown(self, accents: Iterable[str]) -> list[str]:
        known = {fold(accent) for accent in accents}
        return [accent for accent in self.hours if fold(accent) not in known]


def _duration(row: Row) -> int:
    return (row.duration_seconds or 0) if isinstance(row, VideoTask) else 0


def describe_held_back(progress: Iterable[TargetProgress]) -> str:
    """Return which pending videos are not claimed because of their targets; an empty text if there are none."""
    return "; ".join(str(each) for each in progress if each.holds_back)
