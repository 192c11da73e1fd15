"""Measure the cost of a video on a Google Sheet: requests and bytes by the number of workers and of rows, and the quota.

Why: Google counts requests, so the number of requests for a video must not grow with the fleet or with the sheet. The simulated
API counts them on simulated time (tests/simulation/fleet.py), so the figures do not depend on this machine and are the same
each time. Attempts take 10 s, 4 at a time, claims come in batches of 10, leases are 600 s; inserting the videos is not counted.
Where a video is claimed alone, as `process_next_task` does, 4 workers process all videos.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import Figure, Point, alone
from tests.simulation.fleet import Fleet
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.layout import COLUMNS

EACH = 40
"""The videos of a worker, from its start to its end."""
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SIZES = (1_000, 10_000, 100_000, 600_000)
"""Google allows 10,000,000 cells, which are 625,000 rows of our 16 columns: a million rows fit into no spreadsheet."""
ROWS = 10_000
"""The rows while the number of workers is varied."""
VIDEOS_A_MINUTE = 24
"""The videos a minute of a worker without waits: 4 at a time, 10 s each."""
CARRIED_BY = ((8, 1), (16, 1), (32, 1), (64, 1), (64, 4))
"""The measured numbers of workers and accounts."""
CARRIED_SECONDS, WARMING_SECONDS = 300, 60
ALONE_WORKERS, ALONE_SIZES = 4, (60, 200, 1_000)
"""The number of workers that claim one video at a time, and of videos. They collide most near the end of a queue."""
AIM_REQUESTS, AIM_ALONE = 0.5, 2.5
AIM_BYTES_RATIO = 1.2


def measure() -> list[Figure]:
    logging.getLogger("youtube_download_coordinator").setLevel(logging.ERROR)  # thousands of waits for the quota
    return [*_by_workers(), *_alone(), *_by_rows(), *_carried()]


@contextmanager
def _fleet(rows: int, accounts: int, **options: int) -> Iterator[Fleet]:
    """Yield a fleet on a spreadsheet that a worker has used before."""
    fleet = Fleet(rows, accounts=accounts, **options)
    try:
        fleet.start(1, max_videos=1)
        fleet.run()
        fleet.recorded.clear()
        fleet.begun.clear()
        yield fleet
    finally:
        fleet.close()


def _by_workers() -> Iterator[Figure]:
    for workers in WORKERS:
        with _fleet(ROWS, accounts=workers) as fleet:
            before = fleet.requests
            fleet.start(workers, max_videos=EACH)
            fleet.run()
            each = cost(fleet, before, len(fleet.recorded))
        what = f"a video, {counted(workers, 'worker')}, {ROWS:,} rows, with start and end"
        yield _requests(what, each.requests, Point("workers", "requests", workers))
        yield Figure(what=f"bytes of {what}", value=each.kilobytes, unit="kB", point=Point("workers", "kB", workers))


def _alone() -> Iterator[Figure]:
    """Measure workers that claim one video at a time, without their starts and ends."""
    for videos in ALONE_SIZES:
        with _fleet(videos + ALONE_WORKERS + 1, ALONE_WORKERS, batch=1, concurrency=1) as fleet:
            fleet.start(ALONE_WORKERS)
            while len(fleet.recorded) < ALONE_WORKERS:
                fleet.world.step()
            before, recorded = fleet.requests, len(fleet.recorded)
            while len(fleet.recorded) < videos:
                fleet.world.step()
            requests = (fleet.requests - before) / (len(fleet.recorded) - recorded)
        yield Figure(
            what=f"requests of a video claimed alone, {counted(ALONE_WORKERS, 'worker')}, {videos:,} videos until none is left",
            value=requests,
            unit="",
            bar=f"at most {AIM_ALONE:g}",
            met=requests <= AIM_ALONE,
        )


def _by_rows() -> Iterator[Figure]:
    least = 0.0
    for rows in SIZES:
        with _fleet(rows, accounts=1) as fleet:
            look, each = _between_looks(fleet)
        least = least or each.kilobytes
        what = f"{rows:,} rows of {len(COLUMNS[VIDEO_TASKS.name])} columns"
        of_video = f"a video between two reads of the tab, {what}"
        yield Figure(
            what=f"bytes to read the tab, {what}",
            value=look.kilobytes / 1000,
            unit="MB",
            point=Point("rows", "a look: MB", rows),
        )
        yield _requests(of_video, each.requests, Point("rows", "a video between two looks: requests", rows))
        yield Figure(
            what=f"bytes of {of_video}",
            value=each.kilobytes,
            unit="kB",
            beside="" if rows == SIZES[0] else f"at {SIZES[0]:,} rows",
            ratio=None if rows == SIZES[0] else each.kilobytes / least,
            bar="" if rows == SIZES[0] else f"at most {AIM_BYTES_RATIO:g}",
            met=each.kilobytes <= AIM_BYTES_RATIO * least,
            point=Point("rows", "a video between two looks: kB", rows),
        )


def _requests(what: str, requests: float, point: Point) -> Figure:
    bar, met = f"at most {AIM_REQUESTS:g}", requests <= AIM_REQUESTS
    return Figure(what=f"requests of {what}", value=requests, unit="", bar=bar, met=met, point=point)


def _between_looks(fleet: Fleet) -> tuple[Cost, Cost]:
    """Return one worker's cost until its second claim, nearly all for the scan, and its later cost for each video."""
    at_first = fleet.requests
    fleet.start(1, max_videos=60)
    while len(fleet.begun) < 15:
        fleet.world.step()
    begun, at = len(fleet.begun), fleet.requests
    look = cost(fleet, at_first)
    fleet.run()
    return look, cost(fleet, at, len(fleet.begun) - begun)


@dataclass(frozen=True)
class Cost:
    """The cost of a video, or of all requests."""

    requests: float
    kilobytes: float


def cost(fleet: Fleet, since: int, videos: int = 1) -> Cost:
    """Return the cost of the requests from number `since` on, including their answers."""
    stats = fleet.world.simulator.stats(since)
    return Cost(stats["requests"] / videos, (stats["bytes_in"] + stats["bytes_out"]) / 1000 / videos)


def _carried() -> Iterator[Figure]:
    for workers, accounts in CARRIED_BY:
        with _fleet(workers * 150, accounts) as fleet:
            fleet.world.simulator.quota.set()
            before, began = fleet.requests, fleet.world.clock.now() + WARMING_SECONDS
            fleet.start(workers, seconds=CARRIED_SECONDS)
            fleet.run()
            statuses = fleet.world.simulator.stats(before)["by_status"]
            carried = rate(fleet.recorded, began, began + CARRIED_SECONDS - WARMING_SECONDS)
            taken = statuses["200"] / len(fleet.recorded)
        wanted = workers * VIDEOS_A_MINUTE
        yield Figure(
            what=f"carried by Google's quota, {counted(workers, 'worker')}, {counted(accounts, 'account')}",
            value=carried,
            unit="videos a minute",
            beside=f"wanted: {wanted:,}; {statuses.get('429', 0):,} requests refused, {taken:.2f} taken a video",
            ratio=carried / wanted,
            point=Point("quota", counted(accounts, "account"), workers),
        )


def rate(moments: Sequence[float], begin: float, end: float) -> float:
    """Return the number of moments in a minute."""
    return sum(begin <= moment < end for moment in moments) / (end - begin) * 60


def counted(number: int, what: str) -> str:
    """Return `1 worker`, `2 workers`."""
    return f"{number} {what}{'s' * (number > 1)}"


if __name__ == "__main__":
    alone("benchmarks.sheet", measure)
