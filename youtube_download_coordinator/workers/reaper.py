"""The reaper: a small process that outlives a worker's process, and gives back the claims of a worker that was killed.

    with ClaimReaper(queue, config) as report_running:
        report_running([17, 18])      # whenever they change: the IDs of the videos that attempts run on

The reaper sleeps in a read of its stdin, the *lifeline*. The worker's process holds the other end, and so does the supervisor of
each of its child processes: the end of the lifeline proves that all of them have ended, whatever killed them. Then the reaper
frees their rows, long before the leases end. A row that was only claimed is given back without a count; a row that an attempt ran
on counts one more failed attempt, because that attempt may have killed the worker. A worker that has given back everything itself
dismisses its reaper, or reports that it is idle and keeps the reaper for its next call.

This is the worker's side; the process itself is reaper_main.py. Each line of the lifeline is JSON: how to open the queue, then
the IDs whenever they change or `"idle"`, at last `null`.
"""

from __future__ import annotations

import contextlib
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

from youtube_download_coordinator.processes.parent import hold_open, stop_holding_open

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.queue import Queue

_log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("reaper_main.py")
IDLE = "idle"
"""The message of a worker that holds nothing now."""
END_SECONDS = 5.0
"""How long a dismissed reaper may take to end."""


class ClaimReaper:
    """Starts the reaper with the first report. Where that fails, a killed worker's rows wait for their leases to end.

    `keep`: the reaper goes on when the `with` block ends, for the worker's next block, until `dismiss` is called with its name.
    """

    def __init__(self, queue: Queue, config: Config, *, keep: bool = False) -> None:
        self._queue = queue
        self._config = config
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._reported: list[int] | str | None = None
        self._owner = os.getpid()
        """A fork reports nothing: it holds none of the rows."""

    def __enter__(self) -> Callable[[Collection[int]], None]:
        return self.report_running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Dismiss the reaper, unless something may be left to give back when this process has ended.

        That is the row of an attempt that only ends with this process, or a claim that was being made at an interruption.
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
            (_NEEDED if is_needed else _LEFT)[self._queue.worker].append((self._process, self._lifeline))
        elif self._process is not None:
            _end(self._process, self._lifeline)

    def report_running(self, ids: Collection[int]) -> None:
        """Report which videos attempts run on now. Without any, no attempt is blamed when this process ends."""
        if self._owner != os.getpid():
            return
        if self._reported is None:
            self._start_or_warn()
        self._report(sorted(ids))

    def _report(self, message: list[int] | str) -> None:
        if self._process is not None and self._reported != message:
            _write(self._lifeline, message)
        self._reported = message

    def _start_or_warn(self) -> None:
        if self._reuse():
            return
        try:
            self._start()
        except OSError as error:
            _log.warning("if this worker is killed, its videos wait for their leases to end: %s", error)

    def _reuse(self) -> bool:
        """Use the reaper that this worker left running before, if there is one: a worker needs only one, for weeks."""
        left = _LEFT[self._queue.worker] or _NEEDED[self._queue.worker]
        if not left:
            return False
        self._process, self._lifeline = left.pop()
        return True

    def _start(self) -> None:
        job = {"path": sys.path, "config": pickle.dumps(self._config).hex()}
        command = [sys.executable, "-P", str(PROGRAM), self._queue.worker]
        reader, self._lifeline = os.pipe()
        try:
            # In a session of its own: Ctrl-C, and a signal to the worker's whole group, must not reach it.
            self._process = subprocess.Popen(
                command, stdin=reader, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
            )
        finally:
            os.close(reader)
        _STARTED.append(self._process)
        hold_open(self._lifeline)
        _write(self._lifeline, job)


def dismiss(worker: str) -> None:
    """End the reapers that the worker has kept and that have nothing to give back. The others wait for this process to end."""
    for process, lifeline in _LEFT.pop(worker, ()):
        _end(process, lifeline)


def _end(process: subprocess.Popen[bytes], lifeline: int) -> None:
    _write(lifeline, None)
    with contextlib.suppress(OSError):
        stop_holding_open(lifeline)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _STARTED.remove(process)


def _write(lifeline: int, message: Any) -> None:
    with contextlib.suppress(
        OSError
    ):  # it was killed, or a function has closed every descriptor: then the leases must end
        os.write(lifeline, json.dumps(message).encode() + b"\n")


_STARTED: list[subprocess.Popen[bytes]] = []
"""Reapers that are not dismissed: they outlive the ClaimReaper that started them."""
_LEFT: defaultdict[str, list[tuple[subprocess.Popen[bytes], int]]] = defaultdict(list)
"""Those whose `with` block has ended, by the worker's name, with their lifelines. A fork has none: they are its parent's."""

_NEEDED: defaultdict[str, list[tuple[subprocess.Popen[bytes], int]]] = defaultdict(list)
"""Those that have rows to give back when this process has ended, also when their worker's Coordinator is gone before."""

os.register_at_fork(after_in_child=_LEFT.clear)
os.register_at_fork(after_in_child=_NEEDED.clear)
