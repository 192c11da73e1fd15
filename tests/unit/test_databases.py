"""The database behind `database_url`: one of an older version is brought up to date, one that is none of ours is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.rows import make_queue, new_source
from youtube_download_coordinator import Config, ConfigError, Coordinator
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


def test_settings_that_lead_to_no_queue_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder '.*/nowhere' does not exist"):
        Coordinator(Config(database_url=f"sqlite:///{tmp_path}/nowhere/queue.db"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("coordinator.db", "this is no database URL"),
        ("mysql://root:secret@host/db", "database_url=mysql://root:***@host/db"),
        ("nosuch://root:secret@host/db", "database_url=nosuch://root:***@host/db"),
    ],
)
def test_a_database_that_is_none_of_ours_is_an_error_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Coordinator(Config(database_url=url))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
