"""People at the tabs of a spreadsheet that coordinators and `ydc` use, over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fake_google import Person
from tests.support.sample_processors import does_nothing
from tests.support.sheets_setting import Setting, findings
from youtube_download_coordinator import Coordinator

pytestmark = pytest.mark.slow

VIDEOS = "Video Tasks"


def swap_names(person: Person) -> None:
    person.duplicate_tab(VIDEOS, "copy")
    person.rename_tab(VIDEOS, "backup")
    person.rename_tab("copy", VIDEOS)


@pytest.mark.parametrize("act", [lambda person: person.rename_tab(VIDEOS, "backup"), swap_names])
def test_a_coordinator_and_a_terminal_go_on_in_the_tab_that_they_know(
    here: Setting, act: Callable[[Person], None]
) -> None:
    person, coordinator = Person(here.book), Coordinator(here.config(state_dir=here.folder))
    try:
        for number in range(4):
            person.insert_row(VIDEOS, 1, {"URL": f"https://youtu.be/v{number:010}"})
        assert coordinator.process_next_task(does_nothing)
        act(person)
        while coordinator.process_next_task(does_nothing):
            pass
        assert len(coordinator.client.get_video_tasks()) == 4
    finally:
        coordinator.queue.store.close()
    rows = here.book.rows("backup")
    assert [dict(zip(rows[0], row, strict=False))["Status"] for row in rows[1:] if any(row)] == ["done"] * 4
    listed = here.run("list", "--status", "done")
    assert listed.returncode == 0
    assert listed.stdout.count("youtu.be") == 4
    (tabs,) = [finding for finding in findings(here) if finding.name == "tabs"]
    assert ("looks like a copy" in tabs.text) == (act is swap_names)


def test_a_tab_that_is_gone_is_made_anew_only_when_somebody_says_so(here: Setting) -> None:
    assert here.run("init").returncode == 0
    Person(here.book).delete_tab(VIDEOS)
    for command in (["status"], ["init"], ["add", "https://youtu.be/v0000000001"]):
        refused = here.run(*command)
        assert (refused.returncode, refused.stdout) == (2, "")
        (line,) = refused.stderr.splitlines()
        assert line.startswith("ydc: the tab 'Video Tasks' is gone: restore it")
    assert VIDEOS not in {sheet.title for sheet in here.book.contents.sheets}
    made = here.run("init", "--new-tabs")
    assert "made the tab 'Video Tasks'" in made.stdout
    assert here.run("status").returncode == 0


def test_reading_goes_on_where_a_guarantee_failed(here: Setting) -> None:
    assert here.run("add", "https://youtu.be/v0000000001").returncode == 0
    Person(here.book).insert_row("Control", 1, {"Name": "guarantees", "Value": "failed: one winner"})
    for command in (
        ["status"],
        ["list", "--table", "sources"],
        ["show", "1", "--table", "sources"],
        ["export", "x.csv"],
    ):
        done = here.run(*command)
        assert done.returncode == 0, command
        assert [line for line in done.stderr.splitlines() if not line.startswith("queue: sheet ")] == [], command
    refused = here.run("run", "--processor", "tests.support.sample_processors:does_nothing")
    assert refused.returncode != 0
    assert "claiming is not safe on this spreadsheet" in refused.stderr
