"""A run that is cancelled while nobody watches it, and one that ends while Prefect's server is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort
from prefect.states import Cancelled, Cancelling

from flows.coordinate import coordinate
from flows.process_videos import process_videos
from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support.sample_processors import READY_FOLDER
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect import run_state, server_answers
from youtube_download_coordinator.prefect.steps import claim_videos, finish, process_video

HANGS = "tests.support.sample_processors:hangs_with_a_child"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(server_answers, "ASK_SECONDS", 0.01)
    monkeypatch.setenv(READY_FOLDER, str(tmp_path))


def cancel_when_begun(folder: Path, state: Callable[[], Any]) -> threading.Thread:
    """Set the state of the newest run without a parent when an attempt has begun."""

    def cancel() -> None:
        wait_until((folder / "1").exists, 60)
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(limit=9, sort=seen.NEWEST_FIRST)
            (run,) = [run for run in runs if run.state_name == "Running" and not run.parent_task_run_id]
            client.set_flow_run_state(run.id, state(), force=True)

    thread = threading.Thread(target=copy_context().run, args=(cancel,))
    thread.start()
    return thread


@pytest.mark.parametrize("state", [Cancelling, Cancelled])
@pytest.mark.parametrize("ours", [process_videos, coordinate])
def test_a_cancelled_run_ends_and_gives_back_what_it_held(
    coordinator: Coordinator, add_videos: AddVideos, tmp_path: Path, ours: Any, state: Callable[[], Any]
) -> None:
    add_videos(3)
    canceller = cancel_when_begun(tmp_path, state)
    ended = ours(HANGS, concurrency=1, return_state=True)
    canceller.join()
    assert (ended.name, ended.message) == ("Cancelled", run_state.CANCELLED)
    assert seen.flow_run(ended).state_name == "Cancelled"
    assert [run.state_name for run in seen.subflow_runs(ended)] == ["Cancelled"] * (ours is coordinate)
    assert {(video.status, video.retry_count) for video in seen.videos(coordinator)} == {("pending", 0)}


@flow
def a_flow_of_a_user() -> None:
    with claim_videos(2) as videos:
        for video in videos:
            finish(video, process_video(video, HANGS))


def test_so_does_a_flow_of_a_user(coordinator: Coordinator, add_videos: AddVideos, tmp_path: Path) -> None:
    add_videos(2)
    canceller = cancel_when_begun(tmp_path, Cancelling)
    with pytest.raises(Abort, match="cancelled"):
        a_flow_of_a_user()
    canceller.join()
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(limit=1, sort=seen.NEWEST_FIRST)
    assert run.state_name == "Cancelled"
    # What runs in the flow's own process is given back when that ends.
    assert [(video.status, video.retry_count) for video in seen.videos(coordinator)] == [
        ("in-progress", 0),
        ("pending", 0),
    ]


def test_a_run_ends_when_the_server_answers(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_videos(1)
    monkeypatch.setattr(run_state, "ASK_SECONDS", 1000)
    request = httpx.Request("GET", "http://127.0.0.1/health")
    maintenance = httpx.HTTPStatusError("503", request=request, response=httpx.Response(503, request=request))
    answers = [httpx.ConnectError("refused"), maintenance, httpx.ReadTimeout("slow")]

    class Away:
        def __enter__(self) -> Away:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def api_healthcheck(self) -> Exception | None:
            return answers.pop(0) if answers else None

    monkeypatch.setattr(server_answers, "impatient_client", Away)
    state = process_videos("tests.support.sample_processors:does_nothing", return_state=True)
    assert (state.message, answers) == ("1 done", [])
    assert caplog.text.count("Prefect's server does not answer; waiting for it: refused") == 1
