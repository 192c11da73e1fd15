"""Log lines about waiting: one for each wait, not one for each look during it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

from youtube_download_coordinator.queue.rate_limit import RateLimit

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WaitLog:
    """What was logged about waiting since an attempt began last. Threads may share it."""

    _reported: set[str] = field(default_factory=set)

    def rate_limited(self, seconds: float, rate_limit: RateLimit | None) -> None:
        """Report that the machine's rate limit delays the next attempt."""
        self._report("rate limit", f"next attempt in {math.ceil(seconds)} s: {rate_limit}")

    def nothing_due(self, free_slots: str, seconds: float) -> None:
        """Report that no video is due. `seconds` pass until the next look."""
        self._report("nothing is due", f"no video is due{free_slots}: looking again every {seconds:g} s")

    def attempt_begins(self) -> None:
        """Report the next wait anew."""
        self._reported.clear()

    def _report(self, kind: str, text: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            log.info("%s", text)
