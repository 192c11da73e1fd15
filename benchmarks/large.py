"""Measure PostgreSQL with 10,000,000 videos: the claims and results of 200 workers, and the effects of 1,000,000 updates.

Why: docs/large-database.md. The workers are threads of a few processes, on the server's machine. Each has its own connections.
The updates are the same as for a claim and a result, and are sent by the thousand. On PostgreSQL if YDC_TEST_POSTGRESQL_URL
names a server: `.ci/with-postgresql .venv/bin/python -m benchmarks.large`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random
from threading import Barrier
from typing import Any

import sqlalchemy as sa

from benchmarks.figures import Figure, alone, answer, start
from benchmarks.full_tables import fill
from tests.support.rows import make_queue
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Change, Swap, Table
from youtube_download_coordinator.stores.sql import SqlStore

ROWS = int(os.environ.get("YDC_BENCH_ROWS", 10_000_000))
WORKERS = (1, 20, 200)
PROCESSES = 4
SECONDS = 30.0
BATCH = 10
UPDATES = 1_000_000
UPDATES_AT_ONCE = 1_000
POSTGRESQL_URL = os.environ.get("YDC_TEST_POSTGRESQL_URL", "")

_HOLD = """
UPDATE videos SET state = 'held', holder = 'host/1', act_at = now() + interval '10 minutes', version = version + 1,
    nonce = md5(id::text), claimed_by = 'host/1', claimed_at = now()
WHERE id IN (SELECT id FROM videos WHERE place = 'video_tasks' AND state = 'pending' ORDER BY act_at, id LIMIT :count)
"""
_END = """
UPDATE videos SET state = 'done', holder = '', act_at = '1970-01-01 00:00:00+00', version = version + 1,
    nonce = md5(version::text), detail = 'media/pt-BR/a file.m4a'
WHERE place = 'video_tasks' AND state = 'held'
"""
_SIZES = """
SELECT pg_table_size('videos') AS table_bytes, pg_indexes_size('videos') AS index_bytes, n_tup_upd, n_tup_hot_upd, n_dead_tup,
    autovacuum_count FROM pg_stat_user_tables WHERE relname = 'videos'
"""


def measure() -> list[Figure]:
    """Fill a separate database and measure on it. Return an empty list without a server."""
    if not POSTGRESQL_URL:
        return []
    with _database(sa.make_url(POSTGRESQL_URL)) as url:
        return [*_fleets(url), *_bloat(url)]


def _fleets(url: str) -> Iterator[Figure]:
    for workers in WORKERS:
        done, lost, sent = _fleet(url, workers)
        yield Figure(
            what=f"claimed and done, {ROWS:,} rows, {workers} worker{'s' * (workers > 1)}",
            value=done / SECONDS,
            unit="videos/s",
            beside=f"{lost:,} of {sent:,} claims were lost to another worker",
        )


def _fleet(url: str, workers: int) -> tuple[int, int, int]:
    """Return how many videos were done in SECONDS, and how many claims were lost and sent."""
    processes = min(workers, PROCESSES)
    running = [start("benchmarks.large", url, workers // processes, number) for number in range(processes)]
    results = [json.loads(answer(process)) for process in running]
    done, lost, sent = (sum(result[index] for result in results) for index in range(3))
    return done, lost, sent


class _CountingStore(SqlStore):
    """A store that counts the claims that were sent, and the claims that other workers won."""

    sent = lost = 0

    def swap(self, table: Table[Any], changes: Sequence[Change[Any]]) -> list[Swap]:
        outcomes = super().swap(table, changes)
        claims = [swap for change, swap in zip(changes, outcomes, strict=True) if change.new.lease.state is State.HELD]
        self.sent += len(claims)
        self.lost += claims.count(Swap.LOST)
        return outcomes


def _work(url: str, threads: int, number: int) -> None:
    """Claim and complete videos in several threads. Print the numbers of done videos and of lost and sent claims."""
    together = Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda thread: _worker(url, f"host-{number}/{thread}", together), range(threads)))
    print(json.dumps([sum(column) for column in zip(*results, strict=True)]))


def _worker(url: str, name: str, together: Barrier) -> tuple[int, int, int]:
    done = 0
    with closing(_CountingStore(url)) as store:
        queue = make_queue(store, name)
        queue.monotonic, queue.random = time.monotonic, Random(name)
        store.now()
        together.wait()
        ends_at = time.monotonic() + SECONDS
        while time.monotonic() < ends_at:
            for claim in queue.claim(VIDEO_TASKS, BATCH):
                done += sum(row is not None for row in queue.settle([(claim, Done(result="a result"))]))
        return done, store.lost, store.sent


# -- the effects of updates


def _bloat(url: str) -> Iterator[Figure]:
    with closing(SqlStore(url)) as store:
        engine = store._engine
        before = _sizes(engine)
        began = time.monotonic()
        for _ in range(UPDATES // UPDATES_AT_ONCE // 2):
            for text in (_HOLD, _END):
                with engine.begin() as connection:
                    connection.execute(sa.text(text), {"count": UPDATES_AT_ONCE} if text is _HOLD else {})
        seconds = time.monotonic() - began
        recovery, claim = _milliseconds(store)
        time.sleep(STATISTICS_SECONDS)
        after = _sizes(engine)
    updates = after["n_tup_upd"] - before["n_tup_upd"]
    vacuums = after["autovacuum_count"] - before["autovacuum_count"]
    hot = after["n_tup_hot_upd"] - before["n_tup_hot_upd"]
    yield Figure(what=f"updates of {UPDATES:,} that touch no index (HOT)", value=100 * hot / updates, unit="%")
    for part in ("table", "index"):
        grown = (after[f"{part}_bytes"] - before[f"{part}_bytes"]) / 1e6
        beside = f"of {before[f'{part}_bytes'] / 1e6:,.0f} MB; vacuumed {vacuums} times in {seconds:,.0f} s"
        yield Figure(
            what=f"growth of the {part}{'es' * (part == 'index')} by them", value=grown, unit="MB", beside=beside
        )
    yield Figure(what="a recovery with nothing to do, after them", value=recovery, unit="ms")
    yield Figure(what="a claim of 10 videos, after them", value=claim, unit="ms")


STATISTICS_SECONDS = 2.0
"""PostgreSQL updates its statistics about a second later."""


def _milliseconds(store: SqlStore) -> tuple[float, float]:
    """Return the time of the first recovery and of the first claim."""
    queue, times = make_queue(store), [time.monotonic()]
    queue.recover(VIDEO_TASKS)
    times.append(time.monotonic())
    queue.release(queue.claim(VIDEO_TASKS, BATCH))
    times.append(time.monotonic())
    return (times[1] - times[0]) * 1000, (times[2] - times[1]) * 1000


def _sizes(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return dict(connection.execute(sa.text(_SIZES)).mappings().one())


@contextmanager
def _database(server: sa.URL) -> Iterator[str]:
    """Create a database with ROWS videos, and drop it in the end."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    drop = "DROP DATABASE IF EXISTS ydc_bench_large WITH (FORCE)"
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(drop)
            connection.exec_driver_sql("CREATE DATABASE ydc_bench_large")
        url = server.set(database="ydc_bench_large").render_as_string(hide_password=False)
        with closing(SqlStore(url)) as store:
            fill(store, ROWS)
        yield url
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(drop)
        engine.dispose()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        alone("benchmarks.large", measure)
