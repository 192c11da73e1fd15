"""Read due rows by accent, and count playing times, with two indexes that only a queue with target hours has.

The indexes are created when they are first needed, because each change of a row must update them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

import sqlalchemy as sa

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import SKIPPED, Row, State
from youtube_download_coordinator.queue.product_requests import WAS
from youtube_download_coordinator.queue.store import VIDEO_TASKS, PlayingTime, Table, Where
from youtube_download_coordinator.reasons import REQUEST_START
from youtube_download_coordinator.stores.sql.counts import is_skipped_by_filter
from youtube_download_coordinator.stores.sql.priorities import priorities_of
from youtube_download_coordinator.stores.sql.records import place_of
from youtube_download_coordinator.stores.sql.tables import EPOCH, IS_PENDING, videos

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)
Pair = tuple[str, int]
"""An accent and a priority."""

PAIRS_PER_QUERY = 100


def _contains(text: str) -> str:
    """Return the condition that the detail contains a text. It works in every database."""
    return f"replace(detail, '{text}', '') <> detail"


def _literal(condition: sa.ColumnElement[bool]) -> str:
    return str(condition.compile(compile_kwargs={"literal_binds": True}))


# Literal text, because a database uses an index of an expression, or a partial index, only if a query repeats it exactly.
_ACCENT = f"CASE WHEN {_contains(REQUEST_START)} THEN '{REQUEST_START}' ELSE accent END"
"""`store.claimed_accent` in SQL."""
_detail: sa.ColumnElement[str] = sa.column("detail", sa.Text)
_IS_SKIPPED = _literal(sa.or_(_detail == SKIPPED, is_skipped_by_filter(_detail)))
_KIND = (
    f"CASE WHEN state = '{State.DONE}' THEN CASE WHEN {_IS_SKIPPED} THEN '' ELSE '{State.DONE}' END"
    f" WHEN {_contains(REQUEST_START)} AND {_contains(WAS)} THEN '{State.DONE}'"
    f" WHEN state = '{State.HELD}' THEN '{State.HELD}' ELSE '' END"
)
"""The kind of a row: DONE if `targets.has_file`, HELD for other rows that workers hold, otherwise an empty text."""
_PENDING = _literal(IS_PENDING)
_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS videos_by_accent ON videos (place, ({_ACCENT}), priority, act_at, id) WHERE {_PENDING}",
    f"CREATE INDEX IF NOT EXISTS videos_playing_time ON videos (place, ({_KIND}), accent, duration_seconds)"
    f" WHERE ({_KIND}) <> ''",
)
_accent: sa.ColumnElement[str] = sa.literal_column(f"({_ACCENT})", sa.Text)
_kind: sa.ColumnElement[str] = sa.literal_column(f"({_KIND})", sa.Text)


class AccentIndexes:
    """The two indexes of a store. `creating` begins a transaction that may create them."""

    def __init__(self, creating: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._creating = creating
        self._are_created = False

    def create_once(self) -> None:
        """Create the indexes unless they exist, which takes seconds for a million rows. Raises StoreUnavailable.

        The queries work without them. PostgreSQL lets only the owner of the table create them, also if they exist.
        """
        if self._are_created:
            return
        try:
            with self._creating() as connection:
                for index in _INDEXES:
                    connection.exec_driver_sql(index)
        except StoreUnavailable:
            raise
        except StoreError as error:
            log.warning("the indexes for target hours are not created, so without them claims take longer: %s", error)
        self._are_created = True


def read_by_accent(
    connection: sa.Connection, table: Table[R], where: Where, limit: int, read: Callable[[sa.Select[Any]], list[R]]
) -> list[R]:
    """Return due rows with the accents that are wanted, in the order of `where`."""
    pairs = [
        (-priority if where.by_priority else 0, rank if where.by_priority else 0, accent, priority)
        for accent, priority in connection.execute(pairs_of(table, where))
        if where.accents and (rank := where.accents.rank(accent)) is not None
    ]
    rows: list[R] = []
    for _, group in groupby(sorted(pairs), key=lambda pair: pair[:2]):
        rows += _read_group(table, where, limit - len(rows), [pair[2:] for pair in group], read)
        if len(rows) >= limit:
            break
    return rows


def _read_group(
    table: Table[R], where: Where, limit: int, pairs: Sequence[Pair], read: Callable[[sa.Select[Any]], list[R]]
) -> list[R]:
    """Return the rows of some accents and priorities that are due longest."""
    rows = [
        row
        for start in range(0, len(pairs), PAIRS_PER_QUERY)
        for row in read(rows_with(table, where, limit, pairs[start : start + PAIRS_PER_QUERY]))
    ]
    return rows if len(pairs) <= PAIRS_PER_QUERY else sorted(rows, key=_waiting_order)[:limit]


def _waiting_order(row: Row) -> tuple[datetime, int]:
    return row.lease.not_before or EPOCH, row.id


def rows_with(table: Table[Any], where: Where, limit: int, pairs: Sequence[Pair]) -> sa.Select[Any]:
    """Return the query for the rows with these accents and priorities. It reads at most `limit` of each, from the index."""
    c = videos.c
    order = (c.act_at, c.id)
    parts = [
        sa.select(c.id, c.act_at).where(*_due(table, where), _accent == accent, c.priority == priority)
        for accent, priority in pairs
    ]
    if len(parts) == 1:
        return parts[0].with_only_columns(videos).order_by(*order).limit(limit)
    first = [sa.select(part.order_by(*order).limit(limit).subquery()) for part in parts]
    ids = sa.union_all(*first).subquery()
    wanted = sa.select(ids.c.id).order_by(ids.c.act_at, ids.c.id).limit(limit)
    return sa.select(videos).where(c.id.in_(wanted)).order_by(*order)


def pairs_of(table: Table[Any], where: Where) -> sa.Select[Any]:
    """Return the query for the accents and priorities of which rows are due.

    The indexes are searched once for each accent, twice for each priority, and once for each two of them.
    """
    c, pending = videos.c, [*place_of(table), IS_PENDING]
    first = sa.select(_accent.label("name")).where(*pending).order_by(_accent).limit(1).subquery()
    accents = sa.select(first.c.name).cte("accents", recursive=True)
    following = sa.select(_accent).where(*pending, _accent > accents.c.name).order_by(_accent).limit(1)
    accents = accents.union_all(
        sa.select(following.correlate(accents).scalar_subquery()).where(accents.c.name.is_not(None))
    )
    priorities = priorities_of(table, where).order_by(None).subquery("priorities")
    # A scalar: PostgreSQL makes a join of EXISTS, which may read every pending row.
    first_due = (
        sa.select(c.id)
        .where(*_due(table, where), _accent == accents.c.name, c.priority == priorities.c.priority)
        .limit(1)
        .correlate(accents, priorities)
        .scalar_subquery()
    )
    return (
        sa.select(accents.c.name, priorities.c.priority)
        .select_from(sa.join(accents, priorities, sa.true()))
        .where(accents.c.name.is_not(None), first_due.is_not(None))
    )


def _due(table: Table[Any], where: Where) -> list[sa.ColumnElement[bool]]:
    due_from = [] if where.due_from is None else [videos.c.act_at >= where.due_from]
    return [*place_of(table), IS_PENDING, videos.c.act_at <= where.due, *due_from]


def playing_times(connection: sa.Connection) -> list[PlayingTime]:
    """Return the playing time of each accent, from the indexes alone."""
    c, place = videos.c, place_of(VIDEO_TASKS)
    seconds = sa.func.coalesce(sa.func.sum(c.duration_seconds), 0)
    played = (
        sa.select(_kind, c.accent, sa.func.count(), seconds)
        .where(*place, _kind != sa.literal_column("''"))
        .group_by(_kind, c.accent)
    )
    waiting = sa.select(_accent, sa.func.count()).where(*place, IS_PENDING).group_by(_accent)
    return [
        *(
            PlayingTime(accent, State(kind), number, int(total))
            for kind, accent, number, total in connection.execute(played)
        ),
        *(
            PlayingTime(accent, State.PENDING, number, 0)
            for accent, number in connection.execute(waiting)
            if accent != REQUEST_START
        ),
    ]
