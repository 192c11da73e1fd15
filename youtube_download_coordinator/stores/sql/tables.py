"""The tables of a queue in a SQL database, and how one that an older version has made is brought up to date."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""`act_at` of a row that need not wait: an index orders it first, which NULL would not do everywhere."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps it as text of fixed width, which sorts as time does."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        moment = value.astimezone(UTC) if value else None
        return moment.replace(tzinfo=None) if moment and dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


metadata = sa.MetaData()


def _row_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("accent", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("extra", sa.Text, nullable=False),
        sa.Column("claimed_by", sa.Text, nullable=False),
        sa.Column("claimed_at", UtcDateTime),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        # PENDING and DONE: not before; HELD: until; else the epoch. One index then answers who is due and who is stalled.
        sa.Column("act_at", UtcDateTime, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
    ]


sources = sa.Table(
    "sources",
    metadata,
    *_row_columns(),
    sa.Column("videos", sa.Integer),
    sa.Column("checked_at", UtcDateTime),
    sa.Column("listed_with", sa.Text, nullable=False, server_default=""),
    sa.Index("sources_due", "state", "act_at", "id"),
    sa.Index("sources_by_state", "state", "id"),
    sqlite_autoincrement=True,
)

videos = sa.Table(
    "videos",
    metadata,
    *_row_columns(),
    sa.Column("place", sa.Text, nullable=False, doc="the name of the table of the contract that the row stands in"),
    sa.Column("source_id", sa.BigInteger),
    sa.Column("duration_seconds", sa.Integer),
    sa.Index("videos_due", "place", "state", "act_at", "id"),
    # A page of rows in order of their ID is read where it begins, not sorted out of all.
    sa.Index("videos_by_state", "place", "state", "id"),
    sa.Index("videos_by_id", "place", "id"),
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


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make the tables; and in those that an older version has made, which create_all leaves as they are, what they lack."""
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        _add_missing_columns(connection, table)
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _add_missing_columns(connection: sa.Connection, table: sa.Table) -> None:
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
