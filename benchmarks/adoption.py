"""Measure the adoption of a sheet that is already full: the cost of the first claim, and of all rows.

Why: the first implementation left sheets of 100,000 rows without a lease, and a worker begins on the first of them at once. A
quarter of the rows are done, and the coordinator has never been used on the sheet. Requests and bytes are counted at the
simulated API, and are the same each time. CPU seconds contain the simulator's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Figure, alone
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from tests.support.sheet import SEED_TABS, VIDEOS, SheetDesk, sheet_desk, video_url
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

ROWS = (1_000, 20_000, 100_000)
STATUSES = ("done", "pending", "error", "")
"""The states of the rows, in turn."""
KILOBYTES_MAX = 0.7
"""The most that a row of the largest sheet may cost, which is the cost of a row of the smallest."""


def measure() -> list[Figure]:
    return [figure for rows in ROWS for figure in _taken_in(rows)]


def _filled(rows: int) -> dict[str, list[list[Any]]]:
    lines = [[n, 1, video_url(n), STATUSES[n % 4], "", "", "pt-BR", "", "", 0] for n in range(1, rows + 1)]
    return {**SEED_TABS, VIDEOS: [SEED_VIDEO_COLUMNS, *lines]}


def _taken_in(rows: int) -> Iterator[Figure]:
    """Yield a worker's cost up to its first claim, and up to the moment when every row has a lease."""
    with sheet_desk(_filled(rows), rows=rows + 10) as desk:
        where, first, began = f"{rows:,} rows", desk.simulator.stats()["last"], time.process_time()
        queue = desk.queue()
        assert len(queue.claim(VIDEO_TASKS, 4)) == 4
        yield _asked(desk, first, f"until the first claim, {where}", time.process_time() - began)
        counts = queue.counts(VIDEO_TASKS)
        assert (sum(counts.values()), counts[State.DONE]) == (rows, rows // 4)
        yield _asked(desk, first, f"until all rows are adopted, {where}", time.process_time() - began)
        kilobytes = _bytes(desk, first) / rows / 1e3
    is_largest = rows == ROWS[-1]
    yield Figure(
        what=f"sent and received for a row, {where}", value=kilobytes, unit="kB",
        bar=f"at most {KILOBYTES_MAX}" if is_largest else "", met=not is_largest or kilobytes <= KILOBYTES_MAX,
    )  # fmt: skip


def _asked(desk: SheetDesk, first: int, until: str, seconds: float) -> Figure:
    beside = f"{_bytes(desk, first) / 1e6:,.1f} MB, {seconds:,.1f} CPU s"
    return Figure(what=until, value=desk.simulator.stats(first)["requests"], unit="requests", beside=beside)


def _bytes(desk: SheetDesk, first: int) -> int:
    stats = desk.simulator.stats(first)
    return int(stats["bytes_in"] + stats["bytes_out"])


if __name__ == "__main__":
    alone("benchmarks.adoption", measure)
