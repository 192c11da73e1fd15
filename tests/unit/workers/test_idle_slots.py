"""A worker with free slots: it finds work that comes later, also beside a long attempt and after the store was away."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.rows import Clock, make_queue, new_video
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits, Worker

LONG_SECONDS = 20.0
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check")


@dataclass
class Timeline:
    """Attempts and events on simulated time: the first one takes LONG_SECONDS, the others take one second."""

    queue: Queue
    clock: Clock
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    """Of the attempts in the order in which they begin; then they succeed."""
    began: dict[int, float] = field(default_factory=dict)
    _ends: dict[Future[Outcome], tuple[float, Outcome]] = field(default_factory=dict)
    _starts_at: float = 0.0

    def run(self, idle_poll_seconds: float, **limits: Any) -> None:
        self._starts_at = self.clock.seconds
        Worker(
            queue=self.queue,
            submit=self._submit,
            limits=Limits(concurrency=4, **limits),
            claim_batch_size=5,
            attempt_timeout=timedelta(hours=2),
            idle_poll_seconds=idle_poll_seconds,
            monotonic=self.clock,
            wait=self._wait,
        ).run()

    def _submit(self, task: VideoTask) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        seconds = 1.0 if self.began else LONG_SECONDS
        self.began.setdefault(task.id, self.clock.seconds - self._starts_at)
        self._ends[future] = (self.clock.seconds + seconds, self.outcomes.pop(0) if self.outcomes else Done())
        return future

    def _wait(self, futures: Collection[Future[Outcome]], seconds: float | None) -> None:
        """Turn the clock to the first end of an attempt, or by these seconds; meanwhile, the events happen."""
        ends = [self._ends[future][0] for future in futures]
        now = min([*ends, *([self.clock.seconds + seconds] if seconds is not None else [])])
        while self.events and self._starts_at + self.events[0][0] <= now:
            self.events.pop(0)[1]()
        if isinstance(self.queue.store, ClockedStore):
            self.queue.store.ahead += timedelta(seconds=now - self.clock.seconds)
        self.clock.seconds = now
        for future in futures:
            if self._ends[future][0] <= now:
                future.set_result(self._ends[future][1])


@pytest.fixture
def store() -> ClockedStore:
    return ClockedStore()


@pytest.fixture
def timeline(store: ClockedStore, clock: Clock) -> Timeline:
    queue = make_queue(store, clock=clock)
    add(queue, 0, 1)
    return Timeline(queue, clock)


def add(queue: Queue, first: int, count: int) -> None:
    videos = [new_video(number, key=f"yt:v:{number:011}") for number in range(first, first + count)]
    queue.add(VIDEO_TASKS, videos)


def test_videos_that_come_later_begin_beside_a_long_attempt(
    timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "youtube_download_coordinator.workers.wait_log")
    timeline.events = [(1.5, lambda: add(timeline.queue, 1, 12))]
    timeline.run(idle_poll_seconds=2)
    assert dict(timeline.queue.counts(VIDEO_TASKS)) == {State.DONE: 13}
    assert sorted(timeline.began.values())[1] == 2.0
    assert max(timeline.began.values()) <= 2.0 + 12 / 3
    waits = [record.getMessage() for record in caplog.records if "due" in record.getMessage()]
    assert waits == ["no video is due, 3 of 4 slots are free: looking again every 2 s"]


def test_free_slots_look_again_when_the_store_was_away(timeline: Timeline, store: ClockedStore) -> None:
    def outage() -> None:
        store.fails = lambda verb: verb == "scan"
        store.calls.clear()

    def end_outage() -> None:
        store.fails = lambda verb: False
        assert store.calls["scan"] == 4, "once in two seconds"
        add(timeline.queue, 1, 12)

    timeline.events = [(0.5, outage), (9.5, end_outage)]
    timeline.run(idle_poll_seconds=2)
    assert sorted(timeline.began.values())[1] == 10.0


@pytest.mark.parametrize("kind", ["pause", "cooldown"])
def test_free_slots_go_on_when_a_pause_or_cooldown_ends_beside_a_long_attempt(timeline: Timeline, kind: str) -> None:
    """The cooldown is ended by a person, so that no probe comes first."""
    admission = timeline.queue.admission
    add(timeline.queue, 1, 12)
    if kind == "cooldown":
        timeline.outcomes = [Done(), BOT_CHECK]
        timeline.events = [(9.5, lambda: admission.lift("by hand"))]
    else:
        timeline.events = [(0.5, lambda: admission.pause(None, "by hand")), (9.5, lambda: admission.resume("by hand"))]
    timeline.run(idle_poll_seconds=2)
    later = sorted(began for began in timeline.began.values() if began >= 2)
    assert 9.5 <= later[0] <= 11.5
    assert len(later) == 13 - 4


def test_free_slots_make_no_request_where_no_more_work_may_begin(timeline: Timeline, store: ClockedStore) -> None:
    timeline.events = [(0.5, store.calls.clear)]
    timeline.run(idle_poll_seconds=0, max_videos=1)
    assert store.calls["scan"] == 0


def test_free_slots_look_at_most_once_a_second(timeline: Timeline, store: ClockedStore) -> None:
    scans: list[int] = []
    timeline.events = [(0.5, store.calls.clear), (10.5, lambda: scans.append(store.calls["scan"]))]
    timeline.run(idle_poll_seconds=0)
    store.calls.clear()
    assert timeline.queue.claim(VIDEO_TASKS, 5) == []
    assert scans == [10 * store.calls["scan"]]
