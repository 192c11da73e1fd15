"""Implement the Store contract with SQL statements.

A swap is one UPDATE whose condition is the version and the nonce of the row that was read. Video tasks and dead letters share one
table, so that one unique key covers both and a move is one UPDATE.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from youtube_download_coordinator.errors import ConfigError, StoreError, StoreUnavailable
from youtube_download_coordinator.models import NEVER, Control, Lease, Row, State, VideoTask
from youtube_download_coordinator.queue.store import (
    EVERY_ROW,
    VIDEO_TASKS,
    Change,
    PlayingTime,
    SetControl,
    Swap,
    Table,
    Tally,
    Where,
)
from youtube_download_coordinator.stores.clock import (
    StoreClock,
    monotonic_seconds,
    suspended_seconds,
    wall_clock_offset,
)
from youtube_download_coordinator.stores.sql.accents import AccentIndexes, playing_times, read_by_accent
from youtube_download_coordinator.stores.sql.counts import tallied
from youtube_download_coordinator.stores.sql.engine import (
    is_memory,
    name_of,
    open_engine,
    translated,
    utc_of,
    watch_of,
    without_password,
)
from youtube_download_coordinator.stores.sql.fork_lock import LEFT_TO_THE_PARENT, ForkLock, reopen_after_fork
from youtube_download_coordinator.stores.sql.priorities import read_by_priority
from youtube_download_coordinator.stores.sql.records import (
    LEASE_COLUMNS,
    RAISE_NEXT_ID,
    all_values,
    check_restored,
    extra_of,
    ids_of,
    lease_of,
    place_of,
    query_of,
    row_of,
    same_lease,
    seen_lease,
    sql_table,
    stored_values,
    swapped_values,
)
from youtube_download_coordinator.stores.sql.tables import bring_up_to_date, controls, tombstones, videos
from youtube_download_coordinator.stores.sql.tombstone_records import (
    HAS_TOMBSTONES,
    KEYS_PER_QUERY,
    buried_keys,
    existing,
)
from youtube_download_coordinator.stores.sql.unreadable import (
    READ_ERRORS,
    KnownControls,
    read_control,
    read_controls,
    reading,
    repair_unreadable,
)

R = TypeVar("R", bound=Row)
T = TypeVar("T")
_Values = Callable[[Change[Any]], dict[str, Any]]

TEXTS_AT_ONCE = 1000
"""The number of texts of custom columns to fetch at once. Each row may have different columns."""
CONTROLS_SECONDS = 1.0
"""How long lines of control are cached. An attempt reads them several times, and each read would be a transaction."""
BURIED_SECONDS = 10.0
CLOCK_AGE_SECONDS = 60.0
CLOCK_RESOLUTION_SECONDS = 0.001
"""The resolution of SQLite's time."""
CREATION_LOCK = 0x796463
"""PostgreSQL's advisory lock for creating the tables."""
CONTROLS_LOCK = CREATION_LOCK + 1
"""PostgreSQL's advisory lock for changing a line of control."""


class SqlStore:
    """A store in one database. Raises ConfigError if the URL does not name a usable database."""

    result_batch_seconds = 0.0

    def __init__(
        self,
        url: str,
        *,
        monotonic: Callable[[], float] = monotonic_seconds,
        clock_jumps: Callable[[], float] | None = None,
        may_be_replaced: bool = False,
    ) -> None:
        """Open the database. `clock_jumps` returns a number that changes when the database must be asked for its time again.

        `may_be_replaced`: continue if a SQLite file is deleted or replaced. Otherwise every method then raises StoreGone.
        """
        self._engine = open_engine(url)
        self._watch = None if may_be_replaced else watch_of(self._engine)
        # SQLite's transactions come one after the other: memory is one connection, and a file has to be closed before a fork.
        self._turn: AbstractContextManager[Any] = ForkLock(self.close) if self._is_sqlite else nullcontext()
        self._monotonic = monotonic
        self._clock = StoreClock(
            self._ask_time,
            max_age_seconds=CLOCK_AGE_SECONDS,
            resolution_seconds=CLOCK_RESOLUTION_SECONDS,
            can_be_set_back=True,
            monotonic=monotonic,
            # SQLite's clock is this machine's wall clock: it is noticed when somebody sets it.
            jumps=clock_jumps or (wall_clock_offset if self._is_sqlite else suspended_seconds),
        )
        self._last_change = object()
        """A new object after each change of a line of control by this process."""
        self._known_controls = KnownControls({}, 0.0, None)
        self._controls_lock = threading.Lock()
        self._no_tombstones_until = 0.0
        """The time on the monotonic clock until which `buried` does not query tombstones."""
        self._sent: dict[tuple[str, int, int, str], list[Lease]] = {}
        """The leases that may or may not have been written, by the lease that they replace."""
        self._accent_indexes = AccentIndexes(self._creating)
        """Whether it is known that the indexes of accents.py exist."""
        self.is_new = False
        """Whether the database had no tables when it was opened."""
        self._prepare()
        reopen_after_fork(self)

    @property
    def name(self) -> str:
        return name_of(self._engine.url)

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        if where.has_request:
            return []  # people do not type into a database

        by_accent = where.accents is not None
        if by_accent:
            self._accent_indexes.create_once()

        def read(connection: sa.Connection) -> list[R]:
            if by_accent:
                return read_by_accent(connection, table, where, limit, partial(self._read, connection, table))
            if where.by_priority:
                return read_by_priority(connection, table, where, limit, partial(self._read, connection, table))
            return self._read(connection, table, query_of(table, where, limit))

        return self._read_rows(read, {table.name: (table, ids_of(table, where, None if by_accent else limit))})

    def _read(self, connection: sa.Connection, table: Table[R], query: sa.Select[Any]) -> list[R]:
        sent = self._clock.before_request()
        timed = query.add_columns(self._database_time.label("database_time"), HAS_TOMBSTONES)
        records = connection.execute(timed).mappings().all()
        if records:  # a claim or a takeover may follow, which needs the current time
            self._clock.record(utc_of(records[0]["database_time"]), sent)
            self._no_tombstones_until = 0.0 if records[0][HAS_TOMBSTONES] else self._monotonic() + BURIED_SECONDS
        return [row_of(table, record) for record in records]

    def count(self, table: Table[R]) -> Mapping[State, int]:
        sql = sql_table(table)
        query = sa.select(sql.c.state, sa.func.count()).where(*place_of(table)).group_by(sql.c.state)

        def read(connection: sa.Connection) -> dict[State, int]:
            return {State(state): number for state, number in connection.execute(query)}

        return self._read_rows(read, {table.name: (table, ids_of(table))})

    def leases(self, table: Table[Any], state: State) -> list[Lease]:
        sql = sql_table(table)
        query = sa.select(*(sql.c[name] for name in LEASE_COLUMNS)).where(*place_of(table), sql.c.state == state.value)

        def read(connection: sa.Connection) -> list[Lease]:
            return [lease_of(record) for record in connection.execute(query).mappings()]

        return self._read_rows(read, {table.name: (table, ids_of(table, Where(state=state)))})

    def tally(self, tables: Sequence[Table[Any]], since: date, recent: datetime = NEVER) -> list[list[Tally]]:
        def read(connection: sa.Connection) -> list[list[Tally]]:
            return [tallied(connection, sql_table(table), place_of(table), since, recent) for table in tables]

        return self._read_rows(read, {table.name: (table, ids_of(table)) for table in tables})

    def playing_times(self) -> list[PlayingTime]:
        self._accent_indexes.create_once()
        return self._read_rows(playing_times, {VIDEO_TASKS.name: (VIDEO_TASKS, ids_of(VIDEO_TASKS))})

    def _read_rows(
        self, read: Callable[[sa.Connection], T], rows: Mapping[str, tuple[Table[Any], sa.Select[Any]]]
    ) -> T:
        """Return the result of `read`. If rows cannot be read, repair them or set them apart, and read again.

        `rows`: the tables to read, with the queries for the IDs of the rows.
        """
        while True:
            with self._reading() as connection:
                try:
                    with reading():
                        return read(connection)
                except READ_ERRORS as error:
                    problem = error
            with self._writing() as connection:
                repaired = sum(
                    repair_unreadable(connection, table, connection.scalars(ids).all(), secrets.token_hex(4))
                    for table, ids in rows.values()
                )
            if not repaired:
                raise StoreError(f"the database cannot be read: {problem}") from problem

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        return self._replace(table, changes, swapped_values)

    def _replace(self, table: Table[R], changes: Sequence[Change[R]], values: _Values) -> list[Swap]:
        try:
            outcomes = self._swap(table, changes, values)
        except StoreUnavailable:
            applied = self._applied(table, changes)
            if not any(applied):
                raise
            outcomes = [Swap.WON if won else Swap.LOST for won in applied]
        for change in changes:
            self._sent.pop(seen_lease(table, change.seen), None)
        return outcomes

    def _swap(self, table: Table[R], changes: Sequence[Change[R]], values: _Values) -> list[Swap]:
        outcomes = dict.fromkeys(range(len(changes)), Swap.LOST)
        with self._writing() as connection:
            # Ordered by ID, so that two machines cannot deadlock.
            for index in sorted(outcomes, key=lambda index: changes[index].seen.id):
                change = changes[index]
                same = same_lease(table, change.seen, self._sent.get(seen_lease(table, change.seen), ()))
                update = sa.update(sql_table(table)).where(*same).values(values(change))
                if connection.execute(update).rowcount == 1:
                    outcomes[index] = Swap.WON
        return list(outcomes.values())

    def _applied(self, table: Table[R], changes: Sequence[Change[R]]) -> list[bool]:
        """Return whether each change was applied, after the response was lost. Raises StoreUnavailable if that is unknown."""
        try:
            return self._have_leases(table, [change.new for change in changes])
        except StoreUnavailable:
            for change in changes:
                self._sent.setdefault(seen_lease(table, change.seen), []).append(change.new.lease)
            raise

    def _have_leases(self, table: Table[Any], rows: Sequence[Row]) -> list[bool]:
        """Return whether each row is in the table with exactly this lease, after a response was lost.

        Wait for the rows' locks, because the server may still be busy with the lost transaction, which holds them.
        """
        if self._is_sqlite:
            return [False] * len(rows)  # without a network, a failed transaction was not applied
        c = sql_table(table).c
        query = (
            sa.select(c.id, c.version, c.nonce)
            .where(*place_of(table), c.id.in_([row.id for row in rows]))
            .order_by(c.id)  # locked in the same order as by a swap
            .with_for_update()
        )
        with self._writing() as connection:
            leases = {(row_id, version, nonce) for row_id, version, nonce in connection.execute(query)}
        return [(row.id, row.lease.version, row.lease.nonce) in leases for row in rows]

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        first_of_key = {row.key: row for row in reversed(rows)}
        keys, sql = list(first_of_key), sql_table(table)
        chunks = [keys[start : start + KEYS_PER_QUERY] for start in range(0, len(keys), KEYS_PER_QUERY)]
        with self._writing() as connection:
            queries = (sa.select(sql.c.key).where(sql.c.key.in_(chunk)) for chunk in chunks)
            known = {key for query in queries for key in connection.scalars(query)}
            known |= buried_keys(connection, keys) if sql is videos else set()
            new = [row for row in rows if row.key not in known and first_of_key[row.key] is row]
            # If another machine has inserted the key in the meantime, no ID is returned.
            statement = self._insert_unless_known(sql, index_elements=["key"]).returning(sql.c.key, sql.c.id)
            records = connection.execute(statement, [all_values(table, row) for row in new]).all() if new else []
            ids = {key: int(row_id) for key, row_id in records}
        return [ids.get(row.key) if first_of_key[row.key] is row else None for row in rows]

    def bury(self, new: Collection[str], *, are_all: bool = False) -> None:
        if not new:
            return
        self._no_tombstones_until = 0.0
        with self._writing() as connection:
            statement = self._insert_unless_known(tombstones)
            connection.execute(statement, [{"tombstone": tombstone} for tombstone in sorted(set(new))])

    def tombstones(self) -> list[str]:
        with self._reading() as connection:
            return list(connection.scalars(sa.select(tombstones.c.tombstone)))

    def buried(self, wanted: Collection[str]) -> set[str]:
        if self._monotonic() < self._no_tombstones_until:
            return set()  # the scan of a claim has found none
        with self._reading() as connection:
            return existing(connection, wanted)

    def erase(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        return self._replace(table, changes, lambda change: stored_values(change.new))

    def _insert_unless_known(self, sql: sa.Table, **conflict: Any) -> Any:
        """Return an INSERT that skips existing rows."""
        dialect = sqlite if self._is_sqlite else postgresql
        return dialect.insert(sql).on_conflict_do_nothing(**conflict)

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        if not rows:
            return
        sql = sql_table(table)
        with self._writing() as connection:
            connection.execute(
                self._insert_unless_known(sql), [all_values(table, row) | {"id": row.id} for row in rows]
            )
            check_restored(connection, sql, rows)
            if not self._is_sqlite:  # its AUTOINCREMENT counts them
                connection.execute(RAISE_NEXT_ID, {"table": sql.name, "last": max(row.id for row in rows)})

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        update = sa.update(videos).where(*same_lease(table, seen)).values(place=to.name)
        try:
            with self._writing() as connection:
                return connection.execute(update).rowcount == 1
        except StoreUnavailable:
            if not all(self._have_leases(to, [seen])):
                raise
            return True

    def controls(self, *, fresh: bool = False) -> list[Control]:
        known = self._known_controls
        age_seconds = self._monotonic() - known.read_at
        if fresh or known.after_change is not self._last_change or age_seconds >= CONTROLS_SECONDS:
            known = self._read_controls()
        return list(known.lines.values())

    def _read_controls(self) -> KnownControls:
        last_change, read_at = self._last_change, self._monotonic()
        with self._reading() as connection:
            lines = read_controls(connection)
        known = self._known_controls = KnownControls(lines, read_at, last_change)
        return known

    def set_control(self, name: str, change: SetControl) -> Control | None:
        with self._controls_lock:  # so that the later of two threads' changes is kept
            try:
                line = self._set_control(name, change)
            except StoreUnavailable:
                self._last_change = object()  # the change may have been applied
                raise
            if line is None:
                return None
            known, last_change = self._known_controls, object()
            if known.after_change is self._last_change:
                self._known_controls = KnownControls({**known.lines, line.name: line}, known.read_at, last_change)
            self._last_change = last_change
            return line

    def remove_control(self, name: str, may_remove: Callable[[Control], bool]) -> bool:
        with self._controls_lock:
            self._last_change = object()
            with self._changing_controls() as connection:
                line = read_control(connection, name)
                if line is None or not may_remove(line):
                    return False
                connection.execute(sa.delete(controls).where(controls.c.name == name))
        return True

    @contextmanager
    def _changing_controls(self) -> Iterator[sa.Connection]:
        with self._writing() as connection:
            if not self._is_sqlite:  # its transactions come one after the other
                # A line that does not exist yet cannot be locked.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CONTROLS_LOCK)))
            yield connection

    def _set_control(self, name: str, change: SetControl) -> Control | None:
        with self._changing_controls() as connection:
            before = read_control(connection, name)
            line = change(before)
            if line is not None:
                values = dataclasses.asdict(line)
                update = sa.update(controls).where(controls.c.name == name).values(values)
                connection.execute(update if before else sa.insert(controls).values(values))
            return line

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        return None

    def used_columns(self, table: Table[Any]) -> Collection[str]:
        query = sa.select(sql_table(table).c.extra).where(*place_of(table)).distinct()

        def read(connection: sa.Connection) -> list[str]:
            texts = connection.execution_options(yield_per=TEXTS_AT_ONCE).scalars(query)
            return list(dict.fromkeys(name for text in texts for name in extra_of(text)))

        return self._read_rows(read, {table.name: (table, ids_of(table))})

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        """Do nothing, because a row may have columns with any name."""

    @property
    def clock_error_seconds(self) -> float:
        return self._clock.error_seconds

    def now(self) -> datetime:
        return self._clock.now()

    def _ask_time(self) -> None:
        with self._reading() as connection:
            sent = self._clock.before_request()
            self._clock.record(utc_of(connection.scalar(sa.select(self._database_time))), sent)

    @property
    def _database_time(self) -> sa.ColumnElement[Any]:
        return sa.func.strftime("%Y-%m-%dT%H:%M:%f+00:00", "now") if self._is_sqlite else sa.func.clock_timestamp()

    def flush(self) -> None:
        """Do nothing, because people see each change at once."""

    def close(self) -> None:
        if not is_memory(self._engine.url):  # an in-memory database exists only in the connection
            self._engine.dispose()

    def after_fork(self) -> None:
        """Leave the connections to the parent. Two processes on one would damage the file, or read each other's responses."""
        self._controls_lock = threading.Lock()  # a thread of the parent may have held it
        if not is_memory(self._engine.url):
            LEFT_TO_THE_PARENT.append(self._engine.pool)
            self._engine.dispose(close=False)

    def _prepare(self) -> None:
        try:
            with self._creating() as connection:
                self.is_new = bring_up_to_date(connection)
            if self._watch:
                self._watch.remember()
        except StoreError as error:
            raise ConfigError(f"database_url={without_password(self._engine.url)}: {error}") from None

    @contextmanager
    def _creating(self) -> Iterator[sa.Connection]:
        """Begin a transaction that may create tables or indexes."""
        with self._writing() as connection:
            if not self._is_sqlite:  # two that create a table at once would fail
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._turn, self._reopened_after_failure(), translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._turn, self._reopened_after_failure(), translated(), self._engine.connect() as connection:
            yield connection.execution_options(ydc_reading=True)

    @contextmanager
    def _reopened_after_failure(self) -> Iterator[None]:
        """Make the next transaction open the SQLite file again, because the user's function may have closed its descriptors."""
        try:
            if self._watch:
                self._watch.check()
            yield
        except StoreUnavailable:
            if self._is_sqlite:
                self.close()
            raise
