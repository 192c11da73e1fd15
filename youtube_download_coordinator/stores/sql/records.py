"""Convert rows to and from records, and build the conditions of queries. Each part of a lease has a separate column."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from youtube_download_coordinator.models import (
    INTEGER_MAX,
    WRITTEN_BY_SWAPS,
    WRITTEN_ONCE,
    Column,
    ColumnType,
    Lease,
    Row,
    Source,
    State,
    Writer,
    columns_of,
)
from youtube_download_coordinator.queue.priority import priority_of
from youtube_download_coordinator.queue.store import EVERY_ROW, Change, Table, Where, clash
from youtube_download_coordinator.stores.sql.tables import EPOCH, IN_ANY_STATE, sources, videos
from youtube_download_coordinator.stores.sql.tombstone_records import KEYS_PER_QUERY
from youtube_download_coordinator.text import sanitize

R = TypeVar("R", bound=Row)

_LEASE_TYPES = {
    "version": ColumnType.INTEGER,
    "state": ColumnType.TEXT,
    "tries": ColumnType.INTEGER,
    "act_at": ColumnType.TIME,
    "holder": ColumnType.TEXT,
    "detail": ColumnType.TEXT,
    "nonce": ColumnType.TEXT,
}
LEASE_COLUMNS = tuple(_LEASE_TYPES)
RAISE_NEXT_ID = sa.text(
    "SELECT setval(sequence, greatest(:last, nextval(sequence))) FROM pg_get_serial_sequence(:table, 'id') AS sequence"
)
"""PostgreSQL's sequence does not count the IDs that were inserted with a row."""
ID_MAX = 2**63 - 1
LEASE_NUMBER_MAX = 10**9
"""The maximum of a lease's numbers. No row changes so often, and a greater number could exceed its column."""


def sql_table(table: Table[Any]) -> sa.Table:
    return sources if table.row_type is Source else videos


def place_of(table: Table[Any]) -> list[sa.ColumnElement[bool]]:
    return [] if table.row_type is Source else [videos.c.place == table.name]


def seen_lease(table: Table[Any], row: Row) -> tuple[str, int, int, str]:
    """Return what names a row's lease as it was seen."""
    return table.name, row.id, row.lease.version, row.lease.nonce


def same_lease(table: Table[Any], seen: Row, sent: Sequence[Lease] = ()) -> list[sa.ColumnElement[bool]]:
    """Return the condition that the row has the lease in `seen`, or one of the leases in `sent`."""
    c = sql_table(table).c
    leases = [sa.and_(c.version == lease.version, c.nonce == lease.nonce) for lease in (seen.lease, *sent)]
    return [*place_of(table), c.id == seen.id, sa.or_(*leases)]


def query_of(table: Table[Any], where: Where, limit: int) -> sa.Select[Any]:
    """Return the query for the rows that match."""
    c = sql_table(table).c
    order = [_id(c, where)] if where.due is None else [c.act_at, c.id]
    order = [c.priority.desc(), *order] if where.by_priority else order
    return sa.select(sql_table(table)).where(*_conditions(table, where)).order_by(*order).limit(limit)


def ids_of(table: Table[Any], where: Where = EVERY_ROW, limit: int | None = None) -> sa.Select[Any]:
    """Return the query for the IDs of the rows that match."""
    c = sql_table(table).c
    return query_of(table, where, limit or 0).with_only_columns(c.id).limit(limit)


def _is_named(where: Where) -> bool:
    """Return whether the condition names rows by ID or by key."""
    return where.ids is not None or where.keys is not None


def _id(c: Any, where: Where) -> sa.ColumnElement[int]:
    """Return the ID, as an expression if the query names rows, so that the database does not scan the index of IDs."""
    return c.id + 0 if _is_named(where) else c.id  # type: ignore[no-any-return]


def _conditions(table: Table[Any], where: Where) -> list[sa.ColumnElement[bool]]:
    c = sql_table(table).c
    conditions = place_of(table)
    if where.state is None and not _is_named(where) and "place" in c:
        conditions.append(IN_ANY_STATE)
    if where.after_id:
        conditions.append(_id(c, where) > where.after_id)
    if where.state is not None:
        conditions.append(c.state == where.state.value)
    if where.due is not None:
        conditions.append(c.act_at <= where.due)
    if where.due_from is not None:
        conditions.append(c.act_at >= where.due_from)
    if where.holder:
        conditions.append(c.holder == where.holder)
    if _is_named(where):
        # Let only the names use an index: SQLite would prefer the index of all rows in a place to 100 keys.
        conditions = [condition.is_(True) for condition in conditions]
    if where.ids is not None:
        conditions.append(c.id.in_(where.ids))
    if where.keys is not None:
        conditions.append(c.key.in_(where.keys))
    return conditions + _filters(c, where)


def _filters(c: Any, where: Where) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that have no index: they save that rows become objects which do not match."""
    texts = ((c.accent, where.accent), (c.type, where.type))
    filters: list[sa.ColumnElement[bool]] = [
        _MayBeText(column, text.casefold())
        for column, text in texts
        if text is not None and text == sanitize(text)  # a database refuses others
    ]
    if where.source_id is not None:
        is_possible = "source_id" in c and 0 < where.source_id <= ID_MAX
        filters.append(c.source_id == where.source_id if is_possible else sa.false())
    return filters


class _MayBeText(FunctionElement[bool]):
    """The condition that a column may have a text in any letter case, given the text casefolded.

    Exact for ASCII. A database folds other letters differently than Python, so a cell with any of them meets it too.
    """

    type = sa.Boolean()
    inherit_cache = True
    name = "may_be_text"


@compiles(_MayBeText, "sqlite")
def _in_sqlite(element: _MayBeText, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(lower({column}) = {text} OR length({column}) <> length(CAST({column} AS BLOB)))"


@compiles(_MayBeText, "postgresql")
def _in_postgresql(element: _MayBeText, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(lower({column} COLLATE \"C\") = {text} OR {column} ~ '[^\\x01-\\x7f]')"


def changing_values(row: Row) -> dict[str, Any]:
    """Return the values of the lease and of the columns that are written with it."""
    lease = row.lease
    return _values(row, WRITTEN_BY_SWAPS) | {
        "version": lease.version,
        "state": lease.state.value,
        "tries": lease.tries,
        "act_at": lease.not_before or lease.until or EPOCH,
        "holder": lease.holder,
        "detail": lease.detail,
        "nonce": lease.nonce,
    }


def swapped_values(change: Change[Any]) -> dict[str, Any]:
    """Return the values that a swap writes, including the custom columns if a worker has filled one."""
    values = changing_values(change.new)
    return values if change.new.extra == change.seen.extra else values | _custom_values(change.new)


def all_values(table: Table[Any], row: Row) -> dict[str, Any]:
    """Return the values that an insertion writes. The database chooses the ID."""
    place = {} if table.row_type is Source else {"place": table.name}
    return stored_values(row) | place


def stored_values(row: Row) -> dict[str, Any]:
    """Return the values of all columns of a row except its ID and its place."""
    values = _values(row, WRITTEN_ONCE) | changing_values(row)
    del values["id"]
    return values | _custom_values(row)


def _custom_values(row: Row) -> dict[str, Any]:
    return {"extra": json.dumps(dict(row.extra), ensure_ascii=False), "priority": priority_of(row)}


def _values(row: Row, writers: Collection[Writer]) -> dict[str, Any]:
    stored = columns_of(type(row)).stored
    return {name: getattr(row, name) for name, column in stored.items() if column.writer in writers}


def row_of(table: Table[R], record: Mapping[Any, Any]) -> R:
    """Return the row in a record. Raises ValueError or TypeError if a value is not valid for its column."""
    reader = _reader(table)
    values = reader.values(record)
    if not reader.has_seen(values):
        for name, column in _stored(table).items():
            _checked(name, record[name], column.type)
        lease_of(record)
        reader.seen_types.add(tuple(map(type, values)))
    stored = dict(zip(reader.names, values, strict=False))
    return table.row_type(lease=_lease(*values[len(stored) : -1]), extra=extra_of(values[-1]), **stored)


class _Reader:
    """A reader of records. Checking the type of each value would take most of the time of a large scan.

    So a record is compared with earlier ones. If its values have the same types and its numbers are not too large, it is valid.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.names = tuple(columns)
        self.values: Callable[[Mapping[Any, Any]], tuple[Any, ...]] = itemgetter(*[*columns, *LEASE_COLUMNS, "extra"])
        self.seen_types: set[tuple[type, ...]] = set()
        limits = [INTEGER_MAX if column.type is ColumnType.INTEGER else None for column in columns.values()]
        limits += [LEASE_NUMBER_MAX if kind is ColumnType.INTEGER else None for kind in _LEASE_TYPES.values()]
        self._limits = [(place, limit) for place, limit in enumerate(limits) if limit is not None]

    def has_seen(self, values: tuple[Any, ...]) -> bool:
        """Return whether a record with values of the same types was read before."""
        for place, limit in self._limits:
            value = values[place]
            if value is not None and (not isinstance(value, int) or not 0 <= value <= limit):
                return False
        return tuple(map(type, values)) in self.seen_types


@cache
def _reader(table: Table[Any]) -> _Reader:
    return _Reader(_stored(table))


def extra_of(text: str) -> Mapping[str, str]:
    """Return the custom columns of a record. Raises ValueError or TypeError."""
    return dict(_parsed_extra(text))


@lru_cache(maxsize=1024)
def _parsed_extra(text: str) -> Mapping[str, str]:
    """Parse custom columns. The results are cached, because most videos of a source have the same ones."""
    extra = json.loads(text)
    if not isinstance(extra, dict) or not all(isinstance(cell, str) for cell in extra.values()):
        raise ValueError("extra is not an object of texts")
    return extra


def _stored(table: Table[Any]) -> Mapping[str, Column]:
    return columns_of(table.row_type).stored


_PYTHON_TYPES: Mapping[ColumnType | None, type] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.ID: int,
    ColumnType.TIME: datetime,
}


def _checked(name: str, value: Any, kind: ColumnType | None, *, optional: bool = True) -> Any:
    """Return a value that has the type of its column. Raises ValueError. SQLite stores values of any type in any column."""
    if value is None and optional and kind is not ColumnType.TEXT:
        return value
    greatest = INTEGER_MAX if optional else LEASE_NUMBER_MAX
    is_too_great = kind is ColumnType.INTEGER and isinstance(value, int) and not 0 <= value <= greatest
    if is_too_great or not isinstance(value, _PYTHON_TYPES[kind]):
        raise ValueError(f"{name} is not of the type {kind}")
    return value


def lease_of(record: Mapping[Any, Any]) -> Lease:
    """Return the lease in a record. Raises ValueError."""
    return _lease(*(_checked(name, record[name], kind, optional=False) for name, kind in _LEASE_TYPES.items()))


def _lease(version: int, state_text: str, tries: int, act_at: datetime, holder: str, detail: str, nonce: str) -> Lease:
    """Return the lease with these values of LEASE_COLUMNS. Raises ValueError."""
    state = State(state_text)
    time = None if act_at == EPOCH else act_at
    return Lease(
        version=version,
        state=state,
        tries=tries,
        not_before=time if state is not State.HELD else None,
        holder=holder,
        until=time if state is State.HELD else None,
        detail=detail,
        nonce=nonce,
    )


def check_restored(connection: sa.Connection, sql: sa.Table, rows: Sequence[Row]) -> None:
    """Raise StoreError if a restored row does not exist, because another row has its ID or its key."""
    keys: dict[int, str] = {}
    for first in range(0, len(rows), KEYS_PER_QUERY):
        ids = [row.id for row in rows[first : first + KEYS_PER_QUERY]]
        records = connection.execute(sa.select(sql.c.id, sql.c.key).where(sql.c.id.in_(ids)))
        keys |= {row_id: key for row_id, key in records}  # noqa: C416  # mypy has no type for a dict of records
    for row in rows:
        if keys.get(row.id) != row.key:
            raise clash(row)
