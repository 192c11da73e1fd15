"""Define the tables of a queue in a SQL database, and migrate tables of an older version.

models.py declares the columns of a row. The columns of a lease are declared here, because a sheet stores the lease as one text.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from youtube_download_coordinator.models import (
    START_OF_TIME,
    ColumnType,
    Row,
    Source,
    State,
    VideoTask,
    Writer,
    columns_of,
)
from youtube_download_coordinator.queue.priority import PRIORITY, is_priority, priority_in

EPOCH = START_OF_TIME
"""The `act_at` of a row that need not wait. An index sorts it first, which not every database does with NULL."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A time in UTC. SQLite stores it as text of fixed width, which sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        utc = value.astimezone(UTC) if value else None
        return utc.replace(tzinfo=None) if utc and dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


metadata = sa.MetaData()

IN_ANY_STATE: sa.ColumnElement[bool] = sa.func.length(sa.column("key")) >= sa.literal_column("0")
"""A condition that is true for every row. Only queries with this condition use the index of a place's rows in any state.

Otherwise PostgreSQL would use that index for rows in one state too, if its statistics show none, and read all other rows.
"""

IS_PENDING: sa.ColumnElement[bool] = sa.func.nullif(sa.column("state"), sa.literal_column("''")) == sa.literal_column(
    f"'{State.PENDING.value}'"
)
"""A condition that is true for every pending row. Only queries with it use the index of pending rows by priority.

The index contains only pending rows, so that other rows do not make it larger. `nullif` keeps the type: a state in SQLite that is
not text is not pending.
"""

_TYPES: dict[ColumnType | None, type[sa.types.TypeEngine[Any]]] = {
    ColumnType.INTEGER: sa.Integer,
    ColumnType.ID: sa.BigInteger,
    ColumnType.TIME: UtcDateTime,
}


def _row_columns(kind: type[Row]) -> Iterator[sa.Column[Any]]:
    """Yield the columns of a type of rows, and the columns of the lease."""
    yield sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
    yield sa.Column("key", sa.Text, nullable=False, unique=True)
    defaults = {field.name: field.default for field in fields(kind)}
    for attribute, column in columns_of(kind).stored.items():
        if column.writer is Writer.IDENTITY:
            continue
        if column.type is ColumnType.TEXT:
            # ALTER TABLE requires a default to add a column that is not nullable.
            default = "" if defaults[attribute] == "" else None
            yield sa.Column(attribute, sa.Text, nullable=False, server_default=default)
        else:
            yield sa.Column(attribute, _TYPES[column.type])
    yield sa.Column("extra", sa.Text, nullable=False)
    # The number in the custom column Priority. It never changes.
    yield sa.Column("priority", sa.Integer, nullable=False, server_default="0")
    yield sa.Column("version", sa.Integer, nullable=False)
    yield sa.Column("state", sa.Text, nullable=False)
    yield sa.Column("tries", sa.Integer, nullable=False)
    # PENDING and DONE: not before; HELD: until; otherwise the epoch. So one index finds both due and stalled rows.
    yield sa.Column("act_at", UtcDateTime, nullable=False)
    yield sa.Column("holder", sa.Text, nullable=False)
    yield sa.Column("detail", sa.Text, nullable=False)
    yield sa.Column("nonce", sa.Text, nullable=False)


def _by_priority(name: str, *first: str) -> sa.Index:
    """Return an index of pending rows by priority."""
    columns = (*first, "priority", "act_at", "id")
    return sa.Index(name, *columns, sqlite_where=IS_PENDING, postgresql_where=IS_PENDING)


sources = sa.Table(
    "sources",
    metadata,
    *_row_columns(Source),
    sa.Index("sources_due", "state", "act_at", "id"),
    sa.Index("sources_by_state", "state", "id"),
    _by_priority("sources_by_priority"),
    sqlite_autoincrement=True,
)

videos = sa.Table(
    "videos",
    metadata,
    *_row_columns(VideoTask),
    sa.Column("place", sa.Text, nullable=False, doc="the name of the contract's table that contains the row"),
    sa.Index("videos_due", "place", "state", "act_at", "id"),
    # Lets a page of rows, ordered by ID, be read without sorting all rows.
    sa.Index("videos_by_state", "place", "state", "id"),
    _by_priority("videos_by_priority", "place"),
    sa.Index("videos_in_any_state", "place", "id", sqlite_where=IN_ANY_STATE, postgresql_where=IN_ANY_STATE),
    sqlite_autoincrement=True,
)

controls = sa.Table(
    "controls",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("until", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("pause_seconds", sa.Integer, nullable=False),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("tombstone", sa.Text, primary_key=True, doc="queue/tombstones.py: nothing that names a video"),
)


OBSOLETE_INDEXES = frozenset({"videos_by_id"})
"""Indexes of older versions."""


def _fill_priorities(connection: sa.Connection, table: sa.Table) -> None:
    """Set the priority of rows that an older version inserted with a custom column of that name."""
    c = table.c
    named = sa.select(c.id, c.extra).where(sa.func.lower(c.extra).like(f"%{PRIORITY.lower()}%"))
    numbers = ((row_id, _priority_in(extra)) for row_id, extra in connection.execute(named).all())
    update = sa.update(table).where(c.id == sa.bindparam("row_id")).values(priority=sa.bindparam("number"))
    if changes := [{"row_id": row_id, "number": number} for row_id, number in numbers if number]:
        connection.execute(update, changes)


def _priority_in(extra: str) -> int:
    """Return the priority in a record's custom columns, or 0 if they cannot be read. Reading the row reports that."""
    try:
        columns = json.loads(extra)
    except ValueError:
        return 0
    texts = columns.items() if isinstance(columns, dict) else ()
    return next((priority_in(str(text).strip()) for name, text in texts if is_priority(name)), 0)


@contextmanager
def _expressions_allowed() -> Iterator[None]:
    """Let SQLAlchemy skip indexes of expressions (accents.py), of which it would warn in SQLite."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index", sa.exc.SAWarning)
        yield


@_expressions_allowed()
def bring_up_to_date(connection: sa.Connection) -> bool:
    """Create the tables. Add the columns and indexes that tables of an older version lack, which create_all does not.

    Drop obsolete indexes. Return whether there were no tables.
    """
    is_new = not sa.inspect(connection).has_table(videos.name)
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        existing = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in existing:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
                if column.name == "priority":
                    _fill_priorities(connection, table)
        for index in table.indexes:
            index.create(connection, checkfirst=True)
        for obsolete in OBSOLETE_INDEXES & {index["name"] for index in sa.inspect(connection).get_indexes(table.name)}:
            connection.execute(sa.text(f"DROP INDEX {obsolete}"))
    return is_new
