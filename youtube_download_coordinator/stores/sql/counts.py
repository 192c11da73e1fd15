"""Count rows in the database, in one pass over a table and without reading the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from youtube_download_coordinator.models import (
    DEGRADED_END,
    DEGRADED_START,
    NEEDS_MACHINE_FROM,
    SKIPPED,
    SKIPPED_LICENSE,
    SKIPPED_TRAINING,
    Lease,
    State,
)
from youtube_download_coordinator.queue.offers import need_of
from youtube_download_coordinator.queue.store import TALLIED_REASONS, Tally


def tallied(
    connection: sa.Connection, table: sa.Table, place: Sequence[sa.ColumnElement[bool]], since: date, recent: datetime
) -> list[Tally]:
    """Return the tallies of the rows of a table that meet the conditions of `place`."""
    c, dialect = table.c, connection.dialect.name
    seconds = c.duration_seconds if "duration_seconds" in c else sa.null()
    position = sa.func.strpos if dialect == "postgresql" else sa.func.instr
    # `Lease.reason` in SQL.
    text = c.detail + ":"
    colon = position(text, ":")
    reason = sa.case((c.state.in_([*TALLIED_REASONS]), sa.func.substr(c.detail, 1, colon - 1)), else_="")
    holder = sa.case((c.state == State.HELD, c.holder), else_="")
    # Rows that wait for the same machines have the same time, and the detail of any of them contains the need.
    waits = sa.and_(c.state == State.PENDING, c.act_at >= NEEDS_MACHINE_FROM)
    waits_until = sa.case((waits, c.act_at), else_=None)
    # The text from the mark on, from which `Lease.degraded` reads the reasons.
    mark = sa.and_(c.state == State.DONE, c.detail.like(f"%{DEGRADED_START}%{DEGRADED_END}"))
    degraded = sa.case((mark, sa.func.substr(c.detail, position(c.detail, DEGRADED_START))), else_="")
    skipped = sa.case((sa.and_(c.state == State.DONE, _is_skipped(c.detail)), c.detail), else_="")
    day = _day(table, dialect, since)
    is_recent = sa.and_(_is_processed(table), c.claimed_at >= recent)
    recency = sa.case((is_recent, sa.literal_column("1")), else_=sa.literal_column("0"))
    groups: list[Any] = [c.state, reason, holder, c.accent, c.type, day, degraded, skipped, recency, waits_until]
    detail = sa.func.min(sa.case((waits, c.detail), else_=""))
    total = sa.func.coalesce(sa.func.sum(seconds), 0)
    first_claim = sa.func.min(sa.case((is_recent, c.claimed_at)))
    labels = [group.label(f"group_{index}") for index, group in enumerate(groups)]
    # Group by label, because PostgreSQL treats each occurrence of an expression with a parameter as a different one.
    query = (
        sa.select(sa.func.count(), total, sa.func.count(seconds), first_claim, detail, *labels)
        .where(*place)
        .group_by(*(sa.text(label.name) for label in labels))
    )
    return [_tally(*record) for record in connection.execute(query)]


def _tally(
    rows: int, seconds: int, with_length: int, first_claim: datetime | None, detail: str, state: str, *groups: Any
) -> Tally:
    reason, holder, accent, kind, day, mark, skipped, *_ = groups
    return Tally(
        rows,
        State(state),
        reason,
        holder,
        accent,
        kind,
        date.fromisoformat(day) if day else None,
        int(seconds),
        with_length,
        str(need_of(Lease(detail=detail, nonce=""))),
        Lease(state=State.DONE, detail=mark, nonce="").degraded,
        Lease(state=State.DONE, detail=skipped, nonce="").skipped,
        first_claim,
    )


def _is_skipped(detail: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a filter has skipped the video (`Lease.skipped`)."""
    return sa.or_(detail.like(f"{SKIPPED_LICENSE}%"), detail.like(f"{SKIPPED_TRAINING}%"))


def _is_processed(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row is a video that was processed: neither skipped by a filter, nor done by hand."""
    c = table.c
    if "duration_seconds" not in c:
        return sa.false()
    return sa.and_(c.state == State.DONE, c.detail != SKIPPED, sa.not_(_is_skipped(c.detail)))


def _day(table: sa.Table, dialect: str, since: date) -> sa.ColumnElement[str]:
    """Return the day of a video as ISO 8601 text, which sorts by time, or an empty text for other rows."""
    c = table.c
    if "duration_seconds" not in c:
        return sa.literal("")
    if dialect == "postgresql":
        day: sa.ColumnElement[str] = sa.func.to_char(sa.func.timezone("UTC", c.claimed_at), "YYYY-MM-DD")
    else:
        day = sa.func.substr(sa.type_coerce(c.claimed_at, sa.Text), 1, 10)
    is_known = sa.and_(_is_processed(table), day >= since.isoformat())
    return sa.case((is_known, day), else_="")
