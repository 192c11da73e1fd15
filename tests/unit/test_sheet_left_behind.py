"""Cells that a killed worker left behind: also processes that end at once, one after the other, put them right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sheet import SheetDesk, sheet_desk, video_url
from youtube_download_coordinator.ingest import NO_LEASE
from youtube_download_coordinator.models import Done, Status, VideoTask
from youtube_download_coordinator.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.projecting import LEFT_SECONDS, SHOW_SECONDS

URL = video_url(1)


@pytest.fixture
def desk() -> Iterator[SheetDesk]:
    with sheet_desk() as desk:
        yield desk


@pytest.fixture
def shown_as_held(desk: SheetDesk) -> None:
    """A video whose worker was killed between its result and the writing of its cells."""
    worker = desk.queue("killed")
    worker.add(VIDEO_TASKS, [VideoTask(url=URL, key="yt:v:v0000000001", lease=NO_LEASE)])
    (claim,) = worker.claim(VIDEO_TASKS, 1)
    desk.show()
    worker.settle([(claim, Done(result="a.m4a"))])
    desk.later.clear()
    assert desk.line(URL)["Status"] == Status.IN_PROGRESS


def look_and_end(desk: SheetDesk) -> int:
    """A run with nothing to do; how many requests it writes."""
    before = desk.simulator.stats()["last"]
    queue = desk.queue("a run")
    assert queue.claim(VIDEO_TASKS, 1) == []
    queue.store.close()
    return int(desk.simulator.stats(before)["writes"])


@pytest.mark.usefixtures("shown_as_held")
def test_what_was_left_long_ago_is_shown_by_a_run_that_ends_at_once(desk: SheetDesk) -> None:
    desk.clock.advance(LEFT_SECONDS)
    assert look_and_end(desk) == 1
    line = desk.line(URL)
    assert (line["Status"], line["Result"]) == (Status.DONE, "a.m4a")
    assert look_and_end(desk) == 0


@pytest.mark.usefixtures("shown_as_held")
def test_what_may_be_written_any_moment_is_left_to_whoever_owes_it(desk: SheetDesk) -> None:
    desk.clock.advance(SHOW_SECONDS)
    assert look_and_end(desk) == 0
    assert desk.line(URL)["Status"] == Status.IN_PROGRESS
