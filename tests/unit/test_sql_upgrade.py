"""A database that an older version has made is brought up to date when it is opened, and keeps what is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.rows import make_queue, new_source
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.store import SOURCES
from youtube_download_coordinator.stores.sql import SqlStore


def test_a_column_that_an_older_version_did_not_have_is_added(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    store = SqlStore(url)
    store.insert(SOURCES, [new_source(1, title="A channel")])
    store.close()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.execute("ALTER TABLE sources DROP COLUMN listed_with")
    queue = make_queue(SqlStore(url))
    (claim,) = queue.claim(SOURCES, 1)
    assert (claim.row.title, claim.row.listed_with) == ("A channel", "")
    queue.settle([(claim, Done())], listed_with="Kinds=videos")
    queue.store.close()
    with closing(SqlStore(url)) as again:
        assert [row.listed_with for row in again.scan(SOURCES)] == ["Kinds=videos"]
