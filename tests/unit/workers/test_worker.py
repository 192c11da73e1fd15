"""A worker: how much it takes, what it records, and that whatever ends it, it holds nothing afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import POLICY, Clock, make_queue, new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.processes import parent
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.workers import attempts as attempts_module
from youtube_download_coordinator.workers import worker as worker_module
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.worker import Limits, Submit, Summary, UncancellableFuture, Worker

NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))
Process = Callable[[VideoTask], Outcome]


@pytest.fixture
def queue(store: FaultyStore, clock: Clock) -> Queue:
    return make_queue(store, policy=NO_WAIT, clock=clock)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "RECORD_AGAIN_SECONDS", 0)
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.05)


def add(queue: Queue, count: int) -> None:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(count)])


def at_once(process: Process) -> Submit:
    """Return a submit function whose attempts have ended when it returns."""

    def submit(task: VideoTask) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        try:
            future.set_result(process(task))
        except Exception as error:
            future.set_exception(error)
        return future

    return submit


def never_ending(task: VideoTask) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_running_or_notify_cancel()
    return future


def fine(task: VideoTask) -> Outcome:
    return Done(result=task.title)


def failing(verdict: Verdict, reason: str = "why") -> Process:
    return lambda task: Failure(verdict=verdict, reason=reason)


def make_worker(queue: Queue, submit: Submit, concurrency: int = 1, batch: int = 5, **more: Any) -> Worker:
    limits = Limits(
        concurrency=concurrency, max_videos=more.pop("max_videos", None), max_seconds=more.pop("max_seconds", None)
    )
    timeout = timedelta(minutes=5)
    return Worker(queue=queue, submit=submit, limits=limits, claim_batch_size=batch, attempt_timeout=timeout, **more)


def states(queue: Queue) -> dict[State, int]:
    return dict(queue.counts(VIDEO_TASKS))


# --- how much it takes -----------------------------------------------------------------------------------------------


def test_it_processes_until_nothing_is_due(queue: Queue) -> None:
    add(queue, 12)
    recorded: list[Attempt] = []
    summary = make_worker(queue, at_once(fine), on_attempt=recorded.append).run()
    assert summary.results == {AttemptResult.DONE: 12}
    assert str(summary) == "12 done"
    assert states(queue) == {State.DONE: 12}
    assert [attempt.detail for attempt in recorded] == [attempt.task.title for attempt in recorded]
    assert list(summary.attempts) == recorded


def test_with_nothing_to_do_it_ends_at_once(queue: Queue) -> None:
    assert str(make_worker(queue, at_once(fine)).run()) == "no videos"


def test_it_claims_no_more_than_it_may(queue: Queue) -> None:
    add(queue, 12)
    assert make_worker(queue, at_once(fine), max_videos=7).run().attempted == 7
    assert states(queue) == {State.DONE: 7, State.PENDING: 5}


def test_it_claims_nothing_after_its_time(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    add(queue, 12)
    now = [100.0]
    monkeypatch.setattr(worker_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))

    def process(task: VideoTask) -> Outcome:
        now[0] += 1
        return Done()

    assert make_worker(queue, at_once(process), max_seconds=3, batch=2).run().attempted == 3
    assert states(queue) == {State.DONE: 3, State.PENDING: 9}


@pytest.mark.parametrize("limits", [{"max_videos": 0}, {"max_videos": -3}, {"max_seconds": 0}, {"max_seconds": -1}])
def test_limits_that_are_reached_claim_nothing(queue: Queue, limits: dict[str, Any]) -> None:
    add(queue, 1)
    assert make_worker(queue, at_once(fine), **limits).run().attempted == 0
    assert states(queue) == {State.PENDING: 1}


def test_limits_count_down() -> None:
    left = Limits(concurrency=2, max_videos=5, max_seconds=10).less(3, 4.0)
    assert (left.concurrency, left.max_videos, left.max_seconds, left.reached) == (2, 2, 6.0, False)
    assert left.less(2, 0).reached
    assert left.less(0, 6).reached
    assert not Limits(concurrency=1).less(10**9, 10**9).reached


def test_so_many_are_processed_at_a_time_and_no_more(queue: Queue) -> None:
    add(queue, 30)
    together, running, most = threading.Barrier(3), [0], [0]
    lock = threading.Lock()

    def process(task: VideoTask) -> Outcome:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(30)  # passes only when three are here
        with lock:
            running[0] -= 1
        return Done()

    with ThreadPoolExecutor(10) as pool:
        summary = make_worker(queue, lambda task: pool.submit(process, task), concurrency=3, batch=10).run()
    assert (summary.attempted, most[0]) == (30, 3)


# --- what it records -------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_made_again_until_the_video_is_dead(queue: Queue) -> None:
    add(queue, 1)
    summary = make_worker(queue, at_once(failing(Verdict.RETRY))).run()
    assert summary.results == {AttemptResult.RETRY: 2, AttemptResult.DEAD: 1}
    assert summary.failed == 3
    assert queue.counts(DEAD_LETTERS) == {State.DEAD: 1}


def test_too_early_is_no_failure(queue: Queue) -> None:
    add(queue, 1)
    queue.video_policy = POLICY
    summary = make_worker(queue, at_once(failing(Verdict.LATER))).run()
    assert (summary.results, summary.failed) == ({AttemptResult.LATER: 1}, 0)


@pytest.mark.parametrize("verdict", [Verdict.THROTTLED, Verdict.UNFIT])
def test_throttling_stops_the_claiming_and_the_rest_is_given_back(queue: Queue, verdict: Verdict) -> None:
    add(queue, 10)
    outcomes: Iterator[Outcome] = iter([Done(), Failure(verdict=verdict, reason="http-429", message="slow down")])
    summary = make_worker(queue, at_once(lambda task: next(outcomes))).run()
    assert summary.results == {AttemptResult.DONE: 1, AttemptResult.GIVEN_BACK: 1}
    assert summary.stopped_by.endswith("http-429: slow down")
    assert summary.stopped_by.startswith("cooldown host: cooling until 2") == (verdict is Verdict.THROTTLED)
    assert summary.unfit == (verdict is Verdict.UNFIT)
    assert str(summary).endswith(f"; stopped: {summary.stopped_by}")
    assert states(queue) == {State.DONE: 1, State.PENDING: 9}
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


def test_what_runs_when_throttling_begins_is_finished(queue: Queue) -> None:
    add(queue, 10)
    throttled = threading.Event()

    def process(task: VideoTask) -> Outcome:
        if task.title.endswith("0"):
            return Failure(verdict=Verdict.THROTTLED, reason="http-429")
        throttled.wait(30)
        return Done()

    def on_attempt(attempt: Attempt) -> None:
        if attempt.result is AttemptResult.GIVEN_BACK:
            throttled.set()

    with ThreadPoolExecutor(10) as pool:
        worker = make_worker(
            queue, lambda task: pool.submit(process, task), concurrency=10, batch=10, on_attempt=on_attempt
        )
        assert worker.run().results == {AttemptResult.GIVEN_BACK: 1, AttemptResult.DONE: 9}


def test_an_attempt_that_was_stopped_is_given_back(queue: Queue) -> None:
    add(queue, 2)
    errors: list[Exception] = [parent.Stopped("somebody ended it")]

    def process(task: VideoTask) -> Outcome:
        if errors:
            raise errors.pop()
        return Done()

    assert make_worker(queue, at_once(process)).run().results == {AttemptResult.DONE: 2}
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


def test_nothing_is_given_back_twice(queue: Queue, store: FaultyStore, caplog: pytest.LogCaptureFixture) -> None:
    """When a result beside it has to wait."""
    add(queue, 2)
    swaps = iter([False, False, True])  # the claim, what is given back, and then the result

    def process(task: VideoTask) -> Outcome:
        if task.id == 1:
            raise parent.Stopped("somebody ended it")
        return Done()

    store.fails = lambda verb: verb == "swap" and next(swaps, False)
    assert make_worker(queue, at_once(process), concurrency=2, max_videos=2).run().results == {AttemptResult.DONE: 1}
    assert "trying again" in caplog.text
    assert "lost" not in caplog.text


def test_an_attempt_that_breaks_down_itself_stops_the_worker_and_costs_nothing(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    add(queue, 10)

    def process(task: VideoTask) -> Outcome:
        if task.id > 2:
            raise RuntimeError("a bug")
        return Done()

    summary = make_worker(queue, at_once(process), concurrency=5).run()
    assert "broken: RuntimeError: a bug" in summary.stopped_by
    assert "Traceback" in caplog.text
    assert summary.results[AttemptResult.DONE] == queue.counts(VIDEO_TASKS).get(State.DONE, 0)
    assert sum(queue.counts(VIDEO_TASKS).values()) == 10
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


def test_the_outcome_of_a_claim_that_was_lost_is_dropped(queue: Queue, store: FaultyStore) -> None:
    add(queue, 1)
    other = make_queue(store, "host/b")

    def process(task: VideoTask) -> Outcome:
        other.release_holder(queue.worker)
        other.claim(VIDEO_TASKS, 1)
        return Done(result="late")

    summary = make_worker(queue, at_once(process)).run()
    assert (summary.results, summary.failed) == ({AttemptResult.LOST: 1}, 1)
    (row,) = queue.rows(VIDEO_TASKS)
    assert (row.claimed_by, row.lease.state, row.result) == ("host/b", State.HELD, "")


def test_a_claim_that_ran_out_in_the_backlog_is_not_begun(queue: Queue, clock: Clock) -> None:
    add(queue, 2)
    versions: list[int] = []

    def process(task: VideoTask) -> Outcome:
        versions.append(task.lease.version)
        clock.seconds += 601  # the machine was suspended
        return Done()

    assert make_worker(queue, at_once(process), batch=2).run().results == {AttemptResult.DONE: 2}
    assert versions == [1, 3], "the second was given back and claimed anew"
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


def test_a_claim_that_was_taken_over_in_the_backlog_is_not_begun(
    queue: Queue, store: FaultyStore, clock: Clock
) -> None:
    add(queue, 2)
    other = make_queue(store, "host/b")

    def process(task: VideoTask) -> Outcome:
        other.release_holder(queue.worker)
        assert len(other.claim(VIDEO_TASKS, 2)) == 2
        clock.seconds += 601
        return Done()

    assert make_worker(queue, at_once(process), batch=2).run().results == {AttemptResult.LOST: 1}
    assert {row.claimed_by for row in queue.rows(VIDEO_TASKS)} == {"host/b"}


def test_claims_are_renewed_while_attempts_run_longer_than_their_lease(store: FaultyStore) -> None:
    policy = replace(NO_WAIT, lease=timedelta(seconds=0.3))
    queue = make_queue(store, policy=policy)
    queue.monotonic = time.monotonic
    add(queue, 3)

    def process(task: VideoTask) -> Outcome:
        renewed = task.lease.version + 4  # longer than a lease: it is renewed every third of it
        wait_until(lambda: next(row for row in queue.rows(VIDEO_TASKS) if row.id == task.id).lease.version >= renewed)
        return Done()

    with ThreadPoolExecutor(1) as pool:
        summary = make_worker(queue, lambda task: pool.submit(process, task), batch=3).run()
    assert summary.results == {AttemptResult.DONE: 3}
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}


# --- while the store is unavailable ----------------------------------------------------------------------------------


def test_outcomes_that_cannot_be_recorded_are_recorded_later(
    queue: Queue, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    add(queue, 3)
    refused = iter(range(4))

    def process(task: VideoTask) -> Outcome:
        store.fails = lambda verb: verb == "swap" and next(refused, None) is not None
        return Done()

    assert make_worker(queue, at_once(process)).run().results == {AttemptResult.DONE: 3}
    assert states(queue) == {State.DONE: 3}
    assert "1 outcomes could not be recorded; trying again: no swap now" in caplog.text


def test_a_store_that_stays_away_until_the_claims_have_run_out_ends_the_worker(
    queue: Queue, store: FaultyStore, clock: Clock
) -> None:
    add(queue, 3)

    def fails(verb: str) -> bool:
        clock.seconds += 100
        return verb == "swap"

    def process(task: VideoTask) -> Outcome:
        store.fails = fails
        return Done()

    with pytest.raises(StoreUnavailable, match="no swap now"):
        make_worker(queue, at_once(process)).run()
    store.fails = lambda verb: False
    assert queue.renew() == []
    assert {row.lease.version for row in queue.rows(VIDEO_TASKS)} == {1}, "nothing is renewed that nobody works on"


def test_a_dead_row_that_cannot_be_moved_is_recorded_all_the_same(queue: Queue, store: FaultyStore) -> None:
    add(queue, 1)
    store.fails = lambda verb: verb == "move"
    summary = make_worker(queue, at_once(failing(Verdict.PERMANENT)), max_videos=1).run()
    assert summary.results == {AttemptResult.DEAD: 1}
    store.fails = lambda verb: False
    assert queue.recover(VIDEO_TASKS).moved == 1
    assert queue.counts(DEAD_LETTERS) == {State.DEAD: 1}


def test_while_attempts_run_an_unavailable_store_only_means_no_more_claims(queue: Queue, store: FaultyStore) -> None:
    add(queue, 4)
    asked = threading.Event()
    refused = iter([True])

    def fails(verb: str) -> bool:
        if verb == "scan":
            asked.set()
        return verb == "scan" and next(refused, False)

    def process(task: VideoTask) -> Outcome:
        assert asked.wait(30)
        return Done()

    with ThreadPoolExecutor(4) as pool:

        def submit(task: VideoTask) -> Future[Outcome]:
            store.fails = fails
            return pool.submit(process, task)

        summary = make_worker(queue, submit, concurrency=2, batch=1).run()
    assert summary.results == {AttemptResult.DONE: 4}
    assert next(refused, None) is None


def test_with_nothing_to_do_an_unavailable_store_is_an_error(queue: Queue, store: FaultyStore) -> None:
    store.fails = lambda verb: True
    with pytest.raises(StoreUnavailable):
        make_worker(queue, at_once(fine)).run()


def test_what_was_claimed_before_the_store_failed_is_not_forgotten(queue: Queue, store: FaultyStore) -> None:
    add(queue, 20)
    other = make_queue(store, "host/b", policy=NO_WAIT)
    queue.random = Random(1)

    def fails(verb: str) -> bool:
        if verb == "swap" and store.calls["swap"] == 1:
            store.calls["swap"] += 1
            other.claim(VIDEO_TASKS, 15)  # so that one round does not do
        return verb == "scan" and store.calls["swap"] >= 3

    store.calls.clear()
    store.fails = fails
    claims = queue.claim(VIDEO_TASKS, 10)
    store.fails = lambda verb: False
    assert 0 < len(claims) < 10
    assert queue.release(claims) == len(claims)


# --- however it ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_whatever_ends_it_its_claims_are_given_back(queue: Queue, error: type[BaseException]) -> None:
    add(queue, 12)
    begun: list[Future[Outcome]] = []

    def submit(task: VideoTask) -> Future[Outcome]:
        if len(begun) == 2:
            raise error("stop")
        begun.append(Future())  # not running yet, so that it can be cancelled
        return begun[-1]

    with pytest.raises(error):
        make_worker(queue, submit, concurrency=4).run()
    assert states(queue) == {State.PENDING: 12}
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0}
    assert not queue.held_rows


@pytest.mark.parametrize("make", [lambda task: never_ending(task), lambda task: UncancellableFuture()])
def test_what_nothing_ends_keeps_its_claim_which_is_renewed_no_more(queue: Queue, make: Submit) -> None:
    """Given back, its video would be processed by two. The reaper learns that no attempt is to blame."""
    add(queue, 3)
    reported: list[list[int]] = []

    def submit(task: VideoTask) -> Future[Outcome]:
        if task.id == 2:
            raise KeyboardInterrupt
        return make(task)

    queue.random.seed(1)
    with pytest.raises(KeyboardInterrupt):
        make_worker(queue, submit, concurrency=3, reaper=nullcontext(lambda ids: reported.append(sorted(ids)))).run()
    assert states(queue) == {State.HELD: 1, State.PENDING: 2}
    assert reported[:2] == [[1], [1, 2]]
    assert queue.held_rows
    version = next(row.lease.version for row in queue.rows(VIDEO_TASKS) if row.lease.state is State.HELD)
    queue.renew()
    assert version in {row.lease.version for row in queue.rows(VIDEO_TASKS) if row.lease.state is State.HELD}


def test_an_attempt_that_had_ended_when_the_worker_was_interrupted_is_recorded(queue: Queue) -> None:
    add(queue, 3)
    submits = iter([at_once(fine), never_ending])

    def submit(task: VideoTask) -> Future[Outcome]:
        kind = next(submits, None)
        if kind is None:
            raise KeyboardInterrupt
        return kind(task)

    with pytest.raises(KeyboardInterrupt):
        make_worker(queue, submit, concurrency=3).run()
    assert states(queue) == {State.DONE: 1, State.HELD: 1, State.PENDING: 1}


def test_an_interruption_is_told_also_when_nothing_can_be_given_back(
    queue: Queue, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    add(queue, 3)

    def submit(task: VideoTask) -> Future[Outcome]:
        store.fails = lambda verb: verb == "swap"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_worker(queue, submit, batch=3).run()
    assert "3 claims could not be released; they will expire: no swap now" in caplog.text


def test_summaries_add_up() -> None:
    total = Summary()
    for result in (AttemptResult.DONE, AttemptResult.DONE, AttemptResult.RETRY):
        one = Summary()
        one.results[result] += 1
        total.add(one)
    assert (total.attempted, total.failed, str(total)) == (3, 1, "2 done, 1 retry")
