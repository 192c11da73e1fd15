"""Queries read only the rows that they return: the database's plans, and counts of rows.

SQLite plans without looking at the rows. PostgreSQL looks at their statistics, so its table is large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.conftest import POSTGRESQL_URL
from tests.support.rows import make_queue, new_source, new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Failure, Source, State, Status, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.queue import CLAIM_SPREAD
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, EVERY_ROW, SOURCES, VIDEO_TASKS, Table, Where
from youtube_download_coordinator.queue.targets import Targets
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.stores.sql.tables import metadata
from youtube_download_coordinator.workers.expansion import expand_sources
from youtube_download_coordinator.youtube.listing import Listed

COPIES = 20_000
"""Of a video, in PostgreSQL."""
SOURCES_AT_FIRST, VIDEOS = 3, 100
BY_KEY = (r"sqlite_autoindex_\w+_1 \(key=\?\)", r"Index (Cond|Only Cond): \(key = ANY")
BY_ID = (r"INTEGER PRIMARY KEY \(rowid=\?\)", r"Index Cond: \(id = ANY")
BY_STATE = (
    r"\((place=\? AND )?state=\?( AND (act_at|id)[<>]\?){0,2}\)",
    r"Index Cond: \(\(place = '\w+'::text\) AND \(state = '\w+'",
)
BY_PRIORITY = (
    r"by_priority \((place=\? AND )?priority=\? AND act_at<\?\)",
    r"using videos_by_priority .*Index Cond: \(\(place = '\w+'::text\) AND \(priority = ",
)
BY_ACCENT = (
    r"videos_by_accent \(place=\? AND <expr>=\? AND priority=\? AND act_at<\?\)",
    r"using videos_by_accent .*Index Cond: \(\(place = '\w+'::text\) AND \(CASE .* END = ",
)
BY_PLACE = (
    r"videos_in_any_state \(place=\?( AND id>\?)?\)",
    r"Index Cond: \(\(?place = '\w+'::text\)",
    r"Index Scan using videos_pkey",
)
"""Conditions of an index in a plan of SQLite and in one of PostgreSQL."""
KEYS = [f"url:video-{number:05}" for number in range(100)]
URLS = {"sqlite": "sqlite:///{folder}/queue.db"} | ({"postgresql": POSTGRESQL_URL} if POSTGRESQL_URL else {})


@pytest.fixture(params=URLS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    if request.param == "postgresql":
        engine = sa.create_engine(POSTGRESQL_URL)
        metadata.drop_all(engine)
        engine.dispose()
    store = SqlStore(URLS[request.param].format(folder=tmp_path))
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(number) for number in range(SOURCES_AT_FIRST)])
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(VIDEOS)])
    claims = queue.claim(VIDEO_TASKS, 2)
    failed = Failure(verdict=Verdict.PERMANENT, reason="private", message="")
    queue.settle([(claims[0], Done(result="a file")), (claims[1], failed)])
    if request.param == "postgresql":
        _copy_rows(store)
    yield store
    store.close()


def _copy_rows(store: SqlStore) -> None:
    """Fill the table with videos that are done, but for a few, and let PostgreSQL learn that."""
    names = [column.name for column in metadata.tables["videos"].columns if column.name not in {"id", "key"}]
    text = ", ".join(names)
    with store._engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO videos (key, {text}) SELECT key || ' ' || n, {text}"
            f" FROM videos, generate_series(1, {COPIES}) AS n WHERE state = 'done'"
        )
        connection.exec_driver_sql("ANALYZE videos")


def plans(store: SqlStore, call: Callable[[], object]) -> list[str]:
    """Return the plan of each query for rows that the call sends, as one text each."""
    sent: list[tuple[str, Any]] = []

    def record(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith(("SELECT", "WITH")) and ("FROM videos" in statement or "FROM sources" in statement):
            sent.append((statement, parameters))

    sa.event.listen(store._engine, "before_cursor_execute", record)
    call()
    sa.event.remove(store._engine, "before_cursor_execute", record)
    is_sqlite = store._engine.dialect.name == "sqlite"
    explain, column = ("EXPLAIN QUERY PLAN", 3) if is_sqlite else ("EXPLAIN", 0)
    with store._engine.connect() as connection:
        return [
            "; ".join(line[column].strip() for line in connection.exec_driver_sql(f"{explain} {statement}", parameters))
            for statement, parameters in sent
        ]


def by_keys(queue: Queue, table: Table[Any]) -> Sequence[object]:
    return queue.store.scan(table, Where(keys=KEYS), limit=100)


def with_targets(queue: Queue) -> Queue:
    """Return the queue with target hours, which are counted already."""
    queue.targets = Targets(hours={"a": 1, "b": 2})
    queue.targets._count_again_at = math.inf
    return queue


QUERIES: dict[str, tuple[Callable[[Queue], object], tuple[str, ...]]] = {
    "keys of videos": (lambda queue: by_keys(queue, VIDEO_TASKS), BY_KEY),
    "keys of dead letters": (lambda queue: by_keys(queue, DEAD_LETTERS), BY_KEY),
    "keys of sources": (lambda queue: by_keys(queue, SOURCES), BY_KEY),
    "keys that may be known": (lambda queue: queue.known_videos(KEYS), BY_KEY),
    "IDs": (lambda queue: queue.store.scan(VIDEO_TASKS, Where(ids=list(range(1, 90)))), BY_ID),
    "IDs in a state": (lambda queue: queue.store.scan(VIDEO_TASKS, Where(ids=[1, 2], state=State.DONE)), BY_ID),
    "all videos": (lambda queue: list(queue.rows(VIDEO_TASKS)), BY_PLACE),
    "all dead letters": (lambda queue: list(queue.rows(DEAD_LETTERS)), BY_PLACE),
    "what failed": (lambda queue: list(queue.select(VIDEO_TASKS, Selection(status=Status.ERROR))), BY_STATE),
    "what failed for good": (lambda queue: list(queue.select(DEAD_LETTERS, Selection(status=Status.ERROR))), BY_STATE),
    "what is not done": (lambda queue: list(queue.select(VIDEO_TASKS, Selection(with_done=False))), BY_STATE),
    "what failed as private": (lambda queue: list(queue.select(VIDEO_TASKS, Selection(reason="private"))), BY_STATE),
    "an accent": (lambda queue: list(queue.select(VIDEO_TASKS, Selection(accent="Recife"))), BY_PLACE),
    "a source": (lambda queue: list(queue.select(DEAD_LETTERS, Selection(source_id=7))), BY_PLACE),
    "what failed of a type": (
        lambda queue: list(queue.select(VIDEO_TASKS, Selection(type="talk", status=Status.ERROR))),
        BY_STATE,
    ),
    "recovery of videos": (lambda queue: queue.recover(VIDEO_TASKS), BY_STATE),
    "recovery of sources": (lambda queue: queue.recover(SOURCES), BY_STATE),
    "the next that is due": (lambda queue: queue.next_due(VIDEO_TASKS), BY_STATE),
    "a claim": (lambda queue: queue.claim(VIDEO_TASKS, 5), BY_PRIORITY),
    "a claim of more than there are": (lambda queue: queue.claim(VIDEO_TASKS, 500), BY_PRIORITY),
    "a claim with target hours": (lambda queue: with_targets(queue).claim(VIDEO_TASKS, 5), BY_ACCENT),
    "the next that target hours allow": (lambda queue: with_targets(queue).next_due(VIDEO_TASKS), BY_ACCENT),
    "a claim of sources": (lambda queue: queue.claim(SOURCES, 1), BY_PRIORITY),
}
"""Calls that read, and the conditions that their queries find rows by."""


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_its_rows_by_an_index(store: SqlStore, query: str) -> None:
    call, conditions = QUERIES[query]
    if "sources" in query and store._engine.dialect.name == "postgresql":
        pytest.skip("PostgreSQL reads a table of three rows as a whole")
    queue = make_queue(store)
    found = plans(store, lambda: call(queue))
    assert found
    for plan in found:
        assert not re.search(r"SCAN (videos|sources)(?! USING)|Seq Scan on (videos|sources)", plan), plan
        assert any(re.search(condition, plan) for condition in conditions), plan
        if conditions in (BY_STATE, BY_PLACE):  # rows that are named are few, and may be sorted
            assert "TEMP B-TREE" not in plan, plan


class CountingStore(SqlStore):
    """A store that counts the rows that it returns."""

    returned = 0

    def scan(self, table: Table[Any], where: Where = EVERY_ROW, *, limit: int = 100) -> list[Any]:
        rows = super().scan(table, where, limit=limit)
        self.returned += len(rows)
        return rows


@pytest.fixture
def counting_store(store: SqlStore) -> Iterator[CountingStore]:
    counting = CountingStore(store._engine.url.render_as_string(hide_password=False))
    yield counting
    counting.close()


def test_what_failed_is_listed_without_reading_another_row(counting_store: CountingStore) -> None:
    queue = make_queue(counting_store)
    assert [row.lease.reason for row in queue.select(DEAD_LETTERS, Selection(status=Status.ERROR))] == ["private"]
    assert not list(queue.select(VIDEO_TASKS, Selection(status=Status.ERROR)))
    assert counting_store.returned == 1


def test_what_is_not_done_is_tried_again_without_reading_what_is(counting_store: CountingStore) -> None:
    queue = make_queue(counting_store)
    results = queue.retry(VIDEO_TASKS, Selection(with_done=False))
    assert counting_store.returned == results.total() == VIDEOS - 2


@pytest.mark.parametrize(
    "selection",
    [
        Selection(accent="RECIFE"),
        Selection(type="Talk", accent="recife"),
        Selection(source_id=7),
        Selection(source_id=7, status=Status.PENDING),
    ],
)
def test_an_accent_a_type_and_a_source_are_selected_without_reading_another_row(
    counting_store: CountingStore, selection: Selection
) -> None:
    queue = make_queue(counting_store)
    chosen = {"accent": "Recife", "type": "talk", "source_id": 7}
    queue.add(VIDEO_TASKS, [new_video(number, **chosen) for number in range(VIDEOS, VIDEOS + 3)])
    assert len(list(queue.select(VIDEO_TASKS, selection))) == counting_store.returned == 3


def lists_nothing(source: Source, config: Config) -> Generator[Listed, None, None]:
    yield from ()


@pytest.mark.parametrize("count", [25, 50])
def test_sources_are_listed_in_turn_with_a_few_rows_read_for_each(counting_store: CountingStore, count: int) -> None:
    queue = make_queue(counting_store)
    queue.add(SOURCES, [new_source(number) for number in range(SOURCES_AT_FIRST, count)])
    expansions = expand_sources(queue, Config(_env_file=None), lists_nothing)
    assert len({expansion.source.id for expansion in expansions}) == count
    assert counting_store.returned <= CLAIM_SPREAD * count
