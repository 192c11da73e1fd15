"""Keep an upgrade of yt-dlp apart from the processes that import yt-dlp.

An upgrade replaces files one by one. A process that imports yt-dlp meanwhile would get modules of two versions. So an import
holds a shared lock on a file in `state_dir`, and the upgrade an exclusive one. The kernel drops both when their process ends.

A second file, the turnstile, lets the upgrade in: imports pass it with a shared lock that they drop at once. Without it, workers
that begin attempts all the time would never leave a gap.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from youtube_download_coordinator.private_files import open_private

TURNSTILE_FILE, LOCK_FILE = "yt-dlp.turnstile", "yt-dlp.lock"
POLL_SECONDS = 0.02
IMPORT_WAITS_SECONDS = 300.0
"""The longest that an import waits for an upgrade, which takes seconds: it was downloaded before. Then the upgrade hangs."""


class LockBusy(Exception):
    """Another process kept the lock for longer than the caller waits. The argument is the name of the file."""


@contextlib.contextmanager
def importing(folder: str, *, wait_seconds: float = IMPORT_WAITS_SECONDS) -> Iterator[None]:
    """Hold back an upgrade while yt-dlp is imported, after waiting for the end of one that runs.

    Without a folder, where the files cannot be opened, and when an upgrade does not end, the import goes on without the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            if folder:
                with contextlib.closing(_LockFile(Path(folder, TURNSTILE_FILE))) as turnstile:
                    turnstile.acquire(fcntl.LOCK_SH, wait_seconds)
                    lock = stack.enter_context(contextlib.closing(_LockFile(Path(folder, LOCK_FILE))))
                    lock.acquire(fcntl.LOCK_SH, wait_seconds)
        except LockBusy:
            _warn(f"an upgrade of yt-dlp has not ended for {wait_seconds:.0f} s: going on")
        except OSError as error:
            _warn(f"yt-dlp is imported without the lock that holds back an upgrade: {error}")
        yield


def _warn(message: str) -> None:
    import logging  # every child imports this module, and few have something to log

    logging.getLogger(__name__).warning(message)


@contextlib.contextmanager
def no_imports(folder: Path, *, wait_seconds: float) -> Iterator[tuple[int, ...]]:
    """Let no process import yt-dlp, after waiting for those that are importing it.

    Yields the descriptors that hold the locks. A program that inherits them keeps the locks until it ends too.
    Raises LockBusy, or OSError when the files cannot be opened.
    """
    with (
        contextlib.closing(_LockFile(folder / TURNSTILE_FILE)) as turnstile,
        contextlib.closing(_LockFile(folder / LOCK_FILE)) as lock,
    ):
        turnstile.acquire(fcntl.LOCK_EX, wait_seconds)
        lock.acquire(fcntl.LOCK_EX, wait_seconds)
        yield turnstile.fd, lock.fd


class _LockFile:
    """A file that is locked as long as it is open."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self.fd = open_private(path)

    def close(self) -> None:
        os.close(self.fd)

    def acquire(self, kind: int, wait_seconds: float) -> None:
        """Lock the file, shared or exclusively. Raise LockBusy when others hold it for longer than `wait_seconds`."""
        ends_at = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= ends_at:
                    raise LockBusy(self._name) from None
                time.sleep(POLL_SECONDS)
            else:
                return
