"""A command's first line names its queue, and a queue that may be the wrong one causes a warning."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rows import make_queue, new_source
from tests.support.sheets_setting import google
from youtube_download_coordinator import Config, wiring
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.stores.sql import SqlStore

URL = "https://www.youtube.com/watch?v=UKwSQSFN4Nw"
NEW = "queue: coordinator.db, new"
Ydc = Callable[..., tuple[list[str], str, str]]


@pytest.fixture
def ydc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Ydc:
    """Run a command in an empty folder. Return the lines on stdout, stderr, and the warnings."""
    folder = tmp_path / "project" / "folder"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("YDC_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("YDC_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments: str) -> tuple[list[str], str, str]:
        monkeypatch.setattr(wiring, "_stores", {})  # a process of its own
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            app(arguments, result_action="return_value", print_error=False, exit_on_error=False)
        output = capfd.readouterr()
        return output.out.splitlines(), output.err, "\n".join(caplog.messages)

    return run


@pytest.mark.parametrize(
    "arguments", [("status",), ("add", URL), ("import", "sources.txt"), ("run", "--processor", "metadata")]
)
def test_the_first_line_is_the_queue(ydc: Ydc, arguments: tuple[str, ...]) -> None:
    Path("sources.txt").write_text("# none yet\n")
    assert ydc(*arguments)[0][0] == NEW
    assert ydc("status")[0][0] == "queue: coordinator.db"


def test_what_a_program_reads_has_no_such_line(ydc: Ydc) -> None:
    ydc("add", URL)
    lines, problems, _ = ydc("list", "--table", "sources")
    assert (lines[0][:6], problems) == ("ID\tURL", "queue: coordinator.db\n")
    lines, problems, _ = ydc("list", "--table", "sources", "--json")
    assert (len(lines), problems) == (1, "queue: coordinator.db\n")
    lines, problems, _ = ydc("status", "--json")
    assert (len(lines), json.loads(lines[0])["queue"], problems) == (1, "coordinator.db", "")


def test_several_files_are_imported_into_one_queue(ydc: Ydc) -> None:
    Path("a.txt").write_text(f"{URL}\n")
    Path("b.txt").write_text("https://youtu.be/jNQXAC9IVRw\n")
    lines, _, _ = ydc("import", "a.txt", "b.txt")
    assert [line.partition(":")[0] for line in lines] == ["queue", "sources", "sources"]


def test_a_sheet_is_named_by_its_title(tmp_path: Path) -> None:
    with google(tmp_path) as here:
        name = f"queue: sheet 'Untitled spreadsheet' ({here.book.spreadsheet_id})"
        assert [here.run("status").stdout.splitlines()[0] for _ in range(2)] == [f"{name}, new", name]


@pytest.mark.parametrize(
    ("variables", "env_file", "warning"),
    [
        ({"YDC_CREDENTIALS_FILE": "key.json"}, "", "although YDC_CREDENTIALS_FILE is set: set YDC_SPREADSHEET_ID too"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "key.json"}, "", "although GOOGLE_APPLICATION_CREDENTIALS is set"),
        ({"YDC_SERVICE_ACCOUNT": "{}", "YDC_SOURCES_WORKSHEET_NAME": "S"}, "", "YDC_SOURCES_WORKSHEET_NAME are set"),
        ({}, "# mine\nexport ydc_spreadsheet_id=1AbC\n", "project/.env' has settings: .env is read in the working dir"),
        ({}, "OTHER=1\n", ""),
        ({"YDC_CREDENTIALS_FILE": "key.json", "YDC_DATABASE_URL": "sqlite:///mine.db"}, "YDC_SPREADSHEET_ID=1\n", ""),
    ],
)
def test_a_machine_that_lost_its_settings_is_warned(
    ydc: Ydc, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], env_file: str, warning: str
) -> None:
    Path("../.env").write_text(env_file)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for arguments in (("status",), ("add", URL)):  # until the queue has rows
        warnings = ydc(*arguments)[2]
        assert warning in warnings
        assert bool(warnings) is bool(warning)
    assert ydc("status")[2] == ""


def test_the_environment_is_not_read_from_a_folder_above_where_env_is_here(ydc: Ydc) -> None:
    Path("../.env").write_text("YDC_SPREADSHEET_ID=1AbC\n")
    Path(".env").write_text("YDC_DATABASE_URL=sqlite:///mine.db\n")
    lines, _, warnings = ydc("status")
    assert (lines[0], warnings) == ("queue: mine.db, new", "")


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("key", [{"credentials_file": "key.json"}, {"service_account": {"type": "service_account"}}])
def test_a_key_without_a_sheet_is_an_error(
    monkeypatch: pytest.MonkeyPatch, nothing: str | None, key: dict[str, object]
) -> None:
    monkeypatch.delenv("YDC_DATABASE_URL", raising=False)
    name = next(iter(key))
    with pytest.raises(ConfigError, match=f"^{name} is given, but spreadsheet_id is {nothing!r}: give the ID or the"):
        Config(spreadsheet_id=nothing, **key)
    assert Config(spreadsheet_id=nothing, database_url="sqlite:///mine.db", **key).spreadsheet_id == nothing
    assert Config(spreadsheet_id="1AbC", **key).spreadsheet_id == "1AbC"


def test_a_queue_is_new_until_it_is_opened_again(tmp_path: Path) -> None:
    for is_new in (True, False):
        store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
        assert (store.name, store.is_new) == (f"{tmp_path}/queue.db", is_new)
        make_queue(store).add(SOURCES, [new_source(1)])
        store.close()
