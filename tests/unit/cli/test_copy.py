"""`ydc copy` as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_google import SheetsServer
from tests.support.rows import make_queue, new_source, new_video
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory that contains the default queue."""
    monkeypatch.chdir(tmp_path)
    store = SqlStore("sqlite:///coordinator.db")
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(1)])
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
    store.close()
    return tmp_path


def copy(to: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "youtube_download_coordinator", "copy", "--to", to]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


def test_a_queue_goes_to_a_sheet_and_comes_back(folder: Path) -> None:
    with SheetsServer() as server:
        account = server.simulator.accounts.add("worker")
        account.write_key_file(folder / "key.json", server.simulator.token_uri)
        book = server.simulator.create_spreadsheet({"Sheet1": []}, (account,))
        settings = {"YDC_CREDENTIALS_FILE": str(folder / "key.json"), "YDC_SHEETS_API_URL": server.address}
        there = copy(book.spreadsheet_id, **settings)
        assert there.returncode == 0, there.stderr
        assert "copied, and compared row by row: 1 sources, 3 video tasks, 0 dead letters" in there.stdout
        back_again = copy("sqlite:///back.db", **settings, YDC_SPREADSHEET_ID=book.spreadsheet_id)
        assert back_again.returncode == 0, back_again.stderr
    back, first = (
        list(make_queue(SqlStore(f"sqlite:///{name}.db")).rows(VIDEO_TASKS)) for name in ("back", "coordinator")
    )
    assert back == first


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("sqlite:///coordinator.db", "--to names the queue that would be copied"),
        ("sqlite:///nowhere/queue.db", "the folder 'nowhere' does not exist"),
        ("mysql://host/name", "database_url=mysql://host/name"),
    ],
)
def test_a_target_that_cannot_be_is_one_clear_line(to: str, said: str) -> None:
    ended = copy(to)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
