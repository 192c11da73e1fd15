"""A worker: claim videos in batches, process a few at a time, and record the results.

The `submit` function determines how a video is processed: in a thread of the library, or as a Prefect task. attempts.py claims,
begins and settles the videos.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta

from youtube_download_coordinator.errors import StoreError, StoreUnavailable, UnfitError
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict, VideoTask
from youtube_download_coordinator.processes.parent import Stopped, stop_all
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import (
    ADMISSION_CHECK_SECONDS,
    DEADLINE_GRACE_SECONDS,
    NOT_TO_BLAME,
    Attempt,
    AttemptResult,
    Attempts,
    FinishedAttempt,
    ReportRunning,
    log_attempt,
)
from youtube_download_coordinator.workers.heartbeat import Heartbeat
from youtube_download_coordinator.workers.wait_log import WaitLog

log = logging.getLogger(__name__)

ATTEMPTS_KEPT = 1000
"""A run may process a hundred thousand videos. Its table shows the last ones."""
STOP_SECONDS = 5.0
"""How long interrupted attempts may take to end. Attempts in threads of this process cannot be interrupted."""

SHORTEST_POLL_SECONDS = 1.0
"""The shortest time between two searches for work, even with `idle_poll_seconds=0`."""
RESULTS_PER_LEASE = 6
"""The longest time that a result waits for others, as a part of a lease."""

Submit = Callable[[VideoTask], "Future[Outcome]"]


class UncancellableFuture(Future[Outcome]):
    """An attempt in a thread of this process. Only the end of the process can end it, so the worker does not wait for it."""


FAILED = frozenset({AttemptResult.RETRY, AttemptResult.DEAD, AttemptResult.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits after which a worker stops claiming; None: no limit."""

    concurrency: int
    max_videos: int | None = None
    max_seconds: float | None = None

    def less(self, videos: int, seconds: float) -> Limits:
        """Return the limits minus this use."""
        return replace(
            self,
            max_videos=None if self.max_videos is None else self.max_videos - videos,
            max_seconds=None if self.max_seconds is None else self.max_seconds - seconds,
        )

    @property
    def reached(self) -> bool:
        return any(rest is not None and rest <= 0 for rest in (self.max_videos, self.max_seconds))


@dataclass(slots=True, kw_only=True)
class Summary:
    """The counts of a worker's attempts by result, and the reason for which it stopped."""

    results: Counter[AttemptResult] = field(default_factory=Counter)
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS_KEPT))
    stopped_by: str = ""
    """The reason for which claiming stopped while videos were due: a cooldown, a pause, an unfit machine."""
    held_back: str = ""
    """Which pending videos were not claimed because their accents have their target hours; empty: none."""
    unfit: bool = False
    """Whether it stopped because this machine is unfit. Unlike a cooldown, that does not end by itself."""

    @property
    def attempted(self) -> int:
        return self.results.total()

    @property
    def failed(self) -> int:
        return sum(self.results[result] for result in FAILED)

    def add(self, other: Summary) -> None:
        self.results += other.results
        self.attempts += other.attempts
        self.stopped_by, self.unfit, self.held_back = other.stopped_by, other.unfit, other.held_back

    def __str__(self) -> str:
        counts = ", ".join(map(_count, self.results.most_common())) or "no videos"
        stopped = f"stopped: {self.stopped_by}" if self.stopped_by else ""
        return "; ".join(filter(None, (counts, stopped, self.held_back)))


def _count(result: tuple[AttemptResult, int]) -> str:
    name, number = result
    return f"{number} {name}s" if name is AttemptResult.DEAD and number > 1 else f"{number} {name}"


def _wait(futures: Collection[Future[Outcome]], timeout: float | None) -> None:
    if futures:
        wait(futures, timeout, FIRST_COMPLETED)
    elif timeout:
        time.sleep(timeout)


@dataclass(slots=True, kw_only=True)
class Worker:
    """A worker, which runs until no video is due, a limit is reached, YouTube throttles, or this machine is unfit."""

    queue: Queue
    submit: Submit
    limits: Limits
    claim_batch_size: int
    attempt_timeout: timedelta
    grace_seconds: float = DEADLINE_GRACE_SECONDS
    """A claim is renewed this much longer than its attempt may take."""
    idle_poll_seconds: float = 30.0
    """The interval at which the worker searches for due videos while slots are free."""
    wait_log: WaitLog = field(default_factory=WaitLog)
    on_attempt: Callable[[Attempt], None] = lambda attempt: None
    """A callback for each recorded attempt."""
    reaper: AbstractContextManager[ReportRunning] = field(default_factory=lambda: nullcontext(lambda ids: None))
    """The reaper, which releases this worker's rows if its process is killed."""
    is_stopped: Callable[[], bool] = lambda: False
    """A function that returns whether to stop. It is called before each attempt."""
    monotonic: Callable[[], float] = lambda: time.monotonic()  # looked up late, so that a test can replace it
    wait: Callable[[Collection[Future[Outcome]], float | None], None] = _wait
    """A function that returns when one of the futures has ended, at the latest after the seconds."""
    _summary: Summary = field(default_factory=Summary)
    _attempts: Attempts[VideoTask] = field(init=False)
    _running: dict[Future[Outcome], tuple[Claim[VideoTask], float]] = field(default_factory=dict)
    """The claims of running attempts, each with its start time."""
    _finished: list[FinishedAttempt[VideoTask]] = field(default_factory=list)
    _ends_at: float = 0.0
    _begins_at: float | None = None
    """When the machine's rate limit may allow the next attempt; None if none waits for it."""
    _idle_since: float | None = None
    """Since when slots are free and no video is due."""

    def __post_init__(self) -> None:
        self._attempts = Attempts(
            queue=self.queue,
            table=VIDEO_TASKS,
            timeout=self.attempt_timeout,
            grace_seconds=self.grace_seconds,
            claim_batch_size=self.claim_batch_size,
            max_rows=self.limits.max_videos,
            wait_log=self.wait_log,
        )

    def run(self) -> Summary:
        """Process videos. However the run ends, release the rows that this worker still holds.

        Raises StoreUnavailable if the queue does not answer while no attempt runs, or until the claims have expired.
        """
        self._ends_at = self.monotonic() + (self.limits.max_seconds if self.limits.max_seconds is not None else 10**9)
        with self.reaper as self._attempts.report_running, Heartbeat(self.queue, on_gone=stop_all):
            try:
                while self._start() or self._finished:
                    self._collect()
                    if self._is_time_to_record():
                        self._record()
            finally:
                self._give_back()
        self._summary.stopped_by = self._attempts.stopped_by
        self._summary.held_back = self._held_back()
        return self._summary

    def _held_back(self) -> str:
        try:
            return self.queue.held_back_by_targets()
        except StoreError as error:  # the results are recorded
            log.warning("the target hours cannot be compared with what there is: %s", error)
            return ""

    def _start(self) -> bool:
        """Start attempts up to the limit. Return whether any is running or waiting for the rate limit.

        While attempts run, the store may be unavailable.
        """
        self._begins_at = None
        try:
            while len(self._running) < self.limits.concurrency and (claim := self._next()):
                self._begin(claim)
        except StoreUnavailable as error:
            if not self._running and not self._finished:
                raise
            log.error("no video could be claimed; trying again soon: %s", error)  # noqa: TRY400
        self._report_idle_slots()
        return bool(self._running) or self._begins_at is not None

    def _report_idle_slots(self) -> None:
        """Log that no video is due, if that has been so for the time between two searches."""
        free, now = self.limits.concurrency - len(self._running), self.monotonic()
        is_idle = self._may_find_work and not self._attempts.stopped_by and self._begins_at is None
        self._idle_since = (now if self._idle_since is None else self._idle_since) if is_idle else None
        if self._idle_since is not None and now - self._idle_since >= self._poll_seconds:
            slots = f", {free} of {self.limits.concurrency} slots are free"
            self.wait_log.nothing_due(slots, self._poll_seconds, self._held_back())

    @property
    def _poll_seconds(self) -> float:
        return max(self.idle_poll_seconds, SHORTEST_POLL_SECONDS)

    def _next(self) -> Claim[VideoTask] | None:
        if self.is_stopped() or self.monotonic() >= self._ends_at:
            self._attempts.release_backlog()
            return None
        if self._running and self.queue.admission.awaits_answers:
            return None
        if self._running:
            self._attempts.resume_if_unblocked()
        claim = self._attempts.begin_next()
        if claim is None and self._attempts.delay_seconds:
            self._begins_at = self.monotonic() + self._attempts.delay_seconds
        return claim

    def _begin(self, claim: Claim[VideoTask]) -> None:
        began = self.monotonic()
        self._running[self.submit(claim.row)] = (claim, began)

    def _collect(self) -> None:
        """Wait for attempts to end, at most until a result, the next attempt or a free slot needs attention."""
        if self._running or self._begins_at is not None:
            self.wait(self._running, self._longest_wait())
        self._collect_finished(future for future in list(self._running) if future.done())

    def _longest_wait(self) -> float | None:
        now = self.monotonic()
        moments = [self._finished[0].finished_at + self._max_result_wait_seconds] if self._finished else []
        if self._begins_at is not None:
            moments += [self._begins_at, now + ADMISSION_CHECK_SECONDS, self._ends_at]
        if self._may_find_work:
            moments.append(now + self._poll_seconds)
        return max(0.0, min(moments) - now) if moments else None

    @property
    def _may_find_work(self) -> bool:
        """Return whether slots are free and a later search may find work for them."""
        has_time = not self.is_stopped() and self.monotonic() < self._ends_at
        return len(self._running) < self.limits.concurrency and has_time and self._attempts.may_find_work

    def _collect_finished(self, futures: Iterable[Future[Outcome]]) -> None:
        for future in futures:
            claim, began = self._running.pop(future)
            now, outcome = self.monotonic(), outcome_of(future)
            self._finished.append(FinishedAttempt(claim=claim, outcome=outcome, seconds=now - began, finished_at=now))
            self._attempts.end(claim, outcome)
            if isinstance(outcome, Failure) and outcome.verdict in NOT_TO_BLAME:
                self._summary.unfit = outcome.verdict is Verdict.UNFIT

    @property
    def _max_result_wait_seconds(self) -> float:
        """Return how long a result waits for others, so that one request records them together."""
        return min(
            self.queue.store.result_batch_seconds, self.queue.video_policy.lease.total_seconds() / RESULTS_PER_LEASE
        )

    def _is_time_to_record(self) -> bool:
        """Return whether to record results now. Failures are recorded at once, because they may stop this worker."""
        return bool(self._finished) and (
            not (self._running or self._begins_at is not None)
            or len(self._finished) >= self.claim_batch_size
            or self.monotonic() - self._finished[0].finished_at >= self._max_result_wait_seconds
            or not all(isinstance(attempt.outcome, Done) for attempt in self._finished)
        )

    def _record(self) -> None:
        recorded = self._attempts.record(self._finished)
        for finished, row in recorded:
            if finished.outcome is not None:
                self._report(log_attempt(finished.claim.row, finished.outcome, row, finished.seconds))

    def _report(self, attempt: Attempt) -> None:
        self._summary.results[attempt.result] += 1
        self._summary.attempts.append(attempt)
        self.on_attempt(attempt)

    def _give_back(self) -> None:
        """After an interruption, end running attempts, record those that had ended, and release the rest."""
        try:
            if self._running:
                self._stop_attempts()
                self._collect_finished([future for future in self._running if future.done()])
            if self._finished:
                self._record()
        finally:
            running = [claim for claim, _ in self._running.values()]
            self._attempts.close(running, [attempt.claim for attempt in self._finished])
            self._running.clear()

    def _stop_attempts(self) -> None:
        """Stop all child processes repeatedly, because an attempt may just be starting its process."""
        endable = [future for future in self._running if not isinstance(future, UncancellableFuture)]
        for future in endable:
            future.cancel()
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            stop_all()
            # Checked one by one, because `wait` treats a cancelled future as running.
            if not wait([future for future in endable if not future.done()], timeout=STOP_SECONDS / 50).not_done:
                return


def outcome_of(future: Future[Outcome]) -> Outcome | None:
    """Return the outcome of an attempt, or None if it was stopped. An unexpected error means an unfit machine."""
    try:
        return future.result()
    except (Stopped, CancelledError):
        return None
    except Exception as error:
        log.exception("an attempt failed unexpectedly")
        return UnfitError(f"{type(error).__name__}: {error}", reason="broken").failure
