"""Handle rows and lines of control that cannot be read because another program has written into the database.

Such a row must not prevent other rows from being read. It is set apart with a reason, as on a sheet. If the value is only shown,
such as a title, it is emptied.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from youtube_download_coordinator.models import Control, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, Table
from youtube_download_coordinator.reasons import UNREADABLE_ROW
from youtube_download_coordinator.stores.sql.records import row_of, sql_table
from youtube_download_coordinator.stores.sql.tables import EPOCH, controls
from youtube_download_coordinator.text import sanitize, truncate

log = logging.getLogger(__name__)

READ_ERRORS = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, sa.exc.DataError)
"""Errors that are raised within `reading` for a value that is not valid for its column."""
ROWS_PER_QUERY = 500


@contextmanager
def reading() -> Iterator[None]:
    """Raise ValueError for text in SQLite that is not UTF-8, which the driver reports as an error of the database."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if "Could not decode to UTF-8" in str(error.orig):
            raise ValueError(str(error.orig)) from error
        raise


def repair_unreadable(connection: sa.Connection, table: Table[Any], ids: Sequence[int], nonce: str) -> int:
    """Repair or set apart the rows that cannot be read. Return how many."""
    repaired = 0
    for first in range(0, len(ids), ROWS_PER_QUERY):
        chunk = ids[first : first + ROWS_PER_QUERY]
        if not _can_be_read(connection, table, chunk):
            unreadable = [row_id for row_id in chunk if not _can_be_read(connection, table, [row_id])]
            for row_id in unreadable:
                _repair(connection, table, row_id, nonce)
            repaired += len(unreadable)
    return repaired


def _can_be_read(connection: sa.Connection, table: Table[Any], ids: Sequence[int]) -> bool:
    sql = sql_table(table)
    try:
        with reading():
            for record in connection.execute(sa.select(sql).where(sql.c.id.in_(ids))).mappings():
                row_of(table, record)
    except READ_ERRORS:
        return False
    return True


def _repair(connection: sa.Connection, table: Table[Any], row_id: int, nonce: str) -> None:
    """Replace the unreadable values of a row. Set the row apart, unless the values are only shown."""
    sql = sql_table(table)
    texts = _texts(connection, sql, sql.c.id == row_id)
    defaults = _defaults(table, row_id)
    values = {}
    for name, default in defaults.items():
        record = _value(connection, sql, name, row_id)
        if not _is_readable(table, {**defaults, **record}) or name not in record:
            values[name] = default
    problem = truncate(sanitize("; ".join(f"{name}={texts[name]}" for name in values)))
    log.warning("row %d in %s cannot be read: %s", row_id, table.name, problem)
    if _DECISIVE & set(values):
        state = State.DEAD if table.name == DEAD_LETTERS.name else State.ERROR
        version = texts["version"] or ""
        next_version = int(version) + 1 if version.isdecimal() and len(version) < 10 else 1
        values |= {"state": state.value, "detail": truncate(f"{UNREADABLE_ROW}: {problem}"), "version": next_version}
        values |= {"act_at": EPOCH, "holder": "", "nonce": nonce}
    connection.execute(sa.update(sql).where(sql.c.id == row_id).values(values))


def _texts(connection: sa.Connection, sql: sa.Table, where: sa.ColumnElement[bool]) -> Mapping[str, str | None]:
    """Return the values of a record as text, whatever their types."""
    kind = sa.LargeBinary if connection.dialect.name == "sqlite" else sa.Text
    columns = [sa.cast(sa.type_coerce(column, sa.Text), kind).label(column.name) for column in sql.columns]
    return {
        name: text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        for name, text in connection.execute(sa.select(*columns).where(where)).mappings().one().items()
    }


def _value(connection: sa.Connection, sql: sa.Table, name: str, row_id: int) -> Mapping[str, Any]:
    """Return one value of a record by its name, or an empty mapping if it cannot be read."""
    try:
        with reading():
            return dict(connection.execute(sa.select(sql.c[name]).where(sql.c.id == row_id)).mappings().one())
    except READ_ERRORS:
        return {}


def _defaults(table: Table[Any], row_id: int) -> dict[str, Any]:
    """Return a readable value for each column."""
    texts = {column.name: "" if isinstance(column.type, sa.Text) else None for column in sql_table(table).columns}
    lease = {"version": 1, "state": State.ERROR.value, "tries": 0, "act_at": EPOCH}
    return (
        texts
        | lease
        | {"id": row_id, "key": f"unreadable:{row_id}", "extra": "{}", "priority": 0}
        | ({"place": table.name} if "place" in texts else {})
    )


def _is_readable(table: Table[Any], record: Mapping[str, Any]) -> bool:
    try:
        row_of(table, record)
    except READ_ERRORS:
        return False
    return True


_DECISIVE = frozenset({"key", "url", "extra", "version", "state", "tries", "act_at", "holder", "detail", "nonce"})
"""The columns with an effect on the row's processing. The others are only shown."""


@dataclass(frozen=True, slots=True)
class KnownControls:
    """The lines of control as they were read last."""

    lines: Mapping[str, Control]
    read_at: float
    """On the monotonic clock, before they were read."""
    after_change: object
    """The store's `_last_change` at that time: when it is another one now, a change by this process may be missing."""


def read_controls(connection: sa.Connection) -> dict[str, Control]:
    """Return the lines of control by name. An unreadable line has the value UNREADABLE."""
    try:
        with reading():
            lines = [control_of(record) for record in connection.execute(sa.select(controls)).mappings()]
    except READ_ERRORS:
        names = connection.scalars(sa.select(controls.c.name)).all()
        lines = [line for name in names if (line := read_control(connection, name))]
    return {line.name: line for line in lines}


def read_control(connection: sa.Connection, name: str) -> Control | None:
    """Return the line of this name, or None."""
    is_named = controls.c.name == name
    try:
        with reading():
            record = connection.execute(sa.select(controls).where(is_named)).mappings().first()
            return control_of(record) if record else None
    except READ_ERRORS:
        texts = _texts(connection, controls, is_named)
        problem = truncate(sanitize(", ".join(f"{column}={text}" for column, text in texts.items())))
        log.warning("the line %r of control cannot be read: %s", name, problem)
        return Control(name=name, value=UNREADABLE, reason=problem)


UNREADABLE = "unreadable"
"""A value that pauses or cools down, as every unknown word does."""


def control_of(record: Mapping[Any, Any]) -> Control:
    """Return the line in a record. Raises one of READ_ERRORS."""
    for name in ("name", "value", "reason"):
        if not isinstance(record[name], str):
            raise TypeError(f"{name} is not text")
    return Control.read(**record)
