"""The tab Dashboard: its contents, its cost, and that nothing of a person's is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fake_google.cells import Formula
from tests.support.rows import new_source, new_video
from tests.support.sheet import DEAD, VIDEOS, SheetDesk, sheet_desk
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Done, Failure, Status, Verdict
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.summary import page
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.status_page import Page
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sheets.setup.dashboard import GRID_ROWS, SHEET_ID, show_dashboard

NASTY = '=IMPORTXML("http://example.org","//a")'


def lived_in(desk: SheetDesk) -> Page:
    """Fill the queue: one video is done, one private, one waits after a failure, one is held. Some accents are unusual."""
    queue = desk.queue()
    accents = ["Recife", NASTY, "Recife", ""]
    queue.add(SOURCES, [new_source(1)])
    queue.add(VIDEO_TASKS, [new_video(n, accent=each, duration_seconds=5400) for n, each in enumerate(accents)])
    done, private, retried, _held = sorted(queue.claim(VIDEO_TASKS, 4), key=lambda claim: claim.row.id)
    failure = Failure(verdict=Verdict.PERMANENT, reason="private")
    again = Failure(verdict=Verdict.RETRY, reason="http-503")
    queue.settle([(done, Done(result="x.m4a")), (private, failure), (retried, again)])
    queue.store.close()
    return page(overview(desk.queue("another")))


def write(desk: SheetDesk, found: Page) -> None:
    show_dashboard(desk.config, found, desk.environment())


def rows(desk: SheetDesk, title: str = "Dashboard") -> list[list[Any]]:
    """Return the lines of a tab, all as wide as the written columns and one more."""
    return [[*row, *[""] * (13 - len(row))] for row in desk.book.rows(title)]


def section(desk: SheetDesk, title: str) -> list[list[Any]]:
    """Return the lines of a table of the tab, its header first."""
    lines = [line[:7] for line in rows(desk)]
    start = next(at for at, line in enumerate(lines) if line[0] == title)
    end = next((at for at in range(start, len(lines)) if not any(lines[at])), len(lines))
    return lines[start + 1 : end]


def test_everything_is_in_the_tab(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    assert section(desk, "Rows") == [
        ["In", "pending", "in-progress", "done", "error", "dead letters", "all"],
        ["sources", 1, 0, 0, 0, 0, 1],
        ["videos", 1, 1, 1, 0, 0, 3],
        ["dead letters", 0, 0, 0, 0, 1, 1],
    ]
    assert section(desk, "Videos by accent")[1:] == [
        ["Recife", 1, 0, 1, 0, 0, 2],
        ["(none)", 0, 1, 0, 0, 0, 1],
        [NASTY, 0, 0, 0, 0, 1, 1],
    ]
    assert section(desk, "Who holds what")[1:] == [["host/worker", "", "", "", "", "", 1]]
    assert {line[0]: line[6] for line in section(desk, "Why rows failed")[1:]} == {"http-503": 1, "private": 1}
    assert section(desk, "Fleet")[1][:2] == ["fleet", "running"]


def test_the_days_show_what_was_done_and_the_chart_is_over_them(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    header, *days = [line[8:11] for line in rows(desk)[19:50]]
    today = datetime.fromtimestamp(desk.clock.now(), UTC).date()
    assert header == ["Day", "Videos", "Hours"]
    assert days[-1] == [f"{today}", 1, 1.5]
    assert all(day[1:] == [0, 0] for day in days[:-1])
    (chart,) = tab(desk).charts
    area = chart["spec"]["basicChart"]["series"][0]["series"]["sourceRange"]["sources"][0]
    assert (area["startRowIndex"], area["endRowIndex"], area["startColumnIndex"]) == (19, 50, 9)


def tab(desk: SheetDesk) -> Any:
    return next(sheet for sheet in desk.book.contents.sheets if sheet.sheet_id == SHEET_ID)


def test_a_title_is_no_formula(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    layer = tab(desk).values
    cells = [cell for column in range(12) for cell in layer.column(column)]
    assert NASTY in cells
    assert not any(isinstance(cell, Formula) for cell in cells)


def test_it_costs_one_request_and_the_first_time_three(desk: SheetDesk) -> None:
    """Beside the overview's own look: the write; at first a write that is refused, a read of what is there, and a write."""
    found = lived_in(desk)
    costs = []
    for _ in range(3):
        before = desk.simulator.stats()["requests"]
        write(desk, found)
        costs.append(desk.simulator.stats()["requests"] - before)
    assert costs == [3, 1, 1]


def test_an_overview_by_accent_type_and_day_is_one_look(desk: SheetDesk) -> None:
    lived_in(desk)
    queue = desk.queue("third")
    before = desk.simulator.stats()["requests"]
    queue.store.tally([SOURCES, VIDEO_TASKS], datetime(2020, 1, 1, tzinfo=UTC).date())
    assert desk.simulator.stats()["requests"] - before == 1


def test_other_tabs_and_what_people_put_beside_ours_stay(desk: SheetDesk) -> None:
    found = lived_in(desk)
    write(desk, found)
    desk.person.edit("Dashboard", 3, 12, "mine")
    tab(desk).charts.clear()  # a person does not want it
    others = [rows(desk, title) for title in ("Sources", VIDEOS, DEAD, "Control")]
    write(desk, found)
    assert tab(desk).charts == []
    assert rows(desk)[3][12] == "mine"
    assert [rows(desk, title) for title in ("Sources", VIDEOS, DEAD, "Control")] == others


def test_what_is_gone_from_the_queue_is_gone_from_the_tab(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    with sheet_desk() as empty:
        write(desk, page(overview(empty.queue())))
    assert not any(line[0] in {"Why rows failed", "Recife"} for line in rows(desk))


def test_a_tab_that_was_renamed_and_cut_short_is_found_and_mended(desk: SheetDesk) -> None:
    found = lived_in(desk)
    write(desk, found)
    desk.person.rename_tab("Dashboard", "How it goes")
    for _ in range(GRID_ROWS - 30):
        desk.person.delete_row("How it goes", 30)
    write(desk, found)
    assert rows(desk, "How it goes")[49][8] == found.days.rows[-1][0]
    assert [sheet.title for sheet in desk.book.contents.sheets].count("Dashboard") == 0


def test_a_dashboard_of_a_persons_own_is_left_alone() -> None:
    with sheet_desk({"Dashboard": [["my own", "tab"]]}) as desk:
        found = page(overview(desk.queue()))
        write(desk, found)
        assert [line[:3] for line in rows(desk)] == [["my own", "tab", ""]]
        assert rows(desk, "Dashboard 2")[0][0].startswith("Youtube Download Coordinator, ")


def test_two_that_make_it_at_once_make_one(desk: SheetDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lived_in(desk)
    read = Connection.properties

    def slowly(connection: Connection, fields: str) -> Any:
        """Let another process be faster: what was read is out of date."""
        answer = read(connection, fields)
        monkeypatch.setattr(Connection, "properties", read)
        write(desk, found)
        return answer

    monkeypatch.setattr(Connection, "properties", slowly)
    write(desk, found)
    assert [sheet.sheet_id for sheet in desk.book.contents.sheets].count(SHEET_ID) == 1
    assert len(tab(desk).charts) == 1


def test_a_lost_answer_leaves_one_tab_with_one_chart(desk: SheetDesk) -> None:
    found = lived_in(desk)
    fault = desk.simulator.faults.add("apply_then_reset", body="addSheet", times=1)
    write(desk, found)
    assert fault.fired == 1
    assert [sheet.sheet_id for sheet in desk.book.contents.sheets].count(SHEET_ID) == 1
    assert len(tab(desk).charts) == 1
    assert section(desk, "Who holds what")


def test_a_google_that_loses_every_answer_is_said(desk: SheetDesk) -> None:
    desk.simulator.faults.add("apply_then_reset", body="updateCells", times=100)
    with pytest.raises(StoreError, match="the tab Dashboard could not be written: no answer"):
        write(desk, page(overview(desk.queue())))


def test_the_numbers_of_each_state_have_its_colour(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    rules = [rule["booleanRule"]["condition"] for rule in tab(desk).conditional_formats]
    assert [rule["type"] for rule in rules].count("NUMBER_GREATER") == len(Status) + 1


def test_names_stand_over_numbers_to_the_right(desk: SheetDesk) -> None:
    write(desk, lived_in(desk))
    row = next(at for at, line in enumerate(rows(desk)) if line[0] == "Accent")
    looks = [tab(desk).formats.get(row, column) for column in range(7)]
    assert [look.get("horizontalAlignment", "") for look in looks] == ["", *["RIGHT"] * 6]
