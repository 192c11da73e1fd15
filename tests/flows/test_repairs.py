"""recover-stalled and requeue-dead-letters."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.process_videos import process_videos
from flows.recover_stalled import recover_stalled
from flows.requeue_dead_letters import requeue_dead_letters
from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support.rows import new_source
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS


def test_what_a_dead_worker_held_is_pending_again(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)
    dead = Coordinator(Config(stalled_task_timeout_minutes=0.001), run="dead")
    dead.queue.claim(VIDEO_TASKS, 2)
    wait_until(lambda: recover_stalled(return_state=True).message == "2 videos retried")
    assert seen.statuses(coordinator) == ["pending"] * 3
    assert sorted(video.retry_count for video in seen.videos(coordinator)) == [0, 1, 1]


def test_what_is_held_is_left_alone(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(1)
    coordinator.queue.claim(VIDEO_TASKS, 1)
    state = recover_stalled(return_state=True)
    assert (state.name, state.message) == ("Completed", "nothing was stalled")
    assert seen.statuses(coordinator) == ["held"]
    assert seen.table(state, "recovered-rows") == []


def test_a_source_that_is_due_again_is_counted_once(coordinator: Coordinator) -> None:
    listed = Lease(state=State.DONE, not_before=datetime(2026, 1, 1, tzinfo=UTC), nonce="listed")
    coordinator.queue.store.restore(SOURCES, [new_source(1, id=1, lease=listed)])
    state = recover_stalled(return_state=True)
    assert state.message == "1 sources due again"
    (counts,) = seen.table(state, "recovered-rows")
    assert {name: count for name, count in counts.items() if count} == {"sources due again": 1}


def test_dead_letters_get_all_their_attempts_again(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)
    process_videos("tests.support.sample_processors:refuses")
    state = requeue_dead_letters([1, 3], return_state=True)
    assert state.message == "2 dead letters requeued"
    assert seen.table(state, "requeued-dead-letters") == [{"requeued": 2}]
    assert [(video.id, video.retry_count) for video in seen.videos(coordinator)] == [(1, 0), (3, 0)]
    assert requeue_dead_letters(return_state=True).message == "1 dead letters requeued"
    assert requeue_dead_letters(return_state=True).message == "0 dead letters requeued"
    assert seen.statuses(coordinator) == ["pending"] * 3
