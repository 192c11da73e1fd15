"""What a video costs on a Google Sheet: requests and bytes by the number of workers and of rows, and what a quota carries.

Why: requests are what Google counts, so a fleet must not need more of them for a video as it grows, nor as its sheet does.
Counted by the simulated API on simulated time (tests/simulation/fleet.py): no seconds of this machine are in it, and the same is
counted each time. Attempts take 10 s, 4 at a time, claims come in batches of 10, leases are 600 s; inserting the videos is
not counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.figures import Figure, Point, alone
from tests.simulation.fleet import Fleet
from youtube_download_coordinator.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.layout import COLUMNS

EACH = 40
"""Videos of a worker, from its start to its end."""
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SIZES = (1_000, 10_000, 100_000, 600_000)
"""Google allows 10,000,000 cells, which are 625,000 rows of our columns: a million rows fit into no spreadsheet."""
ROWS, FEW = 10_000, 8
"""Where the other number is what changes."""
CARRIED_BY = ((8, 1), (16, 1), (32, 1), (64, 1), (64, 4))
"""Workers and accounts."""
CARRIED_SECONDS, WARMING_SECONDS = 300, 60
LOOK, VIDEO = "a look through the tab (MB)", "a video between two looks (kB)"
AIM_REQUESTS = 0.5
AIM_BYTES_RATIO = 1.2


def measure() -> list[Figure]:
    logging.getLogger("youtube_download_coordinator").setLevel(logging.ERROR)  # thousands of waits for the quota
    return [*_by_workers(), *_by_rows(), *_carried()]


@contextmanager
def _fleet(rows: int, accounts: int) -> Iterator[Fleet]:
    """On a spreadsheet that somebody has worked on before."""
    fleet = Fleet(rows, accounts=accounts)
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
            requests = (fleet.requests - before) / len(fleet.recorded)
        yield Figure(
            what=f"requests a video, {_counted(workers, 'worker')}, {ROWS:,} rows, with start and end",
            value=requests,
            unit="requests",
            bar=f"at most {AIM_REQUESTS:g}",
            met=requests <= AIM_REQUESTS,
            point=Point("requests", f"{ROWS:,} rows", workers),
        )


def _by_rows() -> Iterator[Figure]:
    least = 0.0
    for rows in SIZES:
        with _fleet(rows, accounts=FEW) as fleet:
            look, each = _bytes(fleet)
        least = least or each
        what = f"{rows:,} rows of {len(COLUMNS[VIDEO_TASKS.name])} columns"
        yield Figure(
            what=f"a look through the tab, {what}",
            value=look / 1e6,
            unit="MB",
            point=Point("bytes", LOOK, rows),
        )
        yield Figure(
            what=f"a video between two looks, {what}",
            value=each / 1000,
            unit="kB",
            beside="" if rows == SIZES[0] else f"at {SIZES[0]:,} rows",
            ratio=None if rows == SIZES[0] else each / least,
            bar="" if rows == SIZES[0] else f"at most {AIM_BYTES_RATIO:g}",
            met=each <= AIM_BYTES_RATIO * least,
            point=Point("bytes", VIDEO, rows),
        )


def _bytes(fleet: Fleet) -> tuple[float, float]:
    """Of one worker until its second claim, nearly all of it its look; and for each video from there on."""
    at_first = fleet.requests
    fleet.start(1, max_videos=60)
    while len(fleet.begun) < 15:
        fleet.world.step()
    begun, at = len(fleet.begun), fleet.requests
    look = _sent(fleet, at_first)
    fleet.run()
    return look, _sent(fleet, at) / (len(fleet.begun) - begun)


def _sent(fleet: Fleet, since: int) -> float:
    """Bytes of the requests and answers from number `since` on."""
    stats = fleet.world.simulator.stats(since)
    return float(stats["bytes_in"] + stats["bytes_out"])


def _carried() -> Iterator[Figure]:
    for workers, accounts in CARRIED_BY:
        with _fleet(workers * 150, accounts) as fleet:
            fleet.world.simulator.quota.set()
            began = fleet.world.clock.now() + WARMING_SECONDS
            fleet.start(workers, seconds=CARRIED_SECONDS)
            fleet.run()
            ends = began + CARRIED_SECONDS - WARMING_SECONDS
            done = sum(began <= at < ends for at in fleet.recorded)
        yield Figure(
            what=f"carried by Google's quota, {_counted(workers, 'worker')}, {_counted(accounts, 'account')}",
            value=done / (ends - began) * 60,
            unit="videos a minute",
            beside=f"wanted: {workers * 24:,}",
            ratio=done / (ends - began) * 60 / (workers * 24),
            point=Point("quota", _counted(accounts, "account"), workers),
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


if __name__ == "__main__":
    alone("benchmarks.sheet", measure)
