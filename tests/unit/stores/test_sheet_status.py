"""People at the Status column: each word that they may type into it, on a row in each state."""

from __future__ import annotations

import pytest

from tests.support.sheet import BROKEN, DEAD, VIDEOS, SheetDesk, add_videos, video_url
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


def test_pending_on_a_done_row_runs_it_again(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.finish(queue, Done(result="first"))
    desk.type_status(video_url(1), "Pending")
    desk.finish(queue, Done(result="second"))
    assert desk.line(video_url(1))["Result"] == "second"


def test_pending_on_an_error_runs_it(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.look_again(queue)
    desk.type_status(video_url(1), "error")
    desk.look_again(queue)
    desk.type_status(video_url(1), "pending")
    desk.finish(queue)
    assert desk.line(video_url(1))["Status"] == "done"


@pytest.mark.parametrize("status", ["done", "error"])
def test_done_skips_and_error_keeps_away(desk: SheetDesk, queue: Queue, status: str) -> None:
    add_videos(queue, 1, 2)
    desk.look_again(queue)
    desk.type_status(video_url(1), status)
    claims = queue.claim(VIDEO_TASKS, 5)
    assert [claim.row.url for claim in claims] == [video_url(2)]
    desk.look_again(queue)
    line = desk.line(video_url(1))
    assert (line["Status"], line["ClaimedBy"]) == (status, "")
    assert "by hand" in line["Result"] + line["LastError"].replace("-", " ")


def test_done_on_an_error_skips(desk: SheetDesk, queue: Queue) -> None:
    desk.person.insert_row(VIDEOS, 1, {"URL": "nonsense"})
    desk.look_again(queue)
    desk.type_status("nonsense", "done")
    desk.look_again(queue)
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 1}


def test_what_is_typed_while_a_row_is_held_is_ignored(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.show()
    desk.type_status(video_url(1), "error")
    queue.recover(VIDEO_TASKS)
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.show()
    assert desk.line(video_url(1))["Status"] == "done"


def test_what_is_typed_on_a_row_that_shows_its_holder_is_ignored_by_everybody(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.show()
    desk.type_status(video_url(1), "pending")
    other = desk.queue("other")
    other.recover(VIDEO_TASKS)
    assert other.claim(VIDEO_TASKS, 1) == []
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None


def test_pending_in_the_dead_letters_requeues(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.finish(queue, BROKEN)
    desk.type_status(video_url(1), "pending", DEAD)
    desk.finish(queue)
    assert desk.line(video_url(1))["Status"] == "done"
    assert desk.lines(DEAD) == []


def test_done_in_the_dead_letters_skips(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.finish(queue, BROKEN)
    desk.type_status(video_url(1), "done", DEAD)
    desk.look_again(queue)
    assert desk.lines(DEAD) == []
    assert desk.line(video_url(1))["Status"] == "done"


UNKNOWN_STATUSES = {
    "hello": "“hello” is not a Status; type pending, done or error",
    "done!": "“done!” is not a Status; type pending, done or error",
    "Retry": "“Retry” is not a Status; type pending, done or error",
    "TRUE": "“TRUE” is not a Status; type pending, done or error",
    "": "Status was emptied, which changes nothing; type pending, done or error",
    "In-Progress": "only workers set in-progress; type pending, done or error",
}


@pytest.mark.parametrize(("status", "message"), UNKNOWN_STATUSES.items())
def test_a_status_that_means_nothing_is_put_right_and_said(
    desk: SheetDesk, queue: Queue, status: str, message: str
) -> None:
    add_videos(queue, 1, 2)
    desk.finish(queue)
    desk.type_status(video_url(1), status)
    for _ in range(3):
        desk.look_again(queue)
        first, second = desk.lines()
        assert (first["Status"], first["LastError"], first["Result"]) == ("done", f"unknown-status: {message}", "ok")
    assert (second["Status"], second["LastError"]) == ("done", "")
    desk.type_status(video_url(1), "pending")
    desk.finish(queue)
    assert (desk.lines()[0]["Status"], desk.lines()[0]["LastError"]) == ("done", "")


@pytest.mark.parametrize("status", ["skip", "", "in-progress", "stop!", 7])
@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_pending_row_with_a_status_that_means_nothing_is_kept_away(
    desk: SheetDesk, queue: Queue, status: str | int, is_looked_at: bool
) -> None:
    """Keep it away whether a claim or a look meets the word first. Whoever typed it did not mean pending."""
    add_videos(queue, 1, 2)
    desk.person.edit(VIDEOS, desk.row_of(video_url(1)), "Status", status)
    if is_looked_at:
        desk.clock.advance(61)
        queue.recover(VIDEO_TASKS)
    assert [claim.row.url for claim in queue.claim(VIDEO_TASKS, 5)] == [video_url(2)]
    desk.look_again(queue)
    line = desk.line(video_url(1))
    assert (line["Status"], line["LastError"][:16]) == ("error", "unknown-status: ")
    assert line["LastError"].endswith("type pending, done or error")
    desk.type_status(video_url(1), "pending")
    desk.finish(queue)
    assert desk.line(video_url(1))["Status"] == "done"


def test_a_status_that_means_nothing_in_a_tab_that_has_become_shorter(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    desk.person.edit(VIDEOS, desk.row_of(video_url(1)), "Status", "skip")
    desk.person.delete_row(VIDEOS, desk.book.contents.titled(VIDEOS).rows - 1)  # type: ignore[union-attr]
    desk.look_again(queue)
    assert desk.line(video_url(1))["Status"] == "error"
    assert [claim.row.url for claim in queue.claim(VIDEO_TASKS, 5)] == [video_url(2)]


def test_a_failed_row_keeps_its_reason_beside_the_note(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.finish(queue, BROKEN)
    desk.type_status(video_url(1), "again", DEAD)
    desk.look_again(queue)
    line = desk.line(video_url(1), DEAD)
    assert (line["Status"], line["LastError"]) == (
        "error",
        "unknown-status: “again” is not a Status; type pending, done or error (private: Private video)",
    )


def test_a_status_typed_while_a_row_is_in_progress_is_ignored_and_said(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.show()
    desk.type_status(video_url(1), "done")
    desk.look_again(queue)
    line = desk.line(video_url(1))
    assert (line["Status"], line["LastError"]) == (
        "in-progress",
        "unknown-status: text typed while a row is in progress is ignored; type it again when the attempt has ended",
    )
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.show()
    assert (desk.line(video_url(1))["Status"], desk.line(video_url(1))["LastError"]) == ("done", "")


def test_pending_on_a_duplicate_does_not_make_two_of_it(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.duplicate_row(VIDEOS, 1)
    desk.finish(queue)
    desk.look_again(queue)
    at = next(at for at, line in enumerate(desk.lines(), start=1) if line["Status"] == "error")
    desk.person.edit(VIDEOS, at, "Status", "pending")
    desk.look_again(queue)
    desk.look_again(queue)
    assert sorted(line["Status"] for line in desk.lines()) == ["done", "error"]
