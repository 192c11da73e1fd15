"""Target hours: how many hours of each accent are wanted (`YDC_TARGET_HOURS=pt-BR:100,en-IE:50`), and how many there are.

Accents are compared regardless of letter case, as `ydc list --accent` does. The hours of an accent are the playing time of its
videos that are done with a file. The videos that workers process now are on their way: they count before another one is claimed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.queue.product_requests import request_of
from youtube_download_coordinator.queue.store import PlayingTime, Store
from youtube_download_coordinator.reasons import REQUEST_START

log = logging.getLogger(__name__)

HOUR_SECONDS = 3600
HOURS_MAX = 1e9
COUNTED_SECONDS = 60.0
"""The playing times are counted this often."""
COUNTING_SHARE = 50
"""They are counted no more often than after this many times the duration of the last count."""
EXAMPLE = "write pt-BR:100,en-IE:50"


def parse_targets(value: object) -> dict[str, float]:
    """Return the hours by accent in a setting: a text `pt-BR:100,en-IE:50` or a mapping. Raises ValueError."""
    if not value:
        return {}
    if not isinstance(value, str | Mapping):
        raise ValueError(EXAMPLE)  # noqa: TRY004  (for pydantic)
    targets: dict[str, float] = {}
    for accent, hours in _parts(value) if isinstance(value, str) else value.items():
        name = str(accent).strip()
        if not name:
            raise ValueError(f"{f'{accent}:{hours}'!r} names no accent: {EXAMPLE}")
        if name.casefold() in {known.casefold() for known in targets}:
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


def is_asked_for(lease: Lease) -> bool:
    """Return whether a row that was done is asked for a further product. No target holds it back: a person wants it."""
    return REQUEST_START in lease.detail and lease.state is not State.DONE


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


@dataclass(slots=True, kw_only=True)
class Targets:
    """The targets of one process, and what it has counted last. Threads may share it."""

    hours: Mapping[str, float] = field(default_factory=dict)
    """The targets by accent; empty: there are none, and nothing is counted."""
    monotonic: Callable[[], float] = lambda: 0.0
    _progress: list[TargetProgress] = field(default_factory=list)
    _count_again_at: float | None = None
    """On the monotonic clock; None: nothing is counted yet."""
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
            return list(self._progress)

    def _count(self, store: Store) -> None:
        began = self.monotonic()
        self._progress = progress_of(self.hours, store.playing_times())
        ended = self.monotonic()
        self._count_again_at = ended + max(COUNTED_SECONDS, COUNTING_SHARE * (ended - began))


def progress_of(hours: Mapping[str, float], playing_times: Iterable[PlayingTime]) -> list[TargetProgress]:
    """Return the progress of each target, given what there is of each accent."""
    videos: Counter[tuple[str, State]] = Counter()
    seconds: Counter[tuple[str, State]] = Counter()
    for each in playing_times:
        videos[each.accent.casefold(), each.state] += each.videos
        seconds[each.accent.casefold(), each.state] += each.seconds
    return [
        TargetProgress(
            accent=accent,
            target_hours=target,
            hours=seconds[accent.casefold(), State.DONE] / HOUR_SECONDS,
            hours_on_the_way=seconds[accent.casefold(), State.HELD] / HOUR_SECONDS,
            pending=videos[accent.casefold(), State.PENDING],
        )
        for accent, target in hours.items()
    ]
