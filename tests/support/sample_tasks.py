"""Processors that are Prefect tasks: they run in the flow's process, with their own retries."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from itertools import islice
from pathlib import Path

from prefect import flow, task

from tests.support.sample_processors import READY_FOLDER, ready_file
from youtube_download_coordinator import PermanentError, VideoTask
from youtube_download_coordinator.prefect.steps import claim_videos, finish, process_video

calls: Counter[str] = Counter()
"""How often each task was called."""
two_at_once = threading.Barrier(2)
let_go = threading.Event()
"""Ends what hangs."""
MEET_SECONDS = 20


@task
def spells(url: str) -> dict[str, int]:
    return {"letters": len(url)}


@task(task_run_name="accent of {video.title}")
def tells_accent(video: VideoTask) -> str:
    return f"{video.id} {video.accent}"


@task
async def answers_later(video: VideoTask) -> str:
    return video.key


@task(retries=2)
def works_the_third_time(video: VideoTask) -> str:
    calls["works_the_third_time"] += 1
    if calls["works_the_third_time"] < 3:
        raise ValueError("not yet")
    return "at last"


@task(retries=2)
def refuses(video: VideoTask) -> None:
    calls["refuses"] += 1
    raise PermanentError("nobody speaks", reason="no-speech")


@task
def exits(video: VideoTask) -> None:
    sys.exit("no licence")


@task
def meets_another(video: VideoTask) -> None:
    two_at_once.wait(MEET_SECONDS)


@task
def hangs(video: VideoTask) -> None:
    if READY_FOLDER in os.environ:
        Path(ready_file(video)).touch()
    let_go.wait()


@flow
def a_flow_of_ones_own() -> None:
    """Process two videos at a time: one by the library's step in a thread, one by a custom task here. Neither ends."""
    with claim_videos() as videos:
        first, second = islice(videos, 2)
        ours = process_video.submit(first, "tests.support.sample_processors:hangs_with_a_child")
        finish(second, hangs(second))
        finish(first, ours.result())


@task
def hangs_unless_first(video: VideoTask) -> None:
    if video.id != 1:
        let_go.wait()


@task
def takes_three(video: VideoTask, accent: str, type: str) -> None:
    pass
