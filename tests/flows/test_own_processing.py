"""Custom processing in three ways, by the examples that the documentation shows: a function, a Prefect task, a flow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from prefect import flow

from examples.own_flow import fingerprint_corpus
from flows.process_videos import process_videos
from tests.flows import seen
from tests.flows.conftest import TITLES, AddVideos
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator, PermanentError, UnfitError
from youtube_download_coordinator.errors import ClaimLost
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.prefect.steps import claim_videos, finish, process_video


@pytest.fixture
def on_the_site(coordinator: Coordinator, media_site: str) -> Coordinator:
    """Return a coordinator whose queue has the videos of the media site."""
    coordinator.client.add_source(media_site, accent="Cork")
    list(coordinator.expand())
    assert len(seen.videos(coordinator)) == len(TITLES)
    return coordinator


# --- the examples ----------------------------------------------------------------------------------------------------


def test_a_function(on_the_site: Coordinator) -> None:
    process_videos("examples.own_function:formats", concurrency=2)
    assert {video.result for video in seen.videos(on_the_site)} == {'{"accent":"Cork","formats":["mp4"]}'}


def test_a_task(on_the_site: Coordinator) -> None:
    process_videos("examples.own_task:size")
    assert all(int(video.result) > 1000 for video in seen.videos(on_the_site))


def test_a_flow(on_the_site: Coordinator) -> None:
    state = fingerprint_corpus(return_state=True)
    for video in seen.videos(on_the_site):
        result = json.loads(video.result)
        assert (
            result["sha256"]
            == hashlib.sha256(Path(on_the_site.config.output_dir, result["file"]).read_bytes()).hexdigest()
        )
    wait_until(lambda: seen.task_run_names(state) >= set(TITLES))
    assert len(seen.task_runs(state)) == 2 * len(TITLES), "one step of the library and one custom task for each video"


# --- its steps in a flow ---------------------------------------------------------------------------------------------


def test_a_processors_error_reaches_the_flow_and_goes_where_it_belongs(
    coordinator: Coordinator, add_videos: AddVideos
) -> None:
    add_videos(1)

    @flow
    def tells_it() -> None:
        with claim_videos() as videos:
            for video in videos:
                try:
                    process_video(video, "tests.support.sample_processors:refuses")
                except PermanentError as error:
                    finish(video, error)

    tells_it()
    assert [dead.last_error for dead in seen.dead_letters(coordinator)] == ["no-speech: nobody speaks"]


def test_a_flow_that_fails_fails_one_attempt_and_holds_nothing(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)

    @flow
    def forgets_to_catch() -> None:
        with claim_videos() as videos:
            for video in videos:
                process_video(video, "tests.support.sample_processors:fails")

    assert forgets_to_catch(return_state=True).is_failed()
    assert seen.statuses(coordinator) == ["pending"] * 3
    assert sorted(video.last_error for video in seen.videos(coordinator)) == ["", "", "error: ValueError: not today"]


def test_a_task_of_ones_own_is_called_and_not_named(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(2)

    @flow
    def names_it() -> None:
        with claim_videos() as videos:
            for video in videos:
                process_video(video, "tests.support.sample_tasks:spells")

    with pytest.raises(UnfitError, match="spells is a Prefect task: only flows run it"):
        names_it()
    assert {(video.status, video.retry_count) for video in seen.videos(coordinator)} == {("pending", 0)}


def test_many_at_a_time(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)

    @flow
    def together() -> None:
        with claim_videos() as videos:
            spelt = "tests.support.sample_processors:spells"
            for video, run in [(video, process_video.submit(video, spelt)) for video in videos]:
                finish(video, run.result())

    together()
    assert seen.statuses(coordinator) == ["done"] * 3


@pytest.mark.parametrize("step", [process_video, finish])
def test_a_video_from_elsewhere_is_refused(coordinator: Coordinator, add_videos: AddVideos, step: object) -> None:
    add_videos(1)

    @flow
    def after_the_block() -> None:
        with claim_videos() as videos:
            kept: list[VideoTask] = list(videos)
        step(kept[0])  # type: ignore[operator]

    with pytest.raises(ClaimLost, match="does not belong to an open claim_videos block"):
        after_the_block()
    assert seen.statuses(coordinator) == ["pending"]
