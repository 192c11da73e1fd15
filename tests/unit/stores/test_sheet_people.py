"""People at the sheet: everything that they may do to rows and columns, one test each. Status: test_sheet_status.py."""

from __future__ import annotations

import pytest

from tests.fake_google.faults import Action
from tests.support.rows import new_source
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from tests.support.sheet import BROKEN, DEAD, SOURCE_TAB, VIDEOS, SheetDesk, add_videos, video_url
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


# --- adding rows ----------------------------------------------------------------------------------------------------------


def test_a_bare_url_becomes_a_video(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.insert_row(VIDEOS, 1, {"URL": "https://youtu.be/v0000000002", "Accent": "pt-BR"})
    desk.finish(queue)
    line = desk.line("https://youtu.be/v0000000002")
    assert (line["ID"], line["Status"], line["Result"], line["Accent"]) == ("2", "done", "ok", "pt-BR")
    assert "for yt:v:v0000000002" in line["Lease"]


def test_a_bare_url_becomes_a_source(desk: SheetDesk, queue: Queue) -> None:
    url = "https://www.youtube.com/@somebody"
    desk.person.insert_row(SOURCE_TAB, 1, {"URL": url})
    (claim,) = queue.claim(SOURCES, 5)
    assert claim.row.key == "yt:a:@somebody"
    desk.look_again(queue)
    line = desk.line(url, SOURCE_TAB)
    assert (line["ID"], line["Key"]) == ("1", "yt:a:@somebody")


def test_a_url_between_other_rows_and_below_an_empty_one_is_found(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2, 3)
    desk.person.insert_row(VIDEOS, 2, {"URL": video_url(4)})
    desk.person.edit(VIDEOS, 9, "URL", video_url(5))
    desk.finish(queue)
    assert {line["Status"] for line in desk.lines() if line["URL"]} == {"done"}
    assert sorted(line["ID"] for line in desk.lines() if line["URL"]) == ["1", "2", "3", "4", "5"]


def test_a_known_url_becomes_a_duplicate(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.insert_row(VIDEOS, 1, {"URL": "https://youtu.be/v0000000001"})
    desk.finish(queue)
    desk.look_again(queue)
    line = desk.line("https://youtu.be/v0000000001")
    assert (line["Status"], line["LastError"]) == ("error", "duplicate of 1")
    assert desk.line(video_url(1))["Status"] == "done"


def test_the_same_url_typed_twice_is_processed_once(desk: SheetDesk, queue: Queue) -> None:
    for _ in range(2):
        desk.person.insert_row(VIDEOS, 1, {"URL": video_url(1)})
    desk.finish(queue)
    assert sorted(line["Lease"].split()[1] for line in desk.lines()) == ["done", "error"]


def test_what_is_no_url_of_a_video_is_an_error_with_the_reason(desk: SheetDesk, queue: Queue) -> None:
    for url in ("hello", "https://www.youtube.com/@channel", "https://example.org/x"):
        desk.person.insert_row(VIDEOS, 1, {"URL": url})
    desk.finish(queue)
    desk.look_again(queue)
    assert {line["Status"] for line in desk.lines()} == {"error"}
    assert all(line["LastError"].startswith("bad-url: ") for line in desk.lines())


def test_a_row_that_is_only_notes_is_left_alone(desk: SheetDesk, queue: Queue) -> None:
    desk.person.insert_row(VIDEOS, 1, {"Accent": "remember the milk"})
    desk.finish(queue)
    assert [line for line in desk.lines() if line["Lease"]] == []


def test_more_rows_than_there_are_slots_are_taken_in(queue: Queue, desk: SheetDesk) -> None:
    for number in range(130):
        desk.person.insert_row(VIDEOS, 1, {"URL": video_url(number)})
    desk.finish(queue)
    desk.look_again(queue)
    desk.finish(queue)
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 130}


def test_an_id_that_a_person_types_is_kept_unless_a_row_has_it(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    desk.person.insert_row(VIDEOS, 1, {"URL": video_url(3), "ID": "2"})
    desk.person.insert_row(VIDEOS, 1, {"URL": video_url(4), "ID": "70"})
    desk.finish(queue)
    ids = {line["URL"]: int(line["ID"]) for line in desk.lines()}
    assert (ids[video_url(1)], ids[video_url(2)], ids[video_url(4)]) == (1, 2, 70)
    assert ids[video_url(3)] > 70


# --- copying and deleting -------------------------------------------------------------------------------------------------


def test_a_copied_row_becomes_a_duplicate_and_is_processed_once(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.duplicate_row(VIDEOS, 1)
    desk.finish(queue)
    desk.look_again(queue)
    assert sorted((line["ID"], line["Status"], line["LastError"]) for line in desk.lines()) == [
        ("1", "done", ""),
        ("2", "error", "duplicate of 1"),
    ]


@pytest.mark.parametrize("fault", [None, "reset", "apply_then_reset"])
def test_a_row_whose_copy_is_read_beside_it_is_claimed_once(
    desk: SheetDesk, queue: Queue, fault: Action | None
) -> None:
    """Claim once, also when the answer is lost: each of the two rows would seem to have the new lease."""
    add_videos(queue, 1, 2)
    desk.look_again(queue)
    desk.person.duplicate_row(VIDEOS, 1)
    if fault:
        desk.simulator.faults.add(fault, body="findReplace")
    (claim,) = queue.claim(VIDEO_TASKS, 2)
    assert claim.row.url == video_url(1)
    assert queue.renew() == []
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.finish(queue)
    desk.look_again(queue)
    assert sorted((line["URL"], line["Status"], line["LastError"]) for line in desk.lines()) == [
        (video_url(1), "done", ""),
        (video_url(1), "error", "duplicate of 1"),
        (video_url(2), "done", ""),
    ]


def test_a_row_copied_while_it_is_processed_keeps_its_holder(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.duplicate_row(VIDEOS, 1)
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.look_again(queue)
    assert sorted(line["Status"] for line in desk.lines()) == ["done", "error"]


def test_a_copy_with_another_url_is_a_row_of_its_own(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.duplicate_row(VIDEOS, 1)
    desk.person.edit(VIDEOS, 1, "URL", video_url(2))
    desk.finish(queue)
    assert {line["URL"]: line["Status"] for line in desk.lines()} == {video_url(1): "done", video_url(2): "done"}


def test_a_copy_in_the_other_tab_is_set_apart(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.finish(queue, BROKEN)
    (dead,) = desk.lines(DEAD)
    desk.person.insert_row(VIDEOS, 1, {name: text for name, text in dead.items() if text})
    desk.look_again(queue)
    assert desk.line(video_url(1), DEAD)["ID"] == "1"
    assert [(line["ID"], line["LastError"]) for line in desk.lines()] == [("2", "duplicate of 1")]


def test_a_copy_that_a_move_carried_off_while_its_row_was_held_is_never_processed(
    desk: SheetDesk, queue: Queue
) -> None:
    """It is not changed along with the row, so it still says held when the row is done."""
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.insert_row(DEAD, 1, {name: text for name, text in desk.line(video_url(1)).items() if text})
    queue.renew()
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.clock.advance(queue.video_policy.lease.total_seconds())
    desk.look_again(queue)
    desk.look_again(queue)
    assert queue.claim(VIDEO_TASKS, 1) == []
    assert sorted((line["ID"], line["Status"], line["LastError"]) for line in desk.lines()) == [
        ("1", "done", ""),
        ("2", "error", "duplicate of 1"),
    ]


def test_a_row_that_a_move_carried_off_is_found_by_its_holder(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.insert_row(DEAD, 1, {name: text for name, text in desk.line(video_url(1)).items() if text})
    desk.person.delete_row(VIDEOS, 1)
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    desk.look_again(queue)
    assert desk.line(video_url(1))["Status"] == "done"
    assert desk.lines(DEAD) == []


def test_a_deleted_row_is_gone(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    desk.person.delete_row(VIDEOS, desk.row_of(video_url(1)))
    desk.finish(queue)
    assert [line["URL"] for line in desk.lines()] == [video_url(2)]


def test_the_result_of_a_row_deleted_meanwhile_is_dropped(
    desk: SheetDesk, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.delete_row(VIDEOS, 1)
    assert queue.settle([(claim, Done())]) == [None]
    assert "the claim was lost, so the outcome is discarded" in caplog.text


def test_an_id_of_a_deleted_row_is_never_used_again(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    desk.person.delete_row(VIDEOS, 2)
    add_videos(desk.queue("another"), 3)
    assert desk.line(video_url(3))["ID"] == "3"


# --- columns, sorts, filters ----------------------------------------------------------------------------------------------


def test_reordered_columns_are_found_by_their_names(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2)
    for column in ("Lease", "URL", "Status"):
        desk.person.move_column(VIDEOS, column, 0)
    desk.finish(queue)
    assert [line["Status"] for line in desk.lines()] == ["done", "done"]


def test_columns_moved_while_a_row_is_held_lose_no_result(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.show()
    desk.person.move_column(VIDEOS, "Lease", 0)
    assert queue.settle([(claim, Done(result="ok"))])[0] is not None
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 1}


def test_own_columns_may_be_added_and_renamed(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.insert_column(VIDEOS, 2, "Gender")
    desk.person.edit(VIDEOS, 1, "Gender", "f")
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    assert claim.row.extra == {"Gender": "f"}
    desk.person.edit(VIDEOS, 0, "Gender", "Speaker")
    queue.settle([(claim, Done())])
    desk.show()
    assert desk.line(video_url(1))["Speaker"] == "f"
    assert next(queue.rows(VIDEO_TASKS)).extra == {"Speaker": "f"}


def test_own_cells_follow_a_row_to_the_dead_letters_and_back(desk: SheetDesk, queue: Queue) -> None:
    desk.person.insert_column(VIDEOS, 0, "Gender")
    add_videos(queue, 1, Gender="f")
    desk.finish(queue, BROKEN)
    assert desk.line(video_url(1), DEAD)["Gender"] == "f"
    assert queue.requeue_dead_letters() == 1
    assert desk.line(video_url(1))["Gender"] == "f"


def test_an_own_column_named_as_one_of_the_other_tab_is_never_written(desk: SheetDesk, queue: Queue) -> None:
    """`Key` belongs to the coordinator in Sources alone."""
    desk.person.insert_column(VIDEOS, 0, "Key")
    add_videos(queue, 1, Key="before")
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.edit(VIDEOS, 1, "Key", "typed while the row is held")
    queue.settle([(claim, Done(result="a.m4a"))])
    desk.show()
    assert (desk.line(video_url(1))["Status"], desk.line(video_url(1))["Key"]) == (
        "done",
        "typed while the row is held",
    )
    desk.person.edit(VIDEOS, 1, "URL", "")
    desk.person.edit(VIDEOS, 1, "Lease", "")
    for _ in range(2):
        desk.look_again(queue)
    assert (desk.lines()[0]["Shown"], desk.lines()[0]["Key"]) == ("", "typed while the row is held")


@pytest.mark.parametrize("column", [*SEED_VIDEO_COLUMNS, "Lease", "Shown", "Result"])
@pytest.mark.parametrize("descending", [False, True])
def test_a_sort_by_any_column_between_two_requests_sends_nothing_astray(
    desk: SheetDesk, queue: Queue, column: str, descending: bool
) -> None:
    add_videos(queue, *range(8))
    for number in range(8):
        desk.person.edit(VIDEOS, number + 1, "Accent", f"own {(number * 5) % 8}")
    own = {line["URL"]: line["Accent"] for line in desk.lines()}
    claims = queue.claim(VIDEO_TASKS, 3)
    desk.person.sort(VIDEOS, column, descending=descending)
    queue.settle([(claim, Done(result=claim.row.url)) for claim in claims])
    desk.person.sort(VIDEOS, column, descending=not descending)
    while claims := queue.claim(VIDEO_TASKS, 3):
        queue.settle([(claim, Done(result=claim.row.url)) for claim in claims])
    desk.look_again(queue)
    assert all((line["Result"], line["Status"]) == (line["URL"], "done") for line in desk.lines())
    assert {line["URL"]: line["Accent"] for line in desk.lines()} == own


def test_filtered_rows_and_hidden_columns_are_worked_on_as_ever(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1, 2, 3)
    desk.person.hide_column(VIDEOS, "Lease")
    desk.person.hide_column(VIDEOS, "URL")
    desk.person.filter(VIDEOS, "Status", ["pending", "in-progress", "done"])
    add_videos(queue, 4)
    desk.finish(queue)
    assert {line["Status"] for line in desk.lines()} == {"done"}


def test_rows_deleted_from_the_end_of_the_grid_stop_nobody(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, *range(59))
    claims = queue.claim(VIDEO_TASKS, 20)
    for _ in range(30):
        desk.person.delete_row(VIDEOS, 2)
    assert any(row is not None for row in queue.settle([(claim, Done()) for claim in claims]))
    desk.finish(queue)
    assert {line["Status"] for line in desk.lines()} == {"done"}


def test_a_url_that_was_changed_is_not_processed_and_says_so(desk: SheetDesk, queue: Queue) -> None:
    add_videos(queue, 1)
    desk.person.edit(VIDEOS, 1, "URL", video_url(2))
    assert queue.claim(VIDEO_TASKS, 1) == []
    desk.look_again(queue)
    assert desk.lines()[0]["LastError"].startswith("url-changed")


def test_sources_are_kept_apart_from_videos(desk: SheetDesk, queue: Queue) -> None:
    queue.add(SOURCES, [new_source(1)])
    add_videos(queue, 1)
    desk.person.sort(SOURCE_TAB, "URL")
    desk.finish(queue)
    assert queue.counts(SOURCES) == {State.PENDING: 1}
