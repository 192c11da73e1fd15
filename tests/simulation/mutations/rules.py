"""Mutations of the queue's and the worker's rules: who may do what to a row, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

from youtube_download_coordinator.models import Failure, State, Verdict
from youtube_download_coordinator.queue import Claim, Queue, lifecycle
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.lifecycle import Moment, RetryPolicy, Throttle
from youtube_download_coordinator.queue.maintenance import END_OF_TIME
from youtube_download_coordinator.queue.store import Change, Table, Where
from youtube_download_coordinator.stores.sheets import snapshot, store
from youtube_download_coordinator.workers.attempts import Attempts


@contextmanager
def lease_counted_from_the_answer() -> Iterator[None]:
    """Count a lease from the answer, not from before the request."""
    hold, renew = Queue._hold, Queue._renew

    def from_now(queue: Queue, table: Table[Any], claims: Sequence[Claim[Any]]) -> None:
        for claim in claims:
            claim.expires = queue.monotonic() + queue._lease_seconds(queue._policy(table))

    def held(self: Queue, table: Table[Any], rows: Sequence[Any]) -> list[Claim[Any]]:
        claims = hold(self, table, rows)
        from_now(self, table, claims)
        return claims

    def renewed(self: Queue, table: Table[Any], claims: list[Claim[Any]], before: float) -> list[Claim[Any]]:
        lost = renew(self, table, claims, before)
        from_now(self, table, [claim for claim in claims if not claim.lost])
        return lost

    with mock.patch.object(Queue, "_hold", held), mock.patch.object(Queue, "_renew", renewed):
        yield


@contextmanager
def lease_without_the_clocks_error() -> Iterator[None]:
    """Use the whole lease, though a worker's view of Google's clock may lag."""
    with mock.patch.object(Queue, "_lease_seconds", lambda self, policy: policy.lease.total_seconds()):
        yield


@contextmanager
def begun_on_a_lease_that_ran_out() -> Iterator[None]:
    """Begin a video without checking that its lease is still valid."""
    with mock.patch.object(Queue, "is_valid", return_value=True):
        yield


@contextmanager
def result_written_over_whoever_holds_it() -> Iterator[None]:
    """Overwrite the row as it is now with a result whose claim is lost."""
    end = Queue._end

    def insisting(self: Queue, steps: Sequence[tuple[Claim[Any], Any]]) -> list[Any]:
        rows = end(self, steps)
        return [row or overwritten(self, claim, new) for row, (claim, new) in zip(rows, steps, strict=True)]

    def overwritten(queue: Queue, claim: Claim[Any], new: Any) -> Any:
        for row in queue.store.scan(claim.table, Where(ids=[claim.row.id]), limit=1):
            lease = replace(new.lease, version=row.lease.version + 1)
            return next((each.new for each in queue._won(claim.table, [Change(row, replace(row, lease=lease))])), None)
        return None

    with mock.patch.object(Queue, "_end", insisting):
        yield


@contextmanager
def taken_over_without_a_version() -> Iterator[None]:
    """Claim also rows whose lease has expired, with the same version and without counting an attempt."""
    due, is_due, claim = Queue._due, lifecycle.is_due, lifecycle.claim

    def due_or_stalled(self: Queue, table: Table[Any], count: int, *others: Any) -> list[Any]:
        stalled = self.store.scan(table, Where(state=State.HELD, due=self.store.now()), limit=count)
        return [*stalled, *due(self, table, count, *others)][:count]

    def claimed(row: Any, at: Moment, holder: str, policy: RetryPolicy, *offer: Any) -> Any:
        if row.lease.state is State.PENDING:
            return claim(row, at, holder, policy, *offer)
        waiting = replace(row, lease=replace(row.lease, state=State.PENDING, version=row.lease.version - 1))
        return claim(waiting, at, holder, policy, *offer)

    with (
        mock.patch.object(Queue, "_due", due_or_stalled),
        mock.patch.object(
            lifecycle, "is_due", lambda row, now, *offer: is_due(row, now, *offer) or lifecycle.is_stalled(row, now)
        ),
        mock.patch.object(lifecycle, "claim", claimed),
    ):
        yield


@contextmanager
def taken_over_a_little_early() -> Iterator[None]:
    """Recover rows shortly before their lease expires."""
    matches, is_stalled, soon = snapshot.matches, lifecycle.is_stalled, timedelta(seconds=5)

    def matches_soon(where: Where, *given: Any) -> bool:
        early = where.state is State.HELD and where.due is not None
        return matches(replace(where, due=where.due + soon) if early and where.due else where, *given)

    with (
        mock.patch.object(snapshot, "matches", matches_soon),
        mock.patch.object(store, "matches", matches_soon),
        mock.patch.object(lifecycle, "is_stalled", lambda row, now: is_stalled(row, now + soon)),
    ):
        yield


@contextmanager
def recovered_attempts_are_not_counted() -> Iterator[None]:
    """Release rows of a dead worker without counting an attempt: a video that kills its worker is tried for ever."""
    with mock.patch.object(lifecycle, "recover", lambda row, at, policy: lifecycle.release(row, at)):
        yield


@contextmanager
def throttled_attempts_are_counted() -> Iterator[None]:
    """Count a throttled attempt as a failed one of its video."""
    fail = lifecycle.fail

    def counted(row: Any, moment: Moment, failure: Failure, *others: Any) -> Any:
        throttled = failure.verdict is Verdict.THROTTLED
        return fail(row, moment, replace(failure, verdict=Verdict.RETRY) if throttled else failure, *others)

    with mock.patch.object(lifecycle, "fail", counted):
        yield


@contextmanager
def throttled_rows_are_tried_at_once() -> Iterator[None]:
    """Try a row that YouTube refused again at once."""
    put_off = lifecycle._put_off_or_give_up

    def at_once(row: Any, moment: Moment, failure: Failure, policy: RetryPolicy, throttle: Throttle) -> Any:
        new = put_off(row, moment, failure, policy, throttle)
        return replace(new, lease=replace(new.lease, not_before=None))

    with mock.patch.object(lifecycle, "_put_off_or_give_up", at_once):
        yield


@contextmanager
def rows_are_blamed_for_a_block_of_their_machine() -> Iterator[None]:
    """Count each refusal against its row, also that of a probe."""
    record_outcome = Admission.record_outcome

    def blaming(self: Admission, table: Table[Any], row: Any, outcome: Any, **more: Any) -> Throttle:
        return replace(record_outcome(self, table, row, outcome, **more), is_row_at_fault=True)

    with mock.patch.object(Admission, "record_outcome", blaming):
        yield


@contextmanager
def refusals_are_forgotten() -> Iterator[None]:
    """Forget how often YouTube has refused a row, so that it is never given up."""
    describe = lifecycle._describe
    with mock.patch.object(lifecycle, "_describe", lambda failure, throttles, *need: describe(failure, 0, *need)):
        yield


@contextmanager
def no_backoff() -> Iterator[None]:
    """Repeat a failed attempt immediately."""
    with mock.patch.object(lifecycle, "backoff_seconds", return_value=0.0):
        yield


@contextmanager
def claimed_before_the_pause_is_over() -> Iterator[None]:
    """Claim rows whose backoff has not ended."""

    def waiting(self: Queue, table: Table[Any], count: int, except_ids: Collection[int], *spread: int) -> list[Any]:
        rows = self.store.scan(table, Where(state=State.PENDING, due=END_OF_TIME), limit=count + len(except_ids))
        return [row for row in rows if row.id not in except_ids and not row.requested_status][:count]

    with (
        mock.patch.object(Queue, "_due", waiting),
        mock.patch.object(lifecycle, "is_due", lambda row, now, *offer: row.lease.state is State.PENDING),
    ):
        yield


@contextmanager
def tried_for_ever() -> Iterator[None]:
    """Try a video again after its last attempt."""
    retry = lifecycle._retry_or_give_up

    def retried(row: Any, at: Moment, failure: Failure, policy: RetryPolicy, max_tries: int | None, need: Any) -> Any:
        return retry(row, at, failure, policy, max_tries if max_tries == 1 else None, need)

    with mock.patch.object(lifecycle, "_retry_or_give_up", retried):
        yield


@contextmanager
def renewed_for_ever() -> Iterator[None]:
    """Renew a claim for as long as its attempt takes, also if it hangs."""
    begin = Attempts._begin

    def begun(self: Attempts[Any], claim: Claim[Any]) -> None:
        begin(self, claim)
        claim.renew_until = None

    with mock.patch.object(Attempts, "_begin", begun):
        yield
