"""How many videos a machine asks YouTube for in an hour, whatever number of processes asks: pure functions over one moment.

The moment is when all that was begun would be paid for, at one `interval` each (the generic cell rate algorithm, GCRA). A burst
may run ahead of it. The interval is so much longer that a burst and an hour of it together are no more than the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from youtube_download_coordinator.models import Control

RATE_LIMIT_LINE = "pace"
"""The name of the line on the machine's board; its `until` is the moment."""
BURSTS_PER_HOUR = 6
"""A burst is this part of an hour's videos: a short run need not wait, and nobody sees a limit used up in minutes."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of videos an hour."""

    videos_per_hour: int

    @property
    def burst(self) -> int:
        return max(1, self.videos_per_hour // BURSTS_PER_HOUR)

    @property
    def interval(self) -> timedelta:
        return timedelta(hours=1) / max(1, self.videos_per_hour - self.burst)

    def delay(self, line: Control | None, now: datetime) -> timedelta:
        """How long until the next video may be begun; nothing when it may now."""
        ahead = (self.burst - 1) * self.interval
        return max(timedelta(0), self._with_refills(line, now) - ahead - now)

    def take(self, line: Control | None, now: datetime) -> Control | None:
        """A video is begun now; None when it has to wait."""
        if self.delay(line, now):
            return None
        return self._at(line, self._with_refills(line, now) + self.interval)

    def refund(self, line: Control | None, now: datetime) -> Control:
        """What was begun has asked YouTube for nothing."""
        return self._at(line, max(now, self._with_refills(line, now) - self.interval))

    def _with_refills(self, line: Control | None, now: datetime) -> datetime:
        """Never before now; nor further ahead than a whole burst, unless somebody has set the clock back."""
        until = line.until if line and line.until else now
        return min(max(until, now), now + self.burst * self.interval)

    def _at(self, line: Control | None, until: datetime) -> Control:
        return replace(line or Control(name=RATE_LIMIT_LINE), until=until)
