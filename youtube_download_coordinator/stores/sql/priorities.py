"""Read due rows in the order of their priority. Each priority is read by an index, so that nothing is sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from youtube_download_coordinator.models import Row
from youtube_download_coordinator.queue.store import Table, Where
from youtube_download_coordinator.stores.sql.records import place_of, sql_table
from youtube_download_coordinator.stores.sql.tables import IS_PENDING

R = TypeVar("R", bound=Row)


def read_by_priority(
    connection: sa.Connection, table: Table[R], where: Where, limit: int, read: Callable[[sa.Select[Any]], list[R]]
) -> list[R]:
    """Return due rows, the highest priority first. Usually all of them have the highest existing priority."""
    rows = read(with_priority(table, where, limit, None))
    if len(rows) == limit:
        return rows
    rows = []
    for priority in connection.scalars(priorities_of(table, where)).all():
        rows += read(with_priority(table, where, limit - len(rows), priority))
        if len(rows) == limit:
            break
    return rows


def with_priority(table: Table[Any], where: Where, limit: int, priority: int | None) -> sa.Select[Any]:
    """Return the query for the rows with this priority, or with the highest one of pending rows."""
    c = sql_table(table).c
    greatest = _priorities(table).order_by(c.priority.desc()).limit(1).scalar_subquery()
    wanted = greatest if priority is None else sa.literal(priority)
    conditions = [*place_of(table), IS_PENDING, c.priority == wanted, c.act_at <= where.due]
    return sa.select(sql_table(table)).where(*conditions).order_by(c.act_at, c.id).limit(limit)


def priorities_of(table: Table[Any], where: Where) -> sa.Select[Any]:
    """Return the query for the priorities of due rows. The index is searched once or twice for each priority."""
    c = sql_table(table).c
    first = _priorities(table).order_by(c.priority.desc()).limit(1).subquery()
    priorities = sa.select(first.c.priority).cte("priorities", recursive=True)
    below = _priorities(table).where(c.priority < priorities.c.priority).order_by(c.priority.desc()).limit(1)
    priorities = priorities.union_all(
        sa.select(below.correlate(priorities).scalar_subquery()).where(priorities.c.priority.is_not(None))
    )
    due = _priorities(table).where(c.priority == priorities.c.priority, c.act_at <= where.due).correlate(priorities)
    return sa.select(priorities.c.priority).where(due.exists()).order_by(priorities.c.priority.desc())


def _priorities(table: Table[Any]) -> sa.Select[Any]:
    c = sql_table(table).c
    return sa.select(c.priority).where(*place_of(table), IS_PENDING)
