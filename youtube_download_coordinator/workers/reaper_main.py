"""The reaper's program, started by its path. reaper.py is the worker's side.

It imports the library only when it has rows to release, so until then it needs little memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from youtube_download_coordinator.config import Config

AGAIN_SECONDS = 1.0
"""The pause before an unavailable store is tried again, and the longest pause between two checks of the worker's process."""
FIRST_LOOK_SECONDS = 0.01
"""The shortest pause between two checks: a process closes its descriptors a moment before it is gone."""


def main() -> None:
    """Wait for the end of the lifeline and of the worker's process, or to be dismissed."""
    # A stop of the whole service is meant for the worker. If the worker dies instead of releasing its rows, this process does it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    messages = map(json.loads, iter(sys.stdin.buffer.readline, b""))
    job: dict[str, Any] | None = next(messages, None)
    attempted: Any = []
    for attempted in messages:
        if attempted is None:
            return
    if job and attempted != "idle":
        _wait_for_end_of(int(sys.argv[2]))
        _give_back(sys.argv[1], job, attempted)


def _wait_for_end_of(parent: int) -> None:
    """Wait until the parent process is gone. It may have closed its descriptors and still be running."""
    seconds = FIRST_LOOK_SECONDS
    while os.getppid() == parent:
        time.sleep(seconds)
        seconds = min(2 * seconds, AGAIN_SECONDS)


def _give_back(holder: str, job: dict[str, Any], attempted: list[int]) -> None:
    """Release the rows. Retry until the store answers, for at most the length of a lease."""
    sys.path[:] = job["path"]
    config: Config = pickle.loads(bytes.fromhex(job["config"]))  # noqa: S301  from the process that started us
    signal.alarm(round(config.lease.total_seconds()) + 1)
    from youtube_download_coordinator.errors import CoordinatorError, StoreUnavailable
    from youtube_download_coordinator.wiring import is_deleted, open_queue

    if is_deleted(config):
        return
    while True:
        try:
            count = open_queue(config).release_holder(holder, attempted)
            break
        except StoreUnavailable:
            time.sleep(AGAIN_SECONDS)
        except CoordinatorError as error:
            _report(f"the rows of {holder} could not be released; their leases will expire: {error}")
            return
    if count:  # else the worker itself has done it
        _report(f"{holder} was killed: {count} of its claims {'was' if count == 1 else 'were'} released")


def _report(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
