"""Count rows in the database, in one pass over a table and without reading the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

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
    c = table.c
    seconds = c.duration_seconds if _has_days(table) else sa.cast(sa.null(), sa.Integer)
    # Rows that wait for the same machines have the same time, and the detail of any of them contains the need.
    waits = sa.and_(c.state == State.PENDING, c.act_at >= NEEDS_MACHINE_FROM)
    groups = [_note(table, connection.dialect.name, since, recent), c.accent, c.type, c.state]
    groups.append(sa.case((waits, c.act_at), else_=None))
    labels = [group.label(f"group_{index}") for index, group in enumerate(groups)]
    is_recent = sa.and_(_is_processed(table), c.claimed_at >= recent)
    totals = [
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(seconds), 0),
        sa.func.count(seconds),
        sa.func.min(sa.case((is_recent, c.claimed_at))),
        sa.func.min(sa.case((waits, c.detail), else_="")),
    ]
    # Group by label, because PostgreSQL treats each occurrence of an expression with a parameter as a different one.
    query = sa.select(*totals, *labels).where(*place).group_by(*(sa.text(label.name) for label in labels))
    return [_tally(*record) for record in connection.execute(query)]


def _note(table: sa.Table, dialect: str, since: date, recent: datetime) -> sa.ColumnElement[str]:
    """Return what is counted of a row besides accent, type and state, as one text: sorting rows by it takes most of the time.

    DONE: the detail if a filter has skipped it, nothing if a person has, else `2026-11-29 1 (degraded: low-bit-rate)`: the day or
    `-`, whether the claim is recent, and the mark, from which `Lease.degraded` reads. HELD: the holder. Else the reason.
    """
    c = table.c
    position = sa.func.strpos if dialect == "postgresql" else sa.func.instr
    reason = sa.func.substr(c.detail, 1, position(c.detail + ":", ":") - 1)
    is_degraded = sa.and_(
        sa.func.substr(c.detail, sa.func.length(c.detail)) == DEGRADED_END, position(c.detail, DEGRADED_START) > 0
    )
    mark = sa.case((is_degraded, sa.func.substr(c.detail, position(c.detail, DEGRADED_START))), else_="")
    processed: sa.ColumnElement[str] = sa.literal("- 0")
    if _has_days(table):
        day = _day(c.claimed_at, dialect)
        processed = sa.case((day >= since.isoformat(), day), else_="-") + sa.case(
            (c.claimed_at >= recent, " 1"), else_=" 0"
        )
    done = sa.case((c.detail == SKIPPED, ""), (is_skipped_by_filter(c.detail), c.detail), else_=processed + mark)
    return sa.case((c.state == State.DONE, done), (c.state == State.HELD, c.holder), else_=reason)


def _tally(
    rows: int,
    seconds: int,
    with_length: int,
    first_claim: datetime | None,
    detail: str,
    note: str,
    accent: str,
    kind: str,
    state_text: str,
    _: datetime | None,
) -> Tally:
    state = State(state_text)
    lease = Lease(state=state, detail=note, nonce="")
    day = note.partition(" ")[0] if state is State.DONE and not lease.skipped else ""
    return Tally(
        rows=rows,
        state=state,
        reason=note if state in TALLIED_REASONS else "",
        holder=note if state is State.HELD else "",
        accent=accent,
        type=kind,
        day=date.fromisoformat(day) if day not in {"", "-"} else None,
        seconds=int(seconds),
        with_length=with_length,
        waits_for=str(need_of(Lease(detail=detail, nonce=""))),
        degraded=lease.degraded,
        skipped=lease.skipped,
        first_claim=first_claim,
    )


def is_skipped_by_filter(detail: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a filter has skipped the video (`Lease.skipped`)."""
    return sa.or_(*(sa.func.substr(detail, 1, len(start)) == start for start in (SKIPPED_LICENSE, SKIPPED_TRAINING)))


def _is_processed(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row is a video that was processed: neither skipped by a filter, nor done by hand."""
    c = table.c
    if not _has_days(table):
        return sa.false()
    return sa.and_(c.state == State.DONE, c.detail != SKIPPED, sa.not_(is_skipped_by_filter(c.detail)))


def _has_days(table: sa.Table) -> bool:
    """Return whether it is a table of videos, which are counted by day."""
    return "duration_seconds" in table.c


def _day(claimed_at: sa.ColumnElement[datetime], dialect: str) -> sa.ColumnElement[str]:
    """Return the day of a time as ISO 8601 text, which sorts by time."""
    if dialect == "postgresql":
        return sa.func.to_char(sa.func.timezone("UTC", claimed_at), "YYYY-MM-DD")
    return sa.func.substr(sa.type_coerce(claimed_at, sa.Text), 1, 10)
