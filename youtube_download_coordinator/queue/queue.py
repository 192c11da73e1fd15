"""The queue as a worker uses it: claim rows, renew the claims, and record the outcomes of attempts.

A claim is a scan and a swap of the Store. The claims that a worker holds are kept here, and are renewed in one request. A lock
prevents a race between a renewal and a result of the same worker.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from youtube_download_coordinator.errors import StoreError, StoreUnavailable, UserError
from youtube_download_coordinator.models import Failure, Outcome, Row, Source, State, Verdict, VideoTask
from youtube_download_coordinator.queue import lifecycle, priority, unpublished
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.claims import Claim, by_table, describe
from youtube_download_coordinator.queue.lifecycle import NO_THROTTLE, RetryPolicy
from youtube_download_coordinator.queue.maintenance import SCAN_PAGE_ROWS, Maintenance
from youtube_download_coordinator.queue.offers import (
    CURED_BY_MACHINES,
    NO_OFFER,
    NO_OFFERS,
    Offer,
    Offers,
    needs_renewal,
    renewed,
)
from youtube_download_coordinator.queue.probing import OTHER_SOURCE_ROWS
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, AccentOrder, Change, Swap, Table, Where
from youtube_download_coordinator.queue.suspicion import source_of
from youtube_download_coordinator.queue.unpublished import kept
from youtube_download_coordinator.reasons import SUSPECTED

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

CLAIM_SPREAD = 4
"""A claim scans this many times the rows it needs and picks some at random, so that workers rarely collide.

After each round that other workers won, it scans this many times as many rows as before.
"""
CLAIM_SCAN_ROWS = 1000
"""The most rows that such a claim scans."""
CLAIM_ROUNDS = 8
"""How often a claim scans again when other workers were faster."""


@dataclass(slots=True, kw_only=True)
class Queue(Maintenance):
    """One worker's view of the shared queue. Safe to use from several threads."""

    worker: str
    """`host/run`: the holder of this worker's claims."""
    monotonic: Callable[[], float]
    """A monotonic clock in seconds, for this worker's own claims."""
    admission: Admission
    """Asked before each claim; receives the outcome of each attempt."""
    offer: Offer = NO_OFFER
    """This machine's offer: it may claim rows that wait for it."""
    process_id: int = field(default_factory=os.getpid)
    """The ID of the process that opened this queue. A fork can neither claim rows with it nor end its claims."""
    _held: list[Claim[Any]] = field(default_factory=list)
    _writing: threading.RLock = field(default_factory=threading.RLock)
    _loops: int = 0
    """The number of loops that hold claims of this queue now: workers, blocks, listings."""
    _after_loops: Callable[[], None] | None = None

    # --- offering ----------------------------------------------------------------------------------------------------

    def renew_offer(self) -> None:
        """Renew this machine's offer in Control if its line is some hours old. Otherwise make no request."""
        offer = self.offer
        if not offer:
            return
        try:
            now = self.store.now()
            if needs_renewal(offer, self.store.controls(), now):
                self.store.set_control(
                    offer.line_name, lambda line: renewed(line, offer, now, self.worker.partition("/")[0])
                )
        except StoreError as error:  # the next claim tries again
            log.warning(
                "Control could not be updated with this machine's offer of %s; trying again at the next claim: %s",
                offer,
                error,
            )

    def _offers_after(self, outcomes: Iterable[Outcome]) -> Offers:
        """Return all machines' offers if one of these outcomes needs them."""
        if not any(isinstance(outcome, Failure) and outcome.reason in CURED_BY_MACHINES for outcome in outcomes):
            return NO_OFFERS
        return Offers(own=self.offer, all=self._read_offers())

    # --- claiming ----------------------------------------------------------------------------------------------------

    def claim(self, table: Table[R], count: int, *, except_ids: Collection[int] = ()) -> list[Claim[R]]:
        """Hold up to `count` due rows, none with one of these IDs.

        The list is empty only if no row is due, target hours hold back all of them, or admission is blocked (see
        `admission.blocked()`). It has one row if that row is the probe.
        """
        if self.is_fork:
            raise UserError("this process was forked from one that claims videos: create a new Coordinator in it")
        claims: list[Claim[R]] = []
        self.renew_offer()
        try:
            self._claim_into(claims, table, count, except_ids)
        except StoreUnavailable as error:
            if not claims:
                raise
            log.warning("claimed only %d of %d rows: %s", len(claims), count, error)
        finally:
            self.admission.bind_probe(table, [claim.row for claim in claims])
        return claims

    def _claim_into(self, claims: list[Claim[R]], table: Table[R], count: int, except_ids: Collection[int]) -> None:
        """Add claims as soon as they are won, so that none is forgotten when the store fails."""
        recovered, spread = False, CLAIM_SPREAD
        for _ in range(CLAIM_ROUNDS):
            wanted = self._available_slots(table, count) - len(claims)
            if wanted <= 0:
                break
            rows = self._due(table, wanted, except_ids, spread)
            if claims and self.admission.needs_probe:
                break  # the rows held already would start beside the probe
            if rows:  # check admission again: Control may have been read together with the rows
                claims += self._hold(table, rows[: self.admission.acquire(len(rows))])
                spread *= CLAIM_SPREAD
            elif claims or recovered or not self.recover(table).total:
                break
            else:
                recovered = True
            if 2 * len(claims) >= count:
                break  # other workers won some rows; the next claim gets the rest at the same cost

    def _available_slots(self, table: Table[Any], count: int) -> int:
        """Return how many rows may be claimed. No source may be claimed while a video should be the probe and one is due soon."""
        slots = self.admission.available_slots(count)
        if slots and table.row_type is Source and self.admission.needs_video_probe:
            soon = self.store.now() + self.video_policy.backoff_max
            return 0 if self.store.scan(VIDEO_TASKS, self.claimable(VIDEO_TASKS, soon), limit=1) else slots
        return slots

    def _due(self, table: Table[R], count: int, except_ids: Collection[int], spread: int) -> list[R]:
        now, is_probe, accents = self.store.now(), self.admission.is_probe_due, self._accents(table)
        keys = () if is_probe else self.unpublished()
        rows_here = unpublished.due_rows(self.store, table, now, self.offer, self.worker, keys, except_ids)
        rows_here = [row for row in rows_here if not accents or accents.rank_of(row) is not None][:count]
        if len(rows_here) == count:
            return self.targets.fitting(rows_here)
        except_ids, count = {*except_ids, *(row.id for row in rows_here)}, count - len(rows_here)
        avoided = self.admission.suspicion.sources_to_avoid() if table.row_type is VideoTask else set()
        most = max(count * CLAIM_SPREAD, CLAIM_SCAN_ROWS)
        limit = SCAN_PAGE_ROWS if is_probe else min(count * spread, most)
        limit = max(limit, OTHER_SOURCE_ROWS) if avoided else limit
        # A probe, or a row of another source, proves the same whatever its priority.
        by_priority = not is_probe and not avoided
        scan = partial(self._scan_due, table, count, accents, is_probe=is_probe, by_priority=by_priority)
        scanned = scan(limit)
        if any(row.id in except_ids for row in scanned):  # such a row is due again: scan further
            limit += len(except_ids)
            scanned = scan(limit)
        self._leave_to_others(table, [row for row in scanned if lifecycle.lacks_machine(row, now, self.offer)])
        rows = [
            row
            for row in scanned
            if lifecycle.is_due(row, now, self.offer) and row.id not in except_ids and not row.requested_status
        ]
        # Rows that YouTube refused come last, so that they block only each other, and none of them becomes a probe.
        rows.sort(key=lambda row: row.lease.throttles > 0)
        others = [row for row in rows if not row.lease.throttles]
        if avoided:
            rows.sort(key=lambda row: isinstance(row, VideoTask) and source_of(row) in avoided)
        elif not is_probe and len(others) > count:
            rows = priority.choose(others, count, self.random, accents)
        rows = sorted(rows[:count], key=lambda row: (priority.preference(row, accents), row.id))
        return self.targets.fitting([*rows_here, *rows])

    def _scan_due(
        self,
        table: Table[R],
        count: int,
        accents: AccentOrder | None,
        limit: int,
        *,
        is_probe: bool,
        by_priority: bool,
    ) -> list[R]:
        """Return rows that may be due. Rows that only few machines may claim come first.

        Such rows prove less about a machine, so they become a probe only if no other row is due.
        """
        now = self.store.now()
        rows = self._waiting.matching(table, self.offer, limit, accents) if self.offer and not is_probe else []
        if len(rows) < count:
            rows += priority.scan(self.store, table, now, count, limit, by_priority=by_priority, accents=accents)
        if self.offer and is_probe and not any(lifecycle.is_due(row, now, self.offer) for row in rows):
            rows += self._waiting.matching(table, self.offer, limit, accents)
        return rows

    def _leave_to_others(self, table: Table[R], rows: Sequence[R]) -> None:
        """Let due rows that need another machine's offer wait for it, so that this machine does not read them again."""
        moment = self._moment()
        self._won(
            table,
            [
                Change(row, lifecycle.wait_for_machine(row, self._with_new_nonce(moment), self.offer))
                for row in rows
                if lifecycle.lacks_machine(row, moment.now, self.offer) and not row.requested_status
            ],
        )

    def _hold(self, table: Table[R], rows: Sequence[R]) -> list[Claim[R]]:
        policy = self._policy(table)
        before = self.monotonic()
        moment, keys = self._moment(), self.unpublished()
        intact = self._without_buried(table, rows)
        due = [row for row in intact if unpublished.is_due(row, moment.now, self.offer, self.worker, keys)]
        changes = [  # checked again for each row: a clock may have been set back
            Change(row, lifecycle.claim(row, self._with_new_nonce(moment), self.worker, policy, self.offer, early))
            for row, early in ((row, unpublished.early(row, self.worker, keys)) for row in due)
        ]
        expires = before + self._lease_seconds(policy)
        claims = [Claim(table, change.new, expires) for change in self._won(table, changes)]
        self.targets.claimed(claim.row for claim in claims if isinstance(claim.row, VideoTask))
        with self._writing:
            self._held[:] = [claim for claim in self._held if not self._has_run_out(claim)] + claims
        return claims

    def claim_now(self, table: Table[R], row_id: int) -> Claim[R] | None:
        """Hold the row with this ID, due or not, settled or not.

        Return None while another worker holds it or was faster, and while admission is blocked (see `admission.blocked()`).
        """
        claims: list[Claim[R]] = []
        try:
            rows = self.store.scan(table, Where(ids=[row_id]), limit=1)
            if rows and self.admission.acquire(1):
                claims += self._hold(table, self._make_due(table, rows))
        finally:
            self.admission.bind_probe(table, [claim.row for claim in claims])
        return claims[0] if claims else None

    def _make_due(self, table: Table[R], rows: Sequence[R]) -> list[R]:
        moment, policy = self._moment(), self._policy(table)
        due = [row for row in rows if lifecycle.is_due(row, moment.now, self.offer)]
        others = (
            (row, lifecycle.retry_now(row, self._with_new_nonce(moment), policy)) for row in rows if row not in due
        )
        return due + [change.new for change in self._won(table, [Change(row, new) for row, new in others if new])]

    def next_due(self, table: Table[R]) -> datetime | None:
        """Return when the next pending row may be claimed here, or None if no row is pending."""
        if self.offer and self._waiting.matching(table, self.offer, 1, self._accents(table)):
            return self.store.now()
        due = Maintenance.next_due(self, table)  # slots: no super() without arguments
        return unpublished.next_due(self.store, table, self.worker, self.unpublished(), due)

    @property
    def is_fork(self) -> bool:
        """Return whether this process is a fork of the process that opened the queue and owns its claims."""
        return self.process_id != os.getpid()

    # --- holding -----------------------------------------------------------------------------------------------------

    def renew(self) -> list[Claim[Any]]:
        """Renew every claim that may still be renewed. Return the claims that turn out to be lost."""
        with self._writing:
            before = self.monotonic()
            renewable = [claim for claim in self._held if claim.renew_until is None or before < claim.renew_until]
            lost = [claim for table, claims in by_table(renewable) for claim in self._renew(table, claims, before)]
            for claim in lost:
                log.warning("lost %s: another worker has claimed it", describe(claim.row))
                self._drop(claim)
        self.admission.renew_probe({(claim.table.name, claim.row.id) for claim in renewable})
        return lost

    def _renew(self, table: Table[R], claims: list[Claim[R]], before: float) -> list[Claim[R]]:
        policy, moment = self._policy(table), self._moment()
        expires = before + self._lease_seconds(policy)
        changes = [
            Change(claim.row, lifecycle.renew(claim.row, self._with_new_nonce(moment), policy)) for claim in claims
        ]
        for claim, change, outcome in zip(claims, changes, self.store.swap(table, changes), strict=True):
            claim.lost = outcome is Swap.LOST
            if not claim.lost:
                claim.row, claim.expires = change.new, expires
        return [claim for claim in claims if claim.lost]

    def is_valid(self, claim: Claim[Any]) -> bool:
        """Return whether nobody else can hold the row yet, by this machine's own clock."""
        return not claim.lost and self.monotonic() < claim.expires

    @property
    def held_rows(self) -> int:
        """Return the number of rows neither settled nor released. Does not wait for a pending request."""
        return sum(not self._has_run_out(claim) for claim in list(self._held))

    def _has_run_out(self, claim: Claim[Any]) -> bool:
        """Return whether a claim has expired that is no longer renewed, because the store did not answer when it was released."""
        return claim.renew_until is not None and max(claim.renew_until, claim.expires) <= self.monotonic()

    def _lease_seconds(self, policy: RetryPolicy) -> float:
        """Return the length of a lease by our own clock.

        Our view of the store's clock may lag by `clock_error_seconds`. Shorten our own lease by as much, so that we stop
        before another machine may take over.
        """
        return policy.lease.total_seconds() - self.store.clock_error_seconds

    # --- settling ----------------------------------------------------------------------------------------------------

    def settle(self, results: Sequence[tuple[Claim[R], Outcome]], **columns: Any) -> list[R | None]:
        """Record outcomes. Return each new row, or None where the claim was lost and the outcome was discarded.

        `columns` are other columns to change, such as a source's title. If the store is unavailable (StoreUnavailable), the
        claims stay held but are not renewed, and the call may be repeated.
        """
        if self.is_fork:
            self._leave_to_parent([claim for claim, _ in results])
            return [None for _ in results]
        refused = [claim for claim, outcome in results if _is_refusal(outcome)]
        others_run = any(claim.renew_until is not None and claim not in refused for claim in self._held)
        for claim, outcome in sorted(
            results, key=lambda result: result[0] not in refused
        ):  # answers decide about refusals
            claim.throttle = claim.throttle or self.admission.record_outcome(
                claim.table, claim.row, outcome, others_run=others_run, begun=claim.begun
            )
        offers = self._offers_after(outcome for _, outcome in results)
        with self._writing:
            moment, kept_keys = self._moment(), self.unpublished()
            settled = (
                lifecycle.settle(
                    claim.row,
                    self._with_new_nonce(moment),
                    outcome,
                    self._policy(claim.table),
                    claim.throttle or NO_THROTTLE,
                    offers,
                )
                for claim, outcome in results
            )
            steps = [(claim, replace(row, **columns)) for (claim, _), row in zip(results, settled, strict=True)]
            steps = [(claim, kept(row, moment.now, kept_keys)) for claim, row in steps]
            try:
                return self._end(steps)
            except StoreUnavailable:
                self._mark_outcome_unknown([claim for claim, _ in steps])
                raise

    def give_back_suspected(self) -> int:
        """Undo failed attempts that were counted before an outage was suspected. Return the number of videos.

        Dead letters among them become video tasks again. A video that a worker holds is skipped until the next call.
        """
        videos = {video.key: (reason, video.tries) for reason, video in self.admission.suspected_videos()}
        if not videos:
            return 0
        count, held = 0, set[str]()
        for table in (VIDEO_TASKS, DEAD_LETTERS):
            rows = self.store.scan(table, Where(keys=list(videos)), limit=len(videos))
            held |= {row.key for row in rows if row.lease.state is State.HELD}
            count += self._give_back(table, rows, videos)
        self.admission.suspicion.given_back(videos.keys() - held)
        return count

    def _give_back(
        self, table: Table[VideoTask], rows: Sequence[VideoTask], videos: Mapping[str, tuple[str, int]]
    ) -> int:
        moment, changes = self._moment(), []
        for row in rows:
            reason, tries = videos[row.key]
            is_counted = row.lease.reason == reason or (row.lease.reason == SUSPECTED and row.lease.tries > tries)
            if is_counted and row.lease.state in {State.PENDING, State.DEAD} and not row.requested_status:
                changes.append(Change(row, lifecycle.give_back(row, self._with_new_nonce(moment), tries)))
        won = [change.new for change in self._won(table, changes)]
        if table.name == DEAD_LETTERS.name:
            self._move(won, DEAD_LETTERS, VIDEO_TASKS)
        return len(won)

    def release(self, claims: Sequence[Claim[R]]) -> int:
        """Release rows without counting an attempt. Return how many were still held.

        If the store does not answer, the claims are no longer renewed, so that they expire. Claims whose outcome may already be
        recorded are not released either.
        """
        if self.is_fork:
            self._leave_to_parent(claims)
            return 0
        self.forget(claims)
        with self._writing:
            moment, kept_keys = self._moment(), self.unpublished()
            for claim in claims:
                if claim.outcome_unknown:
                    self._drop(claim)
            sure = [claim for claim in claims if not claim.outcome_unknown]
            released = [(claim, lifecycle.release(claim.row, self._with_new_nonce(moment))) for claim in sure]
            rows = self._end([(claim, kept(row, moment.now, kept_keys)) for claim, row in released])
        for claim in claims:
            self.admission.record_outcome(claim.table, claim.row, None)
        return sum(row is not None for row in rows)

    def _leave_to_parent(self, claims: Sequence[Claim[R]]) -> None:
        """Drop claims in a fork. The process that made them still uses or releases them."""
        for claim in claims:
            log.warning("%s is held by the parent of this fork: nothing is recorded", describe(claim.row))
            self._drop(claim)

    def forget(self, claims: Sequence[Claim[Any]]) -> None:
        """Stop renewing these claims."""
        for claim in claims:
            claim.renew_until = self.monotonic()

    def _mark_outcome_unknown(self, claims: Sequence[Claim[Any]]) -> None:
        """Stop renewing and releasing these claims. Their outcomes may be recorded, and a renewal or release would undo that."""
        self.forget(claims)
        for claim in claims:
            claim.outcome_unknown = True

    def release_all(self) -> int:
        """Release everything that this worker holds. Return how many rows were still held."""
        with self._writing:
            return self.release(list(self._held))

    def loop_begins(self) -> None:
        """Count a loop that claims rows and releases them when it ends."""
        with self._writing:
            self._loops += 1

    def loop_ends(self) -> None:
        """Run the functions of `after_loops` when the last loop has ended."""
        with self._writing:
            self._loops -= 1
            work, self._after_loops = (None, self._after_loops) if self._loops else (self._after_loops, None)
        if work:
            work()

    def after_loops(self, work: Callable[[], None]) -> bool:
        """Call `work` as soon as no loop runs. Return whether it was called at once."""
        with self._writing:
            is_idle = not self._loops
            if not is_idle:
                self._after_loops = work
        if is_idle:
            work()
        return is_idle

    def _end(self, steps: Sequence[tuple[Claim[R], R]]) -> list[R | None]:
        """Swap each claimed row for its successor and drop the claim. Return the successor, None where the claim was lost."""
        new, won = {id(claim): row for claim, row in steps}, set[int]()
        for table, claims in by_table([claim for claim, _ in steps if not claim.lost]):
            outcomes = self.store.swap(table, [Change(claim.row, new[id(claim)]) for claim in claims])
            won |= {id(claim) for claim, outcome in zip(claims, outcomes, strict=True) if outcome is Swap.WON}
        for claim, _ in steps:
            self._drop(claim)
            if id(claim) not in won:
                log.warning("%s: the claim was lost, so the outcome is discarded", describe(claim.row))
        rows = [row if id(claim) in won else None for claim, row in steps]
        videos = [row for row in rows if isinstance(row, VideoTask)]
        self.targets.ended(videos)
        for row in videos:
            if row.lease.state is State.DONE:
                self.on_attempt_end(row)
        try:
            dead = [row for row in videos if row.lease.state is State.DEAD]
            self._move(dead, VIDEO_TASKS, DEAD_LETTERS)
        except StoreUnavailable as error:  # the outcome is recorded, and the next recovery moves the row
            log.warning("a row could not be moved to the dead letters; trying again at the next recovery: %s", error)
        return rows

    def _drop(self, claim: Claim[Any]) -> None:
        self._held[:] = [held for held in self._held if held is not claim]


def _is_refusal(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED
