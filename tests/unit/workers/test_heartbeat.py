"""The interval between renewals of claims."""

from __future__ import annotations

from datetime import timedelta

from tests.support.faulty_store import FaultyStore
from tests.support.rows import POLICY, Clock, make_queue, new_video
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.heartbeat import Heartbeat


class Pauses:
    """In place of the event that ends a heartbeat: its waits take no time, and let the clock go on."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.ends_at = clock, clock.seconds + seconds

    def wait(self, seconds: float) -> bool:
        self.clock.seconds += seconds
        return self.clock.seconds > self.ends_at


def test_a_lease_of_ten_minutes_is_renewed_every_200_seconds() -> None:
    assert POLICY.lease == timedelta(minutes=10)
    store, clock = FaultyStore(), Clock()
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    before = store.calls["swap"]
    heartbeat = Heartbeat(queue)
    heartbeat._stop = Pauses(clock, 3600)  # type: ignore[assignment]
    heartbeat._run()
    assert store.calls["swap"] - before == 18
    assert queue.is_valid(claim)
    store.close()
