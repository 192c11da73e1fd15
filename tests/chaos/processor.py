"""The processor of the chaos's workers, which records its begin, failures and end outside the queue."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

from tests.chaos.share import PREFECT, WORK_SECONDS, kind_of
from youtube_download_coordinator import VideoTask

JOURNAL = "YDC_CHAOS_JOURNAL"
"""Names the file that all attempts are written down in."""
WORKER = "YDC_CHAOS_WORKER"
"""Names the worker; every process below it has it in its environment too."""
DISK = "YDC_CHAOS_DISK"
"""Names the folder where work needs room."""
PACE = "YDC_CHAOS_PACE"
"""Names the file with the seconds that a video of `ydc run` takes, if there is one."""
WORK_BYTES = 100_000


def work(task: VideoTask) -> str:
    """Write a file, and take as long as a video is to take."""
    attempt = uuid.uuid4().hex
    _note(attempt, task, "began")
    path = Path(os.environ[DISK]) / attempt
    try:
        path.write_bytes(bytes(WORK_BYTES))
        time.sleep(_work_seconds())
    except BaseException:
        _note(attempt, task, "failed")
        raise
    finally:
        path.unlink(missing_ok=True)
    _note(attempt, task, "ended")
    return attempt


def _work_seconds() -> float:
    pace = Path(os.environ[PACE])
    if kind_of(os.environ[WORKER]) == PREFECT or not pace.exists():
        return WORK_SECONDS
    return float(pace.read_text())


def _note(attempt: str, task: VideoTask, event: str) -> None:
    """Append a line with one write, so that no kill leaves half of it. All processes of a machine share the clock."""
    assert task.claimed_at
    now = time.monotonic()
    fields = {
        "attempt": attempt,
        "key": task.key,
        "worker": os.environ[WORKER],
        "event": event,
        "at": now,
        "claimed": now - (time.time() - task.claimed_at.timestamp()),
    }
    journal = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(journal, json.dumps(fields).encode() + b"\n")
    finally:
        os.close(journal)
