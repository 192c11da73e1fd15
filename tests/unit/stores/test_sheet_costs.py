"""The cost of a fleet on a sheet, counted by the simulated API. The limits are 60 reads and 60 writes a minute.

Each test states the least that the protocol allows, and asserts 1.1 times that. Attempts take 10 s, leases 600 s; inserting
the videos is not counted. docs/costs.md shows the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import ceil

import pytest

from tests.simulation.fleet import LEASE_SECONDS, VIDEO_SECONDS, Fleet, sheet_with
from tests.support.sheet import sheet_desk
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.workers.heartbeat import BEATS_PER_LEASE

WORKERS = 8
SLACK = 1.1


@pytest.fixture
def make_fleet() -> Iterator[Callable[..., Fleet]]:
    fleets = ExitStack()  # the last one first: each puts back what the library took from `time` before it

    def make(videos: int, **options: int) -> Fleet:
        fleet = Fleet(videos, **options)
        fleets.callback(fleet.close)
        fleet.start(1, max_videos=1)  # somebody has worked here before: the spreadsheet is prepared
        fleet.run()
        fleet.recorded.clear()
        fleet.delays.clear()
        fleet.started_at.clear()
        return fleet

    with fleets:
        yield make


def requests_per_video(fleet: Fleet, each: int) -> float:
    before = fleet.requests
    fleet.start(WORKERS, max_videos=each)
    fleet.run()
    assert len(fleet.recorded) == WORKERS * each
    return (fleet.requests - before) / len(fleet.recorded)


def test_a_worker_starts_with_four_requests(make_fleet: Callable[..., Fleet]) -> None:
    """The tabs; their headers; a look through them; the lines to claim. The fifth is the claim."""
    fleet = make_fleet(100)
    before = fleet.requests
    fleet.start(1, max_videos=1)
    fleet.run()
    assert fleet.started_at[0] - before == 4 + 1


def test_an_idle_worker_asks_twice_a_minute() -> None:
    """It polls every 30 s, for videos and for sources. One request looks through all tabs."""
    with sheet_desk() as desk:
        queue = desk.queue()
        queue.claim(VIDEO_TASKS, 10)
        before = desk.simulator.stats()["requests"]
        for _ in range(10):
            desk.clock.advance(30)
            assert queue.claim(VIDEO_TASKS, 10) == []
            assert queue.claim(SOURCES, 1) == []
        assert desk.simulator.stats()["requests"] - before <= 10 * SLACK


def test_moving_on_what_stalled_looks_once_however_long_a_look_takes() -> None:
    """It asks for rows of eight kinds. On 250,000 rows Google needs seconds for a look, and so do we to understand it."""
    with sheet_desk(sheet_with(30)) as desk:
        queue = desk.queue()
        desk.request_seconds, desk.thinking_seconds = 20.0, 0.2
        before = desk.simulator.stats()["requests"]
        queue.recover(VIDEO_TASKS)
        assert desk.simulator.stats()["requests"] - before == 1


def test_reading_all_rows_looks_through_the_sheet_once() -> None:
    """As `ydc export` does: a look, and the lines of each page, in 40 ranges at the most."""
    with sheet_desk(sheet_with(3500), rows=3600) as desk:
        queue = desk.queue()
        desk.request_seconds = 2.0
        before = desk.simulator.stats()["requests"]
        assert len(list(queue.rows(VIDEO_TASKS))) == 3500
        assert desk.simulator.stats()["requests"] - before == 1 + 4


def test_batches_of_ten_cost_less_than_half_a_request_a_video(make_fleet: Callable[..., Fleet]) -> None:
    """For each ten videos the least is a claim, a record of their results, and a read of the lines to claim.

    A worker with 4 slots has 12 results in the 30 s that one may wait, and renews once in a third of its lease. It starts
    with 4 requests and shows its last changes with one. It loses some rows to others, reads more lines than it takes.
    """
    each, slots, lines_read = 80, 4, 40
    rounds_seconds = each / slots * VIDEO_SECONDS
    renewals = rounds_seconds // (LEASE_SECONDS / BEATS_PER_LEASE)
    least = (each / 10 + each / 12 + each / lines_read + renewals + 4 + 1) / each
    measured = requests_per_video(make_fleet(2 * WORKERS * each), each)
    assert measured <= 0.5
    assert measured <= least * SLACK + 0.1  # rows that others were faster with


def test_results_are_recorded_within_thirty_seconds(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(400)
    fleet.start(WORKERS, max_videos=20)
    fleet.run()
    assert max(fleet.delays) <= 30


def test_unbatched_a_video_costs_two_requests_and_a_half(make_fleet: Callable[..., Fleet]) -> None:
    """A claim and a result; and reading the lines to claim, 20 with one request, which serve for a minute."""
    each = 40
    lines_last = 60 / VIDEO_SECONDS
    renewals = each * VIDEO_SECONDS // (LEASE_SECONDS / BEATS_PER_LEASE)
    least = 2 + 1 / lines_last + (renewals + 4 + 1) / each
    measured = requests_per_video(make_fleet(4 * WORKERS * each, batch=1, concurrency=1), each)
    assert measured <= 2.5 * SLACK
    assert measured <= least * SLACK


@pytest.mark.slow
def test_one_account_carries_a_hundred_videos_a_minute(make_fleet: Callable[..., Fleet]) -> None:
    """With Google's quota: 60 reads and 60 writes a minute. Half a request a video allows 120 by the writes alone."""
    fleet = make_fleet(1300, accounts=1)
    fleet.world.simulator.quota.set()
    began = fleet.world.clock.now()
    fleet.start(WORKERS, seconds=240)
    fleet.run()
    minutes = 3
    done = [at for at in fleet.recorded if began + 60 <= at < began + 60 + 60 * minutes]
    assert len(done) / minutes >= 100


def bytes_per_video(fleet: Fleet) -> float:
    """Return the bytes a video of one worker, from its second claim on."""
    fleet.start(1, max_videos=60)
    while len(fleet.begun) < 15:
        fleet.world.step()
    before, begun = fleet.world.simulator.stats(), len(fleet.begun)
    fleet.run()
    stats = fleet.world.simulator.stats(before["last"])
    return float(stats["bytes_in"] + stats["bytes_out"]) / (len(fleet.begun) - begun)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bytes_do_not_grow_with_the_sheet(make_fleet: Callable[..., Fleet]) -> None:
    """A claim reads the lines that it may take, and no more: the tab is looked through when nothing is left to try."""
    small, large = bytes_per_video(make_fleet(1_000)), bytes_per_video(make_fleet(100_000))
    assert large <= 1.2 * small


def test_a_store_says_how_long_results_may_wait() -> None:
    assert SheetsStore.result_batch_seconds < 30
    assert ceil(SheetsStore.result_batch_seconds) == 25
