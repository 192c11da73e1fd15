"""A store's clock, carried on by this machine's monotonic clock from one answer of the store to the next.

Both stores use it. A claim, a renewal and every look at Control need the time; asking for it each time would cost more requests
than the work itself. The database is asked once a minute, and its clock also comes with every row that is read; Google's clock
comes with every answer.

Each answer bounds the store's clock on both sides: it is not earlier than the time in the answer, and at most the answer's way
later. `now` is the lower bound, so it is never ahead of the store. The distance to the upper bound is `error_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from youtube_download_coordinator.errors import StoreError

DRIFT = 1e-3
"""Seconds a second by which two clocks may run apart. NTP speeds each up or slows it down by 500 ppm at most."""
JUMP_SECONDS = 1.0
"""A suspend or a set clock that is shorter than this is left to `error_seconds`."""

NO_TIME = (
    "the store's answers do not contain the time, so no lease can be counted; does a proxy remove their Date header?"
)


def monotonic_seconds() -> float:
    """Return seconds that never go back. They also pass while the machine is suspended, where the system can count that."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_UPTIME_RAW"):  # macOS: its CLOCK_MONOTONIC goes on during sleep, time.monotonic() does not
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def suspended_seconds() -> float:
    """Return how long the machine has been suspended, up to a constant; always the same where the system does not count it."""
    return monotonic_seconds() - time.monotonic()


def wall_clock_offset() -> float:
    """Return a number that changes when the machine's wall clock is set, and after a suspend; else it stays the same."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()


class Sent(NamedTuple):
    """The moment before a request was sent."""

    monotonic: float
    jumps: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """The store's clock at one moment of the monotonic clock."""

    time: datetime
    """The lower bound."""
    error_seconds: float
    """The upper bound is this much later."""
    monotonic: float
    jumps: float

    def time_at(self, monotonic: float) -> datetime:
        return self.time + timedelta(seconds=(monotonic - self.monotonic) * (1 - DRIFT))

    def error_at(self, monotonic: float) -> float:
        return self.error_seconds + 2 * DRIFT * (monotonic - self.monotonic)


class StoreClock:
    """One store's clock. Safe to use from several threads, and in a child after a fork: it holds no lock.

    `ask` sends a request whose answer is passed to `record`. It is called when no answer is younger than `max_age_seconds`, or
    `jumps()` has changed by more than a second since the last one. Threads that find that at the same moment each ask.
    """

    def __init__(
        self,
        ask: Callable[[], object],
        *,
        max_age_seconds: float,
        resolution_seconds: float,
        can_be_set_back: bool,
        monotonic: Callable[[], float] = monotonic_seconds,
        jumps: Callable[[], float] = suspended_seconds,
    ) -> None:
        """`resolution_seconds`: the store's times are cut to this.

        `can_be_set_back`: whether this clock follows an answer that is earlier than it. It must not where many servers answer
        whose clocks differ: the latest time is the nearest to the truth.
        """
        self._ask = ask
        self._max_age_seconds = max_age_seconds
        self._resolution_seconds = resolution_seconds
        self._can_be_set_back = can_be_set_back
        self._monotonic = monotonic
        self._jumps = jumps
        self._reading: _Reading | None = None
        self._previous: _Reading | None = None

    def now(self) -> datetime:
        """Return the store's time: never ahead of it, and behind it by `error_seconds` at most.

        Raises what `ask` raises, and StoreError when the answer does not contain the time.
        """
        while (reading := self._reading) is None or self._is_outdated(reading):
            self._ask()
            if self._reading is reading:
                raise StoreError(NO_TIME)
        return reading.time_at(self._monotonic())

    @property
    def error_seconds(self) -> float:
        """How far `now` may be behind: the larger error of the last two answers, as `now` may have used the one before."""
        monotonic = self._monotonic()
        readings = [reading for reading in (self._previous, self._reading) if reading is not None]
        return max((reading.error_at(monotonic) for reading in readings), default=0.0)

    def before_request(self) -> Sent:
        """Return what `record` needs to know of the moment before a request is sent."""
        return Sent(self._monotonic(), self._jumps())

    def record(self, answer: datetime, sent: Sent) -> None:
        """Record the store's time as it is in an answer that has just arrived."""
        received = self._monotonic()
        reading = _Reading(answer, received - sent.monotonic + self._resolution_seconds, received, sent.jumps)
        last = self._reading
        if last is None or self._is_outdated(last):
            self._previous, self._reading = None, reading
        elif (narrowed := self._narrowed(last, reading)) is not None:
            self._previous, self._reading = last, narrowed

    def _narrowed(self, last: _Reading, reading: _Reading) -> _Reading | None:
        """Return what both readings allow; where they contradict each other, the newer one, or None when it is ignored."""
        lower, upper = last.time_at(reading.monotonic), last.error_at(reading.monotonic)
        ahead = (lower - reading.time).total_seconds()  # of the new reading's lower bound
        if ahead > reading.error_seconds and not self._can_be_set_back:
            return None
        if ahead > reading.error_seconds or ahead + upper < 0:
            return reading
        start = max(0.0, ahead)
        error_seconds = min(reading.error_seconds, ahead + upper) - start
        return _Reading(reading.time + timedelta(seconds=start), error_seconds, reading.monotonic, reading.jumps)

    def _is_outdated(self, reading: _Reading) -> bool:
        age_seconds = self._monotonic() - reading.monotonic
        return age_seconds > self._max_age_seconds or abs(self._jumps() - reading.jumps) > JUMP_SECONDS
