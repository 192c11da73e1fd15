"""The rate limit of a machine: the number of videos an hour that all its processes together request from YouTube.

This is the generic cell rate algorithm (GCRA). Pure functions update one time, the theoretical arrival time: each started video
advances it by one `interval`. A burst may run ahead of it. The interval is long enough that a burst and an hour together stay
within the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from youtube_download_coordinator.models import Control

RATE_LIMIT_LINE = "pace"
"""The name of the line in the machine state. Its `until` is the theoretical arrival time."""
BURSTS_PER_HOUR = 6
"""A burst is an hour's videos divided by this. A short run need not wait, and a long run does not use up the limit in minutes."""


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
        """Return the least time in which one machine can begin `videos` videos, if none began in the last hour."""
        return max(0, videos - self.burst) * self.interval

    def delay(self, line: Control | None, now: datetime) -> timedelta:
        """Return the time until the next video may start; zero if it may start now."""
        ahead = (self.burst - 1) * self.interval
        return max(timedelta(0), self._with_refills(line, now) - ahead - now)

    def take(self, line: Control | None, now: datetime) -> Control | None:
        """Count a video that starts now. Return None if it has to wait."""
        if self.delay(line, now):
            return None
        return self._with_until(line, self._with_refills(line, now) + self.interval)

    def refund(self, line: Control | None, now: datetime) -> Control:
        """Undo the count of a video that did not contact YouTube."""
        return self._with_until(line, max(now, self._with_refills(line, now) - self.interval))

    def _with_refills(self, line: Control | None, now: datetime) -> datetime:
        """Return the theoretical arrival time: between now and a burst ahead, even if the clock was set back."""
        until = line.until if line and line.until else now
        return min(max(until, now), now + self.burst * self.interval)

    def _with_until(self, line: Control | None, until: datetime) -> Control:
        return replace(line or Control(name=RATE_LIMIT_LINE), until=until)
