"""coordinate: all of it, in order, until nothing is left or its budget ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.coordinate import coordinate
from tests.flows import seen
from tests.flows.conftest import TITLES, AddVideos
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.flow_run import host

NOTHING = "tests.support.sample_processors:does_nothing"


def test_from_a_sources_file_to_the_audio_of_every_video(
    coordinator: Coordinator, sources_file: Path, tmp_path: Path
) -> None:
    state = coordinate("audio", sources_file, return_state=True)
    assert (state.name, state.message) == ("Completed", f"{len(TITLES)} done")
    files = {tmp_path / "media" / video.result for video in seen.videos(coordinator)}
    assert len(files) == len(TITLES)
    assert {path.parent for path in files if path.stat().st_size} == {tmp_path / "media" / "Cork"}
    steps = [(row["step"], row["outcome"].partition(":")[0]) for row in seen.table(state, "coordinated")]
    assert steps == [
        ("ingest sources", "Completed"),
        ("recover stalled", "Completed"),
        ("expand sources", "Completed"),
        ("process videos", "Completed"),
    ]
    assert {run.name for run in seen.subflow_runs(state)} == {
        f"expand sources on {host()}",
        f"process {len(TITLES)} videos on {host()}",
    }
    assert seen.flow_run(state).name == f"coordinate on {host()}: audio"


def test_a_second_run_does_nothing_twice(coordinator: Coordinator, sources_file: Path) -> None:
    coordinate(NOTHING, sources_file)
    state = coordinate(NOTHING, sources_file, return_state=True)
    assert (state.name, state.message) == ("Completed", "no videos")
    assert seen.subflow_runs(state) == []
    wait_until(lambda: seen.task_run_names(state) == {f"ingest {sources_file}", "recover sources", "recover videos"})


def test_videos_that_failed_are_tried_again_until_they_are_dead(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_videos(1)
    monkeypatch.setenv("YDC_RETRY_BACKOFF_SECONDS", "0.1")
    state = coordinate("tests.support.sample_processors:fails", return_state=True)
    assert (state.name, state.message) == ("CompletedWithErrors", "2 retry, 1 dead letter")
    assert [dead.retry_count for dead in seen.dead_letters(coordinator)] == [3]


def test_max_videos_counts_over_all_rounds(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_videos(1)
    monkeypatch.setenv("YDC_RETRY_BACKOFF_SECONDS", "0.1")
    state = coordinate("tests.support.sample_processors:fails", max_videos=2, return_state=True)
    assert state.message == "2 retry"


def test_it_does_not_wait_beyond_its_minutes(coordinator: Coordinator, add_videos: AddVideos) -> None:
    """The failed video is due again in half a minute at the earliest."""
    add_videos(1)
    state = coordinate("tests.support.sample_processors:fails", max_minutes=0.45, return_state=True)
    assert state.message == "1 retry"


def test_a_cooldown_that_lasts_longer_than_its_time_ends_it(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(2)
    state = coordinate("tests.support.sample_processors:is_throttled", concurrency=1, max_minutes=5, return_state=True)
    assert state.name == "CompletedWithErrors"
    assert (state.message or "").startswith("1 given back; stopped: cooldown ")
    assert (state.message or "").endswith("bot-check: Sign in to confirm")
