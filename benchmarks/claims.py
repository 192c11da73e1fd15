"""Measure claims and completions per second in a database: with 1 and 8 processes, at 1,000, 100,000 and 1,000,000 rows.

Why: a scan that reads the whole table, or a lock that is held too long, shows here first. A worker claims 10 videos with one
request and records each separately, because attempts end one by one. The cost per claim must not grow with the rows in the table.
On PostgreSQL if YDC_TEST_POSTGRESQL_URL names a server: `.ci/with-postgresql .venv/bin/python -m benchmarks.claims`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from benchmarks.figures import Figure, Point, alone, answer, median, start
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore

VIDEOS = 800
"""The videos of each measurement, whatever the size of the table."""
BATCH = 10
ROUNDS = 3
SIZES = (1_000, 100_000, 1_000_000)
PROCESSES = (1, 8)
MOST_TIMES_AS_DEAR = 2.0
POSTGRESQL_URL = os.environ.get("YDC_TEST_POSTGRESQL_URL", "")

Copy = Callable[[int], str]
"""A function that makes a fresh copy of the full table of a size and returns its URL."""


def measure() -> list[Figure]:
    """Measure each store's cases in turns, so that a moment of load affects all. Return the medians."""
    figures = []
    with TemporaryDirectory() as name:
        figures += _measured("SQLite", _sqlite(Path(name)))
    if POSTGRESQL_URL:
        with _postgresql(sa.make_url(POSTGRESQL_URL)) as copy:
            figures += _measured("PostgreSQL", copy)
    return figures


def _measured(store: str, copy: Copy) -> list[Figure]:
    seconds: dict[tuple[int, int], list[float]] = {}
    for _ in range(ROUNDS):
        for processes in PROCESSES:
            for size in SIZES:
                seconds.setdefault((processes, size), []).append(_seconds(copy(size), processes))
    medians = {key: median(values) for key, values in seconds.items()}
    return [_figure(store, medians, *key) for key in medians]


def _figure(store: str, seconds: Mapping[tuple[int, int], float], processes: int, size: int) -> Figure:
    line = f"{store}, {processes} process{'es' * (processes > 1)}"
    ratio = seconds[processes, size] / seconds[processes, SIZES[0]]
    return Figure(
        what=f"claimed and done, {line}, {size:,} rows",
        value=VIDEOS / seconds[processes, size],
        unit="videos/s",
        beside="" if size == SIZES[0] else f"cost of one at {SIZES[0]:,} rows",
        ratio=None if size == SIZES[0] else ratio,
        bar="" if size == SIZES[0] else f"at most {MOST_TIMES_AS_DEAR:g}",
        met=ratio <= MOST_TIMES_AS_DEAR,
        point=Point("claims", line, size),
    )


# -- full tables and their copies


def _fill(url: str, size: int) -> None:
    store = SqlStore(url)
    make_queue(store).add(VIDEO_TASKS, (new_video(number) for number in range(size)))
    store.close()


def _sqlite(folder: Path) -> Copy:
    for size in SIZES:
        _fill(f"sqlite:///{folder}/{size}.db", size)

    def copy(size: int) -> str:
        for file in folder.glob("copy.db*"):
            file.unlink()
        shutil.copy(folder / f"{size}.db", folder / "copy.db")
        return f"sqlite:///{folder}/copy.db"

    return copy


@contextmanager
def _postgresql(server: sa.URL) -> Iterator[Copy]:
    """Create a database for each size, which the server copies itself."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    names = {size: f"ydc_bench_{size}" for size in SIZES}

    def renew(name: str, template: str = "template0") -> str:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return server.set(database=name).render_as_string(hide_password=False)

    for size, name in names.items():
        _fill(renew(name), size)
    try:
        yield lambda size: renew("ydc_bench_copy", names[size])
    finally:
        with engine.connect() as connection:
            for name in (*names.values(), "ydc_bench_copy"):
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        engine.dispose()


# -- processes that claim


def _seconds(url: str, processes: int) -> float:
    """Return the seconds from the common start of the processes to the end of the last."""
    running = [start("benchmarks.claims", url, VIDEOS // processes, number) for number in range(processes)]
    for process in running:
        assert process.stdout
        process.stdout.readline()
    began = time.monotonic()
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return max(float(answer(process)) for process in running) - began


def _work(url: str, count: int, number: int) -> None:
    """Wait for a line, then claim and complete `count` videos, and print the time of the end."""
    queue = make_queue(SqlStore(url), f"host/{number}")
    queue.monotonic, queue.random = time.monotonic, Random(number)
    queue.counts(VIDEO_TASKS)  # everything is imported and open
    print("ready", flush=True)
    sys.stdin.readline()
    while count > 0:
        count -= _one_batch(queue, min(BATCH, count))
    print(time.monotonic())


def _one_batch(queue: Queue, count: int) -> int:
    claims = queue.claim(VIDEO_TASKS, count)
    return sum(row is not None for claim in claims for row in queue.settle([(claim, Done(result="a result"))]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        alone("benchmarks.claims", measure)
