"""Cells that are out of date: a killed worker left them unwritten, or lines moved while they were pending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.rows import new_video
from tests.support.sheet import VIDEOS as VIDEO_TAB
from tests.support.sheet import SheetDesk, a_video, video_url
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, Status, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.projection import LEFTOVER_SECONDS, SHOW_SECONDS

URL = video_url(1)


@pytest.fixture
def shown_as_held(desk: SheetDesk) -> None:
    """Leave a video whose worker was killed between its result and the writing of its cells."""
    worker = desk.queue("killed")
    worker.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = worker.claim(VIDEO_TASKS, 1)
    desk.show()
    worker.settle([(claim, Done(result="a.m4a"))])
    desk.later.clear()
    assert desk.line(URL)["Status"] == Status.IN_PROGRESS


def look_and_end(desk: SheetDesk) -> int:
    """Run with nothing to do. Return how many requests write."""
    before = desk.simulator.stats()["last"]
    queue = desk.queue("a run")
    assert queue.claim(VIDEO_TASKS, 1) == []
    queue.store.close()
    return int(desk.simulator.stats(before)["writes"])


@pytest.mark.parametrize(
    "change",
    [
        lambda worker, claim: worker.renew(),
        lambda worker, claim: worker.release([claim]),
        lambda worker, claim: worker.settle([(claim, Done(result="a.m4a"))]),
    ],
    ids=["renewed", "given back", "recorded again"],
)
def test_a_result_without_an_answer_may_stand_and_is_not_undone(
    desk: SheetDesk, change: Callable[[Queue, Claim[VideoTask]], Any]
) -> None:
    """Were the lease put back, or the row given back, its video would be processed again."""
    worker = desk.queue("a")
    worker.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = worker.claim(VIDEO_TASKS, 1)
    faults = desk.simulator.faults
    faults.add("apply_then_reset", body="findReplace")
    outage = faults.add("status", status=503, times=None)
    with pytest.raises(StoreUnavailable):
        worker.settle([(claim, Done(result="a.m4a"))])
    assert " done " in desk.line(URL)["Lease"]
    outage.times = 0
    change(worker, claim)
    assert " done " in desk.line(URL)["Lease"]


def test_a_result_that_google_never_answers_is_not_taken_for_lost(desk: SheetDesk) -> None:
    """Reads work, writes do not: the row is as it was, and the result is to be recorded later."""
    worker = desk.queue("a")
    worker.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = worker.claim(VIDEO_TASKS, 1)
    outage = desk.simulator.faults.add("reset", body="findReplace", times=None)
    with pytest.raises(StoreUnavailable, match="does not answer whether"):
        worker.settle([(claim, Done(result="a.m4a"))])
    outage.times = 0
    assert worker.settle([(claim, Done(result="a.m4a"))])[0] is not None
    assert " done " in desk.line(URL)["Lease"]


def test_what_was_sent_without_an_answer_is_known_as_ones_own(desk: SheetDesk) -> None:
    worker = desk.queue("a")
    worker.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = worker.claim(VIDEO_TASKS, 1)
    faults = desk.simulator.faults
    for ask in (worker.renew, lambda: worker.settle([(claim, Done(result="a.m4a"))])):
        faults.add("apply_then_reset", body="findReplace")
        outage = faults.add("status", status=503, times=None)
        with pytest.raises(StoreUnavailable):
            ask()
        outage.times = 0
        if ask == worker.renew:
            assert worker.renew() == []
    assert worker.settle([(claim, Done(result="a.m4a"))])[0] is not None


@pytest.mark.usefixtures("shown_as_held")
def test_what_was_left_long_ago_is_shown_by_a_run_that_ends_at_once(desk: SheetDesk) -> None:
    desk.clock.advance(LEFTOVER_SECONDS)
    assert look_and_end(desk) == 1
    line = desk.line(URL)
    assert (line["Status"], line["Result"]) == (Status.DONE, "a.m4a")
    assert look_and_end(desk) == 0


@pytest.mark.usefixtures("shown_as_held")
def test_what_may_be_written_any_moment_is_left_to_whoever_owes_it(desk: SheetDesk) -> None:
    desk.clock.advance(SHOW_SECONDS)
    assert look_and_end(desk) == 0
    assert desk.line(URL)["Status"] == Status.IN_PROGRESS


@pytest.mark.usefixtures("shown_as_held")
def test_a_process_that_ends_does_not_wait_for_google_to_mend_what_others_left(desk: SheetDesk) -> None:
    desk.clock.advance(LEFTOVER_SECONDS)
    store = desk.store("a run")
    store.count(VIDEO_TASKS)
    desk.simulator.faults.add("status", status=503, times=None, path="/v4/")
    began = desk.clock.now()
    store.close()
    assert desk.clock.now() == began


def test_lines_that_moved_up_do_not_keep_a_worker_from_showing_what_it_owes(desk: SheetDesk) -> None:
    """Another worker's video went to the dead letters; this one does not look at the sheet before it shows its own."""
    other, owing = desk.queue("other"), desk.queue("owing")
    other.add(VIDEO_TASKS, [new_video(number) for number in range(1, 8)])
    first, *rest = sorted(other.claim(VIDEO_TASKS, 7), key=lambda claim: claim.row.id)
    other.release(rest)
    done = owing.claim(VIDEO_TASKS, 2)
    owing.settle([(claim, Done(result="a.m4a")) for claim in done])
    other.settle([(first, Failure(verdict=Verdict.PERMANENT, reason="private"))])
    desk.show()
    for claim in done:
        assert desk.line(claim.row.url)["Status"] == Status.DONE


def test_a_lease_that_is_emptied_in_progress_stops_no_fleet(desk: SheetDesk) -> None:
    """The row is due again when its holder must know: not beside it, which would look like a failure of Google's."""
    holder, other = desk.queue("holder"), desk.queue("other")
    holder.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = holder.claim(VIDEO_TASKS, 1)
    desk.show()
    desk.person.edit(VIDEO_TAB, 1, "Lease", "")
    lease_seconds = holder.video_policy.lease.total_seconds()
    for _ in range(3):
        desk.clock.advance(lease_seconds / 4)
        assert other.claim(VIDEO_TASKS, 1) == []
        holder.renew()
    assert claim.lost
    desk.clock.advance(lease_seconds)
    assert [again.row.url for again in other.claim(VIDEO_TASKS, 1)] == [URL]


@pytest.mark.parametrize("source_is_done", [True, False])
def test_a_lease_that_was_filled_down_runs_nothing_again(desk: SheetDesk, source_is_done: bool) -> None:
    """Each other row shows what its own lease was, so it gets that back."""
    queue = desk.queue("worker")
    queue.add(VIDEO_TASKS, [a_video(number) for number in range(6)])
    desk.clock.advance(2)
    claims = queue.claim(VIDEO_TASKS, 3)
    queue.settle([(claim, Done(result="first")) for claim in claims])
    desk.show()
    before = {line["URL"]: (line["ID"], line["Status"], line["Result"]) for line in desk.lines()}
    is_source = [(line["Status"] == Status.DONE) == source_is_done for line in desk.lines()]
    pasted = desk.lines()[is_source.index(True)]["Lease"]
    for row in range(1, 7):
        desk.person.edit(VIDEO_TAB, row, "Lease", pasted)
    for _ in range(2):
        desk.look_again(queue)
    assert {line["URL"]: (line["ID"], line["Status"], line["Result"]) for line in desk.lines()} == before
    done = {claim.row.url for claim in claims}
    assert {claim.row.url for claim in queue.claim(VIDEO_TASKS, 6)} == before.keys() - done
