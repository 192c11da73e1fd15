"""Suspicion of an outage: how the canary and people end it, who is told, and what survives a failure in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.outages import (
    BOT_CHECK,
    CANARY,
    GONE,
    KNOWN,
    LIMITS,
    NEWER,
    OLD,
    OWN_BUG,
    PRIVATE,
    Machine,
    add,
    attempt,
    fail,
    line,
    pass_the_pause,
    tries,
)
from tests.support.rows import make_queue
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Outcome, State
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.queue.lifecycle import give_back
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.queue.suspicion import Evidence, from_text, to_text

# --- the canary ------------------------------------------------------------------------------------------------------


def test_the_canary_ends_it_and_the_videos_count(store: ClockedStore, machine: Machine) -> None:
    """A channel that was deleted is not an outage, however many videos it has."""
    add(store, 12)
    asked: list[str] = []

    def request(url: str) -> Outcome:
        asked.append(url)
        return Done()

    attempts = machine.worker(canary=Canary(request=request, configured_url=CANARY))
    for _ in range(5):
        while attempt(attempts, GONE):
            pass
        store.ahead += timedelta(hours=2)
    assert store.count(DEAD_LETTERS) == {State.DEAD: 12}
    assert len(asked) <= 30 / LIMITS.other_videos
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    assert machine.reported == []


def test_a_canary_that_fails_too_is_asked_in_place_of_a_video(store: ClockedStore, machine: Machine) -> None:
    add(store)
    answers: list[Outcome] = [GONE, GONE, BOT_CHECK, Done()]
    canary = Canary(request=lambda url: answers.pop(0), configured_url=CANARY)
    attempts = machine.worker(canary=canary)
    fail(attempts, 5, GONE)
    assert line(store).value == "suspect"
    pass_the_pause(store)
    assert attempt(attempts, Done()) is None, "the canary was asked, and no video"
    assert line(store).pause_seconds == 1800
    pass_the_pause(store)
    assert attempt(attempts, GONE) is not None, "a block says nothing about the outage"
    pass_the_pause(store)
    assert attempt(attempts, PRIVATE) is not None
    assert (line(store).value, answers) == ("clear", [])


def test_no_canary_is_asked_about_a_bug_of_the_users_own(store: ClockedStore, machine: Machine) -> None:
    add(store)
    answers: list[Outcome] = [Done()]
    attempts = machine.worker(canary=Canary(request=lambda url: answers.pop(), configured_url=CANARY))
    fail(attempts, 5, OWN_BUG)
    pass_the_pause(store)
    fail(attempts, 1, OWN_BUG)
    assert (line(store).value, answers) == ("suspect", [Done()])


# --- people ----------------------------------------------------------------------------------------------------------


def test_control_an_event_and_the_log_say_it(
    store: ClockedStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    add(store)
    machine.upgrade = f"yt-dlp {NEWER} is out: ydc upgrade-yt-dlp"
    fail(machine.worker(), 3)
    (reported,) = machine.reported
    assert reported == line(store)
    assert reported.reason.startswith("host-a/1: page-reload: 3 videos of 3 sources on 1 machine since 20")
    assert f", yt-dlp {OLD}; to do: yt-dlp {NEWER} is out: ydc upgrade-yt-dlp; last: The page needs" in reported.reason
    assert [record.message for record in caplog.records if "an outage is suspected" in record.message] == [
        f"an outage is suspected, so failures are not counted: {cooldown.describe(reported)}"
    ]
    assert cooldown.shown(store.controls())[-1] == reported


def test_a_probe_that_fails_reports_it_again_with_what_is_new(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    machine.upgrade = f"yt-dlp {NEWER} is out: ydc upgrade-yt-dlp"
    for _ in range(2):
        pass_the_pause(store)
        fail(attempts, 1)
    assert [each.reason.count(NEWER) for each in machine.reported] == [0, 1, 1]
    assert machine.reported[-1] == line(store)


def test_a_person_may_end_it_and_it_counts_anew(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    assert attempts.queue.admission.lift("by hand") is not None
    fail(attempts, 2)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    fail(attempts, 1)
    assert line(store).value == "suspect"
    assert tries(store) == {0}


@pytest.mark.parametrize("value", ["no idea", "suspected!", "cooling", "probing"])
@pytest.mark.parametrize("reason", ["", "what is this?", "a: b: c: d"])
def test_nobodys_edit_breaks_a_worker(store: ClockedStore, machine: Machine, value: str, reason: str) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    store.set_control(
        line(store).name, lambda line: Control(name=line.name if line else "", value=value, reason=reason)
    )
    assert attempt(attempts, KNOWN) is None
    pass_the_pause(store)
    fail(attempts, 1)
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    assert tries(store) == {0}


# --- when things break -----------------------------------------------------------------------------------------------


def test_what_could_not_be_given_back_is_given_back_by_the_next_probe(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    claim = attempts.begin_next()
    assert claim is not None
    attempts.queue.settle([(claim, KNOWN)])  # and the process is killed
    assert tries(store) == {0, 1}
    pass_the_pause(store)
    fail(machine.worker(2), 1)
    assert tries(store) == {0}


def test_an_outcome_may_be_recorded_twice(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    claim = attempts.begin_next()
    assert claim is not None
    store.fails = lambda verb: verb == "swap"
    with pytest.raises(StoreUnavailable):
        attempts.queue.settle([(claim, KNOWN)])
    store.fails = lambda verb: False
    assert attempts.settle(claim, KNOWN) is not None
    assert line(store).value == "suspect"
    assert tries(store) == {0}


def test_a_video_that_somebody_holds_is_given_back_later(store: ClockedStore, machine: Machine, other: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    store.ahead += timedelta(minutes=5)
    held = other.worker().queue.claim(VIDEO_TASKS, 40)
    other.make("host-b/2").release(held[5:])
    del held[5:]
    fail(attempts, 1)
    queue = other.worker().queue
    for claim in held:
        assert claim.row.lease.state is State.HELD
    queue.release(held)
    pass_the_pause(store)
    fail(attempts, 1)
    assert tries(store) == {0}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"streaks": {"a": {}}}', '{"streaks": {"a": 1}}', '{"streaks": 1}', "null"]
)
def test_evidence_that_cannot_be_read_is_none(text: str) -> None:
    assert from_text(text) == Evidence()
    assert to_text(Evidence()) == ""


def test_an_attempt_is_never_given_back_twice(store: ClockedStore) -> None:
    add(store, 1)
    queue = make_queue(store)
    (row,) = store.scan(VIDEO_TASKS)
    once = give_back(replace(row, lease=replace(row.lease, tries=1, detail="gone: x")), queue._moment(), 0)
    assert (once.lease.tries, once.lease.reason, once.lease.detail) == (0, "suspected", "suspected: gone: x")
