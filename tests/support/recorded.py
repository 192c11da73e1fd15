"""Read what a call of `process_next_task` has recorded in the video's row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contract.conftest import sheet_settings
from tests.support.rows import new_video
from youtube_download_coordinator import Config, Coordinator, VideoTask
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Where

QUEUES = ["sqlite", pytest.param("sheet", marks=pytest.mark.slow)]


class Recorded(NamedTuple):
    """The row after a call."""

    state: State
    text: str = ""
    """The beginning of the result, or the reason of a failure."""
    tries: int = 0


def done(result: str = "") -> Recorded:
    return Recorded(State.DONE, result)


def failed(reason: str = "error") -> Recorded:
    return Recorded(State.PENDING, reason, tries=1)


Processor = Callable[[Any], Any]


@contextmanager
def coordinator_on(kind: str, folder: Path) -> Iterator[Coordinator]:
    """Yield a coordinator on an empty queue, in SQLite or on a sheet of a simulated Google; it never waits."""
    with ExitStack() as stack:
        store = sheet_settings(folder, stack) if kind == "sheet" else {"database_url": f"sqlite:///{folder}/queue.db"}
        config = Config(
            **store,
            state_dir=folder / "state",
            claim_jitter_seconds=0,
            idle_poll_seconds=0,
            retry_backoff_seconds=3600,
        )
        yield stack.enter_context(Coordinator(config))


def add(coordinator: Coordinator) -> int:
    """Add the only video that is due. Return its ID."""
    coordinator.client.skip(status="pending")
    (row_id,) = coordinator.queue.add(VIDEO_TASKS, [new_video(time.monotonic_ns())])
    assert row_id is not None
    return row_id


def row_of(coordinator: Coordinator, row_id: int) -> VideoTask:
    (row,) = (
        row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in coordinator.queue.rows(table, Where(ids=[row_id]))
    )
    return row


def is_recorded(row: VideoTask, recorded: Recorded) -> bool:
    text = row.result if row.lease.state is State.DONE else row.lease.reason
    assert (row.lease.state, row.lease.tries) == (recorded.state, recorded.tries), row.lease
    assert text[: len(recorded.text) or None] == recorded.text
    return True


def attempt(coordinator: Coordinator, function: Processor, raises: type[BaseException] | None = None) -> VideoTask:
    """Give the function to `process_next` in this process. Return the video's row."""
    row_id = add(coordinator)
    with pytest.raises(raises) if raises else nullcontext():
        coordinator.process_next(function)
    return row_of(coordinator, row_id)
