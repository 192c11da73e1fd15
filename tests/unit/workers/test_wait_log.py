"""Waiting is visible: one line for each wait, whichever way the work is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.rows import make_admission, make_queue, new_video
from youtube_download_coordinator import Config, Coordinator, wiring
from youtube_download_coordinator import coordinator as coordinator_module
from youtube_download_coordinator.models import Done, Outcome, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers import attempts as attempts_module
from youtube_download_coordinator.workers.attempts import Attempts
from youtube_download_coordinator.workers.worker import Limits, Worker


@pytest.fixture
def store() -> Iterator[ClockedStore]:
    store = ClockedStore()
    yield store
    store.close()


@pytest.fixture
def queue(store: ClockedStore, machine_state: ClockedStore) -> Queue:
    """Return a queue whose machine may start one video, and then one in ten minutes."""
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number, key=f"yt:v:{number:011}") for number in range(3)])
    queue.admission = make_admission(store, machine_state=machine_state, rate_limit=RateLimit(7))
    return queue


def lines(caplog: pytest.LogCaptureFixture, *words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if any(word in record.getMessage() for word in words)]


def done(task: VideoTask) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(Done())
    return future


def test_each_attempt_that_the_rate_limit_holds_is_one_line(
    queue: Queue, machine_state: ClockedStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = SimpleNamespace(now=0.0, waits=0)

    def wait(futures: object, seconds: float | None) -> None:
        clock.now += 0 if futures else (seconds or 0)
        clock.waits += 1
        machine_state.ahead = timedelta(seconds=clock.now)

    worker = Worker(
        queue=queue, submit=done, limits=Limits(concurrency=1), claim_batch_size=1, attempt_timeout=timedelta(hours=1),
        monotonic=lambda: clock.now, wait=wait,
    )  # fmt: skip
    assert worker.run().attempted == 3
    assert lines(caplog, "next attempt") == ["next attempt in 600 s: 7 videos an hour, YDC_VIDEOS_PER_HOUR"] * 2
    assert clock.waits > 1000


def test_a_loop_over_claimed_videos_reports_the_rate_limit_too(
    queue: Queue, machine_state: ClockedStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)

    def sleep(seconds: float) -> None:
        machine_state.ahead += timedelta(seconds=seconds)

    monkeypatch.setattr(attempts_module, "time", SimpleNamespace(sleep=sleep))
    attempts = Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=1), claim_batch_size=1)
    while claim := attempts.wait_to_begin():
        attempts.settle(claim, Done())
    assert len(lines(caplog, "next attempt")) == 2


def test_process_next_task_reports_each_wait_once(
    store: ClockedStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_stores", {})
    monkeypatch.setattr(wiring, "_new_store", lambda config: store)
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        store.ahead = timedelta(seconds=clock.now)

    monkeypatch.setattr(coordinator_module, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now))
    caplog.set_level(logging.INFO, "youtube_download_coordinator")
    coordinator = Coordinator(Config(idle_poll_seconds=30, claim_jitter_seconds=5))

    def idle(seconds: float = 300) -> list[str]:
        caplog.clear()
        until = clock.now + seconds
        while clock.now < until:
            assert not coordinator.process_next_task(str)
        return lines(caplog, "no video is due", "nothing starts", "nothing is claimed")

    assert idle() == ["no video is due: looking again every 30 s"]
    assert idle() == []
    coordinator.queue.add(VIDEO_TASKS, [new_video(1)])
    sleep(30)
    assert coordinator.process_next_task(str)
    assert idle() == ["no video is due: looking again every 30 s"]
    for _ in range(2):  # a pause that begins again is reported again
        coordinator.queue.admission.pause(None, "by hand")
        assert idle() == ["nothing starts: the fleet is paused: by hand"]
        coordinator.queue.admission.resume("by hand")
        assert idle() == []
