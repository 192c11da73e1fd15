"""Claims of one worker among many that want the same rows."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.admissions import add
from tests.support.faulty_store import ClockedStore
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where

RIVALS, ROWS, CLAIMS = 20, 1000, 5


def test_a_claim_is_empty_only_when_nothing_is_due(worker: Callable[..., Queue], store: ClockedStore) -> None:
    """However many workers are faster, `process_next_task` must not report an empty queue."""
    slow, rivals = worker("host-a/slow"), worker("host-a/rivals")
    add(slow, ROWS)

    def rivals_are_faster(verb: str) -> bool:
        if verb == "swap":
            store.fails = lambda verb: False
            due = Where(state=State.PENDING, due=store.now())
            rivals._hold(VIDEO_TASKS, store.scan(VIDEO_TASKS, due, limit=RIVALS))  # all want the first rows
            store.fails = rivals_are_faster
        return False

    store.fails = rivals_are_faster
    assert [len(slow.claim(VIDEO_TASKS, 1)) for _ in range(CLAIMS)] == [1] * CLAIMS
    assert rivals.held_rows > 2 * CLAIMS * RIVALS, "most rounds were lost"
