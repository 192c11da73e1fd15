"""Outages of a story, and checks of what the machines make of them: when one is suspected, what is counted, what is given back.

The rules are written again here, without the library's functions, so that errors in those are found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.admissions import Said
from tests.simulation.hosts import HOSTS, host_of, worker_name
from tests.simulation.human import video_url
from tests.simulation.world import Process, Violation
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Row, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.store import Store
from youtube_download_coordinator.queue.suspicion import OutageLimits

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos
    from tests.simulation.roles import WatchedQueue

LIMITS = OutageLimits(known_videos=2, other_videos=4)
OLD, NEW = "1.0", "2.0"
"""Versions of yt-dlp."""
WORDINGS = (
    Failure(verdict=Verdict.RETRY, reason="=reload", message="reload", systemic=True, from_yt_dlp=True),
    Failure(verdict=Verdict.PERMANENT, reason="=login", message="sign in", systemic=True, from_yt_dlp=True),
    Failure(verdict=Verdict.GONE, reason="=vanished", message="unavailable", from_yt_dlp=True),
    Failure(verdict=Verdict.RETRY, reason="=bug", message="NoneType"),
)
"""Two that are known from outages, and two that nobody has seen."""
DELETED = Failure(verdict=Verdict.GONE, reason="=deleted", message="deleted", systemic=True, from_yt_dlp=True)
DELETED_VIDEOS = 3
CANARY = "https://www.youtube.com/watch?v=canary-0001"
EXACT_SECONDS = 3.0
BEGINS_SECONDS, LASTS_SECONDS = (20.0, 200.0), (150.0, 500.0)


@dataclass
class Failures:
    """The videos that failed on one machine with one reason since the last success."""

    since: float
    sources: dict[str, str] = field(default_factory=dict)
    """By the video's key."""


class Outages:
    """In two thirds of the stories every attempt fails alike for a while, in half of these with the old version only."""

    limits = LIMITS

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        random = Random(f"{chaos.seed} outage")
        self.wording = random.choice(WORDINGS) if chaos.seed % 3 else None
        self._ends_with_an_upgrade = random.random() < 0.5
        self._upgrades = random.random() < 0.5
        self._has_deleted_channel = chaos.seed % 6 == 0
        self._has_canary = random.random() < 0.5 or self._has_deleted_channel
        begins = random.uniform(*BEGINS_SECONDS)
        self._window = (begins, begins + random.uniform(*LASTS_SECONDS))
        self._failures: dict[tuple[str, str], dict[str, Failures]] = {}
        """By machine and version, by reason."""
        self._unsure: dict[tuple[str, str], float] = {}
        """Since when it is not known what a machine has counted with a version: a record had no answer, or a person steered.

        An attempt that begins later and succeeds ends all that is not known.
        """
        self._began: dict[Process, str] = {}
        """The reason with which a process has just begun to suspect an outage."""

    # --- the world -----------------------------------------------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return self._chaos.world.clock.now() - self._chaos.world.began

    def version(self, process: Process) -> str:
        """Return the version of yt-dlp on a machine: the first one is upgraded in the middle of some outages."""
        middle = sum(self._window) / 2
        is_first = host_of(process) == HOSTS[0]
        return NEW if self._upgrades and is_first and self._seconds > middle else OLD

    def line_name(self, process: Process) -> str:
        return f"suspect {host_of(process)} {self.version(process)}"

    def failure(self, process: Process) -> Failure | None:
        """Return how every attempt of a machine ends now, if there is an outage."""
        first, last = self._window
        if self.wording is None or self._chaos.quiet or not first <= self._seconds < last:
            return None
        return None if self._ends_with_an_upgrade and self.version(process) == NEW else self.wording

    def deletion(self, url: str) -> Failure | None:
        """Return how an attempt at a deleted channel's video ends: in some stories without an outage, whoever tries it."""
        is_deleted = url in {video_url(number) for number in range(DELETED_VIDEOS)}
        return DELETED if self._has_deleted_channel and is_deleted and not self._chaos.quiet else None

    def canary(self, process: Process, machine_state: Store) -> Canary | None:
        """Return the canary of a process in half of the stories."""
        if not self._has_canary:
            return None

        def request(url: str) -> Outcome:
            process.rest(process.random.uniform(0.5, 5))
            failure = self.failure(process)
            if failure is None:
                self._failures.pop(self._key(process), None)
            return failure or Done()

        return Canary(request=request, configured_url=CANARY, machine_state=machine_state)

    # --- what machines make of it --------------------------------------------------------------------------------------

    def is_suspected(self, process: Process) -> bool:
        """Return whether Control says that a machine suspects an outage."""
        return self._chaos.oracle.admissions.line(self.line_name(process)).blocks("suspect")

    def settled(
        self, process: Process, claim: Claim[Any], outcome: Outcome, row: Row, began: float, *, was_suspected: bool
    ) -> None:
        """Check whether an outcome whose recording began then is counted."""
        admissions, name = self._chaos.oracle.admissions, self.line_name(process)
        if isinstance(outcome, Done):
            self._end_streaks(process, claim)
        elif admissions.is_line_touched(name, began):
            self._unsure[self._key(process)] = self._chaos.world.clock.now()
        if admissions.is_line_touched(name, began):
            self._failures.pop(self._key(process), None)
            return
        if not isinstance(outcome, Failure) or not isinstance(row, VideoTask):
            return
        if not _may_be_an_outages(outcome):
            if is_suspected(row.lease):
                raise Violation(f"(6) a fact about one video is not counted: v{row.id} {outcome}")
        elif not is_suspected(row.lease):
            knows = was_suspected and self.is_suspected(process) and self._knows(process, name)
            self._check_counted(process, row, outcome, knows=knows)
        elif not admissions.has_blocked(name, began):
            raise Violation(f"(6) not counted, and {name} does not say why: v{row.id} {row.lease}")
        elif not was_suspected and admissions.line(name).reason.startswith(
            f"{worker_name(process)}: {outcome.reason}: "
        ):
            self._check_begun(process, row, outcome)

    def _check_counted(self, process: Process, row: VideoTask, outcome: Failure, *, knows: bool) -> None:
        failures = self._add(process, row, outcome)
        is_enough = len(failures.sources) >= _limit(outcome) and len(set(failures.sources.values())) > 1
        if knows or (is_enough and self._key(process) not in self._unsure):
            raise Violation(f"(6) counted in an outage: v{row.id} {outcome}, after {sorted(failures.sources)}")

    def _check_begun(self, process: Process, row: VideoTask, outcome: Failure) -> None:
        """Check that a process has not begun to suspect too early."""
        failures = self._add(process, row, outcome)
        self._began[process] = outcome.reason
        is_sure = self._key(process) not in self._unsure
        if is_sure and self._seen(process, outcome, failures) < _limit(outcome):
            raise Violation(f"(6) an outage is suspected too early: v{row.id} {outcome}, {sorted(failures.sources)}")

    def lost(self, process: Process, claim: Claim[Any], outcome: Outcome) -> None:
        """Take account of an outcome that was not recorded, because the claim was lost: the machine has counted it."""
        if isinstance(outcome, Done):
            self._end_streaks(process, claim)
        elif isinstance(claim.row, VideoTask) and _may_be_an_outages(outcome):
            self._add(process, claim.row, outcome)

    def unheard(self, process: Process) -> None:
        """Record that it is not known what of some outcomes a machine has counted."""
        self._unsure[self._key(process)] = self._chaos.world.clock.now()

    def _knows(self, process: Process, name: str) -> bool:
        """Return whether a process has read a line that blocks."""
        *_, (_, _, lines) = self._chaos.oracle.admissions.known(process)
        return lines.get(name, Said()).blocks("suspect")

    def _key(self, process: Process) -> tuple[str, str]:
        return host_of(process), self.version(process)

    def _add(self, process: Process, row: VideoTask, failure: Failure) -> Failures:
        streaks = self._failures.setdefault(self._key(process), {})
        failures = streaks.setdefault(failure.reason, Failures(self._chaos.world.clock.now()))
        failures.sources[row.key] = str(row.source_id or row.key)
        return failures

    def _end_streaks(self, process: Process, claim: Claim[Any]) -> None:
        if not isinstance(claim.row, VideoTask):
            return  # listing a source works in many outages
        begun = claim.begun.timestamp() if claim.begun else self._chaos.world.clock.now()
        if self._unsure.get(self._key(process), begun) < begun - EXACT_SECONDS:
            del self._unsure[self._key(process)]
        streaks = self._failures.get(self._key(process), {})
        for reason, failures in list(streaks.items()):
            if abs(failures.since - begun) <= EXACT_SECONDS:
                self._unsure[self._key(process)] = self._chaos.world.clock.now()
            if failures.since <= begun:
                del streaks[reason]

    def _seen(self, process: Process, failure: Failure, failures: Failures) -> int:
        """Return how many videos have failed here, and on the other machine as the process may have read in Control."""
        admissions = self._chaos.oracle.admissions
        (other,) = {f"suspect {host} {self.version(process)}" for host in HOSTS} - {self.line_name(process)}
        read = [lines.get(other, Said()) for _, _, lines in admissions.known(process)]
        shown = [
            int(counts[1])
            for line in [admissions.line(other), *read]
            if f": {failure.reason}: " in line.reason and (counts := re.search(r": (\d+) videos? of ", line.reason))
        ]
        return len(failures.sources) + max(shown, default=0)

    def gave_back(self, process: Process, queue: WatchedQueue, count: int) -> None:
        """Check that all is given back when a process begins to suspect, and nothing where the canary is answered."""
        reason = self._began.pop(process, "")
        if reason and not self._chaos.oracle.admissions.was_ever_touched(self.line_name(process)):
            self._check_given_back(process, queue, reason)
        if count and queue.admission.canary and self.failure(process) is None and not self._was_outage():
            raise Violation(f"(6) {process.name} gives back {count}, and the canary is answered")

    def _check_given_back(self, process: Process, queue: WatchedQueue, reason: str) -> None:
        oracle = self._chaos.oracle
        failures = self._failures.get(self._key(process), {}).get(reason)
        if failures is None or oracle.admissions.line(self.line_name(process)).value != "suspect":
            return
        for _, _, encoded in oracle.leases("Video Tasks", "Dead-Letter Queue"):
            lease = encoded.lease
            is_counted = lease is not None and lease.reason == reason and lease.state in {State.PENDING, State.DEAD}
            if is_counted and encoded.key in failures.sources and oracle.steps.is_by(queue.worker, encoded):
                raise Violation(f"(6) what an outage has counted is not given back: v{encoded.row_id} {lease}")

    def _was_outage(self) -> bool:
        first, _ = self._window
        return self.wording is not None and self._seconds >= first

    def check_the_end(self) -> None:
        """Check that an outage has cost few videos: each machine may lose those that failed before it suspected."""
        if self.wording is None:
            return
        limit = _limit(self.wording)
        dead = [
            encoded.row_id
            for _, _, encoded in self._chaos.oracle.leases("Dead-Letter Queue")
            if encoded.lease and encoded.lease.state is State.DEAD and encoded.lease.reason == self.wording.reason
        ]
        if len(dead) > len(HOSTS) * (limit - 1):
            raise Violation(f"(6) an outage has cost {len(dead)} videos: {dead}")


def is_suspected(lease: Lease) -> bool:
    """Return whether the last failure is not counted, because an outage is suspected."""
    return lease.state is State.PENDING and lease.detail.startswith("suspected: ")


def _limit(failure: Failure) -> int:
    return LIMITS.known_videos if failure.systemic else LIMITS.other_videos


def _may_be_an_outages(failure: Failure) -> bool:
    if failure.systemic:
        return failure.verdict in {Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT}
    return failure.verdict in {Verdict.RETRY, Verdict.GONE}
