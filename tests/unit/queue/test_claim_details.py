"""Details of adding and claiming that mutants survived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.support.admissions import add
from tests.support.faulty_store import ClockedStore
from tests.support.rows import new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Change, Table


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
    with pytest.raises(StoreUnavailable, match="deleted as fast as it is added"):
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
