"""Priority on a sheet: a column that people add and edit, without a request of its own while nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.sheet import VIDEOS, SheetDesk, add_videos, sheet_desk, video_url
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.store import PRIORITY_SECONDS

VIDEO_COUNT = 50


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


def claimed(queue: Queue, count: int = 1) -> list[int]:
    return [claim.row.id for claim in queue.claim(VIDEO_TASKS, count)]


def test_what_a_person_types_into_a_new_column_decides(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, *range(1, 31))
    desk.person.insert_column(VIDEOS, 3, "PRIORITY")
    desk.person.edit(VIDEOS, desk.row_of(video_url(20)), "PRIORITY", "2")
    desk.person.edit(VIDEOS, desk.row_of(video_url(25)), "PRIORITY", 5)
    desk.person.edit(VIDEOS, desk.row_of(video_url(3)), "PRIORITY", "-1")
    assert claimed(desk.queue("b"), 2) == [25, 20]
    assert claimed(desk.queue("c"), 27).count(3) == 0


def test_an_edit_is_noticed_within_minutes(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, *range(1, 51))
    desk.person.insert_column(VIDEOS, 3, "Priority")
    queue.claim(VIDEO_TASKS, 2)
    desk.person.edit(VIDEOS, desk.row_of(video_url(44)), "Priority", "3")
    desk.clock.advance(PRIORITY_SECONDS)
    assert claimed(queue) == [44]


def test_the_column_may_be_sorted_moved_and_deleted(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, *range(1, 31))
    desk.person.insert_column(VIDEOS, 3, "Priority")
    desk.person.edit(VIDEOS, desk.row_of(video_url(9)), "Priority", "3")
    desk.person.edit(VIDEOS, desk.row_of(video_url(12)), "Priority", "2")
    assert claimed(queue) == [9]
    desk.person.delete_column(VIDEOS, "Priority")
    desk.clock.advance(PRIORITY_SECONDS)
    assert len(claimed(queue, 29)) == 29


@dataclass
class Costs:
    requests: int
    bytes_read: int


def work_off(desk: SheetDesk) -> Costs:
    queue = desk.queue()
    before = desk.simulator.stats()
    while claims := queue.claim(VIDEO_TASKS, 5):
        queue.settle([(claim, Done()) for claim in claims])
    after = desk.simulator.stats()
    return Costs(*(after[name] - before[name] for name in ("requests", "bytes_out")))


@pytest.fixture
def full() -> Iterator[list[SheetDesk]]:
    """Two sheets with the same videos, the second with a column of ten priorities."""
    with sheet_desk() as plain, sheet_desk() as with_priorities:
        for desk in (plain, with_priorities):
            add_videos(desk.queue("first"), *range(1, VIDEO_COUNT + 1))
        with_priorities.person.insert_column(VIDEOS, 3, "Priority")
        for number in range(1, VIDEO_COUNT + 1):
            with_priorities.person.edit(VIDEOS, with_priorities.row_of(video_url(number)), "Priority", number % 10)
        yield [plain, with_priorities]


def test_priorities_cost_no_request(full: list[SheetDesk]) -> None:
    plain, with_priorities = (work_off(desk) for desk in full)
    assert with_priorities.requests <= plain.requests
