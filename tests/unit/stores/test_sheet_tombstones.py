"""Purged videos in a spreadsheet: where their tombstones are, what people may do to them, and what they cost."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest import mock

import pytest

from tests.fake_google.faults import Action
from tests.support.sheet import VIDEOS, SheetDesk, a_video, add_videos, video_url
from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import PURGED_KEY, is_erased, is_purged, tombstone
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.layout import LayoutProblem

TAB = "Purged"


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


def purge(queue: Queue, *numbers: int) -> list[VideoTask]:
    keys = [a_video(number).key for number in numbers]
    queue.store.bury([tombstone(key) for key in keys])
    all_keys = [*keys, *(f"{PURGED_KEY}{tombstone(key)}" for key in keys)]
    rows = [row for row in queue.store.scan(VIDEO_TASKS, Where(keys=all_keys), limit=100) if not is_erased(row)]
    return [change.new for change in queue.erase(VIDEO_TASKS, rows)]


def sheet(desk: SheetDesk, title: str = TAB) -> Any:
    (found,) = [sheet for sheet in desk.book.contents.sheets if sheet.title == title]
    return found


def requests(desk: SheetDesk) -> int:
    return int(desk.simulator.stats()["requests"])


# --- the tab ---------------------------------------------------------------------------------------------------------


def test_the_tab_is_made_by_the_first_purge_hidden_and_with_a_warning(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2, Gender="f")
    assert TAB not in [sheet.title for sheet in desk.book.contents.sheets]
    purge(queue, 1)
    assert sheet(desk).properties["hidden"] is True
    assert [each["warningOnly"] for each in sheet(desk).protected_ranges] == [True]
    _, *rows = desk.book.rows(TAB)
    assert rows == [[tombstone(a_video(1).key)]]


def test_a_purged_line_shows_nothing_of_its_video(desk: SheetDesk, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [a_video(1, title="A title", accent="pt-BR", duration_seconds=7, extra={"Gender": "f"})])
    purge(queue, 1)
    desk.show()
    (line,) = [line for line in desk.lines() if line["URL"]]
    shown = {name: text for name, text in line.items() if text and name not in {"Lease", "Shown"}}
    assert shown == {"ID": "1", "URL": "purged", "Status": "done", "RetryCount": "0", "Result": line["Result"]}
    assert line["Result"].startswith("purged 20")
    assert "v0000000001" not in str(desk.book.rows(VIDEOS))


def test_a_title_that_is_taken_is_not_used(desk: SheetDesk, queue: Queue) -> None:
    desk.person.rename_tab("Dead-Letter Queue", TAB)
    purge(queue, 1)
    assert desk.book.rows("Purged 2")[1:] == [[tombstone(a_video(1).key)]]


# --- people ----------------------------------------------------------------------------------------------------------


def test_a_renamed_tab_is_used_as_before(desk: SheetDesk, queue: Queue) -> None:
    purge(queue, 1)
    desk.person.rename_tab(TAB, "old")
    other = desk.queue("other")
    purge(other, 2)
    assert len(desk.book.rows("old")) == 3
    assert other.add(VIDEO_TASKS, [a_video(1), a_video(2)]) == [None, None]


def test_without_its_tab_nothing_begins_and_the_message_says_what_to_do(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    purge(queue, 1)
    desk.person.delete_tab(TAB)
    other = desk.queue("other")
    for begin in (lambda: other.add(VIDEO_TASKS, [a_video(1)]), lambda: other.claim(VIDEO_TASKS, 1)):
        with pytest.raises(LayoutProblem, match=r"1 of 1 tombstones of purged videos are gone.*purge --restore"):
            begin()
    assert queue.add(VIDEO_TASKS, [a_video(1)]) == [None], "who knew them before goes on"


def test_a_deleted_tombstone_is_missed(desk: SheetDesk, queue: Queue) -> None:
    purge(queue, 1, 2, 3)
    desk.person.delete_row(TAB, 2)
    with pytest.raises(LayoutProblem, match="1 of 3 tombstones"):
        desk.queue("other").store.tombstones()


def test_restoring_makes_the_tab_again(desk: SheetDesk, queue: Queue) -> None:
    purge(queue, 1, 2)
    all_tombstones = queue.store.tombstones()
    desk.person.delete_tab(TAB)
    other = desk.queue("other")
    other.store.bury(all_tombstones, are_all=True)
    assert set(desk.queue("third").store.tombstones()) == set(all_tombstones)
    assert sheet(desk).properties["hidden"] is True


def test_who_still_knows_them_makes_the_tab_again_with_the_next_purge(desk: SheetDesk, queue: Queue) -> None:
    purge(queue, 1)
    desk.person.delete_tab(TAB)
    purge(queue, 2)
    assert set(desk.queue("other").store.tombstones()) == {tombstone(a_video(number).key) for number in (1, 2)}


def test_a_purged_address_that_is_typed_in_again_is_not_fetched(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    purge(queue, 1)
    desk.person.insert_row(VIDEOS, 1, {"URL": "https://youtu.be/v0000000001"})
    assert queue.claim(VIDEO_TASKS, 5) == []
    desk.look_again(queue)
    line = desk.line("https://youtu.be/v0000000001")
    assert line["Status"] == "error"
    assert line["LastError"].startswith("purged: this video was purged")
    desk.person.edit(VIDEOS, desk.row_of("https://youtu.be/v0000000001"), "Status", "pending")
    desk.look_again(queue)
    assert queue.claim(VIDEO_TASKS, 5) == []
    desk.show()
    assert [line["URL"] for line in desk.lines() if line["URL"]] == ["purged", "purged"]
    assert [line["Status"] for line in desk.lines() if line["URL"]] == ["done", "done"]


def test_pending_typed_into_a_purged_line_is_undone(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    purge(queue, 1)
    desk.show()
    desk.person.edit(VIDEOS, 1, "Status", "pending")
    desk.look_again(queue)
    queue.recover(VIDEO_TASKS)
    assert queue.claim(VIDEO_TASKS, 5) == []
    desk.show()
    assert desk.lines()[0]["Status"] == "done"
    assert desk.lines()[0]["URL"] == "purged"


def test_a_line_as_it_was_before_the_purge_is_erased_again(desk: SheetDesk, queue: Queue) -> None:
    """Ctrl-Z, or an old version of the file: the old Lease cell and the old URL are back."""
    add_videos(queue, 1)
    desk.finish(queue)
    before = dict(desk.lines()[0])
    purge(queue, 1)
    desk.show()
    for name, text in before.items():
        desk.person.edit(VIDEOS, 1, name, text)
    desk.person.edit(VIDEOS, 1, "Status", "pending")
    desk.look_again(queue)
    queue.recover(VIDEO_TASKS)
    assert queue.claim(VIDEO_TASKS, 5) == []
    desk.show()
    assert desk.lines()[0]["URL"] == "purged"
    assert desk.lines()[0]["Status"] == "done"


def test_a_deleted_line_of_a_purged_video_is_not_missed(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    purge(queue, 1)
    desk.person.delete_row(VIDEOS, 1)
    assert queue.add(VIDEO_TASKS, [a_video(1)]) == [None]


@pytest.mark.parametrize("fault", ["reset", "apply_then_reset"])
def test_an_answer_that_is_lost_leaves_nothing_that_the_next_purge_does_not_clear(
    desk: SheetDesk, queue: Queue, fault: Action
) -> None:
    queue.add(VIDEO_TASKS, [a_video(1, title="A title", extra={"Gender": "f"}), a_video(2, title="Kept")])
    for body in ("addSheet", "findReplace", "updateCells"):
        desk.simulator.faults.add(fault, body=body)
    with suppress(StoreUnavailable):
        purge(queue, 1)
    left = queue.store.scan(VIDEO_TASKS)
    queue.erase(VIDEO_TASKS, [row for row in left if is_purged(row) and not is_erased(row)])
    purge(queue, 1)
    desk.show()
    assert [(line["URL"], line["Title"]) for line in desk.lines() if line["URL"]] == [
        ("purged", ""),
        (video_url(2), "Kept"),
    ]
    assert desk.book.rows(TAB)[1:] == [[tombstone(a_video(1).key)]]


def test_a_sort_at_the_same_moment_is_an_error_that_names_the_rows(desk: SheetDesk, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [a_video(number, title=f"Title {number}") for number in (1, 2, 3)])
    desk.show()
    spreadsheet = queue.store._spreadsheet  # type: ignore[attr-defined]
    write = spreadsheet.write

    def sort_before(requests: list[Json], **more: Any) -> Json:
        if "updateCells" in requests[0]:
            desk.person.sort(VIDEOS, "ID", descending=True)
        answer: Json = write(requests, **more)
        return answer

    with (
        mock.patch.object(spreadsheet, "write", sort_before),
        pytest.raises(StoreError, match=r"texts of the rows 3 .*"),
    ):
        purge(queue, 1)
    purge(queue, 1)
    assert "Title 1" not in str(desk.book.rows(VIDEOS))
    assert "Title 2" in str(desk.book.rows(VIDEOS))


# --- costs -----------------------------------------------------------------------------------------------------------


def test_tombstones_cost_one_request_for_each_process_and_purge(desk: SheetDesk, queue: Queue) -> None:
    """What is inserted and claimed between two purges costs what it costs without them."""

    def cost(number: int) -> int:
        before = requests(desk)
        queue.add(VIDEO_TASKS, [a_video(number)])
        (claim,) = queue.claim(VIDEO_TASKS, 1)
        queue.release([claim])
        queue.store.flush()
        desk.clock.advance(120)
        return requests(desk) - before

    cost(1)
    without = cost(2)
    purge(desk.queue("other"), 900)
    assert cost(3) == without + 1
    assert cost(4) == without
    assert video_url(900) not in str(desk.book.rows(VIDEOS))
