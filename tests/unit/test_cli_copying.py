"""`ydc copy` as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rows import make_queue, new_source, new_video
from tests.sheets_api import SheetsServer
from youtube_download_coordinator.cli import main
from youtube_download_coordinator.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a queue in it, the one that is used when nothing is said."""
    monkeypatch.chdir(tmp_path)
    store = SqlStore("sqlite:///coordinator.db")
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(1)])
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
    store.close()
    return tmp_path


def copy(to: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["copy", "--to", to])
    return ended.value.code


def test_a_queue_goes_to_a_sheet_and_comes_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with SheetsServer() as server:
        account = server.simulator.accounts.add("worker")
        account.write_key_file(folder / "key.json", server.simulator.token_uri)
        book = server.simulator.create_spreadsheet({"Sheet1": []}, (account,))
        monkeypatch.setenv("YDC_CREDENTIALS_FILE", str(folder / "key.json"))
        monkeypatch.setenv("YDC_SHEETS_API_URL", server.address)
        assert copy(book.spreadsheet_id) == 0
        assert "copied, and compared row by row: 1 sources, 3 video tasks, 0 dead letters" in capsys.readouterr().out
        monkeypatch.setenv("YDC_SPREADSHEET_ID", book.spreadsheet_id)
        assert copy("sqlite:///back.db") == 0
    back, first = (
        list(make_queue(SqlStore(f"sqlite:///{name}.db")).rows(VIDEO_TASKS)) for name in ("back", "coordinator")
    )
    assert back == first


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("sqlite:///coordinator.db", "--to names the queue that is to be copied"),
        ("sqlite:///nowhere/queue.db", "the folder 'nowhere' does not exist"),
        ("mysql://host/name", "database_url=mysql://host/name"),
    ],
)
def test_a_target_that_cannot_be_is_one_clear_line(to: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy(to) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
