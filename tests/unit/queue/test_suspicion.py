"""Suspicion of an outage: what is evidence, on one machine and on several, and what a probe shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.outages import (
    BOT_CHECK,
    GONE,
    KNOWN,
    NEW,
    NEWER,
    OLD,
    OWN_BUG,
    PRIVATE,
    SIGN_IN,
    Machine,
    add,
    attempt,
    fail,
    line,
    pass_the_pause,
    tries,
)
from tests.support.rows import make_admission, make_queue, new_source, new_video
from youtube_download_coordinator.models import Control, Done, Failure, State, Verdict
from youtube_download_coordinator.queue import Queue, cooldown
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.reasons import ABOUT_ONE_VIDEO
from youtube_download_coordinator.workers.attempts import AttemptResult, attempt_result

# --- what is an outage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "videos"), [(KNOWN, 3), (SIGN_IN, 3), (NEW, 5), (OWN_BUG, 5), (GONE, 5)],
    ids=["known", "permanent", "new", "own-bug", "gone"],
)  # fmt: skip
def test_enough_different_videos_are_an_outage_and_nothing_is_counted(
    store: ClockedStore, machine: Machine, failure: Failure, videos: int
) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, videos - 1, failure)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    last = attempt(attempts, failure)
    assert last is not None
    assert attempt_result(failure, last) is AttemptResult.GIVEN_BACK
    assert line(store).value == "suspect"
    assert attempt(attempts, failure) is None
    assert attempts.stopped_by.startswith(f"suspect host-a {OLD}: suspect until ")
    assert tries(store) == {0}
    assert store.count(VIDEO_TASKS) == {State.PENDING: 40}
    assert store.count(DEAD_LETTERS) == {}
    assert sum(row.lease.reason == "suspected" for row in store.scan(VIDEO_TASKS)) == videos


def test_dead_letters_of_the_outage_come_back(store: ClockedStore, machine: Machine) -> None:
    add(store, 4)
    attempts = machine.worker()
    fail(attempts, 4, GONE)
    store.ahead += timedelta(hours=1)
    fail(attempts, 4, GONE)
    assert store.count(DEAD_LETTERS) == {State.DEAD: 4}
    add(store, 6)
    fail(attempts, 1, GONE)
    assert store.count(DEAD_LETTERS) == {}
    assert tries(store) == {0}


def test_a_video_keeps_the_attempts_from_before_the_outage(store: ClockedStore, machine: Machine) -> None:
    add(store, 2)
    attempts = machine.worker()
    fail(attempts, 1, replace(NEW, reason="network"))
    assert attempt(machine.worker(2), Done()) is not None  # ends that streak
    store.ahead += timedelta(hours=1)
    add(store, 6)
    fail(attempts, 5, NEW)
    assert line(store).value == "suspect"
    assert tries(store) == {0, 1}


@pytest.mark.parametrize("reason", sorted(ABOUT_ONE_VIDEO))
def test_a_fact_about_one_video_is_never_evidence(store: ClockedStore, machine: Machine, reason: str) -> None:
    add(store, 8)
    fail(machine.worker(), 7, Failure(verdict=Verdict.GONE, reason=reason))
    assert store.controls() == []


def test_a_video_counts_once(store: ClockedStore, machine: Machine) -> None:
    add(store, 2)
    attempts = machine.worker()
    for _ in range(2):
        fail(attempts, 2)
        store.ahead += timedelta(hours=1)
    assert line(store).value == "watching"
    assert tries(store) == {2}


def test_a_success_in_between_begins_anew(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    for _ in range(4):
        fail(attempts, 2)
        assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    assert tries(store) == {0, 1}


def test_a_success_that_began_before_the_failures_proves_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    long = attempts.begin_next()
    assert long is not None
    store.ahead += timedelta(minutes=5)
    fail(attempts, 2)
    attempts.settle(long, Done())
    fail(attempts, 1)
    assert line(store).value == "suspect"


def test_a_file_that_exists_already_proves_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    attempt(attempts, Done(asked_youtube=False))
    fail(attempts, 1)
    assert line(store).value == "suspect"


def test_another_reason_in_between_changes_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    for failure in (KNOWN, NEW, PRIVATE, KNOWN, PRIVATE, KNOWN):
        attempt(attempts, failure)
    assert line(store).value == "suspect"
    assert tries(store) == {0, 1}, "only the private ones count"


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_queue_of_one_source_is_enough(store: ClockedStore, machine: Machine) -> None:
    add(store, sources=1)
    fail(machine.worker(), 3)
    assert line(store).value == "suspect"


def test_one_source_of_several_is_no_outage_and_another_is_asked(store: ClockedStore, machine: Machine) -> None:
    """Videos are claimed in the order of their sources, so another one's would come last."""
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(n, key=f"yt:v:{n:011}", source_id=1 if n < 30 else 2) for n in range(40)])
    attempts = machine.worker()
    fail(attempts, 3)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    asked = attempt(attempts, Done())
    assert asked is not None
    assert asked.source_id == 2
    fail(attempts, 3)
    asked = attempt(attempts, KNOWN)
    assert asked is not None
    assert asked.source_id == 2
    assert line(store).value == "suspect"


def test_sources_that_fail_are_not_evidence_but_wait(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    queue = attempts.queue
    queue.add(SOURCES, [new_source(number) for number in range(5)])
    for _ in range(4):
        (claim,) = queue.claim(SOURCES, 1)
        queue.settle([(claim, KNOWN)])
    assert store.controls() == []
    fail(attempts, 3)
    assert queue.claim(SOURCES, 1) == []


# --- machines, processes and versions --------------------------------------------------------------------------------


def test_the_processes_of_a_machine_and_those_after_a_restart_count_together(
    store: ClockedStore, machine: Machine
) -> None:
    add(store)
    for process in range(3):
        fail(machine.worker(process), 1)
    assert line(store).value == "suspect"
    assert tries(store) == {0}
    assert attempt(machine.worker(9), KNOWN) is None


def test_machines_are_evidence_for_each_other(store: ClockedStore, machine: Machine, other: Machine) -> None:
    add(store)
    fail(machine.worker(), 2)
    assert line(store).value == "watching"
    fail(other.worker(), 1)
    assert line(store, f"suspect host-b {OLD}").value == "suspect"
    assert " 1 video of 1 source on 2 machines since " in line(store, f"suspect host-b {OLD}").reason


def test_a_machine_needs_a_quarter_of_the_failures_itself(
    store: ClockedStore, machine: Machine, other: Machine
) -> None:
    """One whose processor has a bug must not stop another that meets the same word once."""
    add(store)
    fail(machine.worker(), 5, OWN_BUG)
    assert line(store).value == "suspect"
    working = other.worker()
    fail(working, 1, NEW)
    assert cooldown.value_of(line(store, f"suspect host-b {OLD}")) is ControlValue.CLEAR
    fail(working, 1, NEW)
    assert line(store, f"suspect host-b {OLD}").value == "suspect"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: replace(line, reason="do not touch this"),
        lambda line: replace(line, reason="a: page-reload: 99999999999999999999 videos of many sources "),
        lambda line: replace(line, name=f"suspect host-c {NEWER}"),
        lambda line: replace(line, until=line.until - timedelta(hours=2)),
        lambda line: replace(line, until=None),
    ],
    ids=["rewritten", "nonsense", "another-version", "over", "without-a-time"],
)
def test_what_is_no_evidence_of_another_machine(
    store: ClockedStore, machine: Machine, other: Machine, change: Callable[[Control], Control]
) -> None:
    add(store)
    fail(machine.worker(), 2)
    changed = change(line(store))
    store.set_control(line(store).name, lambda line: line and replace(line, reason="", until=None))
    store.set_control(changed.name, lambda line: changed)
    fail(other.worker(), 2)
    assert line(store, f"suspect host-b {OLD}").value == "watching"


def test_an_upgraded_machine_goes_on_at_once_and_an_old_one_waits(
    store: ClockedStore, machine: Machine, other: Machine
) -> None:
    add(store)
    attempts, old = machine.worker(), other.worker()
    fail(attempts, 3)
    fail(old, 1)
    machine.yt_dlp = NEWER
    assert attempt(attempts, Done()) is not None
    assert attempt(old, Done()) is None
    assert line(store).value == "clear", "the line of the version before is put right"
    assert line(store).reason == f"host-a/1: yt-dlp {NEWER} works"


def test_a_new_version_begins_without_evidence(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    machine.yt_dlp = NEWER
    fail(attempts, 2)
    assert line(store, f"suspect host-a {NEWER}").value == "watching"


def test_it_works_without_a_machine_state(store: ClockedStore) -> None:
    add(store)
    machine = Machine(lambda name, **more: _without_state(store, name, **more))
    fail(machine.worker(), 3)
    assert line(store).value == "suspect"
    assert tries(store) == {0}


def _without_state(store: ClockedStore, name: str, **more: Any) -> Queue:
    queue = make_queue(store, name)
    queue.admission = make_admission(store, name, **more)
    return queue


# --- probes ----------------------------------------------------------------------------------------------------------


def test_one_video_a_pause_is_tried_and_the_pause_grows(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    tried, pauses = set(), []
    for _ in range(3):
        pauses.append(line(store).pause_seconds)
        assert attempt(attempts, KNOWN) is None
        pass_the_pause(store)
        row = attempt(attempts, NEW)  # another reason is no success
        assert row is not None
        tried.add(row.id)
        assert line(store).value == "suspect"
    assert pauses == [900, 1800, 3600]
    assert len(tried) == 3
    assert tries(store) == {0}


def test_a_success_ends_it(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    fail(attempts, 2)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR, "nothing is left of the evidence"


@pytest.mark.parametrize("outcome", [PRIVATE, replace(PRIVATE, verdict=Verdict.LATER, reason="upcoming")])
def test_a_fact_about_the_probe_shows_nothing(store: ClockedStore, machine: Machine, outcome: Failure) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, outcome) is not None
    assert (line(store).value, line(store).pause_seconds) == ("suspect", 900)
    assert attempt(attempts, Done()) is None


def test_a_throttled_probe_begins_a_cooldown(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, BOT_CHECK) is not None
    assert (line(store, "cooldown host-a").value, line(store).value) == ("cooling", "suspect")
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None  # the cooldown's probe proves that an attempt works, too
    assert (line(store, "cooldown host-a").value, line(store).value) == ("clear", "clear")


def test_what_ends_while_it_is_suspected_is_not_counted(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    running = [attempts.begin_next() for _ in range(4)]
    for claim, failure in zip(running, (KNOWN, KNOWN, KNOWN, NEW), strict=True):
        assert claim is not None
        attempts.settle(claim, failure)
    assert tries(store) == {0}
