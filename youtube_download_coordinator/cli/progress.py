"""Show the progress of a run in one or two lines at the bottom of the terminal."""

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
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.worker import FAILED

if TYPE_CHECKING:
    from rich.text import Text

    from youtube_download_coordinator.queue import Queue
    from youtube_download_coordinator.workers.expansion import Expansion

COUNT_INTERVAL_SECONDS = 60.0
"""The time between two counts of the queue, which other machines and people change too. On a sheet, each count is a request."""


@dataclass(slots=True)
class Progress:
    """The progress of a run so far. `waiting`: the videos left in the whole queue at the last count, less the attempts since."""

    queue: Queue
    began: float = field(default_factory=time.monotonic)
    monotonic: Callable[[], float] = time.monotonic
    results: Counter[AttemptResult] = field(default_factory=Counter)
    listing: Expansion | None = None
    waiting: int | None = None
    _processing_began: float | None = None
    _counted_at: float = 0.0

    def show_listing(self, expansion: Expansion) -> None:
        """Show the progress of a source's listing."""
        self.listing = expansion

    def begin_processing(self) -> None:
        """Show the progress of videos instead of the finished listing."""
        self.listing = None
        self._processing_began = self._processing_began or self.monotonic()
        self._count()

    def add_attempt(self, attempt: Attempt) -> None:
        """Count an attempt that ended."""
        self.results[attempt.result] += 1
        if self.monotonic() - self._counted_at >= COUNT_INTERVAL_SECONDS:
            self._count()
        elif self.waiting and attempt.result is not AttemptResult.RETRY:
            self.waiting -= 1

    def _count(self) -> None:
        self._counted_at = self.monotonic()
        counts = self.queue.counts(VIDEO_TASKS)
        held_back = sum(target.pending for target in self.queue.hours_by_target() if target.holds_back)
        self.waiting = max(counts.get(State.PENDING, 0) - held_back, 0) + self.queue.held_rows

    def __str__(self) -> str:
        listing = f"listing {self.listing}\n" if self.listing else ""
        return listing + " · ".join(self._figures())

    def _figures(self) -> Iterator[str]:
        seconds = self.monotonic() - self.began
        yield f"{self.queue.held_rows} claimed"
        yield f"{self.results[AttemptResult.DONE]} done"
        yield f"{sum(self.results[result] for result in FAILED)} failed"
        if self.waiting is not None:
            yield f"{self.waiting} left"
        attempts, began = self.results.total(), self._processing_began
        per_second = attempts / max(self.monotonic() - began, 0.001) if attempts and began is not None else 0.0
        # Videos are left but none runs: they failed, and their backoff is not over.
        if self.waiting and self.results and not self.listing and not self.queue.held_rows:
            yield "waiting until they are due for a retry"
        elif per_second and self.waiting:
            yield f"{per_second * 3600:,.0f} per hour"
            yield f"about {span(self.waiting / per_second)} to go"
        yield f"{span(seconds)} so far"

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text("\n".join(printable(line) for line in str(self).split("\n")), style="bold", overflow="ellipsis")


@contextmanager
def redrawn(progress: Progress) -> Iterator[None]:
    """Redraw the progress below the output while the block runs. Without a terminal, do nothing."""
    if not is_terminal():
        yield
        return
    from rich.live import Live

    with Live(progress, console=console(), transient=True, redirect_stderr=sys.stderr.isatty()):
        yield


def span(seconds: float) -> str:
    """Format a duration as precisely as people need it."""
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
