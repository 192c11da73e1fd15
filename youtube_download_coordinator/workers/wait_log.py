"""Log one line for each wait, rather than one for each check during it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

from youtube_download_coordinator.queue.rate_limit import RateLimit

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WaitLog:
    """The lines about waiting that were logged since the last attempt began. Threads may share it."""

    _reported: set[str] = field(default_factory=set)

    def rate_limited(self, seconds: float, rate_limit: RateLimit | None) -> None:
        """Report that the machine's rate limit delays the next attempt."""
        self._report("rate limit", f"next attempt in {math.ceil(seconds)} s: {rate_limit}")

    def nothing_due(self, free_slots: str, seconds: float, held_back: str = "") -> None:
        """Report that no video is due, and which target hours hold back. `seconds`: the time until the next check."""
        why = f" ({held_back})" if held_back else ""
        self._report("nothing is due", f"no video is due{free_slots}{why}: looking again every {seconds:g} s")

    def attempt_begins(self) -> None:
        """Let the next wait be logged again."""
        self._reported.clear()

    def _report(self, kind: str, text: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            log.info("%s", text)
