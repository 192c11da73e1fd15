"""Lines of control on a database: kept for one second, and never older than a change by the same process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.rows import Clock
from youtube_download_coordinator.errors import ConfigError, StoreUnavailable
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.stores.sql import SqlStore, fork_lock
from youtube_download_coordinator.stores.sql import store as sql_store
from youtube_download_coordinator.stores.sql.store import CONTROLS_SECONDS
from youtube_download_coordinator.stores.sql.unreadable import KnownControls

PAUSED, RUNNING = Control(name="fleet", value="paused"), Control(name="fleet", value="running")
COOLING = Control(name="cooldown host-a", value="cooling")
OpenSql = Callable[[], SqlStore]


@pytest.fixture
def open_sql(tmp_path: Path, clock: Clock) -> Iterator[OpenSql]:
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        opened.append(SqlStore(f"sqlite:///{tmp_path}/queue.db", monotonic=clock, clock_jumps=lambda: 0.0))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def put(store: SqlStore, *lines: Control) -> None:
    for line in lines:
        store.set_control(line.name, lambda _, line=line: line)  # type: ignore[misc]


def reads(store: SqlStore) -> list[str]:
    """Collect the statements with which a store reads the lines from now on."""
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "FROM controls" in statement and "WHERE" not in statement:
            statements.append(statement)

    sa.event.listen(store._engine, "before_cursor_execute", note)
    return statements


def test_lines_are_read_once_a_second(open_sql: OpenSql, clock: Clock) -> None:
    store = open_sql()
    statements = reads(store)
    for _ in range(10):
        store.controls()
        clock.seconds += CONTROLS_SECONDS / 4
    assert len(statements) == 3


def test_a_change_by_another_process_is_seen_a_second_later(open_sql: OpenSql, clock: Clock) -> None:
    store, other = open_sql(), open_sql()
    assert store.controls() == []
    put(other, PAUSED)
    clock.seconds += CONTROLS_SECONDS - 0.01
    assert store.controls() == []
    clock.seconds += 0.01
    assert store.controls() == [PAUSED]


def test_a_change_of_one_s_own_costs_no_look_and_keeps_none_from_coming(open_sql: OpenSql, clock: Clock) -> None:
    """A process that changes a line several times a second, as a rate limit does, still sees others' changes in time."""
    store, other = open_sql(), open_sql()
    put(store, RUNNING)
    store.controls()
    statements = reads(store)
    put(other, COOLING)
    for _ in range(4):
        put(store, PAUSED)
        assert store.controls() == [PAUSED]
        clock.seconds += CONTROLS_SECONDS / 4
    assert statements == []
    assert sorted(line.name for line in store.controls()) == ["cooldown host-a", "fleet"]


def test_a_change_that_may_have_been_made_is_looked_for(open_sql: OpenSql, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the commit was lost."""
    store = open_sql()
    assert store.controls() == []
    change = SqlStore._set_control

    def lose_the_answer(store: SqlStore, *given: object) -> None:
        change(store, *given)  # type: ignore[arg-type]
        raise StoreUnavailable("the connection is gone")

    monkeypatch.setattr(SqlStore, "_set_control", lose_the_answer)
    with pytest.raises(StoreUnavailable):
        put(store, PAUSED)
    assert store.controls() == [PAUSED]


def test_a_look_that_began_before_a_change_does_not_hide_it(open_sql: OpenSql, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread has read the lines and not kept them yet; another changes one, and asks right afterwards."""
    store = open_sql()
    have_read, has_changed = threading.Event(), threading.Event()
    seen: list[list[Control]] = []

    def keep_late(*values: Any) -> Any:
        if threading.current_thread() is looker:
            have_read.set()
            has_changed.wait(30)
        return known_controls(*values)

    looker = threading.Thread(target=lambda: seen.append(store.controls()))
    known_controls = KnownControls
    monkeypatch.setattr(sql_store, "KnownControls", keep_late)
    looker.start()
    assert have_read.wait(30)
    put(store, PAUSED)
    has_changed.set()
    looker.join()
    assert seen == [[]]
    assert store.controls() == [PAUSED]


def test_a_fork_while_another_thread_is_inside_sqlite_is_refused_with_one_line(
    open_sql: OpenSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_lock, "FORK_WAIT_SECONDS", 0.01)
    store = open_sql()
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(line: Control | None) -> None:
        has_begun.set()
        may_end.wait(30)

    changer = threading.Thread(target=store.set_control, args=("fleet", slow))
    changer.start()
    assert has_begun.wait(30)
    child = os.fork()
    if not child:
        try:
            store.controls(fresh=True)
        except ConfigError as error:
            os._exit(0 if "spawn" in str(error) and "\n" not in str(error) else 2)
        finally:
            os._exit(1)
    may_end.set()
    changer.join()
    assert os.waitpid(child, 0)[1] == 0
    assert store.controls(fresh=True) == []  # the parent goes on


def test_a_fork_waits_for_the_transaction_of_another_thread(open_sql: OpenSql) -> None:
    store = open_sql()
    has_begun = threading.Event()

    def change(line: Control | None) -> Control:
        has_begun.set()
        time.sleep(0.2)  # the fork comes meanwhile
        return PAUSED

    changer = threading.Thread(target=store.set_control, args=(PAUSED.name, change))
    changer.start()
    assert has_begun.wait(30)
    child = os.fork()
    if not child:
        os._exit(
            0 if store.controls(fresh=True) == [PAUSED] and store.set_control("fleet", lambda line: None) is None else 1
        )
    changer.join()
    assert os.waitpid(child, 0)[1] == 0
