"""The rows of a killed worker are released by its reaper, once all its processes have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.rows import make_queue, new_video
from tests.support.sample_processors import READY_FOLDER
from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import State, VideoTask
from youtube_download_coordinator.processes import parent
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers import reaper, reaper_main
from youtube_download_coordinator.workers.reaper import ClaimReaper

HANGS = "tests.support.sample_processors:hangs_with_a_child"
ROOT = Path(__file__).resolve().parents[3]

Start = Callable[..., psutil.Process]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """Yield another worker's queue with three videos that are due."""
    store = SqlStore(f"sqlite:///{tmp_path / 'coordinator.db'}")
    queue = make_queue(store, "another/host")
    queue.add(VIDEO_TASKS, [new_video(number) for number in (1, 2, 3)])
    yield queue
    store.close()


@pytest.fixture
def start(tmp_path: Path, queue: Queue) -> Iterator[Start]:
    """Start `ydc run`, two videos at a time; it has begun with both, and holds the third."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(processor: str = HANGS, **settings: object) -> psutil.Process:
        environment = os.environ | {READY_FOLDER: str(tmp_path), "PYTHONPATH": str(ROOT)}
        environment |= {f"YDC_{name.upper()}": str(value) for name, value in settings.items()}
        # -P as for the command `ydc`: the working directory is not the first place for modules.
        command = [
            sys.executable,
            "-P",
            "-m",
            "youtube_download_coordinator",
            "run",
            "--concurrency",
            "2",
            "-p",
            processor,
        ]
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL))
        wait_until(lambda: sum((tmp_path / str(number)).exists() for number in (1, 2, 3)) == 2)
        return psutil.Process(processes[-1].pid)

    yield start
    for process in processes:
        process.kill()
        process.wait()


def reaper_of(process: psutil.Process) -> psutil.Process:
    (reaper,) = [each for each in process.children() if "reaper_main.py" in " ".join(each.cmdline())]
    return reaper


def kill(process: psutil.Process) -> list[psutil.Process]:
    """Send SIGKILL to the process. Return the processes that ran below it, its reaper apart."""
    reaper = reaper_of(process)
    below = [each for each in process.children(recursive=True) if each != reaper]
    process.kill()
    process.wait()
    return below


def videos(queue: Queue) -> list[VideoTask]:
    return list(queue.rows(VIDEO_TASKS))


def is_free(queue: Queue) -> bool:
    return queue.counts(VIDEO_TASKS) == {State.PENDING: 3}


def test_what_a_killed_worker_held_is_free_as_soon_as_nothing_works_on_it(queue: Queue, start: Start) -> None:
    """Long before its lease of 15 minutes ends. An attempt counts where there was one."""
    process = start()
    reaper = reaper_of(process)
    below = kill(process)
    wait_until(lambda: is_free(queue))
    assert not any_alive(below), "somebody else may claim a video that is still being processed"
    assert sorted(video.retry_count for video in videos(queue)) == [0, 1, 1]
    assert {video.lease.reason for video in videos(queue)} == {"", "killed"}
    wait_until(lambda: not any_alive([reaper]))


def test_no_file_of_the_working_directory_or_of_the_library_hides_a_module(
    tmp_path: Path, queue: Queue, start: Start
) -> None:
    """The reaper is a file of a room, started by its path: without -P, Python would look for modules beside it first."""
    rooms = [path.stem for path in Path(reaper.__file__).parent.glob("[!_]*.py")]
    for name in ["queue", "json", "signal", "prefect", *rooms]:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    process = start()
    assert "-P" in reaper_of(process).cmdline()
    kill(process)
    wait_until(lambda: is_free(queue))


def test_a_stop_of_everything_is_not_for_the_reaper(queue: Queue, start: Start) -> None:
    process = start()
    reaper = reaper_of(process)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        reaper.send_signal(number)
    kill(process)
    wait_until(lambda: is_free(queue))


def test_without_a_reaper_the_lease_has_to_end(queue: Queue, start: Start) -> None:
    process = start()
    reaper = reaper_of(process)
    below = process.children(recursive=True)
    reaper.kill()
    process.kill()
    wait_until(lambda: not any_alive(below))
    assert queue.counts(VIDEO_TASKS) == {State.HELD: 3}


def test_a_store_that_does_not_answer_is_asked_again(tmp_path: Path, queue: Queue, start: Start) -> None:
    process = start()
    database = tmp_path / "coordinator.db"
    hidden = database.rename(tmp_path / "hidden.db")
    database.mkdir()
    reaper = reaper_of(process)
    below = kill(process)
    wait_until(lambda: not any_alive(below))
    wait_until(lambda: reaper.cpu_times().user > 0.2)  # it has loaded the library, and asks
    assert any_alive([reaper])
    database.rmdir()
    hidden.rename(database)
    wait_until(lambda: is_free(queue))


def test_a_worker_that_ends_well_leaves_none(tmp_path: Path, queue: Queue) -> None:
    command = [
        sys.executable,
        "-m",
        "youtube_download_coordinator",
        "run",
        "-p",
        "tests.support.sample_processors:does_nothing",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "YDC_TEST_MARK": str(tmp_path)}
    )
    assert done.returncode == 0
    assert [each for each in psutil.process_iter() if carries(each, str(tmp_path))] == []


def carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("YDC_TEST_MARK") == mark
    except psutil.Error:
        return False


def test_a_process_that_closed_its_descriptors_and_works_on_keeps_its_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the lifeline alone does not show that it has ended."""
    parents = iter([7, 7, 7, 1])
    pauses: list[float] = []
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(time, "sleep", pauses.append)
    reaper_main._wait_for_end_of(7)
    assert len(pauses) == 3


@pytest.mark.parametrize("lost", ["lifeline", "reaper"])
def test_a_reaper_that_is_lost_is_replaced_and_no_other_file_is_touched(
    lost: str, queue: Queue, tmp_path: Path
) -> None:
    queue.worker = f"host/{tmp_path.name}"  # or it would go on with a reaper that an earlier test's worker has left
    other_reapers, other_lifelines = own_reapers(), set(parent._HELD_OPEN)  # those of tests before this one
    with ClaimReaper(queue, Config(database_url=f"sqlite:///{tmp_path}/coordinator.db")) as report_running:
        report_running([1])
        first = started_beside(other_reapers)
        other = (tmp_path / "another file").open("wb")
        if lost == "reaper":
            first.kill()
            first.wait()
        else:
            (lifeline,) = set(parent._HELD_OPEN) - other_lifelines
            os.dup2(other.fileno(), lifeline)  # a function closed it, and opened a file of its own
        report_running([2])
        second = started_beside(other_reapers)
        assert second != first
    assert own_reapers() == other_reapers
    if lost == "lifeline":
        os.close(lifeline)  # it is still open
    other.close()
    assert (tmp_path / "another file").read_bytes() == b""


def own_reapers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if any_alive([child]) and "reaper_main.py" in " ".join(child.cmdline())]


def started_beside(others: list[psutil.Process]) -> psutil.Process:
    """Return the only other reaper. It may still lack its command line when its start has returned."""
    wait_until(lambda: set(own_reapers()).difference(others))
    (reaper,) = set(own_reapers()).difference(others)
    return reaper
