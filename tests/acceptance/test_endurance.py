"""The short form of `make endurance`: what a process has open does not grow with the number of its videos."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.acceptance.endurance import PLACES, PROCESSOR
from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits

pytestmark = pytest.mark.slow

SLACK = 10
"""So much more may be open for a moment: connections that are kept. What forty videos leave behind is more."""


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
