"""The attempts of one worker: when they stop, why, and when they go on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import new_video
from youtube_download_coordinator.models import Done, Failure, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import Attempts

REFUSAL = Failure(verdict=Verdict.THROTTLED, reason="throttled", message="my own service")
NO_FFMPEG = Failure(verdict=Verdict.UNFIT, reason="ffmpeg", message="ffmpeg is missing")


@pytest.fixture
def attempts(queue: Queue) -> Attempts[VideoTask]:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(4)])
    return Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(minutes=5), claim_batch_size=2)


def test_the_store_is_asked_for_nothing_when_nothing_may_be_claimed(
    attempts: Attempts[VideoTask], store: FaultyStore
) -> None:
    attempts.max_rows = 0
    store.calls.clear()
    assert attempts.begin_next() is None
    assert store.calls["scan"] == store.calls["swap"] == 0


@pytest.mark.parametrize(
    ("max_rows", "stopped_by", "is_blocked", "may_find_work"),
    [
        (None, "", False, True),
        (1, "", False, True),
        (0, "", False, False),
        (0, "the fleet is paused", True, False),
        (2, "the fleet is paused", True, True),
        (2, "ffmpeg is missing", False, False),
    ],
)
def test_a_later_look_may_find_work_unless_a_limit_or_a_failure_ends_it(
    attempts: Attempts[VideoTask], max_rows: int | None, stopped_by: str, is_blocked: bool, may_find_work: bool
) -> None:
    attempts.max_rows, attempts.stopped_by, attempts.is_blocked = max_rows, stopped_by, is_blocked
    assert attempts.may_find_work is may_find_work


def test_it_goes_on_when_the_pause_that_stopped_it_has_ended_and_not_before(
    attempts: Attempts[VideoTask], queue: Queue
) -> None:
    queue.admission.pause(None, "by hand")
    assert attempts.begin_next() is None
    attempts.resume_if_unblocked()
    assert (attempts.stopped_by, attempts.is_blocked) == ("the fleet is paused: by hand", True)
    queue.admission.resume("by hand")
    attempts.resume_if_unblocked()
    assert (attempts.stopped_by, attempts.is_blocked) == ("", False)
    assert attempts.begin_next()


def test_a_failure_of_the_machine_is_no_pause_that_ends(attempts: Attempts[VideoTask]) -> None:
    claim = attempts.begin_next()
    assert claim
    attempts.end(claim, NO_FFMPEG)
    assert (attempts.stopped_by, attempts.is_blocked) == ("ffmpeg: ffmpeg is missing", False)
    attempts.resume_if_unblocked()
    assert attempts.stopped_by == "ffmpeg: ffmpeg is missing", "nothing has blocked it, so nothing has ended"


def test_a_refusal_stops_it_without_an_end_until_it_is_recorded(attempts: Attempts[VideoTask]) -> None:
    claim = attempts.begin_next()
    assert claim
    attempts.end(claim, REFUSAL)
    assert not attempts.may_find_work
    attempts.resume_if_unblocked()
    assert attempts.stopped_by == "throttled: my own service"


def test_an_unfit_machine_is_named_as_the_reason_during_a_pause_too(
    attempts: Attempts[VideoTask], queue: Queue
) -> None:
    claim = attempts.begin_next()
    assert claim
    queue.admission.pause(None, "by hand")
    assert attempts.settle(claim, NO_FFMPEG)
    assert attempts.stopped_by == "ffmpeg: ffmpeg is missing"


def test_a_result_that_is_recorded_during_a_pause_leaves_the_backlog_to_the_next_look(
    attempts: Attempts[VideoTask], queue: Queue
) -> None:
    claim = attempts.begin_next()
    assert claim
    queue.admission.pause(None, "by hand")
    assert attempts.settle(claim, Done())
    assert attempts.stopped_by == "", "only begin_next decides that, right before the next attempt"
    assert attempts.begin_next() is None
    assert attempts.stopped_by == "the fleet is paused: by hand"


def test_it_goes_on_after_a_refusal_while_another_attempt_decides_about_it(attempts: Attempts[VideoTask]) -> None:
    refused, other = attempts.begin_next(), attempts.begin_next()
    assert refused
    assert other
    assert attempts.settle(refused, REFUSAL)
    assert (attempts.stopped_by, attempts.is_blocked) == ("", False)


def test_a_claim_that_is_given_back_is_begun_no_more(attempts: Attempts[VideoTask], store: FaultyStore) -> None:
    claim = attempts.begin_next()
    assert claim
    attempts.release([claim])
    assert attempts.begun == {}
