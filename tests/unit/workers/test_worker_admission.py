"""A worker and the admission: what it gives back when it is blocked, how it waits for the rate limit, and that a run waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore, FaultyStore
from tests.support.rows import Clock, make_admission, make_queue, new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator, wiring
from youtube_download_coordinator import coordinator as coordinator_module
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Admission, Blocked
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.worker import Limits, Submit, Summary, Worker

OWN = Failure(verdict=Verdict.THROTTLED, reason="throttled", message="my own service")
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check")
PAUSE = timedelta(seconds=901)


@pytest.fixture
def store() -> Iterator[ClockedStore]:
    store = ClockedStore()
    yield store
    store.close()


@pytest.fixture
def queue(store: ClockedStore) -> Queue:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number, key=f"yt:v:{number:011}") for number in range(12)])
    return queue


def worker(queue: Queue, process: Callable[[VideoTask], Outcome], **more: Any) -> Worker:
    def submit(task: VideoTask) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(process(task))
        return future

    return _worker(queue, submit, **more)


def _worker(
    queue: Queue, submit: Submit, concurrency: int = 1, max_seconds: float | None = None, **more: Any
) -> Worker:
    limits, timeout = Limits(concurrency=concurrency, max_seconds=max_seconds), timedelta(minutes=5)
    return Worker(queue=queue, submit=submit, limits=limits, claim_batch_size=5, attempt_timeout=timeout, **more)


def states(queue: Queue) -> dict[State, int]:
    return dict(queue.counts(VIDEO_TASKS))


# --- blocked ---------------------------------------------------------------------------------------------------------


def test_a_pause_ends_a_worker_before_its_next_video(queue: Queue) -> None:
    def process(task: VideoTask) -> Outcome:
        queue.admission.pause(None, "by hand")
        return Done()

    summary = worker(queue, process).run()
    assert summary.results == {AttemptResult.DONE: 1}
    assert summary.stopped_by == "the fleet is paused: by hand"
    assert not summary.unfit
    assert states(queue) == {State.DONE: 1, State.PENDING: 11}


@pytest.mark.parametrize("others", [Done(), OWN])
def test_attempts_that_run_decide_whose_fault_a_refusal_is(queue: Queue, others: Outcome) -> None:
    goes_on, order = threading.Event(), iter(range(100))

    def process(task: VideoTask) -> Outcome:
        if (number := next(order)) == 0:
            return OWN
        goes_on.wait(60)
        return others if number == 1 else Done()

    with ThreadPoolExecutor(3) as pool:
        run = pool.submit(_worker(queue, lambda task: pool.submit(process, task), concurrency=2).run)
        wait_until(lambda: states(queue)[State.PENDING] >= 1 and queue.admission.awaits_answers)
        assert next(order) == 2, "nothing is begun beside the one that runs"
        goes_on.set()
        summary = run.result(60)
    if others == Done():
        assert summary.results == {AttemptResult.GIVEN_BACK: 1, AttemptResult.DONE: 11}
        assert [row.lease.throttles for row in queue.rows(VIDEO_TASKS) if row.lease.state is State.PENDING] == [1]
    else:
        assert summary.results == {AttemptResult.GIVEN_BACK: 2}
        assert summary.stopped_by.startswith("cooldown host: cooling until")
        assert states(queue) == {State.PENDING: 12}


def test_what_waits_is_given_back_at_once_and_what_runs_is_finished(queue: Queue) -> None:
    goes_on, first = threading.Event(), iter([True])

    def process(task: VideoTask) -> Outcome:
        return BOT_CHECK if next(first, False) else Done(result=str(goes_on.wait(60)))

    with ThreadPoolExecutor(3) as pool:
        run = pool.submit(_worker(queue, lambda task: pool.submit(process, task), concurrency=2).run)
        wait_until(lambda: states(queue) == {State.HELD: 1, State.PENDING: 11})
        goes_on.set()
        assert run.result(60).results == {AttemptResult.GIVEN_BACK: 1, AttemptResult.DONE: 1}


def test_while_it_is_blocked_it_ends_at_once(queue: Queue, store: ClockedStore) -> None:
    queue.admission.pause(None, "by hand")
    store.calls.clear()
    summary = worker(queue, lambda task: Done()).run()
    assert (summary.attempted, summary.stopped_by) == (0, "the fleet is paused: by hand")
    assert (store.calls["scan"], store.calls["swap"]) == (0, 0)


def test_a_probe_that_is_answered_is_followed_by_the_rest(queue: Queue, store: ClockedStore) -> None:
    queue.settle([(queue.claim(VIDEO_TASKS, 1)[0], BOT_CHECK)])
    store.ahead = PAUSE
    held: list[int] = []

    def process(task: VideoTask) -> Outcome:
        held.append(states(queue)[State.HELD])
        return Done()

    assert worker(queue, process, concurrency=4).run().results == {AttemptResult.DONE: 11}, "one waits a little longer"
    assert held[0] == 1
    assert max(held[1:]) > 1


def test_a_worker_goes_on_when_the_canary_shows_that_the_row_is_at_fault(queue: Queue, store: ClockedStore) -> None:
    asked: list[str] = []
    canary = Canary(request=lambda url: asked.append(url) or Done(), configured_url="https://youtu.be/canary")  # type: ignore[func-returns-value]
    queue.admission.canary = canary

    def process(task: VideoTask) -> Outcome:
        return BOT_CHECK if task.id == 3 else Done()

    summary = worker(queue, process, concurrency=4).run()
    assert summary.results == {AttemptResult.DONE: 11, AttemptResult.GIVEN_BACK: 1}
    assert (summary.stopped_by, asked) == ("", ["https://youtu.be/canary"])


def test_a_worker_stops_when_the_canary_is_refused_too(queue: Queue, store: ClockedStore) -> None:
    queue.admission.canary = Canary(request=lambda url: BOT_CHECK, configured_url="https://youtu.be/canary")
    summary = worker(queue, lambda task: BOT_CHECK, concurrency=4).run()
    assert summary.results == {AttemptResult.GIVEN_BACK: 4}
    assert summary.stopped_by.startswith("cooldown host")


def test_what_was_claimed_before_a_cooldown_is_no_way_around_the_probe(queue: Queue, store: ClockedStore) -> None:
    """It began and its time passed while this worker was busy with one video."""
    held: list[int] = []

    def process(task: VideoTask) -> Outcome:
        held.append(states(queue)[State.HELD])
        if len(held) == 1:
            other = make_admission(store, "host/other")
            other.record_outcome(VIDEO_TASKS, task, BOT_CHECK)
            store.ahead = PAUSE
        return BOT_CHECK if len(held) == 2 else Done()

    summary = worker(queue, process).run()
    assert held == [5, 1], "one row, and no backlog"
    assert summary.results == {AttemptResult.DONE: 1, AttemptResult.GIVEN_BACK: 1}
    assert store.controls()[0].pause_seconds == 1800


# --- the rate limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_seconds", [100, 400])
def test_it_waits_for_the_rate_limit_and_within_its_time(
    queue: Queue, machine_state: ClockedStore, max_seconds: int
) -> None:
    """A burst of two, then one in 360 s; meanwhile results are recorded. 400 s are enough for one more."""
    queue.admission = make_admission(queue.store, machine_state=machine_state, rate_limit=RateLimit(12))
    clock = SimpleNamespace(now=0.0)
    recorded: list[float] = []

    def wait(futures: object, seconds: float | None) -> None:
        clock.now += 0 if futures else (seconds or 0)
        machine_state.ahead = timedelta(seconds=clock.now)

    def on_attempt(attempt: Attempt) -> None:
        recorded.append(clock.now)

    limited = worker(
        queue,
        lambda task: Done(),
        max_seconds=max_seconds,
        monotonic=lambda: clock.now,
        wait=wait,
        on_attempt=on_attempt,
    )
    assert limited.run().attempted == (3 if max_seconds == 400 else 2)
    assert recorded[:2] == [0, 0]
    assert clock.now >= max_seconds
    assert State.HELD not in states(queue)


def test_a_pause_ends_the_wait_for_the_rate_limit(queue: Queue, machine_state: ClockedStore) -> None:
    queue.admission = make_admission(queue.store, machine_state=machine_state, rate_limit=RateLimit(6))
    waits: list[float | None] = []

    def wait(futures: object, seconds: float | None) -> None:
        if not futures:
            waits.append(seconds)
            queue.admission.pause(None, "by hand")

    summary = worker(queue, lambda task: Done(), wait=wait).run()
    assert (summary.attempted, summary.stopped_by) == (1, "the fleet is paused: by hand")
    assert len(waits) == 1
    assert waits[0]
    assert waits[0] <= 1, "it looks again soon"


# --- a run of everything ---------------------------------------------------------------------------------------------


@pytest.fixture
def clocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Coordinator, ClockedStore]]:
    """Yield a coordinator whose time passes only while it sleeps."""
    store = ClockedStore()
    monkeypatch.setattr(wiring, "_stores", {})
    monkeypatch.setattr(wiring, "_new_store", lambda config: store)
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        store.ahead = timedelta(seconds=clock.now)

    monkeypatch.setattr(coordinator_module, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now))
    coordinator = Coordinator(Config())
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
    yield coordinator, store
    store.close()


def rounds(coordinator: Coordinator, outcomes: list[Outcome], max_seconds: float | None = None) -> Summary:
    limits, summary = Limits(concurrency=1, max_seconds=max_seconds), Summary()
    for _ in coordinator.rounds(limits, summary):
        summary.add(worker(coordinator.queue, lambda task: outcomes.pop(0) if outcomes else Done()).run())
    return summary


@pytest.mark.parametrize("asked", range(1, 7))
def test_a_claim_that_runs_out_while_the_admission_waits_for_the_store_is_not_begun(asked: int) -> None:
    """The store answers after ten minutes, whichever question it is."""
    store, clock = FaultyStore(), Clock()
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(1)])
    questions = 0

    def answers_late(verb: str) -> bool:
        nonlocal questions
        if verb == "now" and queue.held_rows:
            questions += 1
            clock.seconds += 601 if questions == asked else 0
        return False

    def process(task: VideoTask) -> Outcome:
        was_late = clock.seconds > 1600
        assert task.lease.version == (3 if was_late else 1), "given back, and claimed anew"
        store.fails = lambda verb: False
        return Done()

    store.fails = answers_late
    assert worker(queue, process).run().results == {AttemptResult.DONE: 1}
    store.close()


def test_a_run_waits_for_the_end_of_a_cooldown_and_goes_on_by_probing(
    clocked: tuple[Coordinator, ClockedStore],
) -> None:
    coordinator, store = clocked
    summary = rounds(coordinator, [Done(), BOT_CHECK, BOT_CHECK])
    assert summary.results == {AttemptResult.DONE: 3, AttemptResult.GIVEN_BACK: 2}
    assert summary.stopped_by == ""
    assert timedelta(minutes=45) <= store.ahead < timedelta(minutes=47)


def test_it_does_not_wait_longer_than_it_may_run(clocked: tuple[Coordinator, ClockedStore]) -> None:
    coordinator, store = clocked
    summary = rounds(coordinator, [BOT_CHECK], max_seconds=600)
    assert summary.results == {AttemptResult.GIVEN_BACK: 1}
    assert summary.stopped_by.endswith("bot-check")
    assert store.ahead < timedelta(minutes=1)


def test_a_pause_without_an_end_is_waited_for_until_somebody_ends_it(
    clocked: tuple[Coordinator, ClockedStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator, store = clocked
    coordinator.queue.admission.pause(None, "by hand")
    closed = coordinator.queue.admission.blocked

    def resumed_after_a_while() -> Blocked | None:
        if store.ahead > timedelta(minutes=30):
            coordinator.queue.admission.resume("by hand")
        return closed()

    monkeypatch.setattr(Admission, "blocked", lambda admission: resumed_after_a_while())
    assert rounds(coordinator, []).results == {AttemptResult.DONE: 3}
    assert timedelta(minutes=30) < store.ahead < timedelta(minutes=31)


def test_with_nothing_to_do_nothing_is_waited_for(clocked: tuple[Coordinator, ClockedStore]) -> None:
    coordinator, store = clocked
    rounds(coordinator, [])
    coordinator.queue.admission.pause(None, "by hand")
    rounds(coordinator, [])
    assert store.ahead == timedelta(0)


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"state_dir=.*file.state' cannot be written \(.+\): name another folder"):
        Coordinator(Config(state_dir=file / "state"))


def test_the_longest_cooldown_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ConfigError, match="cooldown_max_minutes=5 is less than cooldown_minutes=15"):
        Config(cooldown_max_minutes=5)
