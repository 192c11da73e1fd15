"""The promises of the queue, on every store. The tests can be read as a tutorial."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.rows import POLICY, Clock, make_queue, new_source, new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Status, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue, lifecycle
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Store, Where

RETRY = Failure(verdict=Verdict.RETRY, reason="http-503", message="Service Unavailable")
GONE = Failure(verdict=Verdict.GONE, reason="gone", message="Video unavailable")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private", message="This video is private")
NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))
SHORT_LEASE = replace(NO_WAIT, lease=timedelta(milliseconds=1))


def filled(store: Store, count: int, policy: object = NO_WAIT, worker: str = "host/a") -> Queue:
    queue = make_queue(store, worker, policy=policy)  # type: ignore[arg-type]
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(count)])
    return queue


def claim_one(queue: Queue) -> Claim[VideoTask]:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    return claim


def only_row(store: Store) -> VideoTask:
    (row,) = store.scan(VIDEO_TASKS) + store.scan(DEAD_LETTERS)
    return row


def test_a_claimed_video_is_shown_as_in_progress_and_by_whom(store: Store) -> None:
    claim = claim_one(filled(store, 1))
    assert claim.row == only_row(store)
    assert (claim.row.status, claim.row.claimed_by) == (Status.IN_PROGRESS, "host/a")
    assert claim.row.claimed_at is not None


def test_a_claimed_video_is_not_claimed_again(store: Store) -> None:
    first = filled(store, 3)
    assert len(first.claim(VIDEO_TASKS, 2)) == 2
    assert len(make_queue(store, "host/b").claim(VIDEO_TASKS, 10)) == 1
    assert make_queue(store, "host/c").claim(VIDEO_TASKS, 10) == []


def test_a_result_is_kept(store: Store) -> None:
    queue = filled(store, 1)
    queue.settle([(claim_one(queue), Done(result="media/x.m4a"))])
    assert (only_row(store).status, only_row(store).result) == (Status.DONE, "media/x.m4a")
    assert queue.claim(VIDEO_TASKS, 1) == []


def test_a_failed_attempt_is_counted_and_made_again_after_a_pause(store: Store) -> None:
    queue = filled(store, 1, POLICY)
    before = store.now()
    queue.settle([(claim_one(queue), RETRY)])
    row = only_row(store)
    assert (row.status, row.retry_count, row.last_error) == (Status.PENDING, 1, "http-503: Service Unavailable")
    assert row.not_before is not None
    assert timedelta(seconds=30) <= row.not_before - before <= timedelta(seconds=62)
    assert queue.claim(VIDEO_TASKS, 1) == []


def test_after_max_retries_failed_attempts_a_video_is_a_dead_letter(store: Store) -> None:
    queue = filled(store, 1)
    for _ in range(3):
        assert store.scan(DEAD_LETTERS) == []
        queue.settle([(claim_one(queue), RETRY)])
    assert [row.retry_count for row in store.scan(DEAD_LETTERS)] == [3]
    assert store.scan(VIDEO_TASKS) == []


def test_a_permanent_failure_is_a_dead_letter_at_once(store: Store) -> None:
    queue = filled(store, 1)
    queue.settle([(claim_one(queue), PRIVATE)])
    assert [row.last_error for row in store.scan(DEAD_LETTERS)] == ["private: This video is private"]


def test_gone_is_believed_the_second_time(store: Store) -> None:
    queue = filled(store, 1)
    queue.settle([(claim_one(queue), GONE)])
    assert only_row(store).status is Status.PENDING
    queue.settle([(claim_one(queue), GONE)])
    assert len(store.scan(DEAD_LETTERS)) == 1


def test_gone_after_something_else_is_not_yet_believed(store: Store) -> None:
    queue = filled(store, 1)
    for failure in (GONE, RETRY):
        queue.settle([(claim_one(queue), failure)])
    assert store.scan(DEAD_LETTERS) == []


def test_an_unfit_machine_costs_no_attempt(store: Store) -> None:
    queue = filled(store, 1)
    queue.settle([(claim_one(queue), Failure(verdict=Verdict.UNFIT, reason="http-429"))])
    assert (only_row(store).status, only_row(store).retry_count) == (Status.PENDING, 0)
    assert claim_one(queue).row.last_error == "http-429"


def test_what_is_too_early_waits_for_its_time_and_costs_no_attempt(store: Store) -> None:
    queue = filled(store, 1)
    premiere = store.now() + timedelta(hours=5)
    queue.settle([(claim_one(queue), Failure(verdict=Verdict.LATER, reason="upcoming", not_before=premiere))])
    row = only_row(store)
    assert (row.retry_count, row.not_before) == (0, premiere)
    assert queue.claim(VIDEO_TASKS, 1) == []
    assert queue.next_due(VIDEO_TASKS) == premiere


def test_a_released_video_is_as_it_was(store: Store) -> None:
    queue = filled(store, 2)
    queue.claim(VIDEO_TASKS, 2)
    assert queue.release_all() == 2
    assert [(row.status, row.retry_count) for row in store.scan(VIDEO_TASKS)] == [(Status.PENDING, 0)] * 2


def test_a_stalled_video_is_taken_over_with_one_try_more(store: Store) -> None:
    filled(store, 1, SHORT_LEASE).claim(VIDEO_TASKS, 1)
    claim = claim_one(make_queue(store, "host/b"))
    assert (claim.row.lease.tries, claim.row.claimed_by) == (1, "host/b")
    assert "host/a did not renew" in claim.row.last_error


def test_a_video_that_stalls_its_workers_every_time_is_a_dead_letter(store: Store) -> None:
    queue = filled(store, 1, SHORT_LEASE)
    for _ in range(3):
        wait_until(lambda: queue.claim(VIDEO_TASKS, 1))
    wait_until(lambda: queue.claim(VIDEO_TASKS, 1) == [] and list(store.scan(DEAD_LETTERS)))
    assert [row.retry_count for row in store.scan(DEAD_LETTERS)] == [3]


def test_the_result_of_one_who_lost_its_claim_is_dropped(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    late = filled(store, 1, SHORT_LEASE)
    lost = claim_one(late)
    holder = claim_one(make_queue(store, "host/b"))
    assert late.settle([(lost, Done(result="late"))]) == [None]
    assert "the claim was lost" in caplog.text
    assert only_row(store) == holder.row


def test_a_renewed_claim_is_held_on(store: Store) -> None:
    clock = Clock()
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(1)])
    claim = claim_one(queue)
    first = claim.row
    clock.seconds += 590
    assert queue.is_valid(claim)
    assert queue.renew() == []
    clock.seconds += 590
    assert queue.is_valid(claim)
    assert claim.row.lease.version == first.lease.version + 1
    assert queue.settle([(claim, Done())]) != [None]


def test_a_claim_that_is_not_renewed_ends_by_the_owners_own_clock(store: Store) -> None:
    clock = Clock()
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(1)])
    claim = claim_one(queue)
    clock.seconds += 600
    assert not queue.is_valid(claim)


def test_renewing_finds_out_what_was_lost(store: Store) -> None:
    late = filled(store, 2, SHORT_LEASE)
    claims = late.claim(VIDEO_TASKS, 2)
    make_queue(store, "host/b").claim(VIDEO_TASKS, 1)
    make_queue(store, "host/c").claim(VIDEO_TASKS, 1)
    assert set(map(id, late.renew())) == set(map(id, claims))
    assert late.release(claims) == 0


def test_an_attempt_that_takes_too_long_is_not_renewed(store: Store) -> None:
    clock = Clock()
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(1)])
    claim = claim_one(queue)
    claim.renew_until = clock.seconds + 5
    clock.seconds += 6
    queue.renew()
    assert claim.row.lease.version == 1


def test_the_claims_of_a_worker_that_is_known_to_be_gone_are_given_back(store: Store) -> None:
    filled(store, 3).claim(VIDEO_TASKS, 2)
    other = make_queue(store, "host/b")
    other.claim(VIDEO_TASKS, 1)
    assert other.release_holder("host/a") == 2
    assert [row.status for row in store.scan(VIDEO_TASKS)].count(Status.PENDING) == 2


def test_an_attempt_that_killed_its_worker_counts_and_too_many_of_them_are_the_end(store: Store) -> None:
    other, attempted, waiting = make_queue(store, "host/b"), 1, 2
    filled(store, 2)
    for tries in (1, 2):
        make_queue(store, "host/a").claim(VIDEO_TASKS, 2)
        assert other.release_holder("host/a", [attempted]) == 2
        assert {row.id: row.retry_count for row in store.scan(VIDEO_TASKS)} == {attempted: tries, waiting: 0}
    make_queue(store, "host/a").claim(VIDEO_TASKS, 2)
    other.release_holder("host/a", [attempted])
    assert [row.id for row in store.scan(VIDEO_TASKS)] == [waiting]
    assert [row.last_error for row in store.scan(DEAD_LETTERS)] == ["killed: host/a was killed during the attempt"]


def test_requeued_dead_letters_have_all_their_attempts_again(store: Store) -> None:
    queue = filled(store, 2)
    for claim in queue.claim(VIDEO_TASKS, 2):
        queue.settle([(claim, PRIVATE)])
    (first, _) = store.scan(DEAD_LETTERS)
    assert queue.requeue_dead_letters([first.id]) == 1
    assert [(row.id, row.retry_count) for row in store.scan(VIDEO_TASKS)] == [(first.id, 0)]
    assert queue.requeue_dead_letters() == 1
    assert store.scan(DEAD_LETTERS) == []


def test_a_worker_killed_between_a_verdict_and_the_move_leaves_nothing_behind(store: Store) -> None:
    queue = filled(store, 2)
    buried, revived = queue.claim(VIDEO_TASKS, 2)
    queue.settle([(buried, PRIVATE), (revived, PRIVATE)])
    for row in store.scan(DEAD_LETTERS):
        assert store.move(DEAD_LETTERS, row, VIDEO_TASKS)  # as it was before the move
    assert queue.recover(VIDEO_TASKS).moved == 2
    assert len(store.scan(DEAD_LETTERS, Where(state=State.DEAD))) == 2


def test_a_source_that_does_not_answer_is_never_given_up(store: Store) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    queue.add(SOURCES, [new_source(1)])
    for _ in range(10):
        queue.settle([(claim, RETRY) for claim in queue.claim(SOURCES, 1)])
    (source,) = store.scan(SOURCES)
    assert (source.status, source.retry_count) == (Status.PENDING, 10)


def test_a_source_that_does_not_exist_is_an_error(store: Store) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    queue.add(SOURCES, [new_source(1)])
    queue.settle([(claim, PRIVATE) for claim in queue.claim(SOURCES, 1)])
    assert [row.status for row in store.scan(SOURCES)] == [Status.ERROR]


def test_what_a_listing_learned_is_recorded_with_its_outcome(store: Store) -> None:
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(1)])
    (claim,) = queue.claim(SOURCES, 1)
    queue.settle([(claim, Done())], title="A channel", videos=12, checked_at=store.now())
    assert [(row.title, row.videos) for row in store.scan(SOURCES)] == [("A channel", 12)]


def test_pauses_double_up_to_the_longest(store: Store) -> None:
    from youtube_download_coordinator.queue.lifecycle import backoff_seconds

    assert [backoff_seconds(tries, 0.0, POLICY) for tries in (1, 2, 3, 9, 99)] == [60, 120, 240, 3600, 3600]
    assert backoff_seconds(1, 0.999, POLICY) == pytest.approx(30, abs=0.1)


def test_every_row_is_read_page_by_page(store: Store) -> None:
    queue = filled(store, 2500)
    assert [row.key for row in queue.rows(VIDEO_TASKS)] == [new_video(n).key for n in range(2500)]


# --- asked for by a person, now -----------------------------------------------------------------------------------------


def test_a_row_that_waits_is_claimed_at_once_when_somebody_asks_for_it(store: Store) -> None:
    queue = filled(store, 2, POLICY)
    queue.settle([(claim_one(queue), RETRY)])
    (waiting,) = [row for row in store.scan(VIDEO_TASKS) if row.not_before]
    claim = queue.claim_now(VIDEO_TASKS, waiting.id)
    assert claim
    assert (claim.row.id, claim.row.retry_count, claim.row.claimed_by) == (waiting.id, 1, "host/a")
    assert queue.settle([(claim, Done())]) != [None]


def test_so_is_one_that_is_done_and_it_is_as_new(store: Store) -> None:
    queue = filled(store, 1)
    queue.settle([(claim_one(queue), RETRY)])
    queue.settle([(claim_one(queue), Done())])
    claim = queue.claim_now(VIDEO_TASKS, only_row(store).id)
    assert claim
    assert claim.row.retry_count == 0


def test_what_another_worker_holds_stays_with_it_until_its_lease_has_run_out(store: Store) -> None:
    held = claim_one(filled(store, 1))
    assert make_queue(store, "host/b").claim_now(VIDEO_TASKS, held.row.id) is None
    stalled = claim_one(filled(store, 2, SHORT_LEASE))
    asking = make_queue(store, "host/b")
    wait_until(lambda: lifecycle.is_stalled(stalled.row, store.now()))
    claim = asking.claim_now(VIDEO_TASKS, stalled.row.id)
    assert claim
    assert (claim.row.claimed_by, claim.row.retry_count) == ("host/b", 1)


def test_a_row_that_does_not_exist_is_not_claimed(store: Store) -> None:
    assert filled(store, 1).claim_now(VIDEO_TASKS, 10_000) is None


# --- told ------------------------------------------------------------------------------------------------------------


def test_each_video_that_ended_is_told_once(store: Store) -> None:
    told: list[tuple[State, str]] = []
    queue = filled(store, 4)
    queue.on_attempt_end = lambda task: told.append((task.lease.state, task.lease.detail))
    outcomes: list[Outcome] = [PRIVATE, RETRY, Done(result="x"), PRIVATE]
    queue.settle(list(zip(queue.claim(VIDEO_TASKS, 4), outcomes, strict=True)))
    private = (State.DEAD, "private: This video is private")
    assert sorted(told) == [private, private, (State.DONE, "x")]
    queue.recover(VIDEO_TASKS)
    assert len(told) == 3


def test_an_outcome_that_came_too_late_is_not_told(store: Store) -> None:
    told: list[VideoTask] = []
    queue = filled(store, 1)
    queue.on_attempt_end = told.append
    claim = claim_one(queue)
    make_queue(store, "host/b").release_holder("host/a")
    assert queue.settle([(claim, Done())]) == [None]
    assert told == []


# --- throttled -----------------------------------------------------------------------------------------------------------

BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="Sign in to confirm you're not a bot")


def refused_alone(queue: Queue) -> VideoTask:
    """Refuse the one row that is due while nothing is blocked, then let a person end the cooldown and the row's pause."""
    queue.settle([(claim_one(queue), BOT_CHECK)])
    row = only_row(queue.store)
    queue.admission.lift("by hand")
    queue.retry(VIDEO_TASKS, Selection())
    return row


def test_a_refused_row_waits_until_the_cooldown_is_over_and_says_how_often_it_was_refused(store: Store) -> None:
    queue = filled(store, 1, replace(NO_WAIT, max_throttles=5))
    before = store.now()
    row = refused_alone(queue)
    assert (row.status, row.retry_count, row.lease.throttles) == (Status.PENDING, 0, 1)
    assert row.not_before
    assert row.not_before >= before + timedelta(seconds=900)
    assert row.last_error.endswith(" (throttled 1 time)")


def test_refusals_outlive_claims_releases_failures_and_recoveries(store: Store) -> None:
    queue = filled(store, 1, replace(NO_WAIT, max_throttles=5, max_retries=99))
    refused_alone(queue)
    queue.settle([(claim_one(queue), RETRY)])
    queue.release([claim_one(queue)])
    claim_one(queue)
    assert queue.release_holder("host/a", [only_row(store).id]) == 1
    assert (only_row(store).lease.throttles, only_row(store).lease.reason) == (1, "killed")


def test_a_row_that_is_refused_too_often_is_a_dead_letter_which_retry_undoes(store: Store) -> None:
    queue = filled(store, 1, replace(NO_WAIT, max_throttles=2))
    refused_alone(queue)
    assert refused_alone(queue).lease.reason == "blocked"
    (dead,) = store.scan(DEAD_LETTERS)
    assert dead.last_error.startswith(
        "blocked: refused 2 times while other videos were answered; last: bot-check: Sign in"
    )
    assert queue.requeue_dead_letters() == 1
    row = claim_one(queue).row
    assert (row.lease.throttles, row.last_error) == (0, "")
