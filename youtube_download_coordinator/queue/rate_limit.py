"""The rate limit of a machine: how many videos all its processes together request from YouTube in an hour.

This is the generic cell rate algorithm (GCRA): pure functions over one time, at which all started videos are paid for, at one
`interval` each. A burst may run ahead of it. The interval is long enough that a burst and an hour together stay within the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from youtube_download_coordinator.models import Control

RATE_LIMIT_LINE = "pace"
"""The name of the line in the machine state; its `until` is that time."""
BURSTS_PER_HOUR = 6
"""A burst is an hour's videos divided by this: a short run need not wait, and a long one does not use the limit up in minutes."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of videos an hour."""

    videos_per_hour: int

    def __str__(self) -> str:
        return f"{self.videos_per_hour} videos an hour, YDC_VIDEOS_PER_HOUR"

    @property
    def burst(self) -> int:
        return max(1, self.videos_per_hour // BURSTS_PER_HOUR)

    @property
    def interval(self) -> timedelta:
        return timedelta(hours=1) / max(1, self.videos_per_hour - self.burst)

    def least_time(self, videos: int) -> timedelta:
        """Return the time that one machine needs at least to begin so many videos, none of which began in the last hour."""
        return max(0, videos - self.burst) * self.interval

    def delay(self, line: Control | None, now: datetime) -> timedelta:
        """Return the time until the next video may start; zero if it may start now."""
        ahead = (self.burst - 1) * self.interval
        return max(timedelta(0), self._with_refills(line, now) - ahead - now)

    def take(self, line: Control | None, now: datetime) -> Control | None:
        """Count a video that starts now. None if it has to wait."""
        if self.delay(line, now):
            return None
        return self._with_until(line, self._with_refills(line, now) + self.interval)

    def refund(self, line: Control | None, now: datetime) -> Control:
        """Take back the count of a video that did not contact YouTube."""
        return self._with_until(line, max(now, self._with_refills(line, now) - self.interval))

    def _with_refills(self, line: Control | None, now: datetime) -> datetime:
        """Return the time at which all is paid for: from now to a burst ahead, also after the clock was set back."""
        until = line.until if line and line.until else now
        return min(max(until, now), now + self.burst * self.interval)

    def _with_until(self, line: Control | None, until: datetime) -> Control:
        return replace(line or Control(name=RATE_LIMIT_LINE), until=until)
