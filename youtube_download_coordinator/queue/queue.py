"""The queue: every decision about rows, written once, above the verbs of a Store.

A claim is a scan and a swap. A worker keeps what it holds here, renews all of it in one request, and records results; one
lock lets a renewal never race with a result of the same worker.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from youtube_download_coordinator.errors import StoreFull, StoreUnavailable
from youtube_download_coordinator.models import Lease, Outcome, Row, Source, State, Status, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.lifecycle import Moment, RetryPolicy
from youtube_download_coordinator.queue.selection import ChangeResult, Selection
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    VIDEO_TASKS,
    Change,
    Store,
    Swap,
    Table,
    Where,
)

if TYPE_CHECKING:
    from random import Random  # only its type: randomness is given

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)
T = TypeVar("T")

INSERT_BATCH_ROWS = 500
"""Rows that one insertion carries: few enough that nobody waits long behind it."""
SCAN_PAGE_ROWS = 100
CLAIM_SPREAD = 4
"""A worker looks at this many times the rows it wants and takes some at random, so that workers rarely meet."""
CLAIM_ROUNDS = 5
"""How often it looks again when others were faster."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(eq=False, slots=True)
class Claim(Generic[R]):
    """A row that this worker holds. `row` follows its renewals; `lost` says that somebody else has it now."""

    table: Table[R]
    row: R
    expires: float
    """On this machine's monotonic clock, counted from before the claim was sent: earlier than anyone may take it over."""
    renew_until: float | None = None
    """On the monotonic clock: not renewed beyond (an attempt that takes too long loses its claim). None: no bound."""
    lost: bool = False
    outcome_unknown: bool = False
    """An outcome of it was sent and has no answer: it may be recorded. Until that is known nothing else is put in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What a look at stalled rows did."""

    retried: int = 0
    given_up: int = 0
    requests_applied: int = 0
    """Rows in whose Status a person had asked for something."""
    moved: int = 0
    due_again: int = 0
    """Sources that are to be looked at for new videos."""

    @property
    def total(self) -> int:
        return self.retried + self.given_up + self.requests_applied + self.moved + self.due_again


@dataclass(slots=True, kw_only=True)
class Queue:
    """One worker's view of the shared queue. Safe to use from several threads."""

    store: Store
    worker: str
    """`host/run`: who holds what this worker claims."""
    video_policy: RetryPolicy
    source_policy: RetryPolicy
    monotonic: Callable[[], float]
    """Seconds, never going back: what this worker measures its own claims with."""
    random: Random
    admission: Admission
    """What holds everybody back: asked before each claim, told what came of each attempt."""
    on_attempt_end: Callable[[VideoTask], None] = lambda task: None
    """Told, once it stands there, of each video that this worker recorded as done or moved to the dead letters."""
    _held: list[Claim[Any]] = field(default_factory=list)
    _writing: threading.RLock = field(default_factory=threading.RLock)

    # --- adding ------------------------------------------------------------------------------------------------------

    def add(self, table: Table[R], rows: Iterable[R]) -> list[int | None]:
        """Insert rows, each with its first lease; None for each whose key is known already."""
        drafts = (replace(row, lease=Lease(nonce=self._nonce())) for row in rows)
        return [row_id for batch in batches(drafts) for row_id in self.store.insert(table, batch)]

    def find_or_add(self, table: Table[R], row: R) -> tuple[int, bool]:
        """The ID of the row that has this one's key, and whether it is this one, which was new."""
        for _ in range(CLAIM_ROUNDS):  # a person may delete it between the two
            (row_id,) = self.add(table, [row])
            if row_id is not None:
                return row_id, True
            if found := self.store.scan(table, Where(keys=[row.key]), limit=1):
                return found[0].id, False
        raise StoreUnavailable(f"{row.url} is deleted as fast as it is added")

    def known_videos(self, keys: Collection[str]) -> set[str]:
        """Of these keys, those that a video task or a dead letter has. A hint: only an insertion decides."""
        where = Where(keys=list(keys))
        rows = (row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in self.store.scan(table, where, limit=len(keys)))
        return {row.key for row in rows} if keys else set()

    # --- claiming ----------------------------------------------------------------------------------------------------

    def claim(self, table: Table[R], count: int, *, except_ids: Collection[int] = ()) -> list[Claim[R]]:
        """Hold up to `count` rows that are due, none with one of these IDs; none only when there are no more.

        Or when the gate is closed (`gate.closed()` says why); a single one when that is tried as a probe.
        """
        claims: list[Claim[R]] = []
        try:
            self._claim_into(claims, table, count, except_ids)
        except StoreUnavailable as error:
            if not claims:
                raise
            log.warning("claimed %d rows where %d were wanted: %s", len(claims), count, error)
        finally:
            self.admission.bind_probe(table, [claim.row for claim in claims])
        return claims

    def _claim_into(self, claims: list[Claim[R]], table: Table[R], count: int, except_ids: Collection[int]) -> None:
        """Add claims as they are won: what is held already must not be forgotten when the store fails."""
        recovered = False
        for _ in range(CLAIM_ROUNDS):
            wanted = self._acquire(table, count) - len(claims)
            if wanted <= 0:
                break
            rows = self._due(table, wanted, except_ids)
            if claims and self.admission.needs_probe:
                break  # what is held already would begin beside the probe
            if rows:  # the gate once more: what was read for them may have shown that it closed
                claims += self._hold(table, rows[: self.admission.acquire(len(rows))])
            elif claims or recovered or not self.recover(table).total:
                break
            else:
                recovered = True
            if 2 * len(claims) >= count:
                break  # others were faster with some: asking again for the rest costs as much as the next claim

    def _acquire(self, table: Table[Any], count: int) -> int:
        admitted = self.admission.available_slots(count)
        if admitted and table.row_type is Source and self.admission.needs_video_probe and self._due(VIDEO_TASKS, 1, ()):
            return 0
        return admitted

    def _due(self, table: Table[R], count: int, except_ids: Collection[int]) -> list[R]:
        now = self.store.now()
        scanned = self.store.scan(
            table, Where(state=State.PENDING, due=now), limit=count * CLAIM_SPREAD + len(except_ids)
        )
        rows = [
            row
            for row in scanned
            if lifecycle.is_due(row, now) and row.id not in except_ids and not row.requested_status
        ]
        return rows if len(rows) <= count else sorted(self.random.sample(rows, count), key=lambda row: row.id)

    def _hold(self, table: Table[R], rows: Sequence[R]) -> list[Claim[R]]:
        policy = self._policy(table)
        before = self.monotonic()
        at = self._moment()
        due = [row for row in rows if lifecycle.is_due(row, at.now)]  # again: a clock may have been set back
        changes = [Change(row, lifecycle.claim(row, self._with_new_nonce(at), self.worker, policy)) for row in due]
        expires = before + self._lease_seconds(policy)
        claims = [Claim(table, change.new, expires) for change in self._won(table, changes)]
        with self._writing:
            self._held[:] = [claim for claim in self._held if not self._has_run_out(claim)] + claims
        return claims

    def claim_now(self, table: Table[R], row_id: int) -> Claim[R] | None:
        """Hold the row that somebody asks for, due or not, settled or not.

        None while another worker holds it or was faster, and when the gate is closed (`gate.closed()` says why).
        """
        claims: list[Claim[R]] = []
        try:
            rows = self.store.scan(table, Where(ids=[row_id]), limit=1)
            if rows and self.admission.acquire(1):
                claims += self._hold(table, self._retried_now(table, rows))
        finally:
            self.admission.bind_probe(table, [claim.row for claim in claims])
        return claims[0] if claims else None

    def _retried_now(self, table: Table[R], rows: Sequence[R]) -> list[R]:
        at, policy = self._moment(), self._policy(table)
        due = [row for row in rows if lifecycle.is_due(row, at.now)]
        asked = [(row, lifecycle.retry_now(row, self._with_new_nonce(at), policy)) for row in rows if row not in due]
        return due + [change.new for change in self._won(table, [Change(row, new) for row, new in asked if new])]

    # --- holding -----------------------------------------------------------------------------------------------------

    def renew(self) -> list[Claim[Any]]:
        """Renew everything that is held and may still be; the claims that turn out to be lost."""
        with self._writing:
            before = self.monotonic()
            renewable = [claim for claim in self._held if claim.renew_until is None or before < claim.renew_until]
            lost = [claim for table, claims in _by_table(renewable) for claim in self._renew(table, claims, before)]
            for claim in lost:
                log.warning("%s was lost: somebody else holds it now", describe(claim.row))
                self._drop(claim)
        self.admission.renew_probe({(claim.table.name, claim.row.id) for claim in renewable})
        return lost

    def _renew(self, table: Table[R], claims: list[Claim[R]], before: float) -> list[Claim[R]]:
        policy, at = self._policy(table), self._moment()
        expires = before + self._lease_seconds(policy)
        changes = [Change(claim.row, lifecycle.renew(claim.row, self._with_new_nonce(at), policy)) for claim in claims]
        for claim, change, outcome in zip(claims, changes, self.store.swap(table, changes), strict=True):
            claim.lost = outcome is Swap.LOST
            if not claim.lost:
                claim.row, claim.expires = change.new, expires
        return [claim for claim in claims if claim.lost]

    def is_valid(self, claim: Claim[Any]) -> bool:
        """Whether nobody else can hold the row yet, by this machine's own clock."""
        return not claim.lost and self.monotonic() < claim.expires

    @property
    def held_rows(self) -> int:
        """How many rows this worker has neither settled nor given back. Waits for no request that is under way."""
        return sum(not self._has_run_out(claim) for claim in list(self._held))

    def _has_run_out(self, claim: Claim[Any]) -> bool:
        """Whether a claim is over without a word: renewed no more, as the store did not answer when it was given back."""
        return claim.renew_until is not None and max(claim.renew_until, claim.expires) <= self.monotonic()

    # --- settling ----------------------------------------------------------------------------------------------------

    def settle(self, results: Sequence[tuple[Claim[R], Outcome]], **facts: Any) -> list[R | None]:
        """Record outcomes; the row as it is then, or None where the claim was lost and the outcome is dropped.

        `facts` are columns to change with it, such as a source's title. While the store is unavailable (StoreUnavailable)
        the claims stay held but are not renewed, and the call may be repeated.
        """
        for claim, outcome in results:
            self.admission.record_outcome(claim.table, claim.row, outcome)
        with self._writing:
            at = self._moment()
            settled = (
                lifecycle.settle(claim.row, self._with_new_nonce(at), outcome, self._policy(claim.table))
                for claim, outcome in results
            )
            steps = [(claim, replace(row, **facts)) for (claim, _), row in zip(results, settled, strict=True)]
            try:
                return self._end(steps)
            except StoreUnavailable:
                self._mark_outcome_unknown([claim for claim, _ in steps])
                raise

    def release(self, claims: Sequence[Claim[R]]) -> int:
        """Give back rows without counting an attempt; how many were still held.

        When the store does not answer they are not renewed any more, so that their claims run out. So do those of which an
        outcome may be recorded.
        """
        self.forget(claims)
        with self._writing:
            at = self._moment()
            for claim in claims:
                if claim.outcome_unknown:
                    self._drop(claim)
            sure = [claim for claim in claims if not claim.outcome_unknown]
            rows = self._end([(claim, lifecycle.release(claim.row, self._with_new_nonce(at))) for claim in sure])
        for claim in claims:
            self.admission.record_outcome(claim.table, claim.row, None)
        return sum(row is not None for row in rows)

    def forget(self, claims: Sequence[Claim[Any]]) -> None:
        """Renew these no more."""
        for claim in claims:
            claim.renew_until = self.monotonic()

    def _mark_outcome_unknown(self, claims: Sequence[Claim[Any]]) -> None:
        """Their outcomes may be recorded: a renewal or a release would undo that."""
        self.forget(claims)
        for claim in claims:
            claim.outcome_unknown = True

    def release_all(self) -> int:
        """Give back everything that this worker holds."""
        with self._writing:
            return self.release(list(self._held))

    def _end(self, steps: Sequence[tuple[Claim[R], R]]) -> list[R | None]:
        """Swap each claimed row for what it becomes, and let go of it."""
        new, won = {id(claim): row for claim, row in steps}, set[int]()
        for table, claims in _by_table([claim for claim, _ in steps if not claim.lost]):
            outcomes = self.store.swap(table, [Change(claim.row, new[id(claim)]) for claim in claims])
            won |= {id(claim) for claim, outcome in zip(claims, outcomes, strict=True) if outcome is Swap.WON}
        for claim, _ in steps:
            self._drop(claim)
            if id(claim) not in won:
                log.warning("%s: the claim was lost, so its outcome is dropped", describe(claim.row))
        rows = [row if id(claim) in won else None for claim, row in steps]
        for row in rows:
            if isinstance(row, VideoTask) and row.lease.state is State.DONE:
                self.on_attempt_end(row)
        try:
            dead = [row for row in rows if isinstance(row, VideoTask) and row.lease.state is State.DEAD]
            self._move(dead, VIDEO_TASKS, DEAD_LETTERS)
        except StoreUnavailable as error:  # the outcome is recorded; whoever recovers next carries the row on
            log.warning("a dead row waits for its move to the dead letters: %s", error)
        return rows

    def _drop(self, claim: Claim[Any]) -> None:
        self._held[:] = [held for held in self._held if held is not claim]

    # --- repairing ---------------------------------------------------------------------------------------------------

    def recover(self, table: Table[R]) -> RecoveryReport:
        """Move on every row whose claim ran out, that stands in the wrong table, or that is to be looked at again."""
        policy, retried, given_up = self._policy(table), 0, 0
        for rows in self._pages(table, lambda: Where(state=State.HELD, due=self.store.now())):
            at = self._moment()
            stalled = [row for row in rows if lifecycle.is_stalled(row, at.now)]
            changes = [Change(row, lifecycle.recover(row, self._with_new_nonce(at), policy)) for row in stalled]
            won = self._won(table, changes)
            retried += sum(change.new.lease.state is State.PENDING for change in won)
            given_up += sum(change.new.lease.state is not State.PENDING for change in won)
        are_videos = table.name == VIDEO_TASKS.name
        heeded = self._apply_requests(table) + (self._apply_requests(DEAD_LETTERS) if are_videos else 0)
        moved, due_again = (self._move_misplaced(), 0) if are_videos else (0, self._reschedule())
        return RecoveryReport(
            retried=retried, given_up=given_up, requests_applied=heeded, moved=moved, due_again=due_again
        )

    def _apply_requests(self, table: Table[R]) -> int:
        """Do what people have asked for through Status."""
        count = 0
        for rows in self._pages(table, lambda: Where(has_request=True)):
            at = self._moment()
            changes = [
                Change(row, new) for row in rows if (new := lifecycle.apply_request(row, self._with_new_nonce(at)))
            ]
            count += len(self._won(table, changes))
        return count

    def _reschedule(self) -> int:
        """Have sources listed again whose time has come; how many. A page of them at a time: a whole queue may be due at once."""
        for rows in self._pages(SOURCES, lambda: Where(state=State.DONE, due=self.store.now())):
            at = self._moment()
            due = [row for row in rows if lifecycle.is_due_again(row, at.now) and not row.requested_status]
            changes = [
                Change(row, lifecycle.reschedule(row, self._with_new_nonce(at), self.source_policy)) for row in due
            ]
            won = self._won(SOURCES, changes)
            if count := sum(change.new.lease.state is State.PENDING for change in won):
                return count
        return 0

    def _move_misplaced(self) -> int:
        """Carry dead rows to the dead letters and revived ones back: whoever began it may have been killed between."""
        dead = self._standing(VIDEO_TASKS, State.DEAD)
        revived = [row for state in State if state is not State.DEAD for row in self._standing(DEAD_LETTERS, state)]
        return self._move(dead, VIDEO_TASKS, DEAD_LETTERS) + self._move(revived, DEAD_LETTERS, VIDEO_TASKS)

    def _standing(self, table: Table[R], state: State) -> list[R]:
        return [row for rows in self._pages(table, lambda: Where(state=state)) for row in rows]

    def _move(self, rows: Sequence[VideoTask], source: Table[VideoTask], target: Table[VideoTask]) -> int:
        """Move rows; how many. Where there is no room they wait for somebody who recovers: what they are is recorded."""
        moved = 0
        try:
            for row in rows:
                if self.store.move(source, row, target):
                    moved += 1
                    if target is DEAD_LETTERS:
                        self.on_attempt_end(row)
        except StoreFull as error:
            log.warning("rows wait for their move to the %s: %s", target.name, error)
        return moved

    def release_holder(self, holder: str, attempted: Collection[int] = ()) -> int:
        """Give back what another worker held that is known to be gone; how many rows.

        It died in the attempts at the videos with the IDs `attempted`: one is counted for each, as it may be to blame.
        """
        videos = self._release_holder(VIDEO_TASKS, holder, attempted)
        self._move([row for row in videos if row.lease.state is State.DEAD], VIDEO_TASKS, DEAD_LETTERS)
        return len(self._release_holder(SOURCES, holder)) + len(videos)

    def _release_holder(self, table: Table[R], holder: str, attempted: Collection[int] = ()) -> list[R]:
        released: list[R] = []
        policy = self._policy(table)
        for rows in self._pages(table, lambda: Where(state=State.HELD, holder=holder)):
            at = self._moment()
            changes = [
                Change(row, lifecycle.fail_orphaned(row, self._with_new_nonce(at), policy))
                if row.id in attempted
                else Change(row, lifecycle.release(row, self._with_new_nonce(at)))
                for row in rows
            ]
            released += [change.new for change in self._won(table, changes)]
        return released

    # --- asked for by people -----------------------------------------------------------------------------------------

    def retry(self, table: Table[R], selection: Selection) -> Counter[ChangeResult]:
        """Have rows tried again: what waits waits no more, what is settled begins anew, and dead letters go back."""
        policy = self._policy(table)
        return self._ask(
            table,
            selection,
            lambda row, at: None if lifecycle.is_due(row, at.now) else lifecycle.retry_now(row, at, policy),
        )

    def skip(self, table: Table[R], selection: Selection) -> Counter[ChangeResult]:
        """Have rows count as done, though nobody has processed them."""
        return self._ask(
            table, selection, lambda row, at: lifecycle.apply_request(replace(row, requested_status=Status.DONE), at)
        )

    def requeue_dead_letters(self, ids: Sequence[int] | None = None) -> int:
        """Give dead letters (all of them, or those with these IDs) as many attempts as a new row has; how many."""
        return self.retry(DEAD_LETTERS, Selection(ids=ids))[ChangeResult.CHANGED]

    def _ask(
        self, table: Table[R], selection: Selection, wish: Callable[[R, Moment], R | None]
    ) -> Counter[ChangeResult]:
        answers: Counter[ChangeResult] = Counter()
        for rows in batches(self.select(table, selection), SCAN_PAGE_ROWS):
            at = self._moment()
            wishes = [(row, wish(row, self._with_new_nonce(at))) for row in rows]
            changes = [Change(row, new) for row, new in wishes if new]
            left = [row for row, new in wishes if new is None]
            won = self._won(table, changes)
            answers += Counter({ChangeResult.CHANGED: len(won), ChangeResult.MISSED: len(changes) - len(won)})
            answers.update(ChangeResult.HELD if row.lease.state is State.HELD else ChangeResult.ALREADY for row in left)
            if table.name == DEAD_LETTERS.name:
                revived = (change.new for change in won)
                self._move([row for row in revived if isinstance(row, VideoTask)], DEAD_LETTERS, VIDEO_TASKS)
        return answers

    # --- looking -----------------------------------------------------------------------------------------------------

    def select(self, table: Table[R], selection: Selection) -> Iterator[R]:
        """The rows that are meant, in order of ID, read page by page."""
        return (row for row in self.rows(table, selection.where()) if selection.matches(row))

    def rows(self, table: Table[R], where: Where | None = None) -> Iterator[R]:
        """Every row, in order of ID, read page by page."""
        where = where or Where()
        while page := self.store.scan(table, where, limit=1000):
            yield from page
            where = replace(where, after_id=page[-1].id)

    def counts(self, table: Table[Any]) -> Mapping[State, int]:
        return self.store.count(table)

    def next_due(self, table: Table[R]) -> datetime | None:
        """When the row that waits shortest may be claimed; None when none waits."""
        first = self.store.scan(table, Where(state=State.PENDING, due=END_OF_TIME), limit=1)
        return (first[0].lease.not_before or self.store.now()) if first else None

    # --- inside ------------------------------------------------------------------------------------------------------

    def _pages(self, table: Table[R], where: Callable[[], Where]) -> Iterator[list[R]]:
        """Pages of rows that stop matching as they are dealt with; one that goes on matching is met once."""
        met: set[int] = set()
        while rows := [row for row in self.store.scan(table, where(), limit=SCAN_PAGE_ROWS) if row.id not in met]:
            yield rows
            met |= {row.id for row in rows}

    def _won(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Change[R]]:
        outcomes = self.store.swap(table, changes) if changes else []
        return [change for change, outcome in zip(changes, outcomes, strict=True) if outcome is Swap.WON]

    def _lease_seconds(self, policy: RetryPolicy) -> float:
        """Never longer than another machine will think, whose view of the store's clock may be more exact."""
        return policy.lease.total_seconds() - self.store.clock_error_seconds

    def _policy(self, table: Table[Any]) -> RetryPolicy:
        return self.source_policy if table.row_type is Source else self.video_policy

    def _moment(self) -> Moment:
        return Moment(now=self.store.now(), nonce="")

    def _with_new_nonce(self, at: Moment) -> Moment:
        return replace(at, nonce=self._nonce(), jitter=self.random.random())

    def _nonce(self) -> str:
        return f"{self.random.getrandbits(32):08x}"


def batches(items: Iterable[T], size: int = INSERT_BATCH_ROWS) -> Iterator[list[T]]:
    """Lists of at most `size` items, made as the items come."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])


def describe(row: Row) -> str:
    """A row in a log line: what it is, its number, and what people call it."""
    return f"{'video' if isinstance(row, VideoTask) else 'source'} {row.id} ({row.name})"


def _by_table(claims: Sequence[Claim[Any]]) -> list[tuple[Table[Any], list[Claim[Any]]]]:
    tables = {claim.table.name: claim.table for claim in claims}
    return [(table, [claim for claim in claims if claim.table.name == name]) for name, table in tables.items()]
