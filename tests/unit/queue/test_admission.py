"""The gate in the claim loop: whom a cooldown holds back, who may try one row, and how a machine's workers share a pace."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.admissions import BOT_CHECK, PAUSE, PRIVATE, UNFIT, add, line, probe, throttle
from tests.support.faulty_store import ClockedStore
from tests.support.rows import make_admission, new_source, new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

# --- whom it holds back ----------------------------------------------------------------------------------------------


def test_a_throttled_attempt_closes_the_machine_and_no_other(worker: Callable[..., Queue]) -> None:
    one, two, elsewhere = worker(), worker("host-a/2"), worker("host-b/1")
    add(one)
    begun = throttle(one)
    assert (begun.name, begun.value) == ("cooldown host-a", "cooling")
    assert begun.reason == "host-a/1: bot-check: Sign in to confirm you're not a bot"
    assert one.claim(VIDEO_TASKS, 5) == two.claim(VIDEO_TASKS, 5) == []
    assert two.claim(SOURCES, 1) == []
    assert len(elsewhere.claim(VIDEO_TASKS, 5)) == 5
    closed = two.admission.blocked()
    assert closed
    assert closed.until == begun.until
    assert closed.why.endswith(begun.reason)


def test_a_fleet_s_cooldown_holds_everybody_back(worker: Callable[..., Queue]) -> None:
    one, elsewhere = (worker(name, cooldown_name="cooldown fleet") for name in ("host-a/1", "host-b/1"))
    add(one)
    throttle(one)
    assert elsewhere.claim(VIDEO_TASKS, 5) == []


def test_attempts_that_fail_together_are_one_episode(worker: Callable[..., Queue], store: ClockedStore) -> None:
    told: list[Control] = []
    queue = worker(on_cooldown=told.append)
    add(queue)
    claims = queue.claim(VIDEO_TASKS, 5)
    queue.settle([(claim, BOT_CHECK) for claim in claims])
    assert [line.pause_seconds for line in told] == [900]
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


def test_a_closed_gate_costs_no_look_at_the_rows(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    store.calls.clear()
    assert queue.claim(VIDEO_TASKS, 5) == []
    assert store.calls["scan"] == 0


def test_a_paused_fleet_claims_nothing_until_it_goes_on(worker: Callable[..., Queue], store: ClockedStore) -> None:
    one, elsewhere = worker(), worker("host-b/1")
    add(one)
    one.admission.pause(store.now() + PAUSE, "Ana sorts the sheet")
    closed = elsewhere.admission.blocked()
    assert closed
    assert "the fleet is paused until 2" in closed.why
    assert closed.why.endswith("Z: Ana sorts the sheet")
    assert elsewhere.claim(VIDEO_TASKS, 1) == []
    assert one.admission.resume("Ana")
    assert len(elsewhere.claim(VIDEO_TASKS, 1)) == 1
    one.admission.pause(store.now() + PAUSE, "")
    store.ahead += 2 * PAUSE
    assert len(elsewhere.claim(VIDEO_TASKS, 1)) == 1


def test_why_it_is_closed_is_said_once(worker: Callable[..., Queue], caplog: pytest.LogCaptureFixture) -> None:
    queue = worker()
    queue.store.set_control("fleet", lambda line: Control(name="fleet", value="psst"))
    for _ in range(3):
        assert queue.admission.blocked()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [
        "nothing starts: the fleet is paused",
        "Control, 'fleet': Value 'psst' is not a known word, so all workers wait",
    ]


def test_what_was_seen_last_holds_while_the_store_is_unavailable(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    with pytest.MonkeyPatch.context() as patch:

        def controls(**_: Any) -> Any:
            raise StoreUnavailable("no answer")

        patch.setattr(store, "controls", controls)
        assert queue.admission.blocked()


# --- one probe -------------------------------------------------------------------------------------------------------


def test_when_the_pause_has_passed_one_worker_tries_one_row(worker: Callable[..., Queue], store: ClockedStore) -> None:
    one, two = worker(), worker("host-a/2")
    add(one)
    throttle(one)
    store.ahead += PAUSE
    (claim,) = two.claim(VIDEO_TASKS, 5)
    assert one.claim(VIDEO_TASKS, 5) == two.claim(VIDEO_TASKS, 5) == []
    mine, other = two.admission.blocked(), one.admission.blocked()
    assert mine
    assert other
    assert (mine.by_own_probe, other.by_own_probe) == (True, False)
    two.settle([(claim, Done())])
    assert len(one.claim(VIDEO_TASKS, 5)) == 5


@pytest.mark.parametrize("outcome", [Done(), PRIVATE, Failure(verdict=Verdict.RETRY, reason="transient")])
def test_whatever_youtube_answers_opens_it(worker: Callable[..., Queue], store: ClockedStore, outcome: Outcome) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    assert (probe(queue, store, outcome).value, line(queue).until) == ("clear", None)


def test_the_pause_grows_and_shrinks_within_its_bounds(worker: Callable[..., Queue], store: ClockedStore) -> None:
    told: list[Control] = []
    queue = worker(on_cooldown=told.append)
    add(queue)
    assert throttle(queue).pause_seconds == 900
    grown = [probe(queue, store, BOT_CHECK).pause_seconds for _ in range(6)]
    assert grown == [1800, 3600, 7200, 14_400, 21_600, 21_600]
    assert len(told) == 7
    assert probe(queue, store, Done()).pause_seconds == 10_800
    assert throttle(queue).pause_seconds == 10_800


@pytest.mark.parametrize("outcome", [None, UNFIT, Done(asked_youtube=False)])
def test_a_probe_without_an_answer_leaves_it_to_another(
    worker: Callable[..., Queue], store: ClockedStore, outcome: Outcome | None
) -> None:
    one, two = worker(), worker("host-a/2")
    add(one)
    throttle(one)
    left = probe(one, store, outcome)
    assert (left.value, left.pause_seconds) == ("cooling", 900)
    assert len(two.claim(VIDEO_TASKS, 5)) == 1


def test_with_nothing_to_try_the_door_stays_as_it_was(worker: Callable[..., Queue], store: ClockedStore) -> None:
    one, two = worker(), worker("host-a/2")
    add(one, 1)
    before = throttle(one)
    (row,) = one.rows(VIDEO_TASKS)
    store.ahead += PAUSE
    assert one.claim(VIDEO_TASKS, 5, except_ids=[row.id]) == []
    assert line(one) == before
    store.ahead += PAUSE
    assert len(two.claim(VIDEO_TASKS, 5)) == 1


def test_what_is_held_since_before_a_cooldown_waits_for_the_probe(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    one, two = worker("host-a/1"), worker("host-a/2")
    add(one)
    held, *_ = one.claim(VIDEO_TASKS, 3)
    throttle(two)
    store.ahead = PAUSE
    assert one.admission.blocked() is None, "one row may be claimed, as the probe"
    assert one.admission.blocked_for(VIDEO_TASKS, held.row)
    (probe,) = two.claim(VIDEO_TASKS, 3)
    assert two.admission.blocked_for(VIDEO_TASKS, probe.row) is None
    assert two.admission.blocked_for(VIDEO_TASKS, held.row)


def test_a_claim_that_meets_a_cooldown_half_way_takes_no_probe(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    """Another was faster with half of what it wanted; meanwhile a cooldown began, and its pause passed."""
    one, two = worker("host-a/1"), worker("host-a/2")
    add(one, 2)

    def another_is_faster(verb: str) -> bool:
        if verb == "swap":
            store.fails = it_is_throttled
            claimed.append(two.claim_now(VIDEO_TASKS, 1))
            add(two)
        return False

    def it_is_throttled(verb: str) -> bool:
        if verb == "scan" and claimed and claimed[0]:
            store.fails = lambda verb: False
            two.admission.record_outcome(VIDEO_TASKS, claimed[0].row, BOT_CHECK)
            store.ahead = PAUSE
        return False

    claimed: list[Claim[VideoTask] | None] = []
    store.fails = another_is_faster
    assert [claim.row.id for claim in one.claim(VIDEO_TASKS, 5)] == [2]
    assert line(one).value == "cooling", "what it holds is no probe, and it holds none that is"


def test_a_prober_that_died_is_replaced_and_one_that_renews_is_not(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    one, two = worker(), worker("host-a/2")
    add(one)
    throttle(one)
    store.ahead += PAUSE
    assert len(one.claim(VIDEO_TASKS, 5)) == 1
    store.ahead += timedelta(minutes=8)
    one.renew()
    store.ahead += timedelta(minutes=8)
    assert two.claim(VIDEO_TASKS, 5) == []
    store.ahead += timedelta(minutes=8)
    assert len(two.claim(VIDEO_TASKS, 5)) == 1


def test_a_source_is_no_probe_as_long_as_a_video_is_due(worker: Callable[..., Queue], store: ClockedStore) -> None:
    """A list may come where no video does."""
    queue = worker()
    add(queue, 1)
    queue.add(SOURCES, [new_source(1), new_source(2)])
    throttle(queue)
    store.ahead += PAUSE
    assert queue.claim(SOURCES, 1) == []
    store.ahead += PAUSE
    assert len(queue.claim(SOURCES, 2)) == 1, "where nobody processes, it has to do"


def test_a_source_is_a_probe_when_no_video_is_due(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    queue.add(SOURCES, [new_source(1), new_source(2)])
    (claim,) = queue.claim(SOURCES, 1)
    queue.settle([(claim, BOT_CHECK)])
    assert queue.claim(SOURCES, 1) == []
    store.ahead += PAUSE
    assert len(queue.claim(SOURCES, 2)) == 1


"""Rows that are always refused."""

# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("required", "stops"),
    [
        ("0.2", True),
        ("v1", True),
        ("0.10.0 or newer", True),
        ("soon", True),
        ("0.1.0", False),
        ("0.1", False),
        ("", False),
    ],
)
def test_control_stops_a_worker_that_is_too_old(worker: Callable[..., Queue], required: str, stops: bool) -> None:
    queue = worker(version="0.1.0")
    add(queue)
    queue.store.set_control("minimum version", lambda _: Control(name="minimum version", value=required))
    blocked = queue.admission.blocked()
    assert bool(blocked) is stops
    assert bool(queue.claim(VIDEO_TASKS, 5)) is not stops
    if blocked:
        assert blocked.why == f"Control requires version {required} or newer, this worker is 0.1.0: upgrade it"


# --- people ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["clear", "", "Running"])
def test_a_person_lifts_a_cooldown(worker: Callable[..., Queue], store: ClockedStore, typed: str) -> None:
    queue = worker()
    add(queue)
    before = throttle(queue)
    store.set_control(before.name, lambda line: Control(name=before.name, value=typed, until=before.until))
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5


@pytest.mark.parametrize(("typed", "others"), [("Lifted", 5), ("", 5), ("Cool down", 0), ("no idea", 0)])
@pytest.mark.parametrize("outcome", [Done(), PRIVATE, None])
def test_what_a_person_says_while_a_probe_runs_stands(
    worker: Callable[..., Queue], store: ClockedStore, typed: str, others: int, outcome: Outcome | None
) -> None:
    """Its Until still stands there: nothing of the probe is left to renew, nor to be ended by what comes of it."""
    one, two = worker(), worker("host-a/2")
    add(one)
    throttle(one)
    store.ahead += PAUSE
    (claim,) = one.claim(VIDEO_TASKS, 5)
    store.set_control(line(one).name, lambda line: replace(line, value=typed) if line else None)
    said = line(one)
    store.ahead += timedelta(minutes=8)
    one.renew()
    assert line(one) == said
    assert len(two.claim(VIDEO_TASKS, 5)) == others
    if outcome is None:
        one.release([claim])
    else:
        one.settle([(claim, outcome)])
    assert line(one) == said


def test_a_video_that_is_throttled_begins_anew_the_cooldown_that_a_person_lifted(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    store.ahead += PAUSE
    (claim,) = queue.claim(VIDEO_TASKS, 5)
    store.set_control(line(queue).name, lambda line: replace(line, value="") if line else None)
    queue.settle([(claim, BOT_CHECK)])
    assert line(queue).value == "cooling"


def test_a_person_sets_one_with_and_without_an_end(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    add(queue)
    name, until = queue.admission.cooldown_name, store.now() + timedelta(hours=5)
    store.set_control(name, lambda line: Control(name=name, value="cooling", until=until))
    closed = queue.admission.blocked()
    assert closed
    assert closed.until == until
    store.set_control(name, lambda line: Control(name=name, value="Cooling"))
    closed = queue.admission.blocked()
    assert closed
    assert closed.until
    assert timedelta(minutes=14) < closed.until - store.now() < timedelta(minutes=16)


# --- the pace --------------------------------------------------------------------------------------------------------


def row(queue: Queue, key: str = "yt:v:00000000000") -> VideoTask:
    return new_video(1, key=key)


def test_workers_of_a_machine_share_one_rate_limit(worker: Callable[..., Queue], machine_state: ClockedStore) -> None:
    one, two = worker(rate_limit=RateLimit(12)), worker("host-a/2", rate_limit=RateLimit(12))
    assert [each.admission.start_delay_seconds(row(one)) for each in (one, two)] == [0, 0]
    waits = [each.admission.start_delay_seconds(row(one)) for each in (one, two)]
    assert all(350 < wait <= 360 for wait in waits)
    machine_state.ahead = timedelta(seconds=361)
    assert sorted(bool(each.admission.start_delay_seconds(row(one))) for each in (one, two)) == [False, True]


def test_only_youtube_s_rows_are_paced(worker: Callable[..., Queue]) -> None:
    queue = worker(rate_limit=RateLimit(1))
    assert [queue.admission.start_delay_seconds(row(queue, "url:x")) for _ in range(3)] == [0, 0, 0]


def test_what_asked_nobody_gives_its_place_back(worker: Callable[..., Queue]) -> None:
    queue = worker(rate_limit=RateLimit(1))
    add(queue, 3)
    claims: list[Claim[VideoTask]] = queue.claim(VIDEO_TASKS, 3)
    assert queue.admission.start_delay_seconds(claims[0].row) == 0
    queue.settle([(claims[0], Done(asked_youtube=False))])
    assert queue.admission.start_delay_seconds(claims[1].row) == 0
    queue.settle([(claims[1], Done())])
    assert queue.admission.start_delay_seconds(claims[2].row) > 0


def test_an_outcome_whose_recording_is_tried_again_gives_one_place_back(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker(rate_limit=RateLimit(6 * 45))
    add(queue)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    assert [queue.admission.start_delay_seconds(claim.row) for _ in range(45)] == [0] * 45
    store.fails = lambda verb: verb == "swap"
    for _ in range(15):
        with pytest.raises(StoreUnavailable):
            queue.settle([(claim, Done(asked_youtube=False))])
    store.fails = lambda verb: False
    queue.settle([(claim, Done(asked_youtube=False))])
    delays = [queue.admission.start_delay_seconds(claim.row) for _ in range(2)]
    assert (delays[0], delays[1] > 0) == (0, True)


def test_without_its_board_a_machine_goes_on_and_says_so(
    worker: Callable[..., Queue], machine_state: ClockedStore, caplog: pytest.LogCaptureFixture
) -> None:
    queue = worker(rate_limit=RateLimit(1))
    add(queue)
    machine_state.fails = lambda verb: True
    assert [queue.admission.start_delay_seconds(row(queue)) for _ in range(2)] == [0, 0]
    assert throttle(queue).value == "cooling"
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_nothing_is_said_of_time_by_pythons_clock(store: ClockedStore) -> None:
    """A machine whose clock is wrong waits by the store's."""
    admission: Admission = make_admission(store)
    store.ahead = timedelta(days=365)
    admission.record_outcome(VIDEO_TASKS, new_video(1), BOT_CHECK)
    (begun,) = store.controls()
    now: datetime = store.now()
    assert begun.until
    assert timedelta(minutes=14) < begun.until - now < timedelta(minutes=16)
