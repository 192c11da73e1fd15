"""The reaper: a small process that outlives its worker's process, and releases the claims of a killed worker.

    with ClaimReaper(queue, config) as report_running:
        report_running([17, 18])      # whenever they change: the IDs of the videos being attempted

The reaper blocks in a read of its stdin, the *lifeline*. The worker's process and the supervisor of each of its child processes
hold the other end, so the end of the lifeline shows that all of them have ended. A function in the worker's own process may close
the lifeline earlier, together with all descriptors, so the reaper also waits for the end of that process. Then it releases the
rows, long before the leases expire. A row that was only claimed is released without a count. A row that was being attempted
counts one more failed attempt, because the attempt may have killed the worker. A worker that has released everything itself
dismisses its reaper, or reports that it is idle and keeps the reaper for its next call.

This module is the worker's side; reaper_main.py is the process itself. Each line of the lifeline is JSON: first how to open the
queue, then the IDs whenever they change or `"idle"`, and finally `null`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pickle
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.processes.parent import forget_held_open, hold_open, stop_holding_open

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.queue import Queue

_log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("reaper_main.py")
IDLE = "idle"
"""The message of a worker that holds no rows."""
END_SECONDS = 5.0
"""How long a dismissed reaper may take to end."""


class ClaimReaper:
    """A worker's handle on its reaper, which starts with the first report.

    If it cannot start, the rows of a killed worker are released only when their leases expire.

    `keep`: the reaper continues after the `with` block, for the worker's next block, until `dismiss` is called with its name.
    """

    def __init__(self, queue: Queue, config: Config, *, keep: bool = False) -> None:
        self._queue = queue
        self._config = config
        self._keep = keep
        self._process: _ReaperProcess | None = None
        self._reported: list[int] | str | None = None
        self._owner = os.getpid()
        """The process that made this. A fork reports nothing, because it does not hold the rows."""

    def __enter__(self) -> Callable[[Collection[int]], None]:
        return self.report_running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Dismiss the reaper, unless rows may have to be released after the end of this process.

        These are rows of attempts that only end with this process, and claims that were being made when it was interrupted.
        """
        if self._owner != os.getpid():
            return
        is_interrupted = kind is not None and not issubclass(kind, Exception)
        is_needed = is_interrupted or self._queue.held_rows > 0
        if is_needed:
            self.report_running([])
        elif self._keep:
            self._report(IDLE)
        if self._process is not None and (is_needed or self._keep):
            (_NEEDED if is_needed else _LEFT)[self._queue.worker].append(self._process)
        elif self._process is not None:
            self._process.end()

    def report_running(self, ids: Collection[int]) -> None:
        """Report the IDs of the videos being attempted. Only these count a failed attempt if this process is killed."""
        if self._owner != os.getpid():
            return
        if self._reported is None:
            left = _LEFT[self._queue.worker] or _NEEDED[self._queue.worker]
            self._process = left.pop() if left else self._start()  # a worker may need only one for weeks
        self._report(sorted(ids))

    def _report(self, message: list[int] | str) -> None:
        """Report to the reaper. If it was killed, or a function has closed its lifeline, start a new one."""
        if self._process is not None and self._reported != message and not self._process.send(message):
            self._process.abandon()
            self._process = self._start()
            if self._process is not None:
                self._process.send(message)
        self._reported = message

    def _start(self) -> _ReaperProcess | None:
        try:
            return _ReaperProcess(self._queue.worker, self._config)
        except OSError as error:
            _log.warning("if this worker is killed, its videos are released only when their leases expire: %s", error)
            return None


class _ReaperProcess:
    """A running reaper and the writing end of its lifeline.

    A function may close every descriptor of its process. Then the lifeline's number may belong to another file, which must not
    be written to or closed.
    """

    def __init__(self, worker: str, config: Config) -> None:
        command = [sys.executable, "-P", str(PROGRAM), worker, str(os.getpid())]
        reader, writer = os.pipe()
        # Avoid the number of a standard descriptor that the host has closed: the host's output would be written there.
        self._lifeline = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(writer)
        try:
            # In a separate session: Ctrl-C, and a signal to the worker's whole group, must not reach it.
            self._process = subprocess.Popen(
                command, stdin=reader, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reader)
        self._pipe = _file_of(self._lifeline)
        _STARTED.append(self._process)
        hold_open(self._lifeline)
        self.send({"path": sys.path, "config": pickle.dumps(config).hex()})

    def send(self, message: Any) -> bool:
        """Send one message. Return whether the reaper may have received it."""
        if _file_of(self._lifeline) != self._pipe:
            return False
        try:
            os.write(self._lifeline, json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Dismiss the reaper and wait for its end."""
        if self.send(None):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self.abandon()

    def abandon(self) -> None:
        """End the reaper if it is running, without releasing any rows."""
        self._process.kill()
        self._process.wait()
        if _file_of(self._lifeline) == self._pipe:
            stop_holding_open(self._lifeline)
        else:
            forget_held_open(self._lifeline)
        _STARTED.remove(self._process)


def _file_of(number: int) -> tuple[int, int] | None:
    """Return the file that a descriptor's number refers to now, or None if it is closed."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def dismiss(worker: str) -> None:
    """End the worker's kept reapers that have no rows to release. The others wait for the end of this process."""
    for process in _LEFT.pop(worker, ()):
        process.end()


_STARTED: list[subprocess.Popen[bytes]] = []
"""Reapers that are not dismissed: they outlive the ClaimReaper that started them."""
_LEFT: defaultdict[str, list[_ReaperProcess]] = defaultdict(list)
"""Reapers whose `with` block has ended, by the worker's name. A fork has none: they belong to its parent."""

_NEEDED: defaultdict[str, list[_ReaperProcess]] = defaultdict(list)
"""Reapers with rows to release when this process has ended, even if their Coordinator was deleted earlier."""

os.register_at_fork(after_in_child=_LEFT.clear)
os.register_at_fork(after_in_child=_NEEDED.clear)
