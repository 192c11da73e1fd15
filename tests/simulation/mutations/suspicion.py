"""Mutations of suspicion: when an outage is suspected, what is counted in it, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from unittest import mock

from youtube_download_coordinator.models import Control, Failure, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue, suspicion
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.cooldown import SUSPICION
from youtube_download_coordinator.queue.machine_lines import MachineLines
from youtube_download_coordinator.queue.probing import Probing
from youtube_download_coordinator.queue.store import SetControl
from youtube_download_coordinator.queue.suspicion import Evidence


@contextmanager
def outages_are_not_noticed() -> Iterator[None]:
    """Count every failure in an outage, however many different videos fail alike."""
    with mock.patch.object(suspicion, "is_enough", return_value=False):
        yield


@contextmanager
def one_video_is_an_outage() -> Iterator[None]:
    """Count attempts, not different videos: one that fails again and again is an outage."""
    add_failure = suspicion.add_failure

    def added(evidence: Evidence, row: VideoTask, failure: Failure, now: datetime) -> Evidence:
        return add_failure(evidence, replace(row, key=f"{row.key} {row.lease.version}"), failure, now)

    with mock.patch.object(suspicion, "add_failure", added):
        yield


@contextmanager
def facts_about_a_video_are_not_counted() -> Iterator[None]:
    """Count no failure while an outage is suspected, not even that a video is private."""

    def is_evidence(failure: Failure) -> bool:
        return failure.verdict in {Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT}

    with mock.patch.object(suspicion, "is_evidence", is_evidence):
        yield


@contextmanager
def suspected_failures_are_counted() -> Iterator[None]:
    """Count the failures that end while an outage is suspected."""
    weigh = Admission._weigh

    def weighed(self: Admission, *given: object) -> object:
        return replace(weigh(self, *given), is_suspected=False)  # type: ignore[arg-type]

    with mock.patch.object(Admission, "_weigh", weighed):
        yield


@contextmanager
def nothing_is_given_back() -> Iterator[None]:
    """Leave what an outage has counted before it was suspected, dead letters too."""
    with mock.patch.object(Queue, "_give_back", return_value=0):
        yield


@contextmanager
def suspicion_holds_nobody_back() -> Iterator[None]:
    """Write that an outage is suspected, and go on all the same."""
    find = vars(Probing)["_line"].fget

    def without(self: Probing) -> Control | None:
        line: Control | None = find(self)
        return None if line and line.name.startswith(SUSPICION) else line

    with mock.patch.object(Probing, "_line", property(without)):
        yield


@contextmanager
def each_process_counts_for_itself() -> Iterator[None]:
    """Keep what has failed in the process, not in the state of its machine."""

    def read(self: MachineLines, name: str) -> Control | None:
        return self.memory.get(name)

    def change(self: MachineLines, name: str, change: SetControl) -> None:
        if (line := change(self.memory.get(name))) is not None:
            self.memory[name] = line

    with mock.patch.object(MachineLines, "read", read), mock.patch.object(MachineLines, "change", change):
        yield


@contextmanager
def successes_prove_nothing() -> Iterator[None]:
    """Add up failures although videos succeed in between."""
    with mock.patch.object(suspicion, "add_success", lambda evidence, begun: evidence):
        yield


@contextmanager
def canary_is_not_believed() -> Iterator[None]:
    """Suspect an outage also where the canary is answered."""
    with mock.patch.object(Admission, "_is_disproved", return_value=False):
        yield


@contextmanager
def versions_are_one() -> Iterator[None]:
    """Hold a machine back for what failed with the version before an upgrade."""
    line_name = suspicion.line_name
    with mock.patch.object(suspicion, "line_name", lambda host, version: line_name(host, "1.0")):
        yield
