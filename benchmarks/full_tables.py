"""Fill tables with very many rows, which the database itself copies from one row of each kind."""

from __future__ import annotations

import sqlalchemy as sa

from tests.support.rows import new_video
from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.stores.sql.tables import videos

FAILED = 50
"""The number of videos in error, and also of dead letters, whatever the size of the table."""
DETAILS = {State.DONE: "media/pt-BR/a file.m4a", State.ERROR: "by-hand: excluded", State.DEAD: "private: it is private"}


def fill(store: SqlStore, rows: int) -> None:
    """Fill an empty database: FAILED videos are in error, FAILED are dead letters, half of the rest are done, half pending."""
    done = (rows - 2 * FAILED) // 2
    counts = {State.ERROR: FAILED, State.DEAD: FAILED, State.DONE: done, State.PENDING: rows - 2 * FAILED - done}
    for number, (state, count) in enumerate(counts.items()):
        table = DEAD_LETTERS if state is State.DEAD else VIDEO_TASKS
        lease = Lease(state=state, detail=DETAILS.get(state, ""), nonce="n")
        store.insert(table, [new_video(number, lease=lease, accent="pt-BR", type="interview")])
        _copy(store._engine, new_video(number).key, count - 1)
    if store._engine.dialect.name == "postgresql":
        with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"VACUUM ANALYZE {videos.name}")


def _copy(engine: sa.Engine, key: str, count: int) -> None:
    """Add copies of a row with different keys."""
    names = ", ".join(column.name for column in videos.columns if column.name not in {"id", "key"})
    if engine.dialect.name == "postgresql":
        numbers = "SELECT generate_series(1, :count) AS n"
    else:
        numbers = (
            "WITH RECURSIVE up AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM up WHERE n < :count) SELECT n FROM up"
        )
    copies = f"SELECT key || '-' || n, {names} FROM {videos.name}, ({numbers}) AS numbers WHERE key = :key"
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO {videos.name} (key, {names}) {copies}"), {"count": count, "key": key})
