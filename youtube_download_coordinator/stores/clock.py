"""Tell a store's time. Between two responses of the store, extrapolate it with this machine's monotonic clock.

Both stores use this clock. Claims, renewals and every read of Control need the time, and asking for it each time would take more
requests than the work itself. The database is asked once a minute, and also sends its time with every row that is read. Google
sends its time with every response.

A response gives two bounds for the store's time: the time in the response, and that time plus the round trip. `now` is the lower
bound, so it is never ahead of the store. `error_seconds` is the distance to the upper bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from youtube_download_coordinator.errors import StoreError

DRIFT = 1e-3
"""The drift of two clocks in seconds per second. NTP speeds up or slows down each of them by at most 500 ppm."""
JUMP_SECONDS = 1.0
"""Shorter suspends and clock changes are ignored, because `error_seconds` covers them."""

NO_TIME = (
    "the store's responses do not contain the time, so leases cannot be timed: does a proxy remove their Date header?"
)


def monotonic_seconds() -> float:
    """Return seconds that never decrease. If the system can count it, they include the time while the machine is suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_UPTIME_RAW"):  # macOS: CLOCK_MONOTONIC continues during sleep, time.monotonic() does not
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def suspended_seconds() -> float:
    """Return how long the machine has been suspended, plus a constant. It never changes if the system does not count this."""
    return monotonic_seconds() - time.monotonic()


def wall_clock_offset() -> float:
    """Return a number that changes only when the machine's wall clock is set, or after a suspend."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()


class Sent(NamedTuple):
    """A moment just before a request was sent."""

    monotonic: float
    jumps: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """A reading of the store's clock at one moment of the monotonic clock."""

    time: datetime
    """The lower bound."""
    error_seconds: float
    """The distance to the upper bound."""
    monotonic: float
    jumps: float

    def time_at(self, monotonic: float) -> datetime:
        return self.time + timedelta(seconds=(monotonic - self.monotonic) * (1 - DRIFT))

    def error_at(self, monotonic: float) -> float:
        return self.error_seconds + 2 * DRIFT * (monotonic - self.monotonic)


class StoreClock:
    """A store's clock. It holds no lock, so threads may share it, and a child process may use it after a fork.

    `ask` sends a request whose response is passed to `record`. It is called if no response is younger than `max_age_seconds`, or
    if `jumps()` has changed by more than a second since the last one. Several threads may ask at the same moment.
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
        """Create a clock. The store's times are truncated to `resolution_seconds`.

        `can_be_set_back`: whether this clock follows a response that is earlier than it. It must not if many servers with
        different clocks respond, because then the latest time is the most accurate.
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
        """Return the store's time. It is never ahead of the store, and at most `error_seconds` behind.

        Raises the errors of `ask`, and StoreError if the response does not contain the time.
        """
        while (reading := self._reading) is None or self._is_outdated(reading):
            self._ask()
            if self._reading is reading:
                raise StoreError(NO_TIME)
        return reading.time_at(self._monotonic())

    @property
    def error_seconds(self) -> float:
        """Return how far `now` may be behind: the larger error of the last two responses, because `now` may have used either."""
        monotonic = self._monotonic()
        readings = [reading for reading in (self._previous, self._reading) if reading is not None]
        return max((reading.error_at(monotonic) for reading in readings), default=0.0)

    def before_request(self) -> Sent:
        """Return the moment before a request is sent, for `record`."""
        return Sent(self._monotonic(), self._jumps())

    def record(self, answer: datetime, sent: Sent) -> None:
        """Record the store's time in a response that has just arrived."""
        received = self._monotonic()
        reading = _Reading(answer, received - sent.monotonic + self._resolution_seconds, received, sent.jumps)
        last = self._reading
        if last is None or self._is_outdated(last):
            self._previous, self._reading = None, reading
        elif (narrowed := self._narrowed(last, reading)) is not None:
            self._previous, self._reading = last, narrowed

    def _narrowed(self, last: _Reading, reading: _Reading) -> _Reading | None:
        """Return the intersection of both readings. If they contradict each other, return the newer one, or None to ignore it."""
        lower, upper = last.time_at(reading.monotonic), last.error_at(reading.monotonic)
        ahead = (lower - reading.time).total_seconds()  # how far our lower bound is ahead of the new one
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
