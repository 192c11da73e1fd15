"""The one place where a claimed row is admitted, begun, and settled or released.

    attempts = Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=6), claim_batch_size=10)
    while claim := attempts.wait_to_begin():    # claimed, admitted, and its lease still holds: renewed until its deadline
        attempts.settle(claim, process(claim.row))
    attempts.close()                            # gives back what was not settled

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
"""The pause before results are sent again to an unavailable store: the store has waited already, this prevents a busy loop."""
ADMISSION_CHECK_SECONDS = 1.0
"""While an attempt waits for the machine's rate limit, the admission is checked this often."""

ReportRunning = Callable[[Collection[int]], None]
"""Receives the IDs of the rows that attempts run on, whenever they change."""


class AttemptResult(StrEnum):
    """What an attempt did to its video task."""

    DONE = "done"
    RETRY = "retry"
    """Failed, and will be tried again."""
    LATER = "later"
    """Too early; nothing was counted."""
    DEAD = "dead letter"
    """Failed for good, and moved to the dead letters."""
    GIVEN_BACK = "given back"
    """YouTube throttles, an outage is suspected, or this machine is unfit; nothing was counted."""
    LOST = "lost"
    """The claim was lost meanwhile; the outcome was dropped."""


NOT_TO_BLAME = frozenset({Verdict.THROTTLED, Verdict.UNFIT})
"""Verdicts that say nothing about the row: nothing more is begun after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One recorded attempt at a video, for people to read."""

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
    """None: the attempt was stopped, so its row is given back."""
    seconds: float = 0.0
    finished_at: float = 0.0
    """On the worker's clock."""


@dataclass(slots=True, kw_only=True)
class Attempts(Generic[R]):
    """The attempts of one worker at the rows of one table. One thread begins them; any thread may settle them."""

    queue: Queue
    table: Table[R]
    timeout: timedelta
    """How long one attempt may take."""
    grace_seconds: float = DEADLINE_GRACE_SECONDS
    claim_batch_size: int = 0
    """0: nothing is claimed; `backlog` holds what was."""
    max_rows: int | None = None
    """How many attempts may still begin; None: no limit."""
    backlog: deque[Claim[R]] = field(default_factory=deque)
    """Claimed and not begun."""
    begun: dict[Claim[R], int] = field(default_factory=dict)
    """The claims whose attempts run, with the IDs of their rows."""
    report_running: ReportRunning = lambda ids: None
    wait_log: WaitLog = field(default_factory=WaitLog)
    blocked: Blocked | None = None
    """Why the last row that was looked at may not begin."""
    delay_seconds: float = 0.0
    """How long the machine's rate limit delays the next attempt, when that is why none was begun."""
    stopped_by: str = ""
    """Why nothing more is begun."""
    is_blocked: bool = False
    """Whether that is a pause or a cooldown, which ends."""
    is_unfit: bool = False
    """Whether an attempt has shown that this machine is unfit: that does not pass by itself."""

    # --- claim, admit, begin -----------------------------------------------------------------------------------------

    def wait_to_begin(self) -> Claim[R] | None:
        """Begin the next attempt as soon as the machine's rate limit allows it, as `begin_next`."""
        while (claim := self.begin_next()) is None and self.delay_seconds:
            time.sleep(min(self.delay_seconds, ADMISSION_CHECK_SECONDS))
        return claim

    def begin_next(self) -> Claim[R] | None:
        """Begin the next attempt, claiming rows when none is left. A claim that ran out meanwhile is not begun.

        Return None when no row is due, `max_rows` is reached, the rate limit delays the next attempt (`delay_seconds`), or this
        worker is to stop (`stopped_by`): then the backlog is given back at once, for others.
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
            elif self.queue.is_valid(claim):  # again: the admission may have waited for the store
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
        """Whether a later look may find a row to begin: no limit is reached, and nothing but a pause or a cooldown stops it."""
        return self.max_rows != 0 and (not self.stopped_by or self.is_blocked)

    def resume_if_unblocked(self) -> None:
        """Begin attempts again when the pause or cooldown that stopped this worker has ended."""
        if self.is_blocked and self.may_find_work and self.queue.admission.blocked() is None:
            self.stopped_by, self.is_blocked = "", False

    def _stop_for(self, blocked: Blocked) -> None:
        self.stopped_by, self.is_blocked = blocked.why, not self.is_unfit

    def stop_if_blocked(self) -> None:
        """Stop when nothing may begin, unless the reason is this worker's own probe: it ends soon."""
        blocked = self.queue.admission.blocked()
        if blocked and not blocked.by_own_probe:
            self._stop_for(blocked)

    # --- settle ------------------------------------------------------------------------------------------------------

    def end(self, claim: Claim[R], outcome: Outcome | None) -> None:
        """Note that an attempt has ended, before it is recorded. Stop when the outcome says nothing about the row."""
        self.begun.pop(claim, None)
        self.report_running(list(self.begun.values()))
        if isinstance(outcome, Failure) and outcome.verdict in NOT_TO_BLAME:
            self.is_unfit |= outcome.verdict is Verdict.UNFIT
            self.stopped_by, self.is_blocked = truncate(str(outcome)), False

    def settle(self, claim: Claim[R], outcome: Outcome, **facts: Any) -> R | None:
        """End an attempt and record its outcome, waiting while the store is unavailable and the claim may hold.

        Return the row, or None when the claim was lost. `facts` are columns to change with it. Raises StoreUnavailable.
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
        """Record everything that has finished with one request, and remove it from the list.

        Return the rows as `Queue.settle` does. While the store is unavailable and any of the claims may hold, return nothing
        after a moment: the caller tries again. Raises StoreUnavailable when none holds any more.
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
            self.stop_if_blocked()  # by the cooldown that the attempt began, which says more
        return recorded

    def _follow_suspicion(self) -> None:
        """Report a suspected outage and give back what it has counted. Log a StoreError: the next call tries again."""
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
        """Give rows back without counting an attempt. Log a StoreError, because what ended the work matters more."""
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
        """Give back what is claimed and not begun."""
        self.release(self.backlog)
        self.backlog.clear()  # only now: an interruption gives back what is in it

    def close(self, running: Iterable[Claim[R]] = (), unrecorded: Iterable[Claim[R]] = ()) -> None:
        """Give back the backlog, what was begun, and what could not be recorded; but not what still runs.

        Given back now, a row whose attempt runs on would be processed twice. It is released when this process has ended
        (reaper.py).
        """
        left_running = list(running)
        self.queue.forget(left_running)
        claims = dict.fromkeys([*self.backlog, *self.begun, *unrecorded])
        self.release(claim for claim in claims if claim not in left_running)
        self.backlog.clear()
        if left_running:
            log.warning("%d attempts are ended with this process; their videos are released then", len(left_running))


def log_attempt(task: VideoTask, outcome: Outcome, row: VideoTask | None, seconds: float = 0.0) -> Attempt:
    """Log what a recorded outcome did to a video, and return it. `row` is what was recorded, None when the claim was lost."""
    result = attempt_result(outcome, row)
    detail = row.lease.detail if row else "another worker has claimed it"
    log.log(
        logging.INFO if result is AttemptResult.DONE else logging.WARNING, "%s: %s: %s", describe(task), result, detail
    )
    return Attempt(task=row or task, result=result, seconds=seconds, detail=detail)


def attempt_result(outcome: Outcome, row: VideoTask | None) -> AttemptResult:
    """Return what an outcome did to the row that `Queue.settle` returned for it."""
    if row is None:
        return AttemptResult.LOST
    if isinstance(outcome, Failure) and (outcome.verdict in NOT_TO_BLAME or row.lease.reason == SUSPECTED):
        return AttemptResult.GIVEN_BACK
    if isinstance(outcome, Failure) and outcome.verdict is Verdict.LATER:
        return AttemptResult.LATER
    return {State.DONE: AttemptResult.DONE, State.DEAD: AttemptResult.DEAD}.get(row.lease.state, AttemptResult.RETRY)
