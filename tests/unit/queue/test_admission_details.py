"""Details of the admission that mutants survived: probes that are taken twice, and outcomes that show nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.admissions import BOT_CHECK, PAUSE, UNFIT, add, throttle
from tests.support.faulty_store import ClockedStore
from tests.support.outages import GONE, KNOWN, Machine, attempt, fail, line, pass_the_pause
from tests.support.outages import add as add_videos
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, Verdict
from youtube_download_coordinator.queue import Queue, cooldown
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

OWN = Failure(verdict=Verdict.THROTTLED, reason="throttled", message="my own service")
CANARY = "https://www.youtube.com/watch?v=canary-0001"


def test_during_a_cooldown_no_slot_is_available(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    assert queue.admission.available_slots(5) == 0


def test_a_reserved_probe_is_one_slot_until_a_row_is_bound_to_it(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    store.ahead += PAUSE
    assert queue.admission.acquire(5) == 1
    assert queue.admission.available_slots(5) == 1, "the claim that it is reserved for may be tried again"


def test_a_probe_that_another_worker_takes_first_leaves_no_slot(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = worker(), worker("host-a/2")
    add(one)
    throttle(one)
    store.ahead += PAUSE
    set_control = store.set_control

    def after_the_other(*given: Any) -> Control | None:
        monkeypatch.setattr(store, "set_control", set_control)
        assert one.admission.acquire(5) == 1
        return set_control(*given)

    monkeypatch.setattr(store, "set_control", after_the_other)
    assert two.admission.acquire(5) == 0


@pytest.mark.parametrize("outcome", [UNFIT, Done(asked_youtube=False)])
def test_an_outcome_without_a_request_to_youtube_decides_nothing(
    worker: Callable[..., Queue], outcome: Outcome
) -> None:
    queue = worker()
    add(queue)
    refused, other = queue.claim(VIDEO_TASKS, 2)
    queue.admission.record_outcome(VIDEO_TASKS, refused.row, OWN, others_run=True)
    queue.admission.record_outcome(VIDEO_TASKS, other.row, outcome)
    assert queue.admission.awaits_answers
    queue.admission.record_outcome(VIDEO_TASKS, other.row, Done())
    assert not queue.admission.awaits_answers


# --- a suspected outage ------------------------------------------------------------------------------------------------


def test_a_refused_probe_of_a_suspicion_leaves_it_as_it_was_and_its_row_is_at_fault(
    store: ClockedStore, machine: Machine
) -> None:
    add_videos(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    before = line(store)
    refused = attempt(attempts, BOT_CHECK)
    assert refused
    assert refused.lease.throttles == 1, "it began the cooldown, and was a probe of something else"
    assert line(store) == before


def test_an_answered_canary_ends_the_evidence_of_an_outage_and_not_that_of_a_cooldown(
    store: ClockedStore, machine: Machine
) -> None:
    add_videos(store)
    answers: list[Outcome] = [KNOWN, Done()]
    attempts = machine.worker(canary=Canary(request=lambda url: answers.pop(0), configured_url=CANARY))
    fail(attempts, 3)
    pass_the_pause(store)
    fail(attempts, 2)
    assert answers == []
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR, "two failures are not three"


def test_an_answered_canary_after_a_cooldown_ends_no_evidence_of_an_outage(
    store: ClockedStore, machine: Machine
) -> None:
    add_videos(store)
    answers: list[Outcome] = [BOT_CHECK, Done(), KNOWN]
    attempts = machine.worker(canary=Canary(request=lambda url: answers.pop(0), configured_url=CANARY))
    fail(attempts, 2)
    assert attempt(attempts, BOT_CHECK)
    attempts.queue.admission.check_canary()
    pass_the_pause(store)
    fail(attempts, 1)
    assert line(store).value == "suspect", "the third failure of the machine"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_refused_canary_keeps_why_an_outage_is_suspected(
    store: ClockedStore, machine: Machine, is_known: bool
) -> None:
    failure = KNOWN if is_known else GONE
    add_videos(store)
    answers: list[Outcome] = [failure, failure]
    attempts = machine.worker(canary=Canary(request=lambda url: answers.pop(0), configured_url=CANARY))
    fail(attempts, 3 if is_known else 5, failure)
    reason = line(store).reason
    pass_the_pause(store)
    assert attempts.queue.admission.acquire(5) == 0
    assert answers == []
    assert line(store).reason == reason


def test_a_suspicion_that_a_person_has_changed_is_not_ended_by_the_canary(
    store: ClockedStore, machine: Machine
) -> None:
    add_videos(store)
    attempts = machine.worker(canary=Canary(request=lambda url: Done(), configured_url=CANARY))
    claims = [attempts.begin_next() for _ in range(3)]
    for claim in claims:
        assert claim
        attempts.queue.settle([(claim, KNOWN)])
    name = line(store).name
    store.set_control(name, lambda line: replace(line, value="stop") if line else None)
    attempts.queue.admission.check_canary()
    assert line(store).value == "stop"
    assert not attempts.queue.admission.goes_on


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_a_row_is_at_fault_for_a_refusal_that_nothing_was_undecided_about(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    throttle_of_row = queue.admission.record_outcome(VIDEO_TASKS, claim.row, OWN)
    assert throttle_of_row.is_row_at_fault
    assert not queue.admission.makes_subtitles, "it says nothing about subtitles"


def test_the_last_of_several_refusals_is_the_machines_and_no_rows_fault(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue)
    one, two, three = queue.claim(VIDEO_TASKS, 3)
    first = queue.admission.record_outcome(VIDEO_TASKS, one.row, OWN, others_run=True)
    assert first.is_row_at_fault
    assert queue.admission.goes_on
    last = queue.admission.record_outcome(VIDEO_TASKS, two.row, OWN)
    assert not last.is_row_at_fault
    assert not queue.admission.goes_on
    late = queue.admission.record_outcome(VIDEO_TASKS, three.row, OWN)
    assert late == replace(last, is_row_at_fault=False)
    assert late.until is not None, "it waits for the end of the cooldown that the others began"


# --- a pause that ends -------------------------------------------------------------------------------------------------


def test_a_fleet_that_goes_on_has_no_line_left_and_other_lines_stay(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = worker()
    add(queue)
    cooling = throttle(queue)
    assert queue.admission.resume("nobody paused it") is None
    assert store.controls(fresh=True) == [cooling]
    queue.admission.pause(None, "by hand")
    reads: list[bool] = []
    controls = store.controls

    def noted(*, fresh: bool = False) -> list[Control]:
        reads.append(fresh)
        return controls(fresh=fresh)

    monkeypatch.setattr(store, "controls", noted)
    resumed = queue.admission.resume("by hand")
    assert reads[0], "a person may have typed the pause a moment ago"
    assert resumed
    assert (resumed.name, resumed.value, resumed.reason) == ("fleet", "running", "by hand")
    assert store.controls(fresh=True) == [cooling]


def test_a_pause_whose_line_is_lost_is_ended_by_a_line_of_its_own(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = worker()
    queue.admission.pause(None, "by hand")
    monkeypatch.setattr(store, "remove_control", lambda *_: False)
    assert queue.admission.resume("by hand")
    assert [(line.name, line.value) for line in store.controls(fresh=True)] == [("fleet", "running")]


def test_a_worker_that_ended_the_pause_remembers_that_while_control_cannot_be_read(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    queue.admission.pause(None, "by hand")
    assert queue.admission.blocked()
    queue.admission.resume("by hand")

    def controls(**_: Any) -> list[Control]:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "controls", controls)
    blocked = queue.admission.blocked()
    assert blocked
    assert blocked.why.startswith("cooldown host-a: cooling")
