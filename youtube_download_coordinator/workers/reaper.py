"""A small process that outlives a worker's, and gives back what it held when it could not do so itself.

    with Survivor(queue, config) as attempts_run:
        attempts_run([17, 18])      # whenever that changes: the IDs of the videos that attempts run on

It sleeps in a read of its stdin, the *lifeline*. Our process holds the other end, and so does the supervisor of each of its
children: its end proves that all of them are gone, whatever killed them. Then their rows are free for others, long before the
leases end: without a count those that were only claimed; with one more failed attempt those that an attempt ran on, for it may
have been what killed us. A worker that has given back everything itself dismisses its survivor.

This is the worker's side; the process itself is reaper_main.py. What goes through the lifeline is a line of JSON each: how to open
the queue, then the IDs whenever they change, at last `null`.
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

from youtube_download_coordinator.processes import parent as children

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.queue import Queue

_log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("reaper_main.py")
END_SECONDS = 5.0
"""What a dismissed survivor may take to end."""


class ClaimReaper:
    """Begins with the first word of attempts. Where it cannot, what a killed worker held waits for its leases to end."""

    def __init__(self, queue: Queue, config: Config) -> None:
        self._queue = queue
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._told: list[int] | None = None

    def __enter__(self) -> Callable[[Collection[int]], None]:
        return self.report_running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Dismiss it, unless there may be something left to give back: when we are gone, it will look.

        By an attempt that nothing ends before this process, or by a claim that was on its way when we were interrupted.
        """
        interrupted = kind is not None and not issubclass(kind, Exception)
        if interrupted or self._queue.held_rows:
            self.report_running([])
            if self._process is not None:
                _LEFT[self._queue.worker] = (self._process, self._lifeline)
        else:
            self._dismiss()

    def report_running(self, ids: Collection[int]) -> None:
        """Say which videos attempts run on now. None: no attempt is to blame if this process ends."""
        if self._told is None:
            self._start_or_say_why_not()
        if self._told != sorted(ids):
            self._told = sorted(ids)
            self._write(self._told)

    def _start_or_say_why_not(self) -> None:
        if self._take_up():
            return
        try:
            self._start()
        except OSError as error:
            _log.warning("if this worker is killed, what it holds waits for its leases to end: %s", error)

    def _take_up(self) -> bool:
        """Go on with one that this worker has left before, if there is any: a worker that goes on for weeks needs one."""
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
            # In a session of its own: Ctrl-C, and a signal to our whole group, is not for it.
            self._process = subprocess.Popen(
                command, stdin=reader, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
            )
        finally:
            os.close(reader)
        _STARTED.append(self._process)
        children.hold_open(self._lifeline)
        self._write(job)

    def _dismiss(self) -> None:
        if self._process is None:
            return
        self._write(None)
        children.stop_holding_open(self._lifeline)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _STARTED.remove(self._process)

    def _write(self, said: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it: the leases will do
            os.write(self._lifeline, json.dumps(said).encode() + b"\n")


_STARTED: list[subprocess.Popen[bytes]] = []
"""Those that are not dismissed: they outlive whoever started them in this process."""
_LEFT: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
"""Of them, those whose `with` block has ended, by the worker: with the lifeline."""
