"""One worker: claims videos in batches, has them processed a few at a time, records what came of each.

How a video is processed is given (`Submit`): in a thread of the library, or as a Prefect task.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreUnavailable, UnfitError
from youtube_download_coordinator.models import Done, Failure, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.processes import parent as children
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.admission import Admission, Blocked
from youtube_download_coordinator.queue.queue import describe
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Table
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.workers.heartbeat import Heartbeat

log = logging.getLogger(__name__)

ATTEMPTS_KEPT = 1000
"""A run may process a hundred thousand videos; its table shows the last of them."""
DEADLINE_GRACE_SECONDS = 30
"""A claim is renewed this much longer than its attempt may take: ending the attempt takes a moment."""
RECORD_AGAIN_SECONDS = 1.0
"""The pause before an unavailable store is asked to record again: it has waited already, this keeps a loop from spinning."""
STOP_SECONDS = 5.0
"""How long interrupted attempts may take to end; those in threads of this process never do."""
PACE_LOOK_SECONDS = 1.0
"""While an attempt waits for the machine's pace, the gate is looked at this often."""

RESULTS_PER_LEASE = 6
"""Results wait for others for this part of a lease at the most."""

Submit = Callable[[VideoTask], "Future[Outcome]"]
AttemptsRun = Callable[[Collection[int]], None]
"""Told the IDs of the videos that attempts run on, whenever they change."""


class UncancellableFuture(Future[Outcome]):
    """An attempt in a thread of this process, which nothing but the end of the process ends: nobody waits for it."""


class AttemptResult(StrEnum):
    """What an attempt did to its video task."""

    DONE = "done"
    RETRY = "retry"
    """Failed, and will be tried again."""
    LATER = "later"
    """Too early; nothing was counted."""
    DEAD = "dead"
    """Failed for good, and moved to the dead letters."""
    GIVEN_BACK = "given back"
    """YouTube throttles or this machine is unfit; nothing was counted."""
    LOST = "lost"
    """The claim was lost meanwhile; the outcome was dropped."""


NOT_TO_BLAME = frozenset({Verdict.THROTTLED, Verdict.UNFIT})
"""Verdicts that say nothing about the video, and stop the worker."""
FAILED = frozenset({AttemptResult.RETRY, AttemptResult.DEAD, AttemptResult.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a video, for people to read."""

    task: VideoTask
    result: AttemptResult
    seconds: float
    detail: str
    """The result, or the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a worker stops claiming; None: no limit."""

    concurrency: int
    max_videos: int | None = None
    max_seconds: float | None = None

    def less(self, videos: int, seconds: float) -> Limits:
        """What is left of the limits."""
        return replace(
            self,
            max_videos=None if self.max_videos is None else self.max_videos - videos,
            max_seconds=None if self.max_seconds is None else self.max_seconds - seconds,
        )

    @property
    def reached(self) -> bool:
        return any(left is not None and left <= 0 for left in (self.max_videos, self.max_seconds))


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a worker did."""

    results: Counter[AttemptResult] = field(default_factory=Counter)
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS_KEPT))
    stopped_by: str = ""
    """Why claiming stopped while there was more to do: a cooldown, a pause, an unfit machine."""
    unfit: bool = False
    """It stopped because of this machine, which does not pass by itself as a cooldown does."""

    @property
    def attempted(self) -> int:
        return self.results.total()

    @property
    def failed(self) -> int:
        return sum(self.results[ending] for ending in FAILED)

    def add(self, other: Summary) -> None:
        self.results += other.results
        self.attempts += other.attempts
        self.stopped_by, self.unfit = other.stopped_by, other.unfit

    def __str__(self) -> str:
        counted = ", ".join(f"{number} {ending}" for ending, number in self.results.most_common()) or "no videos"
        return f"{counted}; stopped: {self.stopped_by}" if self.stopped_by else counted


@dataclass(frozen=True, slots=True)
class _FinishedAttempt:
    """An attempt that has ended and is not recorded yet; no outcome: somebody stopped it."""

    claim: Claim[VideoTask]
    outcome: Outcome | None
    seconds: float
    at: float
    """By the worker's clock."""


def _wait(futures: Collection[Future[Outcome]], timeout: float | None) -> None:
    if futures:
        wait(futures, timeout, FIRST_COMPLETED)
    elif timeout:
        time.sleep(timeout)


@dataclass(slots=True, kw_only=True)
class Worker:
    """Works until nothing is due, a limit is reached, or YouTube or this machine says stop."""

    queue: Queue
    submit: Submit
    limits: Limits
    claim_batch_size: int
    attempt_timeout: timedelta
    on_attempt: Callable[[Attempt], None] = lambda attempt: None
    """Told of each attempt when it is recorded."""
    reaper: AbstractContextManager[AttemptsRun] = field(default_factory=lambda: nullcontext(lambda ids: None))
    """Gives back what this worker holds when its process is killed."""
    monotonic: Callable[[], float] = lambda: time.monotonic()  # looked up late: a test may turn it
    wait: Callable[[Collection[Future[Outcome]], float | None], None] = _wait
    """Returns when one of these has ended, or after so many seconds; of none, after those. A simulation gives its own."""
    _summary: Summary = field(default_factory=Summary)
    _backlog: deque[Claim[VideoTask]] = field(default_factory=deque)
    _running: dict[Future[Outcome], tuple[Claim[VideoTask], float]] = field(default_factory=dict)
    _ended: list[_FinishedAttempt] = field(default_factory=list)
    _attempts_run: AttemptsRun = field(default=lambda ids: None)
    _claimed: int = 0
    _ends_at: float = 0.0
    _begins_at: float | None = None
    """When the machine's pace may let the next attempt begin; None when none waits for that."""

    def run(self) -> Summary:
        """Process videos; what this worker still holds when it ends, however it ends, is given back.

        Raises StoreUnavailable when the queue does not answer and no attempt runs, or for so long that the claims ran out.
        """
        self._ends_at = self.monotonic() + (self.limits.max_seconds if self.limits.max_seconds is not None else 10**9)
        with self.reaper as self._attempts_run, Heartbeat(self.queue):
            try:
                while self._start() or self._ended:
                    self._collect()
                    if self._is_time_to_record():
                        self._record()
            finally:
                self._give_back()
        return self._summary

    def _start(self) -> bool:
        """Start attempts up to the limit; whether any runs or waits then. As long as some do, the store may be unavailable."""
        self._begins_at = None
        try:
            while len(self._running) < self.limits.concurrency and (claim := self._next()):
                self._begin(claim)
        except StoreUnavailable as error:
            if not self._running and not self._ended:
                raise
            log.error("no video can be claimed, trying again when an attempt has ended: %s", error)  # noqa: TRY400
        return bool(self._running) or self._begins_at is not None

    def _begin(self, claim: Claim[VideoTask]) -> None:
        claim.renew_until = self.queue.monotonic() + self.attempt_timeout.total_seconds() + DEADLINE_GRACE_SECONDS
        log.info("%s: attempt %d begins", describe(claim.row), claim.row.lease.tries + 1)
        self._attempts_run([claim.row.id, *self._ids_running])
        self._running[self.submit(claim.row)] = (claim, self.monotonic())
        self._backlog.popleft()  # only now: until then it is given back from there

    def _next(self) -> Claim[VideoTask] | None:
        """The first of the backlog that is valid and may begin now. One that ran out there is not begun.

        None, too, when this worker is to stop: what is left in the backlog is given back.
        """
        while not self._is_over() and (self._backlog or self._claim()):
            if self.queue.admission.needs_probe:
                # A cooldown came and went while something ran: what waits is claimed anew, one as the probe.
                self._claimed -= len(self._backlog)
                self._give_back_backlog()
                continue
            claim = self._backlog[0]
            if self.queue.is_valid(claim) and not self._may_begin(claim.row):
                return None
            if self.queue.is_valid(claim):  # still: the gate may have waited for a store that was away
                return claim
            self.queue.release([claim])
            self._backlog.popleft()
            self._claimed -= 1
        return None

    def _may_begin(self, row: VideoTask) -> bool:
        if closed := self.queue.admission.blocked_for(VIDEO_TASKS, row):
            self._stop(closed.why)
            return False
        seconds = self.queue.admission.start_delay_seconds(row)
        self._begins_at = self.monotonic() + seconds if seconds else None
        return self._begins_at is None

    def _stop_if_closed(self) -> None:
        """Not where the gate is closed by the one attempt that this worker makes to see whether it may open."""
        closed = self.queue.admission.blocked()
        if closed and not closed.by_own_probe:
            self._stop(closed.why)

    def _stop(self, why: str) -> None:
        """Begin nothing more: others may have at once what waits here."""
        self._summary.stopped_by = why
        self._give_back_backlog()

    def _give_back_backlog(self) -> None:
        self._release(list(self._backlog))
        self._backlog.clear()

    def _claim(self) -> bool:
        count = self.claim_batch_size
        if self.limits.max_videos is not None:
            count = min(count, self.limits.max_videos - self._claimed)
        claims = self.queue.claim(VIDEO_TASKS, count) if count > 0 else []
        self._claimed += len(claims)
        self._backlog += claims
        if not claims:
            self._stop_if_closed()  # then that is why
        return bool(claims)

    def _is_over(self) -> bool:
        return bool(self._summary.stopped_by) or self.monotonic() >= self._ends_at

    def _collect(self) -> None:
        """Wait for attempts to end, but no longer than results may wait to be recorded, or an attempt to be begun."""
        if self._running or self._begins_at is not None:
            self.wait(self._running, self._longest_wait())
        self._collect_finished(future for future in list(self._running) if future.done())

    def _longest_wait(self) -> float | None:
        now = self.monotonic()
        moments = [self._ended[0].at + self._max_result_wait_seconds] if self._ended else []
        if self._begins_at is not None:
            moments += [self._begins_at, now + PACE_LOOK_SECONDS, self._ends_at]
        return max(0.0, min(moments) - now) if moments else None

    def _collect_finished(self, finished: Iterable[Future[Outcome]]) -> None:
        for future in finished:
            claim, began = self._running.pop(future)
            now, outcome = self.monotonic(), outcome_of(future)
            self._ended.append(_FinishedAttempt(claim, outcome, now - began, now))
            if isinstance(outcome, Failure) and outcome.verdict in NOT_TO_BLAME:  # also while it cannot be recorded
                self._summary.unfit = outcome.verdict is Verdict.UNFIT
                self._stop(truncate(str(outcome)))
        self._attempts_run(self._ids_running)

    @property
    def _ids_running(self) -> list[int]:
        return [claim.row.id for claim, _ in self._running.values()]

    @property
    def _max_result_wait_seconds(self) -> float:
        """How long a result waits for others, so that one request records them all."""
        return min(
            self.queue.store.result_batch_seconds, self.queue.video_policy.lease.total_seconds() / RESULTS_PER_LEASE
        )

    def _is_time_to_record(self) -> bool:
        """At once when something went wrong: it may mean that this worker is to stop."""
        return bool(self._ended) and (
            not (self._running or self._begins_at is not None)
            or len(self._ended) >= self.claim_batch_size
            or self.monotonic() - self._ended[0].at >= self._max_result_wait_seconds
            or not all(isinstance(each.outcome, Done) for each in self._ended)
        )

    def _record(self) -> None:
        """Record everything that has ended with one request. It is asked again for as long as the claims may hold."""
        results = [(each, each.outcome) for each in self._ended if each.outcome is not None]
        try:
            self.queue.release([each.claim for each in self._ended if each.outcome is None])
            self._ended = [each for each, _ in results]  # what is given back is not given back again
            rows = self.queue.settle([(each.claim, outcome) for each, outcome in results])
        except StoreUnavailable as error:
            wait_for_the_store(self.queue, [each.claim for each in self._ended], error)
            return
        self._ended.clear()
        for (each, outcome), row in zip(results, rows, strict=True):
            self._report(each.claim.row, outcome, row, each.seconds)
        if self._summary.stopped_by and not self._summary.unfit:
            self._stop_if_closed()  # by the cooldown that this began: it says more

    def _report(self, task: VideoTask, outcome: Outcome, row: VideoTask | None, seconds: float) -> None:
        ending = attempt_result(outcome, row)
        detail = row.lease.detail if row else "somebody else holds it now"
        attempt = Attempt(task=row or task, result=ending, seconds=seconds, detail=detail)
        self._summary.results[ending] += 1
        self._summary.attempts.append(attempt)
        log.log(
            logging.INFO if ending is AttemptResult.DONE else logging.WARNING,
            "%s: %s: %s",
            describe(task),
            ending,
            detail,
        )
        self.on_attempt(attempt)

    def _give_back(self) -> None:
        """When the worker is interrupted, end what runs and record what had ended; then release the backlog."""
        try:
            if self._running:
                self._stop_attempts()
                self._collect_finished([future for future in self._running if future.done()])
            if self._ended:
                self._record()
        finally:
            ended = [each.claim for each in self._ended]
            self._release([*self._backlog, *ended])
            self._leave([claim for claim, _ in self._running.values()])
            self._backlog.clear()
            self._running.clear()

    def _stop_attempts(self) -> None:
        """Again and again: an attempt may be starting its process at this very moment."""
        endable = [future for future in self._running if not isinstance(future, UncancellableFuture)]
        for future in endable:
            future.cancel()
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            children.stop_all()
            # Asked one by one: `wait` takes a cancelled future for one that runs.
            if not wait([future for future in endable if not future.done()], timeout=STOP_SECONDS / 50).not_done:
                return

    def _leave(self, claims: list[Claim[VideoTask]]) -> None:
        """Attempts that go on: given back now, their videos would be processed by two. The survivor does it when we are gone."""
        self.queue.forget(claims)
        if claims:
            log.warning("%d attempts end with this process; what they held is given back then", len(claims))

    def _release(self, claims: list[Claim[VideoTask]]) -> None:
        if not claims:
            return
        try:
            log.info("%d claims are given back", self.queue.release(claims))
        except StoreError as error:
            log.error("%d claims cannot be given back, they will run out: %s", len(claims), error)  # noqa: TRY400


def outcome_of(future: Future[Outcome]) -> Outcome | None:
    """What came of an attempt; None when somebody stopped it. One that broke down itself says that this machine is unfit."""
    try:
        return future.result()
    except (children.Stopped, CancelledError):
        return None
    except Exception as error:
        log.exception("an attempt broke down")
        return UnfitError(f"{type(error).__name__}: {error}", reason="broken").failure


def settle_one(queue: Queue, claim: Claim[VideoTask], outcome: Outcome) -> VideoTask | None:
    """Record an outcome, however long the store is unavailable while the claim may hold; the row, or None where it was lost.

    Raises StoreUnavailable.
    """
    while True:
        try:
            return queue.settle([(claim, outcome)])[0]
        except StoreUnavailable as error:
            wait_for_the_store(queue, [claim], error)


def wait_for_the_store(queue: Queue, claims: Sequence[Claim[Any]], error: StoreUnavailable) -> None:
    """A moment, before outcomes are recorded again; raises `error` when it has no use, because no claim holds any more."""
    if not any(queue.is_valid(claim) for claim in claims):
        queue.forget(claims)
        raise error
    log.error("%d outcomes cannot be recorded, trying again: %s", len(claims), error)
    time.sleep(RECORD_AGAIN_SECONDS)


def wait_to_begin(admission: Admission, table: Table[Any], row: Row) -> Blocked | None:
    """Wait until the machine's pace lets an attempt at the row begin; why not, when the gate closes meanwhile."""
    while (closed := admission.blocked_for(table, row)) is None:
        seconds = admission.start_delay_seconds(row)
        if not seconds:
            return None
        time.sleep(min(seconds, PACE_LOOK_SECONDS))
    return closed


def attempt_result(outcome: Outcome, row: VideoTask | None) -> AttemptResult:
    """What an outcome did to a row that `Queue.settle` returned."""
    if row is None:
        return AttemptResult.LOST
    if isinstance(outcome, Failure) and outcome.verdict in NOT_TO_BLAME:
        return AttemptResult.GIVEN_BACK
    if isinstance(outcome, Failure) and outcome.verdict is Verdict.LATER:
        return AttemptResult.LATER
    return {State.DONE: AttemptResult.DONE, State.DEAD: AttemptResult.DEAD}.get(row.lease.state, AttemptResult.RETRY)
