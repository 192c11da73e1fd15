"""How a run is getting on: a line or two below what it says, redrawn while somebody looks."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.terminal import console, is_terminal, printable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import FAILED, Attempt, AttemptResult

if TYPE_CHECKING:
    from rich.text import Text

    from youtube_download_coordinator.queue import Queue
    from youtube_download_coordinator.workers.expansion import Expansion

COUNT_AGAIN_SECONDS = 60.0
"""Other machines work on the queue too, and people add to it; on a sheet counting is a request."""


@dataclass(slots=True)
class Progress:
    """What a run has done so far. `waiting` is what the whole queue has left, as it was counted last, less our own attempts."""

    queue: Queue
    began: float = field(default_factory=time.monotonic)
    monotonic: Callable[[], float] = time.monotonic
    endings: Counter[AttemptResult] = field(default_factory=Counter)
    listing: Expansion | None = None
    waiting: int | None = None
    _processing_began: float | None = None
    _counted_at: float = 0.0

    def lists(self, expansion: Expansion) -> None:
        """A source is being listed, and is so far."""
        self.listing = expansion

    def processes(self) -> None:
        """Listing is over, videos are processed."""
        self.listing = None
        self._processing_began = self._processing_began or self.monotonic()
        self._count()

    def attempted(self, attempt: Attempt) -> None:
        self.endings[attempt.result] += 1
        if self.monotonic() - self._counted_at >= COUNT_AGAIN_SECONDS:
            self._count()
        elif self.waiting and attempt.result is not AttemptResult.RETRY:
            self.waiting -= 1

    def _count(self) -> None:
        self._counted_at = self.monotonic()
        counts = self.queue.counts(VIDEO_TASKS)
        self.waiting = counts.get(State.PENDING, 0) + self.queue.held_rows

    def __str__(self) -> str:
        listing = f"listing {self.listing}\n" if self.listing else ""
        return listing + " · ".join(self._figures())

    def _figures(self) -> Iterator[str]:
        seconds = self.monotonic() - self.began
        yield f"{self.queue.held_rows} claimed"
        yield f"{self.endings[AttemptResult.DONE]} done"
        yield f"{sum(self.endings[ending] for ending in FAILED)} failed"
        if self.waiting is not None:
            yield f"{self.waiting} left"
        per_second = self._videos_per_second()
        if self._is_waiting():
            yield "waiting until they may be tried again"
        elif per_second and self.waiting:
            yield f"{per_second * 3600:,.0f} an hour"
            yield f"about {span(self.waiting / per_second)} to go"
        yield f"{span(seconds)} so far"

    def _is_waiting(self) -> bool:
        """Nothing runs though something is left: it failed, and its pause is not over."""
        return bool(self.waiting and self.endings and not self.listing and not self.queue.held_rows)

    def _videos_per_second(self) -> float:
        if not self.endings.total() or self._processing_began is None:
            return 0.0
        return self.endings.total() / max(self.monotonic() - self._processing_began, 0.001)

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text("\n".join(printable(line) for line in str(self).split("\n")), style="bold", overflow="ellipsis")


@contextmanager
def redrawn(progress: Progress) -> Iterator[None]:
    """Draw it below everything that is said meanwhile; where nobody looks, do nothing."""
    if not is_terminal():
        yield
        return
    from rich.live import Live

    with Live(progress, console=console(), transient=True, redirect_stderr=sys.stderr.isatty()):
        yield


def span(seconds: float) -> str:
    """A length of time, as exact as people want it."""
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
