"""The queue in a SQL database through SQLAlchemy: an embedded SQLite file, or PostgreSQL for several machines.

A lease is real columns here; a swap is one UPDATE that names the version and the nonce which were seen. Video tasks and dead
letters share one table, so that one unique key covers both and a move is one UPDATE.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from youtube_download_coordinator.errors import ConfigError, StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control, Lease, Row, Source, State, VideoTask
from youtube_download_coordinator.store import EVERY_ROW, Change, SetControl, Swap, Table, Tally, Where, clash
from youtube_download_coordinator.stores.sql_tables import EPOCH, bring_up_to_date, controls, sources, videos
from youtube_download_coordinator.stores.sql_tally import tallied

R = TypeVar("R", bound=Row)

BUSY_TIMEOUT_SECONDS = 60
"""How long a process waits for another's short transaction on the SQLite file."""
KEYS_PER_QUERY = 500
"""SQLite takes 32,766 parameters in a statement at most."""
LEASE_COLUMNS = ("version", "state", "tries", "act_at", "holder", "detail", "nonce")
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
        self._engine = _engine(url)
        # An in-memory database is one connection: its transactions come one after the other.
        self._turn: AbstractContextManager[Any] = threading.RLock() if _is_memory(self._engine.url) else nullcontext()
        self._prepare()
        _opened.add(self)

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        if where.asked:
            return []  # nobody types into a database
        with self._reading() as connection:
            return [_row(table, record) for record in connection.execute(_query(table, where, limit)).mappings()]

    def count(self, table: Table[R]) -> Mapping[State, int]:
        sql = _sql_table(table)
        query = sa.select(sql.c.state, sa.func.count()).where(*_place(table)).group_by(sql.c.state)
        with self._reading() as connection:
            return {State(state): number for state, number in connection.execute(query)}

    def leases(self, table: Table[Any], state: State) -> list[Lease]:
        sql = _sql_table(table)
        query = sa.select(*(sql.c[name] for name in LEASE_COLUMNS)).where(*_place(table), sql.c.state == state.value)
        with self._reading() as connection:
            return [_lease(record) for record in connection.execute(query).mappings()]

    def tally(self, tables: Sequence[Table[Any]], since: date) -> list[list[Tally]]:
        with self._reading() as connection:
            return [tallied(connection, _sql_table(table), _place(table), since) for table in tables]

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        outcomes = dict.fromkeys(range(len(changes)), Swap.LOST)
        with self._writing() as connection:
            # In the order of the IDs, so that two machines never wait for each other's locks in a circle.
            for index in sorted(outcomes, key=lambda index: changes[index].seen.id):
                outcomes[index] = self._swap_one(connection, table, changes[index])
        return list(outcomes.values())

    def _swap_one(self, connection: sa.Connection, table: Table[R], change: Change[R]) -> Swap:
        update = (
            sa.update(_sql_table(table)).where(*_same_lease(table, change.seen)).values(_changing_values(change.new))
        )
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
        column = _sql_table(table).c.key
        chunks = [keys[start : start + KEYS_PER_QUERY] for start in range(0, len(keys), KEYS_PER_QUERY)]
        return {key for chunk in chunks for key in connection.scalars(sa.select(column).where(column.in_(chunk)))}

    def _insert_new(self, connection: sa.Connection, table: Table[R], rows: Sequence[R]) -> dict[str, int]:
        """The IDs by key; a key that another machine inserted in between has none."""
        if not rows:
            return {}
        sql = _sql_table(table)
        statement = (
            self._dialect.insert(sql).on_conflict_do_nothing(index_elements=["key"]).returning(sql.c.key, sql.c.id)
        )
        records = connection.execute(statement, [_all_values(table, row) for row in rows])
        return {key: int(row_id) for key, row_id in records}

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        if not rows:
            return
        sql = _sql_table(table)
        with self._writing() as connection:
            statement = self._dialect.insert(sql).on_conflict_do_nothing()
            connection.execute(statement, [_all_values(table, row) | {"id": row.id} for row in rows])
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
        with self._writing() as connection:
            update = sa.update(videos).where(*_same_lease(table, seen)).values(place=to.name)
            return connection.execute(update).rowcount == 1

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

    def own_columns(self, table: Table[R]) -> Collection[str] | None:
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
        if not _is_memory(self._engine.url):
            _left_to_the_parent.append(self._engine.pool)
            self._engine.dispose(close=False)

    def _prepare(self) -> None:
        try:
            with self._writing() as connection:
                if connection.dialect.name == "postgresql":  # there two who create a table at once disturb each other
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))
                bring_up_to_date(connection)
        except StoreError as error:
            raise ConfigError(f"database_url={_shown(self._engine.url)}: {error}") from None

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._turn, _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._turn, _translated(), self._engine.connect() as connection:
            yield connection.execution_options(ydc_reading=True)


_opened: WeakSet[SqlStore] = WeakSet()
_left_to_the_parent: list[sa.Pool] = []
"""Kept, because a connection that is forgotten is closed."""


def _after_fork() -> None:
    for store in list(_opened):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _engine(url: str) -> sa.Engine:
    shown = "..."  # until we know where its password is
    try:
        parsed = sa.make_url(url)
        shown = _shown(parsed)
        options: dict[str, Any] = {"pool_pre_ping": True}
        if parsed.get_backend_name() == "sqlite":
            _check_folder(parsed)
            options = {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}}
        if _is_memory(parsed):
            options["poolclass"] = StaticPool
        engine = sa.create_engine(parsed, **options)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigError(f"database_url={shown}: {_why_no_engine(error)}") from None
    if engine.dialect.name not in {"sqlite", "postgresql"}:
        raise ConfigError(f"database_url={_shown(engine.url)}: only sqlite and postgresql are supported")
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _on_sqlite_connect)
        sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _why_no_engine(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"the driver {error.name} is not installed: pip install 'youtube-download-coordinator[postgresql]'"
    return "this is no database URL; one looks like sqlite:///queue.db or postgresql+psycopg://user@host/name"


def _check_folder(url: sa.URL) -> None:
    folder = Path(url.database or ".").parent
    if not _is_memory(url) and not folder.is_dir():
        raise ConfigError(
            f"database_url={_shown(url)}: the folder {str(folder)!r} does not exist; make it, or name another"
        )


def _is_memory(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and (url.database or ":memory:") == ":memory:"


def _shown(url: sa.URL) -> str:
    return url.render_as_string(hide_password=True)


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions of its own, too late
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may undo the last moments, never tear the file
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Have readers not wait for the writer. When several processes open a new file at once, SQLite itself does not wait here."""
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # Asking for the write lock first: a transaction that reads and then wants it fails at once when another was faster.
    reading = connection.get_execution_options().get("ydc_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreUnavailable(_cause(error)) from error
    except SQLAlchemyError as error:
        raise StoreError(_cause(error)) from error


def _cause(error: SQLAlchemyError) -> str:
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())


def _sql_table(table: Table[Any]) -> sa.Table:
    return sources if table.row_type is Source else videos


def _place(table: Table[Any]) -> list[sa.ColumnElement[bool]]:
    return [] if table.row_type is Source else [videos.c.place == table.name]


def _same_lease(table: Table[Any], seen: Row) -> list[sa.ColumnElement[bool]]:
    c = _sql_table(table).c
    return [*_place(table), c.id == seen.id, c.version == seen.lease.version, c.nonce == seen.lease.nonce]


def _query(table: Table[Any], where: Where, limit: int) -> sa.Select[Any]:
    c = _sql_table(table).c
    order = [_id(c, where)] if where.due is None else [c.act_at, c.id]
    return sa.select(_sql_table(table)).where(*_conditions(table, where)).order_by(*order).limit(limit)


def _id(c: Any, where: Where) -> sa.ColumnElement[int]:
    """The ID; where rows are named, in a form in which no database walks through a whole table by it to find a few."""
    is_named = where.ids is not None or where.keys is not None
    return c.id + 0 if is_named else c.id  # type: ignore[no-any-return]


def _conditions(table: Table[Any], where: Where) -> list[sa.ColumnElement[bool]]:
    c = _sql_table(table).c
    conditions = _place(table)
    if where.after_id:
        conditions.append(_id(c, where) > where.after_id)
    if where.state is not None:
        conditions.append(c.state == where.state.value)
    if where.due is not None:
        conditions.append(c.act_at <= where.due)
    if where.holder:
        conditions.append(c.holder == where.holder)
    if where.ids is not None:
        conditions.append(c.id.in_(where.ids))
    if where.keys is not None:
        conditions.append(c.key.in_(where.keys))
    return conditions


def _changing_values(row: Row) -> dict[str, Any]:
    """The columns that a swap writes: the lease, and what it shows or what was learned with it."""
    lease = row.lease
    values = {
        "title": row.title,
        "claimed_by": row.claimed_by,
        "claimed_at": row.claimed_at,
        "version": lease.version,
        "state": lease.state.value,
        "tries": lease.tries,
        "act_at": lease.not_before or lease.until or EPOCH,
        "holder": lease.holder,
        "detail": lease.detail,
        "nonce": lease.nonce,
    }
    if isinstance(row, Source):
        values |= {"videos": row.videos, "checked_at": row.checked_at, "listed_with": row.listed_with}
    return values


def _all_values(table: Table[Any], row: Row) -> dict[str, Any]:
    values: dict[str, Any] = {
        "key": row.key,
        "url": row.url,
        "accent": row.accent,
        "type": row.type,
        "extra": json.dumps(dict(row.extra), ensure_ascii=False),
    }
    if isinstance(row, VideoTask):
        values |= {"place": table.name, "source_id": row.source_id, "duration_seconds": row.duration_seconds}
    return values | _changing_values(row)


def _row(table: Table[R], record: sa.RowMapping) -> R:
    values = {name: record[name] for name in _FIELDS[table.row_type]}
    return table.row_type(lease=_lease(record), extra=json.loads(record["extra"]), **values)


_FIELDS: dict[type[Row], list[str]] = {
    kind: [field.name for field in dataclasses.fields(kind) if field.name not in {"lease", "extra", "asked"}]
    for kind in (Source, VideoTask)
}
"""Those that are columns of their own."""


def _lease(record: sa.RowMapping) -> Lease:
    state = State(record["state"])
    act_at = None if record["act_at"] == EPOCH else record["act_at"]
    return Lease(
        version=record["version"],
        state=state,
        tries=record["tries"],
        not_before=act_at if state is not State.HELD else None,
        holder=record["holder"],
        until=act_at if state is State.HELD else None,
        detail=record["detail"],
        nonce=record["nonce"],
    )


def _as_datetime(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise StoreError(f"the database's clock answered {value!r}")
    return value
