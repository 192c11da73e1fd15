"""Count the transactions of a video on a database, and on the machine's own state.

A worker with the default settings processes videos that do nothing, so every transaction is the coordinator's. Time passes by a
clock that the test turns, and the attempts of one round end together, so the numbers are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.contract.conftest import POSTGRESQL_URL
from tests.support.rows import make_admission, make_queue, new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Outcome, VideoTask
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.stores.sql.tables import metadata
from youtube_download_coordinator.workers.worker import Limits, Worker

VIDEOS = 200
VIDEOS_A_SECOND = 8
MOST_A_VIDEO = 0.7
"""The aim, on the queue's store."""
UNLIMITED, LIMITED = None, RateLimit(10**6)
"""Without a rate limit, and with one under which no video has to wait."""
DEFAULTS = Config(_env_file=None)
URLS = {"sqlite-memory": "sqlite://", "sqlite-file": "sqlite:///{folder}/queue.db"} | (
    {"postgresql": POSTGRESQL_URL} if POSTGRESQL_URL else {}
)


class Seconds:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.passed = 1000.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


OpenSql = Callable[[str], SqlStore]


@pytest.fixture
def open_sql(tmp_path: Path, seconds: Seconds) -> Iterator[OpenSql]:
    opened: list[SqlStore] = []

    def open_one(url: str) -> SqlStore:
        opened.append(SqlStore(url.format(folder=tmp_path), monotonic=seconds, clock_jumps=lambda: 0.0))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture(params=URLS)
def store(request: pytest.FixtureRequest, open_sql: OpenSql) -> SqlStore:
    if request.param == "postgresql":
        engine = sa.create_engine(POSTGRESQL_URL)
        metadata.drop_all(engine)
        engine.dispose()
    return open_sql(URLS[request.param])


@pytest.fixture
def machine_state(open_sql: OpenSql) -> SqlStore:
    return open_sql("sqlite:///{folder}/machine.db")


@contextmanager
def transactions(store: SqlStore) -> Iterator[Counter[str]]:
    """Count how many transactions of a store begin, and how they end: reading ones are rolled back."""
    counts: Counter[str] = Counter()

    def counter(event: str) -> Callable[[sa.Connection], None]:
        return lambda connection: counts.update([event])

    listeners = {event: counter(event) for event in ("begin", "commit", "rollback")}
    for event, listener in listeners.items():
        sa.event.listen(store._engine, event, listener)
    yield counts
    for event, listener in listeners.items():
        sa.event.remove(store._engine, event, listener)


class Work:
    """A worker that processes all videos of a new queue, and what that cost."""

    def __init__(
        self, store: SqlStore, machine_state: SqlStore, seconds: Seconds, rate_limit: RateLimit | None
    ) -> None:
        self._store, self._seconds = store, seconds
        self._machine_state = machine_state
        self._queue = make_queue(store)
        self._queue.monotonic = seconds
        self._queue.admission = make_admission(store, machine_state=machine_state, rate_limit=rate_limit)
        self._added = 0

    def process(self, count: int) -> tuple[Counter[str], Counter[str]]:
        """Add so many videos, and return the transactions of processing them: the queue's, and the machine's."""
        numbers = range(self._added, self._added + count)
        self._queue.add(VIDEO_TASKS, [new_video(number, key=f"yt:v:{number:011}") for number in numbers])
        self._added += count
        self._seconds.passed += 3600  # what was known is outdated
        worker = Worker(
            queue=self._queue,
            submit=self._submit,
            limits=Limits(concurrency=DEFAULTS.concurrency),
            claim_batch_size=DEFAULTS.claim_batch_size,
            attempt_timeout=DEFAULTS.attempt_timeout,
            monotonic=self._seconds,
        )
        with transactions(self._store) as queues, transactions(self._machine_state) as machines:
            assert worker.run().attempted == count
        return queues, machines

    def _submit(self, task: VideoTask) -> Future[Outcome]:
        self._seconds.passed += 1 / VIDEOS_A_SECOND
        future: Future[Outcome] = Future()
        future.set_result(Done(result="nothing"))
        return future


@pytest.mark.parametrize("rate_limit", [UNLIMITED, LIMITED], ids=["unlimited", "limited"])
def test_a_video_costs_little_more_than_its_claim_and_its_result(
    store: SqlStore, machine_state: SqlStore, seconds: Seconds, rate_limit: RateLimit | None
) -> None:
    """The difference between twice as many videos and these is the steady state: no start, and no look for more at the end."""
    work = Work(store, machine_state, seconds, rate_limit)
    queue, machine = work.process(VIDEOS)
    longer_queue, longer_machine = work.process(2 * VIDEOS)
    longer_queue.subtract(queue)
    longer_machine.subtract(machine)

    claims, results, looks = (
        VIDEOS // DEFAULTS.claim_batch_size,
        VIDEOS // DEFAULTS.concurrency,
        VIDEOS // VIDEOS_A_SECOND,
    )
    reading = claims + looks  # what is due, for each claim; Control, once a second
    assert longer_queue == Counter(begin=claims + results + reading, commit=claims + results, rollback=reading)
    starts = VIDEOS if rate_limit else 0  # each is counted, in the machine's file
    assert longer_machine == Counter(begin=starts + looks, commit=starts, rollback=looks)
    assert queue["begin"] <= MOST_A_VIDEO * VIDEOS
    assert longer_queue["begin"] <= MOST_A_VIDEO * VIDEOS
