"""process-videos: three kinds of processors, what becomes of failures, limits, and what the operator sees."""

from __future__ import annotations

import json

import pytest

from flows.process_videos import process_videos
from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support import sample_tasks
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.flow_run import host

FUNCTIONS = "tests.support.sample_processors"
TASKS = "tests.support.sample_tasks"
LETTERS = json.dumps({"letters": len("https://example.org/video-00001")}, separators=(",", ":"))


def results(coordinator: Coordinator) -> list[str]:
    return [video.result for video in seen.videos(coordinator)]


# -- kinds of processors


def test_a_function_gets_the_url_or_the_video_by_its_signature(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(2)
    process_videos(f"{FUNCTIONS}:spells", max_videos=1)
    process_videos(f"{FUNCTIONS}:tells_accent")
    assert sorted(results(coordinator)) in (["1 Cork", LETTERS], ["2 Cork", LETTERS])


def test_so_does_a_task_and_its_run_is_called_as_its_author_or_its_video_is(
    coordinator: Coordinator, add_videos: AddVideos
) -> None:
    add_videos(2)
    unnamed = process_videos(f"{TASKS}:spells", max_videos=1, return_state=True)
    named = process_videos(f"{TASKS}:tells_accent", return_state=True)
    assert sorted(results(coordinator)) in (["1 Cork", LETTERS], ["2 Cork", LETTERS])
    names = {"accent of video-00001", "video-00002"}, {"accent of video-00002", "video-00001"}
    wait_until(lambda: seen.task_run_names(unnamed) | seen.task_run_names(named) in names)


def test_an_asynchronous_task_is_a_processor_and_may_be_set(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_PROCESSOR", f"{TASKS}:answers_later")
    add_videos(1)
    process_videos()
    assert results(coordinator) == ["url:video-00001"]


def test_a_task_has_its_own_retries_inside_one_attempt(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(1)
    state = process_videos(f"{TASKS}:works_the_third_time", return_state=True)
    (video,) = seen.videos(coordinator)
    assert (video.result, video.retry_count) == ("at last", 0)
    assert state.name == "Completed"


def test_a_built_in_is_known_by_its_name(coordinator: Coordinator, add_videos: AddVideos) -> None:
    """Its address leads nowhere, which its own error says."""
    add_videos(1)
    process_videos("metadata")
    (video,) = seen.videos(coordinator)
    assert (video.retry_count, video.last_error != "") == (1, True)


# -- failures


def test_an_error_counts_an_attempt_and_waits(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(1)
    state = process_videos(f"{FUNCTIONS}:fails", return_state=True)
    (video,) = seen.videos(coordinator)
    assert (video.status, video.retry_count, video.last_error) == ("pending", 1, "error: ValueError: not today")
    assert video.not_before
    assert (state.name, state.message) == ("CompletedWithErrors", "1 retry")


@pytest.mark.parametrize("module", [FUNCTIONS, TASKS])
def test_a_permanent_error_goes_to_the_dead_letters_at_once(
    coordinator: Coordinator, add_videos: AddVideos, module: str
) -> None:
    add_videos(1)
    sample_tasks.calls.clear()
    state = process_videos(f"{module}:refuses", return_state=True)
    (dead,) = seen.dead_letters(coordinator)
    assert (dead.last_error, seen.videos(coordinator)) == ("no-speech: nobody speaks", [])
    assert (state.name, state.message) == ("CompletedWithErrors", "1 dead letter")
    assert sample_tasks.calls["refuses"] <= 1, "its retries would have been of no use"


def test_throttling_costs_no_attempt_and_stops_the_claiming(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(30)
    state = process_videos(f"{FUNCTIONS}:is_throttled", concurrency=1, return_state=True)
    assert state.name == "CompletedWithErrors"
    assert (state.message or "").startswith("1 given back; stopped: cooldown ")
    assert (state.message or "").endswith("bot-check: Sign in to confirm")
    assert {(video.status, video.retry_count) for video in seen.videos(coordinator)} == {("pending", 0)}
    assert sum(video.last_error != "" for video in seen.videos(coordinator)) == 1


def test_sys_exit_in_a_task_is_a_failed_attempt(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(2)
    state = process_videos(f"{TASKS}:exits", return_state=True)
    assert {video.last_error for video in seen.videos(coordinator)} == {"exited: SystemExit: no licence"}
    assert state.name == "CompletedWithErrors"


def test_a_task_that_hangs_fails_at_its_deadline_and_the_flow_ends_without_it(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_videos(1)
    monkeypatch.setenv("YDC_ATTEMPT_TIMEOUT_MINUTES", "0.01")
    sample_tasks.let_go.clear()
    try:
        process_videos(f"{TASKS}:hangs")
    finally:
        sample_tasks.let_go.set()
    (video,) = seen.videos(coordinator)
    assert (video.status, video.last_error) == ("pending", "timeout: not done after 0.6 s")


# -- limits


def test_max_videos_bounds_what_is_claimed(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(5)
    process_videos(f"{FUNCTIONS}:does_nothing", max_videos=2)
    assert sorted(seen.statuses(coordinator)) == ["done", "done", "pending", "pending", "pending"]


def test_nothing_begins_when_the_minutes_are_over(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)
    state = process_videos(f"{FUNCTIONS}:does_nothing", max_minutes=1e-9, return_state=True)
    assert (state.message, seen.statuses(coordinator)) == ("no videos", ["pending"] * 3)


def test_concurrency_is_how_many_run_at_a_time(coordinator: Coordinator, add_videos: AddVideos) -> None:
    """Each waits until another one runs."""
    add_videos(4)
    state = process_videos(f"{TASKS}:meets_another", concurrency=2, return_state=True)
    assert state.message == "4 done"


# -- what the operator sees


def test_names_and_ends_of_runs_and_a_table(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(2)
    state = process_videos(f"{FUNCTIONS}:refuses_the_second", return_state=True)
    assert seen.flow_run(state).name == f"process 2 videos on {host()}"
    rows = {row["video"]: (row["outcome"], row["result or error"]) for row in seen.table(state, "processed-videos")}
    assert rows == {"video-00001": ("done", ""), "video-00002": ("dead letter", "no-speech: nobody speaks")}
    ends = {("video-00001", "Completed"), ("video-00002", "Failed")}
    wait_until(lambda: {(run.name, run.state_name) for run in seen.task_runs(state)} == ends)


def test_the_librarys_log_is_in_the_run_once_and_without_tracebacks(
    coordinator: Coordinator, add_videos: AddVideos
) -> None:
    add_videos(1)
    state = process_videos(f"{FUNCTIONS}:refuses", return_state=True)
    wait_until(lambda: any("Finished in state" in log.message for log in seen.logs(state) if not log.task_run_id))
    messages = [log.message for log in seen.logs(state)]
    assert messages.count("video 1 (video-00001): attempt 1 begins") == 1
    assert messages.count("video 1 (video-00001): dead letter: no-speech: nobody speaks") == 1
    assert not [message for message in messages if "Traceback" in message or "NoneType" in message]
