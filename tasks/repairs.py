"""Recover stalled rows and requeue dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prefect import task

from tasks.context import REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE, opaque
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.maintenance import RecoveryReport
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS


@task(
    name="recover stalled",
    task_run_name="recover {what}",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def recover(what: Literal["sources", "videos"], queue: Queue) -> RecoveryReport:
    """Recover the stalled rows of a table. Safe to repeat: a recovered row is not stalled."""
    return queue.recover(SOURCES) if what == "sources" else queue.recover(VIDEO_TASKS)


def recover_all(queue: Queue) -> dict[str, int]:
    """Recover every stalled row. Return the number of rows by the change that was made. Each row is counted once."""
    sources = recover("sources", opaque(queue))
    videos = recover("videos", opaque(queue))
    return {
        "sources retried": sources.retried,
        "videos retried": videos.retried,
        "videos given up": videos.given_up,
        "sources due again": sources.due_again,
        "asked for by people": sources.requests_applied + videos.requests_applied,
        "rows moved": videos.moved,
    }


@task(
    name="requeue dead letters",
    task_run_name="requeue dead letters",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def requeue(ids: Sequence[int] | None, queue: Queue) -> int:
    """Move dead letters back to the videos. Return how many. A repetition moves and counts only the remaining ones."""
    return queue.requeue_dead_letters(ids)
