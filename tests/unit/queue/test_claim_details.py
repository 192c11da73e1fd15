"""Details of adding and claiming that mutants survived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.admissions import BOT_CHECK, add
from tests.support.faulty_store import ClockedStore
from tests.support.outages import KNOWN, Machine, line, tries
from tests.support.outages import add as add_videos
from tests.support.rows import new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, State, Status, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.offers import parse_offer
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Change, Table
from youtube_download_coordinator.queue.targets import Targets


def test_a_row_is_added_once_and_found_afterwards(worker: Callable[..., Queue]) -> None:
    queue = worker()
    row_id, is_new = queue.find_or_add(VIDEO_TASKS, new_video(1))
    assert is_new
    assert queue.find_or_add(VIDEO_TASKS, new_video(1)) == (row_id, False)
    assert [row.id for row in queue.rows(VIDEO_TASKS)] == [row_id]


def test_a_row_that_is_deleted_between_the_two_requests_is_added_again(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = worker()
    row_id, _ = queue.find_or_add(VIDEO_TASKS, new_video(1))
    scan = store.scan
    answers: list[list[Any]] = [[]]

    def deleted_once(*given: Any, **named: Any) -> Any:
        return answers.pop() if answers else scan(*given, **named)

    monkeypatch.setattr(store, "scan", deleted_once)
    assert queue.find_or_add(VIDEO_TASKS, new_video(1)) == (row_id, False)
    monkeypatch.setattr(store, "scan", lambda *_, **__: [])
    with pytest.raises(StoreUnavailable, match=r"video-00001.*deleted"):
        queue.find_or_add(VIDEO_TASKS, new_video(1))


def test_known_videos_are_those_of_the_queue(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    queue.add(VIDEO_TASKS, [new_video(1), new_video(2)])
    assert queue.known_videos([new_video(2).key, new_video(3).key]) == {new_video(2).key}
    store.calls.clear()
    assert queue.known_videos([]) == set()


def test_a_claim_takes_over_a_stalled_row_when_nothing_else_is_due(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    dead, queue = worker("host-b/1"), worker()
    add(dead, 1)
    assert len(dead.claim(VIDEO_TASKS, 1)) == 1
    assert queue.claim(VIDEO_TASKS, 1) == []
    store.ahead += timedelta(hours=1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    assert claim.row.lease.tries == 1


def test_a_claim_that_lost_most_rows_asks_again_for_what_is_missing_and_no_more(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, rival = worker(), worker("host-b/1")
    add(queue, 60)
    swap = store.swap

    def after_the_rival(table: Table[Any], changes: Sequence[Change[Any]]) -> Any:
        monkeypatch.setattr(store, "swap", swap)
        rival._hold(table, [change.seen for change in changes[2:]])
        return swap(table, changes)

    monkeypatch.setattr(store, "swap", after_the_rival)
    assert len(queue.claim(VIDEO_TASKS, 10)) == 10
    assert rival.held_rows == 8


# --- outcomes ----------------------------------------------------------------------------------------------------------

OWN = Failure(verdict=Verdict.THROTTLED, reason="throttled", message="my own service")
MEMBERS = Failure(verdict=Verdict.RETRY, reason="private", message="a fact about one video")


def test_an_answer_decides_about_the_refusals_that_are_recorded_with_it(
    worker: Callable[..., Queue],
) -> None:
    queue = worker()
    add(queue, 3)
    claims = queue.claim(VIDEO_TASKS, 3)
    for claim in claims:
        claim.renew_until = queue.monotonic() + 100
    queue.settle([(claims[0], OWN)])
    assert queue.admission.awaits_answers
    _, refused = queue.settle([(claims[2], Done()), (claims[1], OWN)])
    assert refused
    assert refused.lease.throttles == 0, "the first refusal is the one that was undecided"
    assert not queue.admission.awaits_answers, "the answer has decided, whatever the order"


def test_as_many_videos_are_given_back_as_an_outage_has_counted(store: ClockedStore, machine: Machine) -> None:
    add_videos(store, 6)
    queue = machine.worker().queue
    assert queue.give_back_suspected() == 0
    for row_id in (1, 2, 3):
        claim = queue.claim_now(VIDEO_TASKS, row_id)
        assert claim
        queue.settle([(claim, KNOWN)])
    queue.admission.check_canary()
    queue.admission.report_suspicion()
    assert line(store).value == "suspect"
    assert queue.give_back_suspected() == 2, "the third was not counted"
    assert queue.give_back_suspected() == 0
    assert tries(store) == {0}


def test_an_attempt_that_failed_otherwise_since_is_not_given_back(store: ClockedStore, machine: Machine) -> None:
    add_videos(store, 6)
    queue = machine.worker().queue
    for row_id, failure in ((1, KNOWN), (1, MEMBERS), (2, KNOWN), (3, KNOWN)):
        claim = queue.claim_now(VIDEO_TASKS, row_id)
        assert claim
        queue.settle([(claim, failure)])
        store.ahead += timedelta(minutes=5)
    queue.admission.check_canary()
    queue.admission.report_suspicion()
    assert line(store).value == "suspect"
    assert queue.give_back_suspected() == 1
    assert {row.id: row.lease.tries for row in store.scan(VIDEO_TASKS)} == {1: 2, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0}


def test_a_fork_gives_nothing_back_and_forgets_the_claims(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue, 2)
    claims = queue.claim(VIDEO_TASKS, 2)
    queue.process_id += 1
    assert queue.release(claims) == 0
    assert queue.held_rows == 0
    queue.process_id -= 1
    assert {row.lease.state for row in queue.rows(VIDEO_TASKS)} == {State.HELD}


def test_what_waits_for_the_end_of_loops_is_done_after_the_last(worker: Callable[..., Queue]) -> None:
    queue, called = worker(), list[str]()
    queue.loop_begins()
    queue.loop_begins()
    assert not queue.after_loops(lambda: called.append("after both"))
    queue.loop_ends()
    assert called == []
    queue.loop_ends()
    assert called == ["after both"]
    assert queue.after_loops(lambda: called.append("at once"))
    assert called == ["after both", "at once"]


def test_an_offer_in_control_names_the_machine(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker("host-a/run-7")
    queue.offer = parse_offer(["region:BR"])
    queue.renew_offer()
    assert [line.reason.partition(" ")[0] for line in store.controls(fresh=True)] == ["host-a"]


def test_a_store_that_fails_after_the_first_claims_loses_none_and_before_them_is_an_error(
    worker: Callable[..., Queue], store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, rival = worker(), worker("host-b/1")
    add(queue, 60)
    swap = store.swap

    def after_the_rival(table: Table[Any], changes: Sequence[Change[Any]]) -> Any:
        monkeypatch.setattr(store, "swap", swap)
        rival._hold(table, [change.seen for change in changes[2:]])
        outcomes = swap(table, changes)
        store.fails = lambda verb: verb == "swap"
        return outcomes

    monkeypatch.setattr(store, "swap", after_the_rival)
    assert len(queue.claim(VIDEO_TASKS, 10)) == 2, "the second round failed"
    with pytest.raises(StoreUnavailable):
        queue.claim(VIDEO_TASKS, 10)


def test_earlier_claims_are_held_on_when_more_are_claimed(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue, 3)
    assert len(queue.claim(VIDEO_TASKS, 1)) == len(queue.claim(VIDEO_TASKS, 1)) == 1
    assert queue.held_rows == 2
    assert queue.release_all() == 2


def test_during_a_cooldown_nobody_claims_a_row_by_its_id(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue, 3)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])
    other = next(row for row in queue.rows(VIDEO_TASKS) if row.id != claim.row.id)
    assert queue.claim_now(VIDEO_TASKS, other.id) is None
    queue.admission.lift("by hand")
    assert queue.claim_now(VIDEO_TASKS, other.id)


def test_a_row_whose_status_a_person_has_typed_is_not_claimed(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue, 2)
    scan = store.scan
    typed = {1: Status.DONE}

    def as_typed(*given: Any, **named: Any) -> Any:
        return [replace(row, requested_status=typed.get(row.id)) for row in scan(*given, **named)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "scan", as_typed)
        assert [claim.row.id for claim in queue.claim(VIDEO_TASKS, 5)] == [2]


def test_no_more_rows_are_claimed_than_wanted_beside_those_whose_files_wait_here(worker: Callable[..., Queue]) -> None:
    queue = worker()
    queue.video_policy = replace(queue.video_policy, backoff=timedelta(0), backoff_max=timedelta(0))
    add(queue, 10)
    keys = [row.key for row in queue.rows(VIDEO_TASKS)]
    queue.unpublished = lambda: keys[:1]
    (first,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(first, Failure(verdict=Verdict.LATER, reason="upload"))])
    claims = queue.claim(VIDEO_TASKS, 3)
    assert len(claims) == 3
    assert first.row.id in {claim.row.id for claim in claims}


def test_a_row_is_found_behind_all_those_that_are_left_out(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue, 120)
    ids = sorted(row.id for row in queue.rows(VIDEO_TASKS))
    (claim,) = queue.claim(VIDEO_TASKS, 1, except_ids=ids[:-1])
    assert claim.row.id == ids[-1]


def test_a_claim_that_another_worker_took_is_lost_at_its_renewal(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue, rival = worker(), worker("host-b/1")
    add(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    store.ahead += timedelta(hours=1)
    (taken,) = rival.claim(VIDEO_TASKS, 1)
    assert taken.row.id == claim.row.id
    assert queue.renew() == [claim]
    assert claim.lost
    assert queue.held_rows == 0
    assert queue.renew() == []


def test_what_waits_for_this_machine_is_due_now(worker: Callable[..., Queue]) -> None:
    queue, brazilian = worker("host-b/1"), worker()
    brazilian.offer = parse_offer(["region:BR"])
    brazilian.renew_offer()
    add(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country"))])
    assert (queue.next_due(VIDEO_TASKS) or queue.store.now()) > queue.store.now()
    assert (brazilian.next_due(VIDEO_TASKS) or brazilian.store.now()) <= brazilian.store.now()
    assert len(brazilian.claim(VIDEO_TASKS, 1)) == 1


def test_a_target_holds_back_rows_whose_files_wait_here(worker: Callable[..., Queue]) -> None:
    queue = worker()
    queue.video_policy = replace(queue.video_policy, backoff=timedelta(0), backoff_max=timedelta(0))
    queue.add(VIDEO_TASKS, [new_video(number, accent="cy", duration_seconds=3600) for number in range(3)])
    queue.unpublished = lambda: [new_video(0).key]
    (waiting,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(waiting, Failure(verdict=Verdict.LATER, reason="upload"))])
    queue.targets = Targets(hours={"cy": 2})
    (again,) = queue.claim(VIDEO_TASKS, 1)
    assert again.row.id == waiting.row.id, "the target is not reached yet"
    queue.settle([(again, Failure(verdict=Verdict.LATER, reason="upload"))])
    queue.targets = Targets()
    queue.settle(
        [(claim, Done(result="x.m4a")) for claim in queue.claim(VIDEO_TASKS, 3) if claim.row.id != again.row.id]
    )
    queue.release_all()
    queue.targets = Targets(hours={"cy": 2})
    assert queue.claim(VIDEO_TASKS, 3) == []
