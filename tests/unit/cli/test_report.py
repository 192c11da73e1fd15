"""`ydc report`: the page of tables on a database, and the tab Dashboard on a sheet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.rows import new_video
from tests.support.sheets_setting import google
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue.store import VIDEO_TASKS

DONE = {"accent": "Recife", "duration_seconds": 1800}


def report(*arguments: str) -> None:
    assert app(["report", *arguments], result_action="return_value", print_error=False, exit_on_error=False) == 0


def test_a_database_is_told_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path}/queue.db")
    queue = Coordinator(Config()).queue
    queue.add(VIDEO_TASKS, [new_video(1, **DONE)])
    queue.settle([(claim, Done()) for claim in queue.claim(VIDEO_TASKS, 1)])
    queue.add(VIDEO_TASKS, [new_video(2, accent="\x1b[31mCork")])
    report()
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["Videos by accent", "Accent", "pending", "done", "all"] in lines
    assert ["Videos by accent", "Recife", "0", "1", "1"] in lines
    assert ["Videos by accent", "\N{REPLACEMENT CHARACTER}[31mCork", "1", "0", "1"] in lines
    days = [line[1:] for line in lines if line[0] == "Done each day"]
    assert [days[0], *(day[1:] for day in days[1:])] == [["Day", "Videos", "Hours"], ["1", "0.5"]]
    report("--json")
    said = json.loads(capsys.readouterr().out)
    assert said["days"]["rows"][-1][1:] == [1, 0.5]


def test_on_a_sheet_the_tab_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with google(tmp_path) as here:
        for said in (here.run("report"), here.run("report")):
            assert (said.returncode, said.stderr) == (0, "")
            assert "Rows\tthe queue is empty" in said.stdout
        assert here.book.rows("Dashboard")[0][0].startswith("Youtube Download Coordinator, 20")
