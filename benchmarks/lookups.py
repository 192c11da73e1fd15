"""Measure reads of a database's queue of 1,000 to 1,000,000 rows: by key, by status, a recovery, `status` and `export`.

Why: people first notice commands that read every row to show a few. The first three find their rows by an index
(tests/contract/test_query_plans.py) and must cost the same at any size. `status` and `export` read all rows, so the time for
each row matters, and memory must not grow. Times are the least of several, because other programs only add to them. On
PostgreSQL too if YDC_TEST_POSTGRESQL_URL names a server: `.ci/with-postgresql .venv/bin/python -m benchmarks.lookups`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, redirect_stdout
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from benchmarks.claims import POSTGRESQL_URL
from benchmarks.figures import Figure, Point, alone, answer, peak_megabytes, start
from benchmarks.full_tables import FAILED, fill
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.models import Status
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.stores.sql import SqlStore

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS, STATUS_ROUNDS = 15, 3
MOST_TIMES_AS_DEAR = 3.0
KEYS = [new_video(number).key for number in range(100)]


def _list_failed(queue: Queue) -> None:
    assert len(list(islice(queue.select(VIDEO_TASKS, Selection(status=Status.ERROR)), FAILED))) == FAILED


FLAT: dict[str, Callable[[Queue], object]] = {
    "100 keys looked up": lambda queue: queue.store.scan(VIDEO_TASKS, Where(keys=KEYS), limit=100),
    f"{FAILED} rows listed by --status error": _list_failed,
    "a recovery with nothing to do": lambda queue: queue.recover(VIDEO_TASKS),
}
STATUS = "status"

Times = dict[tuple[str, int], float]
"""Milliseconds by the operation and the size of the table."""


def measure() -> list[Figure]:
    """Measure each store's sizes in turns, so that a moment of load affects all of them."""
    with TemporaryDirectory() as folder:
        urls = {size: f"sqlite:///{folder}/{size}.db" for size in SIZES}
        times = _times(urls)
        figures = [*_flat("SQLite", times), *_status("SQLite", times), *_exports(urls)]
    if POSTGRESQL_URL:
        times = _times({size: _new_database(size) for size in SIZES})
        figures += [*_flat("PostgreSQL", times), *_status("PostgreSQL", times)]
        for size in SIZES:
            _new_database(size, keep=False)
    return figures


def _times(urls: Mapping[int, str]) -> Times:
    times: Times = {}
    with ExitStack() as stack:
        stores = {size: stack.enter_context(closing(SqlStore(url))) for size, url in urls.items()}
        for size, store in stores.items():
            fill(store, size)
        for calls, rounds in ((FLAT, ROUNDS), ({STATUS: overview}, STATUS_ROUNDS)):
            for _ in range(rounds):
                for what, call in calls.items():
                    for size, store in stores.items():
                        milliseconds = _milliseconds(call, make_queue(store))
                        times[what, size] = min(milliseconds, times.get((what, size), milliseconds))
    return times


def _flat(store: str, times: Times) -> Iterator[Figure]:
    for what in FLAT:
        for size in SIZES:
            ratio = times[what, size] / times[what, SIZES[0]]
            yield Figure(
                what=f"{what}, {store}, {size:,} rows",
                value=times[what, size],
                unit="ms",
                beside="" if size == SIZES[0] else f"at {SIZES[0]:,} rows",
                ratio=None if size == SIZES[0] else ratio,
                bar="" if size == SIZES[0] else f"at most {MOST_TIMES_AS_DEAR:g}",
                met=ratio <= MOST_TIMES_AS_DEAR,
                point=Point("lookups", f"{store}: {what}", size),
            )


def _status(store: str, times: Times) -> Iterator[Figure]:
    for size in SIZES:
        yield Figure(
            what=f"ydc status, {store}, {size:,} rows",
            value=times[STATUS, size] / 1000,
            unit="s",
            beside=f"{1000 * times[STATUS, size] / size:,.1f} µs a row",
            point=Point("whole", f"{store}: status", size),
        )


def _exports(urls: Mapping[int, str]) -> Iterator[Figure]:
    """Yield the CPU time of the command on SQLite, which needs no other process. Other programs do not add to it."""
    for size, url in urls.items():
        exported = json.loads(answer(start("benchmarks.lookups", url)))
        beside = f"{1e6 * exported['seconds'] / size:,.1f} µs a row; peak memory {exported['megabytes']:,.0f} MB"
        yield Figure(
            what=f"ydc export as CSV, SQLite, {size:,} rows",
            value=exported["seconds"],
            unit="s of CPU",
            beside=beside,
            point=Point("whole", "SQLite: export, CPU", size),
        )


def _milliseconds(call: Callable[[Queue], object], queue: Queue) -> float:
    began = time.perf_counter()
    call(queue)
    return (time.perf_counter() - began) * 1000


def _new_database(size: int, *, keep: bool = True) -> str:
    """Return the URL of a new database on the server, or drop it."""
    server, name = sa.make_url(POSTGRESQL_URL), f"ydc_bench_lookups_{size}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        if keep:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


def _export(url: str) -> None:
    """Export every row as CSV in a separate process, and print the cost."""
    began = time.process_time()
    with TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        app(["export", str(Path(folder, "videos.csv")), "--database-url", url], result_action="return_value")
    print(json.dumps({"seconds": time.process_time() - began, "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _export(sys.argv[1])
    else:
        alone("benchmarks.lookups", measure)
