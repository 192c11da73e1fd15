"""A flow that is stopped gives back what it held; one that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support.sample_processors import READY_FOLDER
from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator import Coordinator

ROOT = Path(__file__).resolve().parents[2]
BY_FUNCTION = "process_videos('tests.support.sample_processors:hangs_with_a_child', concurrency=2)"
BY_TASK = "process_videos('tests.support.sample_tasks:hangs', concurrency=2)"
OF_ONES_OWN = "tests.support.sample_tasks.a_flow_of_ones_own()"

Running = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Start a flow in a process of its own, on this test's queue and server."""
    processes: list[subprocess.Popen[bytes]] = []
    monkeypatch.setenv(READY_FOLDER, str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))

    def start(call: str) -> subprocess.Popen[bytes]:
        name = call.partition("(")[0]
        module = name if "." in name else f"flows.{name}.{name}"
        program = f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]} as flow; flow({call.partition('(')[2]}"
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def begun(folder: Path, count: int) -> Callable[[], bool]:
    return lambda: sum((folder / str(number)).exists() for number in range(1, 10)) == count


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def last_run_state() -> str:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=1, sort=seen.NEWEST_FIRST)
    return str(runs[0].state_name)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (BY_FUNCTION, signal.SIGTERM),
        (BY_FUNCTION, signal.SIGINT),
        (BY_FUNCTION, signal.SIGHUP),
        (BY_TASK, signal.SIGTERM),
        (OF_ONES_OWN, signal.SIGTERM),
    ],
)
def test_a_stopped_flow_gives_back_what_it_held(
    coordinator: Coordinator, add_videos: AddVideos, tmp_path: Path, start: Running, call: str, number: signal.Signals
) -> None:
    """Two videos run, a third one is claimed and waits: none of them has lost an attempt."""
    add_videos(3)
    process = start(call)
    wait_until(begun(tmp_path, 2))
    below = descendants(process)
    process.send_signal(number)
    process.wait(timeout=30)
    wait_until(lambda: seen.statuses(coordinator) == ["pending"] * 3)  # what ran in its process, when that is gone
    assert {(video.retry_count, video.last_error) for video in seen.videos(coordinator)} == {(0, "")}
    wait_until(lambda: not any_alive(below))
    assert last_run_state() == ("Crashed" if call == OF_ONES_OWN or number is signal.SIGINT else "Stopped")


@pytest.mark.slow
def test_a_stopped_listing_gives_back_its_source(coordinator: Coordinator, start: Running) -> None:
    with a_server_that_never_answers() as address:
        coordinator.client.add_source(address)
        process = start("expand_sources()")
        wait_until(lambda: [row["Status"] for row in coordinator.client.get_sources()] == ["in-progress"])
        wait_until(lambda: len(descendants(process)) >= 2)
        below = descendants(process)
        process.terminate()
        process.wait(timeout=30)
    assert [(row["Status"], row["RetryCount"]) for row in coordinator.client.get_sources()] == [("pending", 0)]
    wait_until(lambda: not any_alive(below))


@contextmanager
def a_server_that_never_answers() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/feed.xml"


def test_a_killed_flow_leaves_no_process(
    coordinator: Coordinator, add_videos: AddVideos, tmp_path: Path, start: Running
) -> None:
    """What it held is free then, an attempt that it died in is counted: its reaper has seen to it."""
    add_videos(2)
    process = start(BY_FUNCTION)
    wait_until(begun(tmp_path, 2))
    below = descendants(process)
    assert len(below) >= 2 * len(("supervisor", "processor", "its child"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any_alive(below))
    assert [(video.status, video.retry_count) for video in seen.videos(coordinator)] == [("pending", 1), ("pending", 1)]


@pytest.mark.slow
def test_a_task_that_hangs_does_not_keep_the_process_from_ending(
    coordinator: Coordinator, add_videos: AddVideos, start: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_videos(1)
    monkeypatch.setenv("YDC_ATTEMPT_TIMEOUT_MINUTES", "0.01")
    assert start(BY_TASK).wait(timeout=60) == 0
    assert [video.last_error for video in seen.videos(coordinator)] == ["timeout: not done after 0.6 s"]
