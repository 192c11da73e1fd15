"""Call a function on a video in this process, which is a user's own program.

Such a function cannot be ended, and it shares its process with the host: it may exit, fork, or run in the host's event loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import Failure, Outcome, Verdict, VideoTask
from youtube_download_coordinator.queue.claims import describe
from youtube_download_coordinator.reasons import INTERRUPTED
from youtube_download_coordinator.workers.find_processor import Processor
from youtube_download_coordinator.workers.run_processor import awaited, call_in_process

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

log = logging.getLogger(__name__)


def attempt_in_process(processor: Processor, task: VideoTask, interruptions: list[BaseException]) -> Outcome:
    """Call a function on one video. An exception that ends the program, such as SystemExit, is added to `interruptions`.

    It counts as the row's outcome, and the caller raises it when that is recorded. KeyboardInterrupt is raised at once.
    """
    try:
        return call_in_process(processor, task)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  the caller raises it
        interruptions.append(error)
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(verdict=Verdict.UNFIT, reason=INTERRUPTED, message=message)


def refuse_filters(config: Config) -> None:
    """Raise ConfigError if filters are set that this process cannot apply, because such a function fetches media itself."""
    if config.licenses or config.trainable:
        raise ConfigError(
            "YDC_LICENSES and YDC_TRAINABLE do not apply to a function that runs in your own program:"
            " let workers run it (ydc run --processor module:function), or unset them here"
        )


@contextmanager
def warned_after(time: timedelta, task: VideoTask) -> Iterator[None]:
    """Log a warning when the `with` block takes longer than `time`."""
    process = os.getpid()
    timer = threading.Timer(time.total_seconds(), _warn, [task, time])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        if process == os.getpid():  # a fork has no such thread, and may have inherited its lock locked
            timer.cancel()


def _warn(task: VideoTask, time: timedelta) -> None:
    log.warning(
        "%s: the function has run for %g minutes (attempt_timeout_minutes). It cannot be ended, because it runs in your program;"
        " the video stays claimed",
        describe(task),
        time.total_seconds() / 60,
    )


def is_async(processor: Processor) -> bool:
    """Return whether calling it returns a coroutine."""
    inner = processor if inspect.isroutine(processor) else type(processor).__call__
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(inner)


def runs_event_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class LoopBridge:
    """A bridge that calls a function in another thread and runs the awaitable that it returns in the event loop."""

    def __init__(self, processor: Processor, loop: asyncio.AbstractEventLoop) -> None:
        self._processor = processor
        self._loop = loop
        self._future: Future[object] | None = None
        self._is_cancelled = False
        self.call: Callable[[Any], object] = functools.wraps(processor)(lambda argument: self._call(argument))

    def cancel(self) -> None:
        """Cancel the awaitable in the loop, even if it has not begun."""
        self._is_cancelled = True
        if self._future is not None:
            self._future.cancel()

    def _call(self, argument: Any) -> object:
        if self._is_cancelled:
            raise asyncio.CancelledError
        value = self._processor(argument)
        if not inspect.isawaitable(value):
            return value
        self._future = asyncio.run_coroutine_threadsafe(awaited(value), self._loop)
        if self._is_cancelled:
            self._future.cancel()
        try:
            return self._future.result()
        except CancelledError:
            raise asyncio.CancelledError from None


_forks = 0


def _after_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_after_fork)


def ends_without_cleanup() -> bool:
    """Return whether this process probably ends by `os._exit`, which skips atexit functions.

    Forks, processes of multiprocessing, and the workers of Celery and RQ do. A module that was first imported in a fork cannot
    detect the fork, so those are recognized by name.
    """
    multiprocessing, celery, rq = (sys.modules.get(name) for name in ("multiprocessing", "celery", "rq"))
    return bool(
        _forks
        or (multiprocessing and multiprocessing.parent_process() is not None)
        or getattr(celery, "current_task", None)
        or getattr(rq, "get_current_job", bool)()
    )
