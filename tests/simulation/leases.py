"""Each step of a lease: made by whoever may, in its time, and counted; and what workers believe, by the server's clock.

Written anew from the rules, not with the library's own functions: what those get wrong is to be seen here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from tests.simulation.roles import LEASE_SECONDS, POLICY
from tests.simulation.world import Process, Request, Violation
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease
from youtube_download_coordinator.workers.attempts import DEADLINE_GRACE_SECONDS

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos
    from tests.simulation.roles import WatchedQueue

EXACT_SECONDS = 0.01
"""A lease is written to the millisecond, and two clocks drift apart by a few in its time."""
DEADLINE_EXACT_SECONDS = 1.0

_word = cache(decode_lease)


class Steps:
    """Looks at every step of every lease."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._authors: dict[EncodedLease, str] = {}
        """Which process has ever asked for a word: it may be applied later, while another asks."""
        self._deadlines: dict[tuple[str, int], float] = {}
        """By the row at which an attempt has begun: when that has to end, by the server's clock."""

    @property
    def now(self) -> float:
        return self._chaos.world.clock.now()

    def heard(self, request: Request) -> None:
        """Remember who asks for which words."""
        if request.method != "POST" or b"findReplace" not in request.body:
            return
        for change in json.loads(request.body)["requests"]:
            word = _word(change.get("findReplace", {}).get("replacement", ""))
            if word and word.lease:
                self._authors.setdefault(word, request.process)

    def are_of_one(self, *words: EncodedLease) -> bool:
        """Whether one process asked for all of these: it did not hear that the first was applied when it asked for the next."""
        return len({self._authors.get(word, "nobody") for word in words}) == 1

    def is_by(self, worker: str, word: EncodedLease) -> bool:
        """Whether this worker asked for the word."""
        return self._authors.get(word) == _process_of(worker)

    # --- what workers believe ------------------------------------------------------------------------------------------

    def held(self) -> Iterator[tuple[Process, WatchedQueue, Claim[Row]]]:
        """Every claim that a living process believes to hold."""
        for process, queue in self._chaos.queues.items():
            for claim in list(queue._held):
                is_held = not claim.lost and process.monotonic() < claim.expires
                if is_held and not process.ended and id(claim) not in self._chaos.oracle.over:
                    yield process, queue, claim

    def look(self) -> None:
        """No worker believes to hold a row for longer than its lease says."""
        for process, queue, claim in self.held():
            ends = self.now + (claim.expires - process.monotonic()) / process.rate
            too_long = ends - _seconds(claim.row.lease.until)
            if too_long > EXACT_SECONDS:
                what = f"v{claim.row.id}.{claim.row.lease.version}"
                raise Violation(
                    f"(1) {queue.worker} believes to hold {what} for {too_long:.2f} s longer than its lease says"
                )

    def begins(self, worker: str, row: Row, standing: EncodedLease | None, timeout_seconds: float) -> None:
        """An attempt begins, which may take so long."""
        self._deadlines["v", row.id] = self.now + timeout_seconds + DEADLINE_GRACE_SECONDS
        lease = standing.lease if standing else None
        if lease is None or lease.holder != worker or _seconds(lease.until) <= self.now:
            raise Violation(f"(1) {worker} begins with v{row.id}, which it does not hold: {standing}")

    # --- steps ---------------------------------------------------------------------------------------------------------

    def step(self, kind: str, before: EncodedLease, word: EncodedLease) -> None:
        """A lease has changed."""
        old, new, author = before.lease, word.lease, self._authors.get(word)
        if old is None or new is None or author is None or new.version != old.version + 1:
            return  # what stood there was inserted or copied; or more than one step was made
        if new.detail.startswith("duplicate"):
            return
        wrong = (
            self._claimed(kind, word, old, new, author)
            if new.state is State.HELD
            else self._let_go(kind, old, new, author)
        )
        if wrong:
            raise Violation(f"{wrong}: v{word.row_id}.{old.version} {old} became {new}")

    def _claimed(self, kind: str, word: EncodedLease, old: Lease, new: Lease, author: str) -> str:
        if old.state is State.HELD:
            wrong = self._renewed(kind, word, old, new)
        else:
            self._deadlines.pop((kind, word.row_id), None)
            wrong = self._begun(old)
        if _process_of(new.holder) != author:
            return f"(1) {author} claims for {new.holder}"
        if _seconds(new.until) > self.now + LEASE_SECONDS:
            return "(1) a lease is longer than it may be"
        return wrong or ("(6) a claim counts an attempt" if new.tries != old.tries else "")

    def _begun(self, old: Lease) -> str:
        if old.state is not State.PENDING:
            return "(1) claimed, though it does not wait"
        return "(6) claimed before its pause is over" if _seconds(old.not_before) > self.now else ""

    def _renewed(self, kind: str, word: EncodedLease, old: Lease, new: Lease) -> str:
        if old.holder != new.holder:
            return "(1) taken over without an attempt counted"
        deadline = self._deadlines.get((kind, word.row_id))
        if deadline is not None and _seconds(new.until) > deadline + LEASE_SECONDS + DEADLINE_EXACT_SECONDS:
            return "(5) renewed though its attempt should have ended, perhaps for ever"
        return ""

    def _let_go(self, kind: str, old: Lease, new: Lease, author: str) -> str:
        if old.state is not State.HELD:
            begins_anew = new.state is State.PENDING and old.state is not State.PENDING
            return "(6) what begins anew has tries left over" if begins_anew and new.tries else ""
        if author == _process_of(old.holder):
            return ""  # `settled` looks at what became of it
        if _seconds(old.until) > self.now:
            return f"(1) {author} takes what {old.holder} holds for {_seconds(old.until) - self.now:.1f} s more"
        if new.tries != old.tries + 1:
            return "(6) an attempt that nobody ended is not counted"
        if kind == "v" and (new.state is State.DEAD) != (new.tries >= (POLICY.max_retries or 0)):
            return "(6) given up too early, or too late"
        return ""

    # --- outcomes ------------------------------------------------------------------------------------------------------

    def settled(self, before: Row, outcome: Outcome, row: Row, earliest: float) -> None:
        """An outcome was recorded; `earliest`: the server's clock before it was, as early as the worker may believe."""
        wrong = _settled_wrong(before, outcome, row.lease, earliest, self.now)
        if wrong:
            raise Violation(f"(6) {wrong}: v{row.id} {before.lease}, {outcome}, became {row.lease}")


def _settled_wrong(before: Row, outcome: Outcome, new: Lease, earliest: float, latest: float) -> str:
    if isinstance(outcome, Done):
        return "" if new.state is State.DONE else "a success is not recorded"
    if outcome.verdict in {Verdict.THROTTLED, Verdict.UNFIT}:
        given_back = new.state is State.PENDING and new.tries == before.lease.tries and new.not_before is None
        return "" if given_back else "what says nothing about the video is counted"
    if outcome.verdict is Verdict.LATER:
        waits = new.state is State.PENDING and new.tries == before.lease.tries
        return (
            "" if waits and _seconds(new.not_before) > earliest else "what comes too early is counted, or does not wait"
        )
    if new.tries != before.lease.tries + 1:
        return "a failed attempt is not counted"
    if _is_hopeless(before, outcome, new.tries):
        return "" if new.state in {State.DEAD, State.ERROR} else "tried on without hope"
    pause = min(POLICY.backoff.total_seconds() * 2 ** (new.tries - 1), POLICY.backoff_max.total_seconds())
    waits_in_time = earliest + pause / 2 - EXACT_SECONDS <= _seconds(new.not_before) <= latest + pause + EXACT_SECONDS
    return "" if new.state is State.PENDING and waits_in_time else "tried again without its pause"


def _is_hopeless(before: Row, failure: Failure, tries: int) -> bool:
    said_before = before.lease.detail.partition(":")[0] == failure.reason
    if failure.verdict is Verdict.PERMANENT or (failure.verdict is Verdict.GONE and said_before):
        return True
    return isinstance(before, VideoTask) and tries >= (POLICY.max_retries or 0)


def _seconds(moment: object) -> float:
    return moment.timestamp() if moment else 0.0  # type: ignore[attr-defined]


def _process_of(holder: str) -> str:
    return holder.partition("/")[2]
