"""Target hours on a sheet: counted from what a worker has read for its claims."""

from __future__ import annotations

from tests.support.rows import new_video
from tests.support.sheet import VIDEOS, SheetDesk, sheet_desk
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.queue.targets import Targets

VIDEO_COUNT = 40


def requests_of(desk: SheetDesk, hours: dict[str, float]) -> int:
    """Return the requests with which one worker works off a sheet of two accents."""
    queue = desk.queue()
    videos = [new_video(number, accent="ab"[number % 2], duration_seconds=3600) for number in range(VIDEO_COUNT)]
    desk.queue("first").add(VIDEO_TASKS, videos)
    queue.targets = Targets(hours=hours, monotonic=queue.monotonic)
    before, count = desk.simulator.stats()["requests"], 0
    while claims := queue.claim(VIDEO_TASKS, 5):
        queue.settle([(claim, Done(result="a file")) for claim in claims])
        count += len(claims)
    assert count == VIDEO_COUNT
    return int(desk.simulator.stats()["requests"] - before)


def test_counting_needs_no_request_of_its_own() -> None:
    with sheet_desk() as plain, sheet_desk() as with_targets:
        assert requests_of(with_targets, {"a": 100, "b": 200}) <= requests_of(plain, {}) + 1  # the first load


def test_a_duration_that_a_row_cannot_have_does_not_count() -> None:
    with sheet_desk() as desk:
        queue = desk.queue("first")
        queue.add(VIDEO_TASKS, [new_video(number, accent="a", duration_seconds=3600) for number in range(2)])
        queue.settle([(claim, Done(result="a file")) for claim in queue.claim(VIDEO_TASKS, 2)])
        queue.store.flush()
        desk.show()
        desk.person.edit(VIDEOS, desk.row_of(new_video(0).url), "Duration", str(10**12))
        reader = desk.queue("second")
        reader.targets = Targets(hours={"a": 2}, monotonic=reader.monotonic)
        assert [each.hours for each in reader.hours_by_target()] == [1]
