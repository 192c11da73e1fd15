"""Renew claims while their attempts run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from youtube_download_coordinator.errors import StoreError, StoreGone
from youtube_download_coordinator.queue import Queue

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 3
"""The lease survives two failed renewals."""
RETRIES_PER_BEAT = 4


class Heartbeat:
    """A thread that renews every claim of a worker while the `with` block runs.

    The thread runs in the block's context, so that its log belongs to the same Prefect run.
    """

    def __init__(self, queue: Queue, on_gone: Callable[[], None] = lambda: None) -> None:
        """Prepare the thread. `on_gone` is called when the queue was deleted, so that no outcome can be recorded."""
        self._queue = queue
        self._on_gone = on_gone
        self._interval_seconds = queue.video_policy.lease.total_seconds() / BEATS_PER_LEASE
        self._process = os.getpid()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        self._queue.loop_begins()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process == os.getpid():  # a fork has no such thread, and may have inherited the event's lock locked
            self._stop.set()
            self._thread.join()
            self._queue.loop_ends()

    def _run(self) -> None:
        wait_seconds = self._interval_seconds
        while not self._stop.wait(wait_seconds):
            wait_seconds = self._interval_seconds if self._beat() else self._interval_seconds / RETRIES_PER_BEAT

    def _beat(self) -> bool:
        try:
            self._queue.renew()
        except StoreGone:
            self._on_gone()
            return False
        except StoreError as error:
            log.warning("claims could not be renewed; trying again soon: %s", error)
            return False
        except Exception:  # without renewals, every later outcome would be discarded
            log.exception("claims could not be renewed; trying again soon")
            return False
        return True
