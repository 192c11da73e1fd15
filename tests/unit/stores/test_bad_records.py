"""A value that something else has written into a database stops its own row, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.rows import make_admission, make_queue, new_source, new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Control, Done, State
from youtube_download_coordinator.operations.check_rows import check_rows, read_database
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    yield store
    store.close()


@pytest.fixture
def queue(store: SqlStore) -> Queue:
    queue = make_queue(store)
    queue.admission = make_admission(store)
    queue.add(VIDEO_TASKS, [new_video(1), new_video(2), new_video(3)])
    queue.add(SOURCES, [new_source(1)])
    return queue


def write(store: SqlStore, table: str, where: str, **values: Any) -> None:
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with store._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {table} SET {columns} WHERE {where}"), values)


DECISIVE: list[tuple[str, Any]] = [
    ("state", "frozen"), ("state", b"pending"), ("version", "many"), ("version", 2**62), ("version", -1), ("tries", "many"),
    ("tries", 2**40), ("act_at", 5),
    ("act_at", "9999-99-99 00:00:00.000000"), ("holder", b"\xff"), ("detail", b"\xff"), ("nonce", b"\xff"), ("key", b"\xff"),
    ("url", b"\xff"), ("extra", "{"), ("extra", "[]"), ("extra", '{"a": 1}'), ("extra", "[" * 100_000), ("extra", b"\xff"),
]  # fmt: skip
SHOWN: list[tuple[str, Any]] = [
    ("title", b"\xff"), ("accent", b"\xff"), ("claimed_at", "yesterday"), ("duration_seconds", "long"), ("source_id", "first"),
    ("duration_seconds", 2**40), ("claimed_by", b"x"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), DECISIVE)
def test_a_row_that_cannot_be_read_is_set_apart_and_the_others_processed(
    queue: Queue, store: SqlStore, column: str, value: Any
) -> None:
    write(store, "videos", "id = 2", **{column: value})
    claims = queue.claim(VIDEO_TASKS, 5)
    queue.settle([(claim, Done(result="ok")) for claim in claims])
    rows = {row.id: row for row in queue.rows(VIDEO_TASKS)}
    assert [rows[1].lease.state, rows[2].lease.state, rows[3].lease.state] == [State.DONE, State.ERROR, State.DONE]
    assert rows[2].lease.detail.startswith("unreadable-row: ")
    assert f"{column}=" in rows[2].lease.detail
    assert len(rows[2].lease.detail) <= 300
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 2, State.ERROR: 1}


@pytest.mark.parametrize(("column", "value"), SHOWN)
def test_a_value_that_is_only_shown_is_emptied(queue: Queue, store: SqlStore, column: str, value: Any) -> None:
    write(store, "videos", "id = 2", **{column: value})
    assert len(queue.claim(VIDEO_TASKS, 5)) == 3


@pytest.mark.parametrize(("column", "value"), [("state", "frozen"), ("claimed_at", "9999-99-99"), ("act_at", "soon")])
@pytest.mark.parametrize("verb", ["count", "leases", "tally", "scan"])
def test_no_way_to_read_a_table_fails(queue: Queue, store: SqlStore, verb: str, column: str, value: str) -> None:
    queue.settle([(claim, Done()) for claim in queue.claim(VIDEO_TASKS, 5)])
    write(store, "videos", "id = 2", **{column: value})
    reads: dict[str, Callable[[], object]] = {
        "count": lambda: store.count(VIDEO_TASKS),
        "leases": lambda: store.leases(VIDEO_TASKS, State.DONE),
        "tally": lambda: store.tally([SOURCES, VIDEO_TASKS, DEAD_LETTERS], date(2026, 1, 1)),
        "scan": lambda: store.scan(VIDEO_TASKS),
    }
    assert reads[verb]()


@pytest.mark.parametrize(
    ("column", "value"), [("until", "soon"), ("until", 5), ("value", b"x"), ("reason", b"x"), ("pause_seconds", "x")]
)
def test_a_line_that_cannot_be_read_pauses_and_raises_nothing(
    queue: Queue, store: SqlStore, column: str, value: Any
) -> None:
    store.set_control("fleet", lambda line: Control(name="fleet", value="running"))
    store.set_control("cooldown host", lambda line: Control(name="cooldown host", value="clear"))
    write(store, "controls", "name = 'fleet'", **{column: value})
    lines = {line.name: line for line in store.controls(fresh=True)}
    assert (lines["fleet"].value, lines["cooldown host"].value) == ("unreadable", "clear")
    assert queue.claim(VIDEO_TASKS, 1) == []
    assert store.set_control("fleet", lambda line: Control(name="fleet", value="running"))
    assert [line.value for line in store.controls(fresh=True)] == ["running", "clear"]


def test_doctor_reads_every_row_of_a_database(queue: Queue, store: SqlStore, tmp_path: Path) -> None:
    write(store, "videos", "id = 2", version="many")
    config = Config(database_url=f"sqlite:///{tmp_path}/queue.db", state_dir=tmp_path / "state")
    ((is_well, text),) = check_rows(config, read_database(config))
    assert not is_well
    assert text.startswith("video 2 (video-00002) is set apart: unreadable-row: version=many")
