"""Read due rows by accent, and count playing times, with two indexes that only a queue with target hours has.

The indexes are created when they are first needed, because each change of a row must update them.
"""

from __future__ import annotations

import sqlalchemy as sa

from youtube_download_coordinator.models import SKIPPED, SKIPPED_LICENSE, SKIPPED_TRAINING, State
from youtube_download_coordinator.queue.product_requests import WAS
from youtube_download_coordinator.queue.store import VIDEO_TASKS, PlayingTime
from youtube_download_coordinator.reasons import REQUEST_START
from youtube_download_coordinator.stores.sql.records import place_of
from youtube_download_coordinator.stores.sql.tables import IS_PENDING, videos


def _contains(text: str) -> str:
    """Return the condition that the detail contains a text. It works in every database."""
    return f"replace(detail, '{text}', '') <> detail"


# Literal text, because a database uses an index of an expression, or a partial index, only if a query repeats it exactly.
_ACCENT = f"CASE WHEN {_contains(REQUEST_START)} THEN '{REQUEST_START}' ELSE accent END"
"""`store.claimed_accent` in SQL, for pending rows."""
_IS_SKIPPED = " OR ".join(
    [f"detail = '{SKIPPED}'"]
    + [f"substr(detail, 1, {len(start)}) = '{start}'" for start in (SKIPPED_LICENSE, SKIPPED_TRAINING)]
)
_KIND = (
    f"CASE WHEN state = '{State.DONE}' THEN CASE WHEN {_IS_SKIPPED} THEN '' ELSE '{State.DONE}' END"
    f" WHEN {_contains(REQUEST_START)} AND {_contains(WAS)} THEN '{State.DONE}'"
    f" WHEN state = '{State.HELD}' THEN '{State.HELD}' ELSE '' END"
)
"""The kind of a row: DONE if `targets.has_file`, HELD for other rows that workers hold, otherwise an empty text."""
_PENDING = str(IS_PENDING.compile(compile_kwargs={"literal_binds": True}))
_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS videos_by_accent ON videos (place, ({_ACCENT}), priority, act_at, id) WHERE {_PENDING}",
    f"CREATE INDEX IF NOT EXISTS videos_playing_time ON videos (place, ({_KIND}), accent, duration_seconds)"
    f" WHERE ({_KIND}) <> ''",
)
_accent: sa.ColumnElement[str] = sa.literal_column(f"({_ACCENT})", sa.Text)
_kind: sa.ColumnElement[str] = sa.literal_column(f"({_KIND})", sa.Text)


def create_accent_indexes(connection: sa.Connection) -> None:
    """Create the two indexes unless they exist, which takes seconds for a million rows."""
    for index in _INDEXES:
        connection.exec_driver_sql(index)


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
