"""Rows that got stuck: claims of workers that died, and dead letters that a person wants tried again."""

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
    """Move on the stalled rows of a table. Safe to repeat: what was moved on is not stalled any more."""
    return queue.recover(SOURCES) if what == "sources" else queue.recover(VIDEO_TASKS)


def recover_all(queue: Queue) -> dict[str, int]:
    """Move on everything that is stalled; how many rows, by what became of them."""
    sources = recover("sources", opaque(queue))
    videos = recover("videos", opaque(queue))
    return {
        "sources retried": sources.retried,
        "videos retried": videos.retried,
        "videos given up": videos.given_up,
        "sources due again": sources.due_again,
        "asked for by people": sources.requests_applied + videos.requests_applied,
        "rows moved": videos.moved,
        "sources to be looked at again": sources.due_again,
    }


@task(
    name="requeue dead letters",
    task_run_name="requeue dead letters",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def requeue(ids: Sequence[int] | None, queue: Queue) -> int:
    """Move dead letters back. Safe to repeat: a second try moves the rest; only its count would be of the rest."""
    return queue.requeue_dead_letters(ids)
