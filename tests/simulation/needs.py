"""Machines that offer a country or an account, videos that need one, and checks that each waits for a machine that may do it.

What a row needs is parsed again here, and so are the lines of Control, without the library's functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.hosts import HOSTS, host_of
from tests.simulation.world import Process, Violation
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.queue.offers import NO_OFFER, Offer, parse_offer

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

VALID, RENEWED_AFTER = timedelta(minutes=4), timedelta(seconds=40)
"""A day and its quarter, in a story."""
NEW_SECONDS, OVER_SECONDS, LEFT_SECONDS = 330.0, 900.0, 60.0
"""For so long a worker may not know a new line, or go by one that has run out, as it may be stopped or hear nothing meanwhile.
An offer that ends within the last of them may be over for a worker."""
COUNTRY = {"host1": "DE", "host2": "BR"}
"""Where each machine is, whether it offers that or not."""
OFFERED = {
    "host1": ("", "account", "region:DE", "account region:DE"),
    "host2": ("region:BR", "region:BR", "account", "account region:BR"),
}
CURES = {"region", "needs-account"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The need in the detail of a row."""

    account: bool
    regions: frozenset[str]
    not_in: frozenset[str]
    only_in: frozenset[str]

    def suits(self, offered: frozenset[str]) -> bool:
        """Return whether a machine with these words may begin the row."""
        if self.account and "account" not in offered:
            return False
        codes = {word[-2:].upper() for word in offered if word.startswith("region:")}
        return not self.regions or any(
            code not in self.not_in and (not self.only_in or code in self.only_in) for code in codes
        )


_WANTED = re.compile(r"\(waits for ([^;()]+)(?:; not in ([A-Z ]+))?(?:; only in ([A-Z ]+))?\)(?: \(throttled.*)?$")
_TRIED = re.compile(r"[(;] ?not in ([A-Z ]+)")


def wanted(lease: Lease) -> Wanted | None:
    """Return what a lease that is not done says that its row needs."""
    match = _WANTED.search(lease.detail) if lease.state is not State.DONE else None
    if match is None:
        return None
    regions = frozenset(re.findall(r"region:([A-Z]{2})", match[1]))
    return Wanted("account" in match[1], regions, *(frozenset((text or "").split()) for text in match.groups()[1:]))


class Needs:
    """The machines and videos of one story, and what must hold of them."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        random = Random(chaos.seed)
        self.is_told = chaos.seed % 3 == 0
        """Not in the stories with an outage."""
        words = {host: random.choice(OFFERED[host]) if self.is_told else "" for host in HOSTS}
        self.offered: Mapping[str, frozenset[str]] = {host: frozenset(words[host].lower().split()) for host in HOSTS}
        self.ends_with_trouble = random.random() < 0.5
        """Whether the second machine offers nothing any more when all is quiet."""
        self._failed_in: dict[tuple[int, str], set[str]] = {}
        self._lines: dict[frozenset[str], tuple[float, float]] = {}
        """Offers in Control: since when, and until when."""

    # --- the machines --------------------------------------------------------------------------------------------------

    def offer_of(self, process: Process) -> Offer:
        """Return what a process that is started now offers."""
        host = host_of(process)
        is_over = self.ends_with_trouble and self._chaos.quiet and host == HOSTS[1]
        return NO_OFFER if is_over else parse_offer(self.offered[host])

    def calm(self) -> None:
        """Let a machine offer nothing any more."""
        for process, queue in self._chaos.queues.items():
            queue.offer = self.offer_of(process)

    def failure(self, process: Process, task: VideoTask) -> Failure | None:
        """Return why a video cannot be processed on a machine: the same each time."""
        kind = int(task.id) % 6
        if not self.is_told or kind > 3:
            return None
        host = host_of(process)
        if kind in {1, 3} and COUNTRY[host] != "BR":
            names = ("BR", "PT") if task.id % 4 == 1 else ()
            return Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country", regions=names)
        if kind == 0:
            return Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country")
        if kind in {2, 3} and ("account" not in self.offered[host] or task.id % 5 == 2):
            return Failure(verdict=Verdict.PERMANENT, reason="needs-account", message="Sign in to confirm your age")
        return None

    # --- what must hold ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read the offers in Control."""
        if not self.is_told:
            return
        now, lines = self._now, self._chaos.oracle.admissions.offers()
        for words, until in lines.items():
            since, _ = self._lines.get(words, (now, 0.0))
            self._lines[words] = (since if now < self._lines.get(words, (0.0, 0.0))[1] else now, until)

    def begins(self, worker: str, process: Process, row: Row) -> None:
        """Check that a machine begins only what it may."""
        need = wanted(row.lease)
        if need and not need.suits(self.offered[host_of(process)]):
            raise Violation(
                f"(8) {worker} begins with v{row.id}, which needs what it does not offer: {row.lease.detail}"
            )

    def is_cure(self, failure: Outcome) -> bool:
        return isinstance(failure, Failure) and failure.reason in CURES

    def settled(self, process: Process, before: Row, outcome: Outcome, row: Row) -> None:
        """Check what becomes of a row that this machine cannot do, or not now."""
        if isinstance(outcome, Done) or row.lease.reason == "suspected":
            return
        old, new = wanted(before.lease), wanted(row.lease)
        if not self.is_cure(outcome):
            if old and row.lease.state is State.PENDING and new != old:
                raise Violation(
                    f"(8) what v{row.id} needs is forgotten: {before.lease.detail} became {row.lease.detail}"
                )
            return
        assert isinstance(outcome, Failure)
        offer = self._chaos.queues[process].offer  # it may have ended during the attempt
        own = frozenset(str(offer).lower().replace(",", "").split())
        if outcome.reason == "region":
            self._tried_once(process, before, own)
        rest = self._need_after(old, before.lease, outcome, own)
        if row.lease.state is not State.PENDING:  # it may begin anew
            self._failed_in.pop((row.id, row.key), None)
        if row.lease.state is State.PENDING:
            if new is None or row.lease.tries != before.lease.tries:
                raise Violation(f"(8) v{row.id} waits for nothing, or an attempt is counted: {row.lease}")
            if rest is None or not self._is_offered(rest, since=float("inf"), until=self._now - OVER_SECONDS):
                raise Violation(f"(8) v{row.id} waits for what nobody offers: {row.lease.detail}, {self._lines}")
        elif rest and self._is_offered(rest, since=self._now - NEW_SECONDS, until=self._now + LEFT_SECONDS):
            raise Violation(
                f"(8) v{row.id} is given up, though a machine offers what it needs: {row.lease}, {self._lines}"
            )

    def step(self, row_id: int, old: Lease, new: Lease) -> None:
        """Check a change that is not an outcome."""
        need = wanted(old)
        if need is None or old.state is State.DEAD or row_id in self._chaos.oracle.requested_ids:
            return
        if new.state is State.PENDING and wanted(new) is None:
            raise Violation(f"(8) what v{row_id} needs is forgotten: {old} became {new}")
        is_given_up = old.state is State.PENDING and new.state in {State.DEAD, State.ERROR}
        if is_given_up and self._is_offered(need, since=self._now - NEW_SECONDS, until=self._now + LEFT_SECONDS):
            raise Violation(f"(8) v{row_id} is given up, though a machine offers what it needs: {old}, {self._lines}")

    @property
    def _now(self) -> float:
        return self._chaos.world.clock.now()

    def _need_after(self, old: Wanted | None, lease: Lease, failure: Failure, own: frozenset[str]) -> Wanted | None:
        """Return what a row needs after such a failure; None if no machine can help."""
        tried = _TRIED.search(lease.detail)
        not_in = frozenset(tried[1].split()) if tried else frozenset()
        only_in = old.only_in if old else frozenset()
        account, regions = bool(old and old.account), old.regions if old else frozenset()
        if failure.reason == "needs-account":
            return None if "account" in own else Wanted(True, regions, not_in, only_in)
        not_in |= {word[-2:].upper() for word in own if word.startswith("region:")}
        return Wanted(account, frozenset({"any"}), not_in, frozenset(failure.regions) or only_in)

    def _is_offered(self, need: Wanted, since: float, until: float) -> bool:
        """Return whether Control has had a suitable offer since then, which is valid until then."""
        return any(
            need.suits(words) and began <= since and ends >= until for words, (began, ends) in self._lines.items()
        )

    def _tried_once(self, process: Process, row: Row, own: frozenset[str]) -> None:
        if self._chaos.oracle.is_free(row):
            return
        if not row.lease.detail:
            self._failed_in.pop((row.id, row.key), None)
        for word in own:
            hosts = self._failed_in.setdefault((row.id, row.key), set())
            if word in hosts and word.startswith("region:"):
                raise Violation(f"(8) v{row.id} is tried again in the country of {process.name}, where it failed")
            hosts.add(word)
