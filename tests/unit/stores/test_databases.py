"""The database behind `database_url`: one of an older version is brought up to date, one that is none of ours is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.rows import make_queue, new_source, new_video
from youtube_download_coordinator import Config, ConfigError, Coordinator
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.stores.sql import SqlStore


def test_a_column_that_an_older_version_did_not_have_is_added(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    store = SqlStore(url)
    store.insert(SOURCES, [new_source(1, title="A channel")])
    store.close()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.execute("ALTER TABLE sources DROP COLUMN listed_with")
    queue = make_queue(SqlStore(url))
    (claim,) = queue.claim(SOURCES, 1)
    assert (claim.row.title, claim.row.listed_with) == ("A channel", "")
    queue.settle([(claim, Done())], listed_with="Kinds=videos")
    queue.store.close()
    with closing(SqlStore(url)) as again:
        assert [row.listed_with for row in again.scan(SOURCES)] == ["Kinds=videos"]


def test_an_index_that_an_older_version_made_is_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    SqlStore(url).close()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.execute("DROP INDEX videos_in_any_state")
        database.execute("CREATE INDEX videos_by_id ON videos (place, id)")
    SqlStore(url).close()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert "videos_in_any_state" in names
    assert "videos_by_id" not in names


def test_rows_that_an_older_version_inserted_get_their_priority(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    with closing(SqlStore(url)) as store:
        extras = [{}, {"Gender": "f"}, {"priority": "3"}, {"Priority": "high"}, {"Priority": " 9", "Gender": "f"}]
        store.insert(VIDEO_TASKS, [new_video(number, extra=extra) for number, extra in enumerate(extras)])
        store.insert(SOURCES, [new_source(1), new_source(2, extra={"Priority": "-1"}), new_source(3)])
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        for table in ("videos", "sources"):
            database.execute(f"DROP INDEX {table}_by_priority")
            database.execute(f"ALTER TABLE {table} DROP COLUMN priority")
        database.execute("UPDATE videos SET extra = '\"Priority' WHERE id = 2")  # damaged by something else
        database.commit()
    queue = make_queue(SqlStore(url))
    assert [claim.row.id for claim in queue.claim(VIDEO_TASKS, 5)] == [5, 3, 1, 4]
    assert [claim.row.id for claim in queue.claim(SOURCES, 3)] == [1, 3, 2]
    queue.store.close()


def test_settings_that_lead_to_no_queue_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder '.*/nowhere' does not exist"):
        Coordinator(Config(database_url=f"sqlite:///{tmp_path}/nowhere/queue.db"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("coordinator.db", "this is not a database URL"),
        ("mysql://root:secret@host/db", "database_url=mysql://host/db"),
        ("nosuch://root:secret@host/db", "database_url=nosuch://host/db"),
        ("mysql://root@host/db?password=secret", "database_url=mysql://host/db"),
        ("mysql://host/db?a=b&sslpassword=secret#secret", "database_url=mysql://host/"),
        ("mysql:///password=secret%20host=h", "database_url=mysql:///..."),
        ("postgresql+psycopg://root:a@secret@host/db", "write %40 for each @"),
        ("postgresql+psycopg://root:a@secret/b@host/db", "write %40 for each @"),
        ("postgresql+psycopg://root:a@b:secret@host/db", "this is not a database URL"),
        ("postgresql+psycopg://root:a@b?secret@host/db", "write %40 for each @"),
        ("postgresql+psycopg://root:a@b#secret@host/db", "write %40 for each @"),
        ("postgresql+psycopg://host/db?user=root@secret&password=secret@x", "write %40 for each @"),
        ("postgresql+psycopg://root:x@host:secret/db", "this is not a database URL"),
    ],
)
def test_a_database_that_is_none_of_ours_is_an_error_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Coordinator(Config(database_url=url))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


PAGE_ROWS = 10
FEW, MANY = 200, 4000


class Steps:
    """The instructions that SQLite executes for a query, which are the same each time."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, ask: Callable[[], object]) -> int:
        self.count = 0
        ask()
        return self.count

    def connected(self, connection: Any, _record: object) -> None:
        connection.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.count += 1
        return 0


@pytest.fixture
def steps() -> Iterator[Steps]:
    """Yield the steps of every connection that is opened from now on."""
    counting = Steps()
    sa.event.listen(sa.pool.Pool, "connect", counting.connected)
    yield counting
    sa.event.remove(sa.pool.Pool, "connect", counting.connected)


def asked_of(rows: int, folder: Path, steps: Steps, where: Where) -> int:
    """Return how SQLite reads one page of that many matching rows."""
    with closing(SqlStore(f"sqlite:///{folder}/{rows}.db")) as store:
        store.insert(VIDEO_TASKS, [new_video(number) for number in range(rows)])
        return steps.of(lambda: store.scan(VIDEO_TASKS, where, limit=PAGE_ROWS))


@pytest.mark.parametrize(
    "where",
    [
        Where(),
        Where(after_id=20),
        Where(state=State.PENDING),
        Where(state=State.PENDING, after_id=20),
        Where(keys=["url:video-00007", "url:video-00100"]),
        Where(ids=[7, 100]),
    ],
    ids=repr,
)
def test_a_page_costs_no_more_in_a_queue_that_is_larger(tmp_path: Path, steps: Steps, where: Where) -> None:
    """`ydc export` reads all rows page by page: a page that is sorted out of all rows makes that grow with their square."""
    assert asked_of(MANY, tmp_path, steps, where) <= 1.1 * asked_of(FEW, tmp_path, steps, where)


def test_a_queue_that_an_older_version_made_gets_the_indexes_that_it_lacks(tmp_path: Path, steps: Steps) -> None:
    new = asked_of(FEW, tmp_path, steps, Where(state=State.PENDING))
    with closing(sqlite3.connect(tmp_path / f"{FEW}.db")) as database:
        database.execute("DROP INDEX videos_by_state")
    with closing(SqlStore(f"sqlite:///{tmp_path}/{FEW}.db")) as store:
        assert steps.of(lambda: store.scan(VIDEO_TASKS, Where(state=State.PENDING), limit=PAGE_ROWS)) == new
        assert store.scan(DEAD_LETTERS) == []
