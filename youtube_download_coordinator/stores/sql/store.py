"""The verbs of the Store contract as statements.

A swap is one UPDATE that names the version and the nonce which were seen. Video tasks and dead letters share one table, so that
one unique key covers both and a move is one UPDATE.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from youtube_download_coordinator.errors import ConfigError, StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control, Lease, Row, State, VideoTask
from youtube_download_coordinator.queue.store import EVERY_ROW, Change, SetControl, Swap, Table, Tally, Where, clash
from youtube_download_coordinator.stores.sql.counts import tallied
from youtube_download_coordinator.stores.sql.engine import is_memory, open_engine, translated, without_password
from youtube_download_coordinator.stores.sql.records import (
    LEASE_COLUMNS,
    all_values,
    changing_values,
    lease_of,
    place_of,
    query_of,
    row_of,
    same_lease,
    sql_table,
)
from youtube_download_coordinator.stores.sql.tables import bring_up_to_date, controls, videos

R = TypeVar("R", bound=Row)
_Seen = tuple[str, int, int, str]

KEYS_PER_QUERY = 500
"""SQLite takes 32,766 parameters in a statement at most."""
CREATION_LOCK = 0x796463
"""PostgreSQL's number for the lock that creating the tables takes."""
CONTROLS_LOCK = CREATION_LOCK + 1
"""And for the one that changing a line of control takes."""

_GO_ON_BEHIND = sa.text(
    "SELECT setval(sequence, greatest(:last, nextval(sequence))) FROM pg_get_serial_sequence(:table, 'id') AS sequence"
)
"""PostgreSQL's sequence does not see IDs that it did not give."""


class SqlStore:
    """The Store contract on one database. Raises ConfigError when the URL leads to no database that can be used."""

    clock_error_seconds = 0.0
    result_batch_seconds = 0.0

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_engine(url)
        # An in-memory database is one connection: its transactions come one after the other.
        self._turn: AbstractContextManager[Any] = threading.RLock() if is_memory(self._engine.url) else nullcontext()
        self._sent: dict[_Seen, list[Lease]] = {}
        """Leases sent in the place of one that was seen, and nobody could say whether they were applied."""
        self._prepare()
        _opened.add(self)

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        if where.has_request:
            return []  # nobody types into a database
        with self._reading() as connection:
            return [row_of(table, record) for record in connection.execute(query_of(table, where, limit)).mappings()]

    def count(self, table: Table[R]) -> Mapping[State, int]:
        sql = sql_table(table)
        query = sa.select(sql.c.state, sa.func.count()).where(*place_of(table)).group_by(sql.c.state)
        with self._reading() as connection:
            return {State(state): number for state, number in connection.execute(query)}

    def leases(self, table: Table[Any], state: State) -> list[Lease]:
        sql = sql_table(table)
        query = sa.select(*(sql.c[name] for name in LEASE_COLUMNS)).where(*place_of(table), sql.c.state == state.value)
        with self._reading() as connection:
            return [lease_of(record) for record in connection.execute(query).mappings()]

    def tally(self, tables: Sequence[Table[Any]], since: date) -> list[list[Tally]]:
        with self._reading() as connection:
            return [tallied(connection, sql_table(table), place_of(table), since) for table in tables]

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        try:
            outcomes = self._swap(table, changes)
        except StoreUnavailable:
            there = self._applied(table, changes)
            if not any(there):
                raise
            outcomes = [Swap.WON if won else Swap.LOST for won in there]
        for change in changes:
            self._sent.pop(_seen(table, change.seen), None)
        return outcomes

    def _swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        outcomes = dict.fromkeys(range(len(changes)), Swap.LOST)
        with self._writing() as connection:
            # In the order of the IDs, so that two machines never wait for each other's locks in a circle.
            for index in sorted(outcomes, key=lambda index: changes[index].seen.id):
                outcomes[index] = self._swap_one(connection, table, changes[index])
        return list(outcomes.values())

    def _applied(self, table: Table[R], changes: Sequence[Change[R]]) -> list[bool]:
        """Which changes were applied whose answer was lost. Where nobody can say now, what was sent is remembered."""
        try:
            return self._there(table, [change.new for change in changes])
        except StoreUnavailable:
            for change in changes:
                self._sent.setdefault(_seen(table, change.seen), []).append(change.new.lease)
            raise

    def _there(self, table: Table[Any], rows: Sequence[Row]) -> list[bool]:
        """After an answer that was lost on the way: which rows stand in the table with just this lease, so that it was applied.

        The locks are waited for: a transaction of ours that the server still is at holds them until it has ended.
        """
        if self._engine.dialect.name == "sqlite":
            return [False] * len(rows)  # no line is between us: what failed was not applied
        c = sql_table(table).c
        ids = [row.id for row in rows]
        query = (
            sa.select(c.id, c.version, c.nonce).where(*place_of(table), c.id.in_(ids)).order_by(c.id)
        )  # as in a swap
        with self._writing() as connection:
            found = {(row_id, version, nonce) for row_id, version, nonce in connection.execute(query.with_for_update())}
        return [(row.id, row.lease.version, row.lease.nonce) in found for row in rows]

    def _swap_one(self, connection: sa.Connection, table: Table[R], change: Change[R]) -> Swap:
        same = same_lease(table, change.seen, self._sent.get(_seen(table, change.seen), ()))
        update = sa.update(sql_table(table)).where(*same).values(changing_values(change.new))
        return Swap.WON if connection.execute(update).rowcount == 1 else Swap.LOST

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        first_of_key = {row.key: row for row in reversed(rows)}
        with self._writing() as connection:
            known = self._known_keys(connection, table, list(first_of_key))
            new = [row for row in rows if row.key not in known and first_of_key[row.key] is row]
            ids = self._insert_new(connection, table, new)
        return [ids.get(row.key) if first_of_key[row.key] is row else None for row in rows]

    @property
    def _dialect(self) -> Any:
        """Whose INSERT knows ON CONFLICT."""
        return sqlite if self._engine.dialect.name == "sqlite" else postgresql

    def _known_keys(self, connection: sa.Connection, table: Table[R], keys: Sequence[str]) -> set[str]:
        column = sql_table(table).c.key
        chunks = [keys[start : start + KEYS_PER_QUERY] for start in range(0, len(keys), KEYS_PER_QUERY)]
        return {key for chunk in chunks for key in connection.scalars(sa.select(column).where(column.in_(chunk)))}

    def _insert_new(self, connection: sa.Connection, table: Table[R], rows: Sequence[R]) -> dict[str, int]:
        """The IDs by key; a key that another machine inserted in between has none."""
        if not rows:
            return {}
        sql = sql_table(table)
        statement = (
            self._dialect.insert(sql).on_conflict_do_nothing(index_elements=["key"]).returning(sql.c.key, sql.c.id)
        )
        records = connection.execute(statement, [all_values(table, row) for row in rows])
        return {key: int(row_id) for key, row_id in records}

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        if not rows:
            return
        sql = sql_table(table)
        with self._writing() as connection:
            statement = self._dialect.insert(sql).on_conflict_do_nothing()
            connection.execute(statement, [all_values(table, row) | {"id": row.id} for row in rows])
            self._check_restored(connection, sql, rows)
            if self._engine.dialect.name == "postgresql":  # SQLite's AUTOINCREMENT sees IDs that it did not give
                connection.execute(_GO_ON_BEHIND, {"table": sql.name, "last": max(row.id for row in rows)})

    def _check_restored(self, connection: sa.Connection, sql: sa.Table, rows: Sequence[Row]) -> None:
        keys: dict[int, str] = {}
        for first in range(0, len(rows), KEYS_PER_QUERY):
            ids = [row.id for row in rows[first : first + KEYS_PER_QUERY]]
            found = connection.execute(sa.select(sql.c.id, sql.c.key).where(sql.c.id.in_(ids)))
            keys |= {row_id: key for row_id, key in found}  # noqa: C416  # mypy knows no dict of records
        for row in rows:
            if keys.get(row.id) != row.key:
                raise clash(row)

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        update = sa.update(videos).where(*same_lease(table, seen)).values(place=to.name)
        try:
            with self._writing() as connection:
                return connection.execute(update).rowcount == 1
        except StoreUnavailable:
            if not all(self._there(to, [seen])):
                raise
            return True

    def controls(self, *, fresh: bool = False) -> list[Control]:
        with self._reading() as connection:
            return [Control(**record) for record in connection.execute(sa.select(controls)).mappings()]

    def set_control(self, name: str, change: SetControl) -> Control | None:
        with self._writing() as connection:
            self._lock_controls(connection)
            found = connection.execute(sa.select(controls).where(controls.c.name == name)).mappings().first()
            new = change(Control(**found) if found else None)
            if new is not None:
                values = dataclasses.asdict(new)
                update = sa.update(controls).where(controls.c.name == name).values(values)
                connection.execute(update if found else sa.insert(controls).values(values))
            return new

    def _lock_controls(self, connection: sa.Connection) -> None:
        """A line that is not there yet cannot be locked; SQLite's transactions come one after the other anyway."""
        if self._engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CONTROLS_LOCK)))

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        return None

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        """Nothing: a row's own columns are kept as one text."""

    def now(self) -> datetime:
        with self._reading() as connection:
            if self._engine.dialect.name == "sqlite":  # its clock is this machine's
                text = connection.scalar(sa.text("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"))
                return datetime.fromisoformat(str(text))
            moment = connection.scalar(sa.text("SELECT clock_timestamp()"))
            return _as_datetime(moment).astimezone(UTC)

    def close(self) -> None:
        self._engine.dispose()

    def after_fork(self) -> None:
        """Leave the connections to the parent: two processes on one would tear the file, or mix up the answers."""
        if not is_memory(self._engine.url):
            _left_to_the_parent.append(self._engine.pool)
            self._engine.dispose(close=False)

    def _prepare(self) -> None:
        try:
            with self._writing() as connection:
                if connection.dialect.name == "postgresql":  # there two who create a table at once disturb each other
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))
                bring_up_to_date(connection)
        except StoreError as error:
            raise ConfigError(f"database_url={without_password(self._engine.url)}: {error}") from None

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._turn, translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._turn, translated(), self._engine.connect() as connection:
            yield connection.execution_options(ydc_reading=True)


_opened: WeakSet[SqlStore] = WeakSet()
_left_to_the_parent: list[sa.Pool] = []
"""Kept, because a connection that is forgotten is closed."""


def _after_fork() -> None:
    for store in list(_opened):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _seen(table: Table[Any], row: Row) -> _Seen:
    """A row's lease as it was seen: no other has this name."""
    return table.name, row.id, row.lease.version, row.lease.nonce


def _as_datetime(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise StoreError(f"the database's clock answered {value!r}")
    return value
