"""Columns that are set when a source is added: on the embedded queue, and on a sheet, which may lack them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sheet import SOURCE_TAB, SheetDesk
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.client import Client
from youtube_download_coordinator.errors import BadFilter, UserError
from youtube_download_coordinator.queue import Queue

UC = "UCsXVk37bltHxD1rDPwtNM8Q"
CHANNEL = f"https://www.youtube.com/channel/{UC}"


def client_of(queue: Queue, desk: SheetDesk) -> Client:
    return Client(desk.config, lambda: queue, on_change=lambda: None)


def test_a_sheet_gets_the_columns_that_are_ours(desk: SheetDesk) -> None:
    client = client_of(desk.queue(), desk)
    before = desk.book.rows(SOURCE_TAB)[0]
    client.add_source(CHANNEL, "pt-BR", columns={"kinds": "videos,shorts", "RefreshHours": "6"})
    line = desk.line(CHANNEL, SOURCE_TAB)
    assert (line["Kinds"], line["RefreshHours"], line["Accent"]) == ("videos,shorts", "6", "pt-BR")
    after = [name for name in desk.book.rows(SOURCE_TAB)[0] if name]
    assert after[-2:] == ["Kinds", "RefreshHours"]
    assert [name for name in before if name] == [name for name in after if name in before]


def test_a_column_that_is_there_is_used_as_it_is_written(desk: SheetDesk) -> None:
    desk.person.insert_column(SOURCE_TAB, 3, "kinds")
    desk.person.insert_column(SOURCE_TAB, 3, "Gender")
    client_of(desk.queue("b"), desk).add_source(CHANNEL, columns={"Kinds": "shorts", "gender": "f"})
    line = desk.line(CHANNEL, SOURCE_TAB)
    assert (line["kinds"], line["Gender"]) == ("shorts", "f")
    assert "Kinds" not in line


def test_two_machines_make_a_column_once(desk: SheetDesk) -> None:
    clients = [client_of(desk.queue(name), desk) for name in "ab"]
    for number, client in enumerate(clients):
        client.add_source(f"{number:011}", columns={"RefreshHours": "6"})
    header = desk.book.rows(SOURCE_TAB)[0]
    assert header.count("RefreshHours") == 1
    assert [line["RefreshHours"] for line in desk.lines(SOURCE_TAB) if line["URL"]] == ["6", "6"]


def test_a_column_that_is_neither_there_nor_ours_is_refused(desk: SheetDesk) -> None:
    client = client_of(desk.queue(), desk)
    with pytest.raises(UserError, match="there is no column Gender in the tab of the sources: add it there"):
        client.add_source(CHANNEL, columns={"Gender": "f"})
    assert not any(line["URL"] for line in desk.lines(SOURCE_TAB))


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    return Coordinator(Config(database_url=f"sqlite:///{tmp_path}/queue.db"))


def test_the_embedded_queue_takes_any_column(coordinator: Coordinator) -> None:
    coordinator.client.add_source(CHANNEL, columns={"Gender": "f", "minduration": "5m"})
    (source,) = coordinator.client.get_sources()
    assert (source["Gender"], source["MinDuration"]) == ("f", "5m")


@pytest.mark.parametrize("name", ["Status", "lease", "Title", " "])
def test_the_coordinators_own_columns_cannot_be_set(coordinator: Coordinator, name: str) -> None:
    with pytest.raises(UserError, match="cannot be set: only the coordinator writes it"):
        coordinator.client.add_source(CHANNEL, columns={name: "done"})


def test_what_cannot_be_read_is_refused_before_the_source_is_added(coordinator: Coordinator) -> None:
    with pytest.raises(BadFilter, match="MinDuration: 'soon' is not a duration"):
        coordinator.client.add_source(CHANNEL, columns={"MinDuration": "soon"})
    assert coordinator.client.get_sources() == []


def test_a_source_that_is_there_keeps_its_columns_and_that_is_said(coordinator: Coordinator) -> None:
    first = coordinator.client.add_source(CHANNEL, columns={"Kinds": "shorts"})
    assert coordinator.client.add_source(CHANNEL, columns={"Kinds": "shorts"}) == first
    assert coordinator.client.add_source(CHANNEL) == first
    with pytest.raises(UserError, match="is source 1 already, with Kinds 'shorts'; it was not changed"):
        coordinator.client.add_source(CHANNEL, columns={"Kinds": "videos"})


def test_the_command_sets_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path}/queue.db")
    command = ["add", CHANNEL, "--set", "Kinds=videos,shorts", "--set", "TitleMatch=a=b"]
    assert app(command, result_action="return_value") == 0
    (source,) = Coordinator(Config()).client.get_sources()
    assert (source["Kinds"], source["TitleMatch"]) == ("videos,shorts", "a=b")
    with pytest.raises(UserError, match="--set Kinds: it must be COLUMN=TEXT"):
        app(["add", CHANNEL, "--set", "Kinds"], result_action="return_value", exit_on_error=False)
