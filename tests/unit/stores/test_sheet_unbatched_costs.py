"""The exact cost of single videos on a sheet, for several Coordinators that call `process_next_task`.

Each is a process of its own as far as the sheet can tell. The counts are exact, because time and randomness are simulated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

import pytest

from tests.simulation.fleet import sheet_with
from tests.support.sheet import VIDEOS as VIDEO_TAB
from tests.support.sheet import SheetDesk, a_video, sheet_desk
from youtube_download_coordinator import Coordinator, wiring
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

WORKERS = 4
VIDEOS = 60
VIDEO_SECONDS = 1.0


@contextmanager
def coordinators(desk: SheetDesk, state_dir: Path, *, count: int = WORKERS) -> Iterator[list[Coordinator]]:
    """Yield a Coordinator for each worker, with a connection of its own. Each has processed a video already."""
    settings = {"state_dir": state_dir, "claim_jitter_seconds": 0, "idle_poll_seconds": 0}
    config = desk.config.model_copy(update=settings)
    with ExitStack() as opened:
        workers = []
        for number in range(count):
            with mock.patch.object(wiring, "_stores", {}), mock.patch.object(wiring, "_new_store") as new_store:
                new_store.return_value = desk.store(f"w{number}")
                workers.append(opened.enter_context(Coordinator(config)))
            workers[-1].queue.random = Random(number)
            workers[-1].process_next_task(str)
        yield workers


def requests_of(
    desk: SheetDesk, workers: list[Coordinator], videos: int, *, is_long: bool = False
) -> Counter[str | None]:
    """Take turns until so many videos are processed. Return the requests by kind.

    `is_long`: each takes so long that what people see must be written meanwhile.
    """
    processed: list[str] = []

    def processor(url: str) -> None:
        desk.clock.advance(VIDEO_SECONDS)
        if is_long:
            desk.show()
        processed.append(url)

    before = len(desk.simulator.log)
    while len(processed) < videos:
        for worker in workers:
            worker.process_next_task(processor)
    assert len(set(processed)) == len(processed) == videos
    return Counter(entry.kind for entry in list(desk.simulator.log)[before:])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(VIDEOS, {"write": 132, "read": 16}, id="until none is left"),
        pytest.param(1000, {"write": 122}, id="of a thousand"),
    ],
)
def test_four_workers_need_less_than_two_requests_and_a_half_a_video(
    tmp_path: Path, rows: int, expected: dict[str, int]
) -> None:
    """A claim and a result are two. The rest are reads of 20 lines, and claims that another worker was faster with."""
    with sheet_desk(sheet_with(rows + WORKERS), rows=rows + 10) as desk, coordinators(desk, tmp_path) as workers:
        requests = requests_of(desk, workers, VIDEOS)
    assert requests == expected
    assert requests.total() <= 2.5 * VIDEOS


def test_one_worker_needs_two_requests_a_video(tmp_path: Path) -> None:
    """The cells that people see are written along with the next claim, and the last ones at the end."""
    with sheet_desk(sheet_with(20)) as desk:
        with coordinators(desk, tmp_path, count=1) as (worker,):
            assert requests_of(desk, [worker], 10) == {"write": 2 * 10}
            shown = Counter(line["Status"] for line in desk.lines())
        assert shown["done"] == 10
        assert Counter(line["Status"] for line in desk.lines())["done"] == 11


def test_a_long_video_costs_one_more_request_which_shows_that_it_is_in_progress(tmp_path: Path) -> None:
    with sheet_desk(sheet_with(20)) as desk, coordinators(desk, tmp_path, count=1) as (worker,):
        assert requests_of(desk, [worker], 4, is_long=True)["write"] == 3 * 4


# --- rows that are kept for the next claim --------------------------------------------------------------------------------


@pytest.fixture
def kept(desk: SheetDesk) -> tuple[Queue, Claim[VideoTask]]:
    """Return a queue that has claimed one of ten videos, and keeps the others for its next claim; and that claim."""
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(number) for number in range(10)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    return queue, claim


def test_the_answer_to_a_result_shows_which_kept_rows_are_taken(
    desk: SheetDesk, kept: tuple[Queue, Claim[VideoTask]]
) -> None:
    queue, claim = kept
    others = desk.queue("other").claim(VIDEO_TASKS, 8)
    before = desk.simulator.stats()["requests"]
    queue.settle([(claim, Done(result="ok"))])
    (last,) = queue.claim(VIDEO_TASKS, 1)
    assert desk.simulator.stats()["requests"] - before == 2
    assert last.row.id not in {claim.row.id, *(other.row.id for other in others)}


def test_kept_rows_that_a_person_has_sorted_are_claimed_without_a_read(
    desk: SheetDesk, kept: tuple[Queue, Claim[VideoTask]]
) -> None:
    queue, claim = kept
    desk.person.sort(VIDEO_TAB, "URL", descending=True)
    queue.settle([(claim, Done(result="ok"))])
    before = desk.simulator.stats()["requests"]
    (second,) = queue.claim(VIDEO_TASKS, 1)
    assert desk.simulator.stats()["requests"] - before == 1
    assert second.row.id != claim.row.id
