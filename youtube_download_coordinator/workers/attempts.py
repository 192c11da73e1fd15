"""Begin attempts at claimed rows, and settle or release them. All attempts go through this module.

    attempts = Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=6), claim_batch_size=10)
    while claim := attempts.wait_to_begin():    # claimed, admitted, and its lease still holds: renewed until its deadline
        attempts.settle(claim, process(claim.row))
    attempts.close()                            # releases the rows that were not settled

`Worker` runs many attempts at a time, `ClaimBlock` lends them to a user's loop, and `expand` makes one at a source.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from youtube_download_coordinator.errors import StoreError, StoreGone, StoreUnavailable
from youtube_download_coordinator.models import Failure, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.admission import Blocked
from youtube_download_coordinator.queue.claims import describe
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.reasons import SUSPECTED
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.workers.wait_log import WaitLog

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

DEADLINE_GRACE_SECONDS = 30
"""A claim is renewed this much longer than its attempt may take: ending a child process takes a moment."""
RECORD_AGAIN_SECONDS = 1.0
"""The pause before results are sent again to an unavailable store. The store itself waits longer; this prevents a busy loop."""
ADMISSION_CHECK_SECONDS = 1.0
"""The interval at which admission is checked while an attempt waits for the machine's rate limit."""

ReportRunning = Callable[[Collection[int]], None]
"""A callback that receives the IDs of the rows being attempted whenever they change."""


class AttemptResult(StrEnum):
    """A result of an attempt for its video task."""

    DONE = "done"
    RETRY = "retry"
    """Failed, and will be tried again."""
    LATER = "later"
    """Too early; no attempt was counted."""
    DEAD = "dead letter"
    """Failed for good, and moved to the dead letters."""
    GIVEN_BACK = "given back"
    """YouTube throttles, an outage is suspected, or this machine is unfit; no attempt was counted."""
    LOST = "lost"
    """The claim was lost during the attempt, and the outcome was discarded."""


NOT_TO_BLAME = frozenset({Verdict.THROTTLED, Verdict.UNFIT})
"""Verdicts that are not about the row. No further attempt starts after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A recorded attempt at a video, for people to read."""

    task: VideoTask
    result: AttemptResult
    seconds: float
    detail: str
    """The result, or the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedAttempt(Generic[R]):
    """An attempt that has ended and is not recorded yet."""

    claim: Claim[R]
    outcome: Outcome | None
    """None: the attempt was stopped, so its row is released."""
    seconds: float = 0.0
    finished_at: float = 0.0
    """The end, by the worker's clock."""


@dataclass(slots=True, kw_only=True)
class Attempts(Generic[R]):
    """The attempts of one worker at the rows of one table. One thread begins them; any thread may settle them."""

    queue: Queue
    table: Table[R]
    timeout: timedelta
    """How long one attempt may take."""
    grace_seconds: float = DEADLINE_GRACE_SECONDS
    claim_batch_size: int = 0
    """0: no rows are claimed, and only rows in `backlog` are attempted."""
    max_rows: int | None = None
    """The number of attempts that may still begin; None: no limit."""
    backlog: deque[Claim[R]] = field(default_factory=deque)
    """Rows that are claimed and not begun."""
    begun: dict[Claim[R], int] = field(default_factory=dict)
    """The claims of running attempts, with the IDs of their rows."""
    report_running: ReportRunning = lambda ids: None
    wait_log: WaitLog = field(default_factory=WaitLog)
    blocked: Blocked | None = None
    """The reason for which the last row may not begin."""
    delay_seconds: float = 0.0
    """The delay of the next attempt by the machine's rate limit, if no attempt began because of it."""
    stopped_by: str = ""
    """The reason for which no further attempt starts."""
    is_blocked: bool = False
    """Whether the reason is a pause or a cooldown, which ends."""
    is_unfit: bool = False
    """Whether an attempt has shown that this machine is unfit, which does not end by itself."""

    # --- claim, admit, begin -----------------------------------------------------------------------------------------

    def wait_to_begin(self) -> Claim[R] | None:
        """Begin the next attempt as `begin_next` does, but wait for the machine's rate limit."""
        while (claim := self.begin_next()) is None and self.delay_seconds:
            time.sleep(min(self.delay_seconds, ADMISSION_CHECK_SECONDS))
        return claim

    def begin_next(self) -> Claim[R] | None:
        """Begin the next attempt, claiming rows when the backlog is empty. Skip claims that have expired.

        Return None if no row is due, `max_rows` is reached, the rate limit delays the next attempt (`delay_seconds`), or this
        worker has to stop (`stopped_by`). In the last case, release the backlog at once for other workers.
        """
        self.blocked, self.delay_seconds = None, 0.0
        while not self.stopped_by and (self.backlog or self._claim()):
            claim = self.backlog[0]
            if self.queue.is_valid(claim) and not self._may_begin(claim.row):
                if self.delay_seconds:
                    return None
                # Stop, unless a cooldown has ended: then rows are claimed again, the first as the probe.
                if not self.queue.admission.needs_probe and self.blocked:
                    self._stop_for(self.blocked)
                self.release_backlog()
            elif self.queue.is_valid(claim):  # checked again, because admission may have waited for the store
                self._begin(claim)
                return claim
            else:
                self.release([self.backlog.popleft()])
        self.release_backlog()
        return None

    def _claim(self) -> bool:
        count = self.claim_batch_size if self.max_rows is None else min(self.claim_batch_size, self.max_rows)
        self.backlog += self.queue.claim(self.table, count) if count > 0 else []
        if not self.backlog:
            self.stop_if_blocked()
        return bool(self.backlog)

    def _may_begin(self, row: R) -> bool:
        self.blocked = self.queue.admission.blocked_for(self.table, row)
        if self.blocked is None:
            self.delay_seconds = self.queue.admission.start_delay_seconds(row)
        if self.delay_seconds:
            self.wait_log.rate_limited(self.delay_seconds, self.queue.admission.rate_limit)
        return self.blocked is None and not self.delay_seconds

    def _begin(self, claim: Claim[R]) -> None:
        claim.renew_until = self.queue.monotonic() + self.timeout.total_seconds() + self.grace_seconds
        claim.begun = self.queue.store.now()
        log.info("%s: attempt %d begins", describe(claim.row), claim.row.lease.tries + 1)
        self.begun[claim] = claim.row.id
        self.wait_log.attempt_begins()
        self.backlog.popleft()
        self.max_rows = None if self.max_rows is None else self.max_rows - 1
        self.report_running(list(self.begun.values()))

    # --- stop --------------------------------------------------------------------------------------------------------

    @property
    def may_find_work(self) -> bool:
        """Return whether an attempt may begin later: no limit is reached, and at most a pause or a cooldown prevents it."""
        return self.max_rows != 0 and (not self.stopped_by or self.is_blocked)

    def resume_if_unblocked(self) -> None:
        """Allow attempts again if the pause or cooldown that stopped this worker has ended."""
        if self.is_blocked and self.may_find_work and self.queue.admission.blocked() is None:
            self.stopped_by, self.is_blocked = "", False

    def _stop_for(self, blocked: Blocked) -> None:
        self.stopped_by, self.is_blocked = blocked.why, not self.is_unfit

    def stop_if_blocked(self) -> None:
        """Stop if no attempt may begin, unless the reason is this worker's own probe, which ends soon."""
        blocked = self.queue.admission.blocked()
        if blocked and not blocked.by_own_probe:
            self._stop_for(blocked)

    # --- settle ------------------------------------------------------------------------------------------------------

    def end(self, claim: Claim[R], outcome: Outcome | None) -> None:
        """Mark an attempt as ended, before it is recorded. Stop if the outcome is not about the row."""
        self.begun.pop(claim, None)
        self.report_running(list(self.begun.values()))
        if isinstance(outcome, Failure) and outcome.verdict in NOT_TO_BLAME:
            self.is_unfit |= outcome.verdict is Verdict.UNFIT
            self.stopped_by, self.is_blocked = truncate(str(outcome)), False

    def settle(self, claim: Claim[R], outcome: Outcome, **facts: Any) -> R | None:
        """End an attempt and record its outcome. Wait while the store is unavailable and the claim may be valid.

        Return the row, or None if the claim was lost. `facts` are other columns to change. Raises StoreUnavailable.
        """
        self.end(claim, outcome)
        finished = [FinishedAttempt(claim=claim, outcome=outcome)]
        try:
            while not (recorded := self.record(finished, **facts)):
                pass
        except BaseException:
            self.release([claim])
            raise
        return recorded[0][1]

    def record(self, finished: list[FinishedAttempt[R]], **facts: Any) -> list[tuple[FinishedAttempt[R], R | None]]:
        """Record all finished attempts with one request, and remove them from the list.

        Return the rows as `Queue.settle` does. While the store is unavailable and some claim may be valid, return an empty list
        after a moment, and the caller tries again. Raises StoreUnavailable when no claim is valid.
        """
        try:
            if stopped := [attempt.claim for attempt in finished if attempt.outcome is None]:
                self.queue.release(stopped)
            finished[:] = [attempt for attempt in finished if attempt.outcome is not None]  # released once only
            results = [(attempt.claim, attempt.outcome) for attempt in finished if attempt.outcome is not None]
            rows = self.queue.settle(results, **facts) if results else []
        except StoreUnavailable as error:
            self._wait_for_store([attempt.claim for attempt in finished], error)
            return []
        recorded = list(zip(finished, rows, strict=True))
        finished.clear()
        if self.queue.is_fork:
            return recorded
        self.queue.admission.check_canary()
        self._follow_suspicion()
        if recorded and self.stopped_by and not self.is_unfit:
            if self.queue.admission.goes_on:
                self.stopped_by, self.is_blocked = "", False
            self.stop_if_blocked()  # prefer the cooldown that the attempt began, which is more specific
        return recorded

    def _follow_suspicion(self) -> None:
        """Report a suspected outage and undo the failed attempts during it. Log a StoreError; the next call tries again."""
        try:
            self.queue.admission.report_suspicion()
            if count := self.queue.give_back_suspected():
                log.warning("%d videos: failed attempts during the suspected outage no longer count", count)
        except StoreError as error:
            log.error("failed attempts during the suspected outage could not be reset yet: %s", error)  # noqa: TRY400

    def _wait_for_store(self, claims: list[Claim[R]], error: StoreUnavailable) -> None:
        if not any(self.queue.is_valid(claim) for claim in claims):
            self.queue.forget(claims)
            raise error
        log.error("%d outcomes could not be recorded; trying again: %s", len(claims), error)
        time.sleep(RECORD_AGAIN_SECONDS)

    # --- release -----------------------------------------------------------------------------------------------------

    def release(self, claims: Iterable[Claim[R]]) -> None:
        """Release rows without counting an attempt. Log a StoreError, so that it does not hide the error that ended the work."""
        claims = list(claims)
        for claim in claims:
            self.begun.pop(claim, None)
        if not claims:
            return
        try:
            log.info("%d claims released", self.queue.release(claims))
        except StoreGone:
            log.info("%d claims are gone, because their queue was deleted", len(claims))
        except StoreError as error:
            log.error("%d claims could not be released; they will expire: %s", len(claims), error)  # noqa: TRY400

    def release_backlog(self) -> None:
        """Release the rows that are claimed and not begun."""
        self.release(self.backlog)
        self.backlog.clear()  # only now: after an interruption, `close` releases its rows

    def close(self, running: Iterable[Claim[R]] = (), unrecorded: Iterable[Claim[R]] = ()) -> None:
        """Release the backlog, attempts that have ended, and unrecorded ones, but not running attempts.

        If the row of a running attempt were released now, it would be processed twice. It is released when this process has
        ended (reaper.py).
        """
        left_running = list(running)
        self.queue.forget(left_running)
        claims = dict.fromkeys([*self.backlog, *self.begun, *unrecorded])
        self.release(claim for claim in claims if claim not in left_running)
        self.backlog.clear()
        if left_running:
            log.warning("%d attempts are ended with this process; their videos are released then", len(left_running))


def log_attempt(task: VideoTask, outcome: Outcome, row: VideoTask | None, seconds: float = 0.0) -> Attempt:
    """Log a recorded outcome and return it as an Attempt. `row` is the recorded row, or None if the claim was lost."""
    result = attempt_result(outcome, row)
    detail = row.lease.detail if row else "another worker has claimed it"
    log.log(
        logging.INFO if result is AttemptResult.DONE else logging.WARNING, "%s: %s: %s", describe(task), result, detail
    )
    return Attempt(task=row or task, result=result, seconds=seconds, detail=detail)


def attempt_result(outcome: Outcome, row: VideoTask | None) -> AttemptResult:
    """Return the result of an outcome, given the row that `Queue.settle` returned for it."""
    if row is None:
        return AttemptResult.LOST
    if isinstance(outcome, Failure) and (outcome.verdict in NOT_TO_BLAME or row.lease.reason == SUSPECTED):
        return AttemptResult.GIVEN_BACK
    if isinstance(outcome, Failure) and outcome.verdict is Verdict.LATER:
        return AttemptResult.LATER
    return {State.DONE: AttemptResult.DONE, State.DEAD: AttemptResult.DEAD}.get(row.lease.state, AttemptResult.RETRY)
