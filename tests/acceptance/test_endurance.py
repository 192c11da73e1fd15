"""The short form of `make endurance`: what a process has open does not grow with the number of its videos."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.acceptance.endurance import PLACES, PROCESSOR
from tests.support.jumping_clock import CLOCK_ERRORS_SECONDS, COMPILER, NO_COMPILER, JumpingClock
from tests.support.rows import new_video
from tests.support.terminal import command
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits

pytestmark = pytest.mark.slow

SLACK = 10
"""So much more may be open for a moment: connections that are kept. What forty videos leave behind is more."""

VIDEOS_A_JUMP, MORE_THAN_ARE_DONE = 3, 200


class Open(NamedTuple):
    """Descriptors, threads and children of this process."""

    descriptors: int
    threads: int
    children: int

    @classmethod
    def now(cls) -> Open:
        process = psutil.Process()
        return cls(process.num_fds(), process.num_threads(), len(process.children(recursive=True)))


@pytest.mark.parametrize("name", ["sqlite", "sheet"])
def test_forty_videos_leave_as_much_open_as_ten(tmp_path: Path, name: str) -> None:
    numbers = count(1)
    with PLACES[name](tmp_path) as settings:
        more = {"state_dir": tmp_path / "state", "output_dir": tmp_path}
        coordinator = Coordinator(Config(**settings, **more))

        def process(videos: int) -> None:
            coordinator.queue.add(VIDEO_TASKS, [new_video(next(numbers)) for _ in range(videos)])
            summary = coordinator.process(PROCESSOR, Limits(concurrency=4))
            assert summary.attempted == videos

        process(10)
        before = Open.now()
        for _ in range(4):
            process(10)
        wait_until(lambda: all(now <= was + SLACK for now, was in zip(Open.now(), before, strict=True)))
        assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 50}
        coordinator.close()


@pytest.mark.timeout(900)
@pytest.mark.skipif(not COMPILER, reason=NO_COMPILER)
@pytest.mark.parametrize("name", ["sqlite", "sheet"])
def test_a_run_goes_on_while_its_wall_clock_jumps(tmp_path: Path, name: str) -> None:
    clock = JumpingClock(tmp_path)
    with PLACES[name](tmp_path) as settings:
        everything = {**settings, "state_dir": tmp_path / "state", "output_dir": tmp_path}
        variables = {f"YDC_{setting.upper()}": str(value) for setting, value in everything.items()}
        environment = os.environ | variables | clock.environment
        with Coordinator(Config(**everything)) as coordinator:
            queue = coordinator.queue
            queue.add(VIDEO_TASKS, [new_video(number) for number in range(MORE_THAN_ARE_DONE)])
            with running(tmp_path, environment) as process:
                for error_seconds in CLOCK_ERRORS_SECONDS:
                    clock.set(error_seconds)
                    wait_until_more_are_done(queue)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 128 + signal.SIGTERM


@contextmanager
def running(folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start `ydc run`. It is killed in the end, should it still run."""
    with (folder / "said.txt").open("wb") as said:
        run = command("run", "--processor", PROCESSOR, "--concurrency", "2")
        process = subprocess.Popen(run, cwd=folder, env=environment, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_more_are_done(queue: Queue) -> None:
    def done() -> int:
        return queue.counts(VIDEO_TASKS).get(State.DONE, 0)

    before = done()
    wait_until(lambda: done() >= before + VIDEOS_A_JUMP, 300, 0.1)
