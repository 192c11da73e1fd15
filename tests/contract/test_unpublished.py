"""A row whose files wait on a machine's disk to be published is that machine's first, on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.rows import POLICY, make_queue, new_video
from youtube_download_coordinator.models import Done, Failure, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Change, Store, Where

UPLOAD = Failure(verdict=Verdict.LATER, reason="upload", message="the place does not answer")
NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))
KEY = new_video(1).key


def machines(store: Store) -> tuple[Queue, Queue]:
    """Return the queues of two machines. The first has unpublished files of the first video."""
    first, second = (make_queue(store, f"host-{name}/1", policy=NO_WAIT) for name in "ab")
    first.unpublished = lambda: {KEY}
    first.add(VIDEO_TASKS, [new_video(number) for number in range(1, 4)])
    return first, second


def row_of(store: Store) -> VideoTask:
    (row,) = store.scan(VIDEO_TASKS, Where(keys=[KEY]))
    return row


def test_after_a_failed_upload_the_row_is_its_machines_first(store: Store) -> None:
    first, second = machines(store)
    claims = first.claim(VIDEO_TASKS, 1)
    assert [claim.row.key for claim in claims] == [KEY]  # before the others that are due
    first.settle([(claims[0], UPLOAD)])
    assert row_of(store).lease.tries == 0
    assert KEY not in {claim.row.key for claim in second.claim(VIDEO_TASKS, 3)}
    assert (first.next_due(VIDEO_TASKS) or store.now()) <= store.now()
    (again,) = first.claim(VIDEO_TASKS, 1)
    first.settle([(again, Done(result="Irish/x.m4a"))])
    assert row_of(store).lease.state is State.DONE


def test_another_machine_takes_it_after_an_hour(store: Store) -> None:
    first, second = machines(store)
    first.settle([(first.claim(VIDEO_TASKS, 1)[0], UPLOAD)])
    row = row_of(store)
    assert row.not_before
    assert timedelta(minutes=59) < row.not_before - store.now() < timedelta(minutes=61)
    due = replace(row, lease=replace(row.lease, not_before=store.now(), version=row.lease.version + 1, nonce="due"))
    store.swap(VIDEO_TASKS, [Change(row, due)])
    assert KEY in {claim.row.key for claim in second.claim(VIDEO_TASKS, 3)}


def test_a_machine_that_had_it_before_is_not_early(store: Store) -> None:
    """Another machine had the row since: its pause is not for files."""
    first, second = machines(store)
    first.unpublished = lambda: ()
    (claimed,) = [claim for claim in second.claim(VIDEO_TASKS, 3) if claim.row.key == KEY]
    second.video_policy = replace(POLICY, backoff=timedelta(minutes=30))
    second.settle([(claimed, Failure(verdict=Verdict.RETRY, reason="http-503"))])
    first.unpublished = lambda: {KEY}
    assert KEY not in {claim.row.key for claim in first.claim(VIDEO_TASKS, 3)}


def test_a_worker_that_stops_or_is_killed_keeps_it_for_its_machine(store: Store) -> None:
    first, second = machines(store)
    first.release(first.claim(VIDEO_TASKS, 1))
    assert KEY not in {claim.row.key for claim in second.claim(VIDEO_TASKS, 3)}
    second.release_all()
    (claimed,) = first.claim(VIDEO_TASKS, 1)
    reaper = make_queue(store, "host-a/2", policy=NO_WAIT)
    reaper.unpublished = first.unpublished
    assert reaper.release_holder(first.worker, [claimed.row.id]) == 1
    assert (row_of(store).lease.reason, row_of(store).lease.tries) == ("killed", 1)
    assert KEY not in {claim.row.key for claim in second.claim(VIDEO_TASKS, 3)}
    assert KEY in {claim.row.key for claim in reaper.claim(VIDEO_TASKS, 1)}
