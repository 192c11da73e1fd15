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
