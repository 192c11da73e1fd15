"""The reaper: a small process that outlives a worker's process, and gives back the claims of a worker that was killed.

    with ClaimReaper(queue, config) as report_running:
        report_running([17, 18])      # whenever they change: the IDs of the videos that attempts run on

The reaper sleeps in a read of its stdin, the *lifeline*. The worker's process holds the other end, and so does the supervisor of
each of its child processes: the end of the lifeline proves that all of them have ended, whatever killed them. Then the reaper
frees their rows, long before the leases end. A row that was only claimed is given back without a count; a row that an attempt ran
on counts one more failed attempt, because that attempt may have killed the worker. A worker that has given back everything itself
dismisses its reaper.

This is the worker's side; the process itself is reaper_main.py. Each line of the lifeline is JSON: how to open the queue, then
the IDs whenever they change, at last `null`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import subprocess
import sys
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
END_SECONDS = 5.0
"""How long a dismissed reaper may take to end."""


class ClaimReaper:
    """Starts the reaper with the first report. Where that fails, a killed worker's rows wait for their leases to end."""

    def __init__(self, queue: Queue, config: Config) -> None:
        self._queue = queue
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._reported: list[int] | None = None

    def __enter__(self) -> Callable[[Collection[int]], None]:
        return self.report_running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Dismiss the reaper, unless something may be left to give back when this process has ended.

        That is the row of an attempt that only ends with this process, or a claim that was being made at an interruption.
        """
        interrupted = kind is not None and not issubclass(kind, Exception)
        if interrupted or self._queue.held_rows:
            self.report_running([])
            if self._process is not None:
                _LEFT[self._queue.worker] = (self._process, self._lifeline)
        else:
            self._dismiss()

    def report_running(self, ids: Collection[int]) -> None:
        """Report which videos attempts run on now. Without any, no attempt is blamed when this process ends."""
        if self._reported is None:
            self._start_or_warn()
        if self._reported != sorted(ids):
            self._reported = sorted(ids)
            self._write(self._reported)

    def _start_or_warn(self) -> None:
        if self._reuse():
            return
        try:
            self._start()
        except OSError as error:
            _log.warning("if this worker is killed, its videos wait for their leases to end: %s", error)

    def _reuse(self) -> bool:
        """Use the reaper that this worker left running before, if there is one: a worker needs only one, for weeks."""
        process, lifeline = _LEFT.pop(self._queue.worker, (None, -1))
        if process is None:
            return False
        self._process, self._lifeline = process, lifeline
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
        self._write(job)

    def _dismiss(self) -> None:
        if self._process is None:
            return
        self._write(None)
        stop_holding_open(self._lifeline)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _STARTED.remove(self._process)

    def _write(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was killed: then the leases must end
            os.write(self._lifeline, json.dumps(message).encode() + b"\n")


_STARTED: list[subprocess.Popen[bytes]] = []
"""Reapers that are not dismissed: they outlive the ClaimReaper that started them."""
_LEFT: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
"""Those whose `with` block has ended, by the worker's name, with their lifelines."""
