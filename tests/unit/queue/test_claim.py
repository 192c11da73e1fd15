"""Claims of one worker among many that want the same rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.admissions import add
from tests.support.faulty_store import ClockedStore
from tests.support.rows import make_queue
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, State, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where

RIVALS, ROWS, CLAIMS = 20, 1000, 5
BUSY = Failure(verdict=Verdict.RETRY, reason="http-503", message="Service Unavailable")


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


class StoreWhoseClockIsSetBack(ClockedStore):
    """Once rows were read, its clock is an hour behind what it was."""

    def scan(self, *given: Any, **named: Any) -> Any:
        rows = super().scan(*given, **named)
        if rows:
            self.ahead = timedelta(0)
        return rows


def test_a_row_that_is_no_longer_due_when_it_is_claimed_is_left() -> None:
    store = StoreWhoseClockIsSetBack()
    queue = make_queue(store)
    add(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BUSY)])
    store.ahead = timedelta(hours=1)
    assert queue.claim(VIDEO_TASKS, 1) == []
    (row,) = queue.rows(VIDEO_TASKS)
    assert (row.lease.state, row.retry_count) == (State.PENDING, 1)
    store.close()


def test_rows_that_failed_together_are_not_tried_again_together(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    """The pause after the first failure is a minute, of which chance takes off up to a half."""
    queue = worker()
    add(queue, 20)
    queue.settle([(claim, BUSY) for claim in queue.claim(VIDEO_TASKS, 20)])
    now = store.now()
    pauses = [(row.not_before - now).total_seconds() for row in queue.rows(VIDEO_TASKS) if row.not_before]
    assert len({round(pause, 1) for pause in pauses}) > 10
    assert min(pauses) < 45 < max(pauses)
    assert all(29 < pause <= 60 for pause in pauses)


def test_a_claim_whose_outcome_may_be_recorded_is_not_given_back(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    """Another worker could take the row, although the video may be done."""
    queue = worker()
    add(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    store.fails = lambda verb: verb == "swap"
    with pytest.raises(StoreUnavailable):
        queue.settle([(claim, Done())])
    store.fails = lambda verb: False
    assert queue.release([claim]) == 0
    (row,) = queue.rows(VIDEO_TASKS)
    assert row.lease.state is State.HELD
    assert queue.held_rows == 0
