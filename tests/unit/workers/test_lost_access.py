"""A spreadsheet that is no longer shared, in the middle of the work: results are kept as long as their claims hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.sheet import SheetDesk, a_video
from youtube_download_coordinator.errors import ConfigError, StoreUnavailable
from youtube_download_coordinator.models import Done, Status
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import Attempts, FinishedAttempt

READ_ONLY, NONE = "reader", "none"


class Work:
    """A worker with a result that is not recorded yet, whose account gets another role."""

    def __init__(self, desk: SheetDesk) -> None:
        self.desk, self.queue = desk, desk.queue()
        (self.email,) = desk.book.roles
        self.queue.add(VIDEO_TASKS, [a_video(1)])
        self.attempts = Attempts(queue=self.queue, table=VIDEO_TASKS, timeout=timedelta(hours=1), claim_batch_size=1)
        claim = self.attempts.begin_next()
        assert claim
        self.attempts.end(claim, Done(result="a.m4a"))
        self.finished = [FinishedAttempt(claim=claim, outcome=Done(result="a.m4a"))]

    def is_given(self, role: str) -> None:
        self.desk.book.share(self.email, role)


@pytest.mark.parametrize("role", [READ_ONLY, NONE])
def test_a_result_outlives_access_that_is_taken_away_and_given_again(desk: SheetDesk, role: str) -> None:
    work = Work(desk)
    work.is_given(role)
    assert work.attempts.record(work.finished) == []
    work.is_given("writer")
    ((_, row),) = work.attempts.record(work.finished)
    assert row
    assert (row.status, row.result) == (Status.DONE, "a.m4a")


def test_when_the_lease_is_over_the_worker_stops_and_says_what_to_do(desk: SheetDesk) -> None:
    work = Work(desk)
    work.is_given(READ_ONLY)
    desk.clock.advance(work.queue.video_policy.lease.total_seconds())
    with pytest.raises(StoreUnavailable, match=r"not shared with .* as an editor: share it") as raised:
        work.attempts.record(work.finished)
    assert isinstance(raised.value, ConfigError)


def test_a_worker_that_never_had_access_is_refused_at_once(desk: SheetDesk) -> None:
    environment = desk.environment()
    (email,) = desk.book.roles
    desk.book.share(email, READ_ONLY)
    store = type(desk.store("other"))(desk.config, environment)
    before = desk.clock.now()
    with pytest.raises(ConfigError, match="share it with that address") as raised:
        store.insert(VIDEO_TASKS, [a_video(1)])
    assert not isinstance(raised.value, StoreUnavailable)
    assert desk.clock.now() - before < 5
