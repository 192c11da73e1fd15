"""A block of code that claims videos itself: renewed while it runs, recorded or given back whatever ends it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.faulty_store import ClockedStore, FaultyStore
from tests.support.rows import POLICY, Clock, make_admission, make_queue, new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, PermanentError, ThrottledError, VideoTask
from youtube_download_coordinator.errors import ClaimLost, StoreUnavailable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.processes import parent
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.workers import attempts as attempts_module
from youtube_download_coordinator.workers.attempts import DEADLINE_GRACE_SECONDS, AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock

BATCH = 3


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(claim_batch_size=BATCH, database_url=f"sqlite:///{tmp_path / 'reapers_look_here.db'}")


@pytest.fixture
def queue(store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr(attempts_module, "RECORD_AGAIN_SECONDS", 0)
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(8)])
    return queue


def states(queue: Queue) -> dict[State, int]:
    return dict(queue.counts(VIDEO_TASKS))


def rows(queue: Queue) -> dict[int, VideoTask]:
    return {row.id: row for row in queue.rows(VIDEO_TASKS)}


# --- finishing -------------------------------------------------------------------------------------------------------


def test_results_are_recorded_until_nothing_is_due(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 100) as videos:
        results = [videos.finish(video, {"title": video.title}) for video in videos]
    assert results == [AttemptResult.DONE] * 8
    assert rows(queue)[1].result == '{"title":"video-00000"}'


def test_it_claims_no_more_than_it_may_and_a_few_at_a_time(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 4) as videos:
        for number, video in enumerate(videos):
            assert states(queue).get(State.HELD, 0) == (BATCH - number if number < BATCH else 1)
            videos.finish(video)
    assert states(queue) == {State.DONE: 4, State.PENDING: 4}


def test_an_exception_means_what_it_means_of_a_processor(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 2) as videos:
        for video, error in zip(
            videos, [ValueError("not today"), PermanentError("no", reason="no-speech")], strict=False
        ):
            videos.finish(video, error)
    assert [row.last_error for row in rows(queue).values() if row.retry_count] == ["error: ValueError: not today"]
    assert [row.last_error for row in queue.rows(DEAD_LETTERS)] == ["no-speech: no"]


def test_throttling_ends_the_loop_and_costs_nothing(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 8) as videos:
        assert [videos.finish(video, ThrottledError("slow down")) for video in videos] == [AttemptResult.GIVEN_BACK]
    assert states(queue) == {State.PENDING: 8}
    assert {row.retry_count for row in rows(queue).values()} == {0}


def test_what_was_claimed_before_a_cooldown_is_claimed_anew_as_its_probe(config: Config) -> None:
    """It began and its time passed while the block was busy with one video."""
    store = ClockedStore()
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(8)])
    held: list[int] = []
    with ClaimBlock(queue, config, 5) as videos:
        for video in videos:
            held.append(states(queue)[State.HELD])
            if len(held) == 1:
                make_admission(store, "host/other").record_outcome(
                    VIDEO_TASKS, video, ThrottledError("slow down").failure
                )
                store.ahead = timedelta(seconds=901)
            videos.finish(video)
    assert held == [3, 1, 3, 2, 1], "of five the second alone, as the probe"
    assert states(queue) == {State.DONE: 5, State.PENDING: 3}


def test_a_store_that_is_away_for_a_moment_loses_no_result(queue: Queue, config: Config, store: FaultyStore) -> None:
    with ClaimBlock(queue, config, 1) as videos:
        (video,) = videos
        fails = iter([True, True])
        store.fails = lambda verb: verb == "swap" and next(fails, False)
        assert videos.finish(video, "at last") is AttemptResult.DONE


def test_videos_may_be_finished_in_any_order_after_the_loop(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 5) as videos:
        for video in reversed(list(videos)):
            assert videos.finish(video, video.id) is AttemptResult.DONE
    assert states(queue) == {State.DONE: 5, State.PENDING: 3}


def test_a_video_is_finished_once(queue: Queue, config: Config) -> None:
    with ClaimBlock(queue, config, 1) as videos:
        (video,) = videos
        videos.finish(video, "first")
        assert videos.finish(video, ValueError("second")) is AttemptResult.LOST
    assert rows(queue)[video.id].result == "first"


# --- time ------------------------------------------------------------------------------------------------------------


def test_claims_are_renewed_while_the_block_runs(store: FaultyStore, config: Config) -> None:
    queue = make_queue(store, policy=replace(POLICY, lease=timedelta(seconds=0.3)))
    queue.add(VIDEO_TASKS, [new_video(1), new_video(2)])
    with ClaimBlock(queue, config, 2) as videos:
        for video in videos:
            wait_until(
                lambda: all(row.lease.version > 2 for row in rows(queue).values())
            )  # renewed, also the one that waits
            assert videos.finish(video) is AttemptResult.DONE
            break
    assert states(queue) == {State.DONE: 1, State.PENDING: 1}


def test_a_claim_ends_with_its_deadline_and_a_late_result_is_dropped(
    queue: Queue, config: Config, clock: Clock, store: FaultyStore
) -> None:
    with ClaimBlock(queue, config, 1) as videos:
        (video,) = videos
        assert videos.seconds_left(video) == config.attempt_timeout.total_seconds()
        clock.seconds += config.attempt_timeout.total_seconds() + DEADLINE_GRACE_SECONDS
        with pytest.raises(ClaimLost):
            videos.seconds_left(video)
        make_queue(store, "host/b").release_holder(queue.worker)  # as others take over what has run out
        assert videos.finish(video, "too late") is AttemptResult.LOST
    assert states(queue) == {State.PENDING: 8}


# --- however it ends -------------------------------------------------------------------------------------------------


def leave_at_the_second(block: ClaimBlock, error: BaseException) -> None:
    with block as videos:
        for number, video in enumerate(videos):
            if number == 1:
                raise error
            videos.finish(video)


def test_what_a_thread_may_still_be_at_is_not_given_back_by_an_error(queue: Queue, config: Config) -> None:
    """As the futures of tasks that a flow has submitted when it fails."""

    def begin_all_and_fail() -> None:
        with ClaimBlock(queue, config, 3) as videos:
            assert len(list(videos)) == 3
            raise TypeError("no video's fault")

    with pytest.raises(TypeError):
        begin_all_and_fail()
    assert states(queue) == {State.HELD: 3, State.PENDING: 5}


def test_an_error_counts_for_the_video_that_the_loop_is_at_and_for_no_other(queue: Queue, config: Config) -> None:
    with pytest.raises(ValueError, match="not today"):
        leave_at_the_second(ClaimBlock(queue, config, 3), ValueError("not today"))
    assert states(queue) == {State.DONE: 1, State.PENDING: 7}
    assert [row.last_error for row in rows(queue).values() if row.retry_count] == ["error: ValueError: not today"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), parent.Stopped("stopped")])
def test_what_is_no_videos_fault_counts_for_none(queue: Queue, config: Config, error: Exception) -> None:
    with pytest.raises(type(error)):
        leave_at_the_second(ClaimBlock(queue, config, 3), error)
    assert states(queue) == {State.DONE: 1, State.PENDING: 7}
    assert {row.retry_count for row in rows(queue).values()} == {0}


def test_what_was_not_finished_is_given_back_and_said(
    queue: Queue, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), ClaimBlock(queue, config, 5) as videos:
        for video in videos:
            if video.id % 2:
                videos.finish(video)
    assert states(queue).get(State.HELD, 0) == 0
    assert "were started and not finished; they are released" in caplog.text


def test_an_interruption_gives_back_what_waits_and_leaves_what_may_still_run_to_the_end_of_the_process(
    queue: Queue, config: Config
) -> None:
    with pytest.raises(KeyboardInterrupt):
        leave_at_the_second(ClaimBlock(queue, config, 3), KeyboardInterrupt())
    assert states(queue) == {State.DONE: 1, State.HELD: 1, State.PENDING: 6}
    version = {row.lease.version for row in rows(queue).values() if row.lease.state is State.HELD}
    queue.renew()
    assert version == {row.lease.version for row in rows(queue).values() if row.lease.state is State.HELD}
