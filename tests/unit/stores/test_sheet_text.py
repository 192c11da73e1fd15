"""Hostile text: it is stored as text, truncated to what fits, and never becomes a formula."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sheet import DEAD, VIDEOS, SheetDesk, a_video, sheet_desk, video_url
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.queue.store import VIDEO_TASKS

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
