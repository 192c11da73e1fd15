"""Check every change of a lease: who may make it, when, and whether attempts are counted.

The rules are written again here, without the library's functions, so that errors in those are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from tests.simulation.needs import CURES, wanted
from tests.simulation.outages import is_suspected
from tests.simulation.roles import LEASE_SECONDS, POLICY
from tests.simulation.world import Process, Request, Violation
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease
from youtube_download_coordinator.workers.attempts import DEADLINE_GRACE_SECONDS

if TYPE_CHECKING:
    from tests.simulation.admissions import Said
    from tests.simulation.chaos import Chaos
    from tests.simulation.roles import WatchedQueue

EXACT_SECONDS = 0.01
"""A lease is written to the millisecond, and two clocks drift apart by a few in its time."""
DEADLINE_EXACT_SECONDS = 1.0

_decode = cache(decode_lease)


class Steps:
    """A checker of every change of every lease."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._authors: dict[EncodedLease, str] = {}
        """The process that first sent an encoded lease. It may be applied later, while another process sends it too."""
        self._deadlines: dict[tuple[str, int], float] = {}
        """By the row of an attempt: when the attempt has to end, by the server's clock."""

    @property
    def now(self) -> float:
        return self._chaos.world.clock.now()

    def heard(self, request: Request) -> None:
        """Record which process sends which encoded leases."""
        if request.method != "POST" or b"findReplace" not in request.body:
            return
        for change in json.loads(request.body)["requests"]:
            encoded = _decode(change.get("findReplace", {}).get("replacement", ""))
            if encoded and encoded.lease:
                self._authors.setdefault(encoded, request.process)

    def are_of_one(self, *leases: EncodedLease) -> bool:
        """Return whether one process sent all of these: it sent the next one without an answer to the first."""
        return len({self._authors.get(encoded, "nobody") for encoded in leases}) == 1

    def is_by(self, worker: str, encoded: EncodedLease) -> bool:
        """Return whether this worker sent the encoded lease."""
        return self._authors.get(encoded) == _process_of(worker)

    # --- what workers believe ------------------------------------------------------------------------------------------

    def held(self) -> Iterator[tuple[Process, WatchedQueue, Claim[Row]]]:
        """Yield every claim that a living process treats as valid."""
        for process, queue in self._chaos.queues.items():
            for claim in list(queue._held):
                is_held = not claim.lost and process.monotonic() < claim.expires
                if is_held and not process.ended and id(claim) not in self._chaos.oracle.over:
                    yield process, queue, claim

    def look(self) -> None:
        """Check that no worker treats a claim as valid for longer than its lease."""
        for process, queue, claim in self.held():
            ends = self.now + (claim.expires - process.monotonic()) / process.rate
            too_long = ends - _seconds(claim.row.lease.until)
            if too_long > EXACT_SECONDS:
                what = f"v{claim.row.id}.{claim.row.lease.version}"
                raise Violation(
                    f"(1) {queue.worker} believes to hold {what} for {too_long:.2f} s longer than its lease says"
                )

    def begins(self, worker: str, row: Row, standing: EncodedLease | None, timeout_seconds: float) -> None:
        """Record that an attempt begins, and how long it may take."""
        self._deadlines["v", row.id] = self.now + timeout_seconds + DEADLINE_GRACE_SECONDS
        lease = standing.lease if standing else None
        if lease is None or lease.holder != worker or _seconds(lease.until) <= self.now:
            raise Violation(f"(1) {worker} begins with v{row.id}, which it does not hold: {standing}")

    # --- steps ---------------------------------------------------------------------------------------------------------

    def step(self, kind: str, before: EncodedLease, encoded: EncodedLease) -> None:
        """Check a change of a lease."""
        old, new, author = before.lease, encoded.lease, self._authors.get(encoded)
        if old is None or new is None or author is None or new.version != old.version + 1:
            return  # what stood there was inserted or copied; or more than one step was made
        if new.detail.startswith("duplicate"):
            return
        if old.state is not State.HELD and is_suspected(new):
            if new.tries > old.tries:
                raise Violation(f"(6) more is given back than was counted: v{encoded.row_id} {old} became {new}")
            return
        if kind == "v":
            self._chaos.oracle.needs.step(encoded.row_id, old, new)
        wrong = (
            self._claimed(kind, encoded, old, new, author)
            if new.state is State.HELD
            else self._let_go(kind, old, new, author)
        )
        if wrong:
            raise Violation(f"{wrong}: v{encoded.row_id}.{old.version} {old} became {new}")

    def _claimed(self, kind: str, encoded: EncodedLease, old: Lease, new: Lease, author: str) -> str:
        if old.state is State.HELD:
            wrong = self._renewed(kind, encoded, old, new)
        else:
            self._deadlines.pop((kind, encoded.row_id), None)
            wrong = self._begun(old)
        if _process_of(new.holder) != author:
            return f"(1) {author} claims for {new.holder}"
        if _seconds(new.until) > self.now + LEASE_SECONDS:
            return "(1) a lease is longer than it may be"
        return wrong or ("(6) a claim counts an attempt" if new.tries != old.tries else "")

    def _begun(self, old: Lease) -> str:
        if old.state is not State.PENDING:
            return "(1) claimed, though it does not wait"
        is_early = _seconds(old.not_before) > self.now and not wanted(old)
        return "(6) claimed before its pause is over" if is_early else ""

    def _renewed(self, kind: str, encoded: EncodedLease, old: Lease, new: Lease) -> str:
        if old.holder != new.holder:
            return "(1) taken over without an attempt counted"
        deadline = self._deadlines.get((kind, encoded.row_id))
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
        """Check a recorded outcome. `earliest`: the server's time before it was recorded, as early as the worker may see it."""
        if is_suspected(row.lease):  # outages.py checks whether it may be
            wrong = "" if row.lease.tries == before.lease.tries else "a failure of an outage is counted"
        elif isinstance(outcome, Failure) and outcome.reason in CURES and row.lease.state is State.PENDING:
            wrong = "" if wanted(row.lease) else "tried on without hope"
        elif isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED:
            wrong = _throttled_wrong(before, row.lease, earliest)
        else:
            wrong = _settled_wrong(before, outcome, row.lease, earliest, self.now)
        if wrong:
            raise Violation(f"(6) {wrong}: v{row.id} {before.lease}, {outcome}, became {row.lease}")

    def blamed(self, before: Row, row: Row, line: Said, line_now: Said, worker: str) -> None:
        """Check a refusal that was recorded alone; no person has touched the machine's line since it was read before.

        It counts against its row if it began the cooldown, and does not while the machine was cooling anyway.
        """
        counts = row.lease.state is State.DEAD or _refusals(row.lease) > _refusals(before.lease)
        begins = not line.blocks("cooldown") and line_now.value == "cooling" and line_now.reason.startswith(worker)
        if begins and not counts:
            raise Violation(f"(6) a refusal is not counted: v{row.id} {before.lease} became {row.lease}, {line_now}")
        if line.value == "cooling" and (line.until or 0.0) > self.now and counts:
            raise Violation(
                f"(6) blamed for a block of its machine: v{row.id} {before.lease} became {row.lease}, {line}"
            )

    def probed(self, before: Row, row: Row) -> None:
        """Check a refused probe, which says nothing against its row."""
        if row.lease.state is State.DEAD or _refusals(row.lease) > _refusals(before.lease):
            raise Violation(f"(6) blamed for a refused probe: v{row.id} {before.lease} became {row.lease}")


def _settled_wrong(before: Row, outcome: Outcome, new: Lease, earliest: float, latest: float) -> str:
    if isinstance(outcome, Done):
        return "" if new.state is State.DONE else "a success is not recorded"
    if outcome.verdict is Verdict.UNFIT:
        is_due = new.not_before is None or wanted(new)
        given_back = new.state is State.PENDING and new.tries == before.lease.tries and is_due
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


def _throttled_wrong(before: Row, new: Lease, earliest: float) -> str:
    """Return what is wrong: a refused row waits and its refusals are kept; after the last one it is a dead letter."""
    if new.tries != before.lease.tries:
        return "a refusal is counted as an attempt"
    refusals = _refusals(before.lease)
    last = POLICY.max_throttles if isinstance(before, VideoTask) else None
    if new.state is State.DEAD:
        is_last = refusals + 1 == last and new.detail.startswith("blocked: ")
        return "" if is_last else "given up before it was refused often enough"
    if _refusals(new) not in {refusals, refusals + 1} or _refusals(new) == last:
        return "its refusals are forgotten, or do not end"
    waits = _seconds(new.not_before) >= earliest + POLICY.backoff.total_seconds() / 2 - EXACT_SECONDS
    return "" if new.state is State.PENDING and waits else "a refused row is tried again at once"


def _refusals(lease: Lease) -> int:
    counted = re.search(r"\(throttled (\d+) times?\)$", lease.detail)
    return int(counted[1]) if counted and lease.state is not State.DONE else 0


def _is_hopeless(before: Row, failure: Failure, tries: int) -> bool:
    said_before = before.lease.detail.partition(":")[0] == failure.reason
    if failure.verdict is Verdict.PERMANENT or (failure.verdict is Verdict.GONE and said_before):
        return True
    return isinstance(before, VideoTask) and tries >= (POLICY.max_retries or 0)


def _seconds(moment: object) -> float:
    return moment.timestamp() if moment else 0.0  # type: ignore[attr-defined]


def _process_of(holder: str) -> str:
    return holder.partition("/")[2]
