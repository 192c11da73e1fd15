"""`ydc` in a process of its own: how tests start it, and what it works on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.rows import new_video
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

Ydc = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "youtube_download_coordinator", *map(str, arguments)]


def sources(folder: Path, *lines: str) -> Path:
    path = folder / "sources.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def add_videos(queue: Queue, count: int) -> None:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(count)])


def videos(queue: Queue) -> list[VideoTask]:
    return list(queue.rows(VIDEO_TASKS))
