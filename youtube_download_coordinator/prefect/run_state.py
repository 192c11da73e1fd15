"""Keep a run and its state on Prefect's server together, also when the worker or the server was away.

A worker stops watching for cancellations after 25 s without a server, and a run outlives a worker that is killed. So a run
reads its own state once a minute, and ends if it was cancelled. At its end, a run first waits until the server answers: Prefect
gives up after a minute, and the run would be shown as crashed.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort, ObjectNotFound, PrefectHTTPStatusError, TerminationSignal
from prefect.states import Cancelled

from youtube_download_coordinator.prefect.server_answers import impatient_client, wait_until_server_answers

log = logging.getLogger(__name__)

ASK_SECONDS = 60.0
"""The time between two reads of the run's state, each of which is one request to Prefect's server."""
CANCELLED = "cancelled; what the run held is released"
STOPPED = "stopped by SIGTERM; what the run held is released"
STOPPED_NAME = "Stopped"


class CancellationWatch:
    """A watch that interrupts the main thread, like SIGTERM, when the run was cancelled. Then `cancelled` is true."""

    def __init__(self, run_id: str) -> None:
        self.cancelled = False
        self._stopped = self._catches_hangups = False
        self.run_id = UUID(run_id)
        self._ended = threading.Event()
        self._interrupting = threading.Lock()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="run state", daemon=True)

    def start(self) -> None:
        # Without Prefect's handler, as outside the main thread, the signal would end the process at once.
        is_main, on_stop = threading.current_thread() is threading.main_thread(), signal.getsignal(signal.SIGTERM)
        if not is_main or not callable(on_stop):
            return
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # closing a terminal stops its flows like SIGTERM
            self._catches_hangups = True
            signal.signal(signal.SIGHUP, on_stop)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching: from now on, do not interrupt the main thread."""
        with self._interrupting:
            self._ended.set()
        if self._catches_hangups:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def interrupted(self) -> None:
        """Record that the main thread was interrupted, by this watch or by a SIGTERM."""
        self._stopped = True
        self.cancelled = self.cancelled or self._is_cancelled()

    def final_state(self) -> State[Any] | None:
        """Return a new final state for an interrupted run or subflow, because a planned stop is not a crash.

        Each run needs its own state: Prefect treats the state of another run as a result.
        """
        if self.cancelled:
            return Cancelled(message=CANCELLED)
        return Cancelled(name=STOPPED_NAME, message=STOPPED) if self._stopped else None

    def _run(self) -> None:
        while not self._ended.wait(ASK_SECONDS):
            if not self._is_cancelled():
                continue
            with self._interrupting:
                if not self._ended.is_set():
                    self.cancelled = True
                    log.warning("this run was cancelled, so it ends")
                    os.kill(os.getpid(), signal.SIGTERM)
            return

    def _is_cancelled(self) -> bool:
        try:
            with impatient_client() as client:
                state = client.read_flow_run(self.run_id).state
        except (PrefectHTTPStatusError, HTTPError, ObjectNotFound):
            return False  # read again in a minute
        return state is not None and (state.is_cancelling() or state.is_cancelled())


_watches: list[CancellationWatch] = []
"""The watch of the outermost flow of this process. Subflows end with it."""


@contextmanager
def watching_for_cancellation() -> Iterator[CancellationWatch | None]:
    """Watch the outermost run of this process. Yield its watch, or None outside a run."""
    if _watches or not runtime.flow_run.id:
        yield _watches[0] if _watches else None
        return
    watch = CancellationWatch(runtime.flow_run.id)
    _watches.append(watch)
    watch.start()
    try:
        yield watch
    finally:
        _watches.remove(watch)
        watch.stop()


@contextmanager
def ending_as_cancelled() -> Iterator[None]:
    """Watch the run during a block in a user's own flow, and end it as Cancelled if it was cancelled."""
    with watching_for_cancellation() as watch:
        try:
            yield
        except TerminationSignal:
            if watch is None or not watch.cancelled:
                raise
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(watch.run_id, Cancelled(message=CANCELLED), force=True)
            raise Abort(CANCELLED) from None


def wait_for_server() -> None:
    """Wait until Prefect's server answers. The run holds no rows during this time."""
    if runtime.flow_run.id:
        wait_until_server_answers()
