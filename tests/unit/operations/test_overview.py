"""The overview of the queue: counted once, and cheap on a sheet."""

from __future__ import annotations

from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue, new_source, new_video
from tests.support.sheet import sheet_desk
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict
from youtube_download_coordinator.operations.overview import Overview, overview
from youtube_download_coordinator.operations.summary import page
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS


def failure(verdict: Verdict, reason: str) -> Failure:
    return Failure(verdict=verdict, reason=reason, message="a text: with a colon")


def lived_in(queue: Queue) -> Overview:
    """Fill the queue. Of six videos one is done, one private, two wait after a failure, one is held, and one is pending.

    A source is held too.
    """
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(6)])
    queue.add(SOURCES, [new_source(1)])
    *claims, _held = sorted(queue.claim(VIDEO_TASKS, 5), key=lambda claim: claim.row.id)
    retry = failure(Verdict.RETRY, "http-503")
    outcomes: list[Outcome] = [
        Done(result="media/private: no reason"),
        failure(Verdict.PERMANENT, "private"),
        retry,
        retry,
    ]
    queue.settle(list(zip(claims, outcomes, strict=True)))
    queue.claim(SOURCES, 1)
    return overview(queue)


def test_rows_are_counted_by_state_reason_and_holder() -> None:
    found = lived_in(make_queue(FaultyStore()))
    assert found.counts == {
        "sources": {State.HELD: 1},
        "videos": {State.PENDING: 3, State.HELD: 1, State.DONE: 1},
        "dead letters": {State.DEAD: 1},
    }
    assert found.reasons == {"sources": {}, "videos": {"http-503": 2}, "dead letters": {"private": 1}}
    assert found.holders == {"host/a": 2}


def test_the_video_that_waits_longest_is_one_that_is_due() -> None:
    found = lived_in(make_queue(FaultyStore()))
    assert found.oldest
    assert (found.oldest.lease.state, found.oldest.not_before) == (State.PENDING, None)


def test_an_empty_queue() -> None:
    found = overview(make_queue(FaultyStore()))
    assert (found.oldest, found.holders) == (None, {})
    assert [(line.name, line.value) for line in found.controls] == [("fleet", "running")]


def test_on_a_sheet_it_costs_the_start_and_one_request_more() -> None:
    """The start: the tabs, their headers, a look through them. Then the line of the video that waits longest."""
    with sheet_desk() as desk:
        first = desk.queue()
        lived_in(first)
        first.store.close()
        before = desk.simulator.stats()["requests"]
        found = overview(desk.queue("another"))
        assert found.counts["videos"] == {State.PENDING: 3, State.HELD: 1, State.DONE: 1}
        assert found.reasons["dead letters"] == {"private": 1}
        assert desk.simulator.stats()["requests"] - before <= 4


def test_skipped_videos_are_counted_by_their_filter() -> None:
    queue = make_queue(FaultyStore())
    queue.add(VIDEO_TASKS, [new_video(number, duration_seconds=3600) for number in range(3)])
    results = ["skipped, licence youtube", "skipped, licence youtube", "skipped, training not permitted"]
    queue.settle([(claim, Done(result=text)) for claim, text in zip(queue.claim(VIDEO_TASKS, 3), results, strict=True)])
    state = overview(queue)
    assert (state.days[-1].videos, state.days[-1].seconds) == (0, 0)
    section = next(section for section in page(state).sections if section.title == "Done but skipped")
    assert section.rows == [("licence youtube", 2), ("training not permitted", 1)]


def test_hours_are_those_that_were_made_and_degraded_files_are_counted() -> None:
    queue = make_queue(FaultyStore())
    queue.add(VIDEO_TASKS, [new_video(number, duration_seconds=3600) for number in range(3)])
    outcomes = [
        Done(result="a.m4a", media_seconds=1800.4),
        Done(result="b.m4a", media_seconds=900, degraded="format-18, low-bit-rate"),
        Done(result="c.m4a", media_seconds=900, degraded="low-bit-rate"),
    ]
    queue.settle(list(zip(queue.claim(VIDEO_TASKS, 3), outcomes, strict=True)))
    state = overview(queue)
    assert state.days[-1].seconds == 3600
    assert state.degraded == {"low-bit-rate": 2, "format-18": 1}
    section = next(section for section in page(state).sections if section.title == "Done but degraded")
    assert [(line[0], line[2]) for line in section.rows] == [("low-bit-rate", 2), ("format-18", 1)]
    assert all(line[1] for line in section.rows)
    assert not any(
        section.title == "Done but degraded" for section in page(overview(make_queue(FaultyStore()))).sections
    )
