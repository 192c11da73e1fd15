"""Prevent processes from importing yt-dlp during an upgrade of yt-dlp.

An upgrade replaces files one by one. A process that imports yt-dlp at the same time would get modules of two versions. So an
import holds a shared lock on a file in `state_dir`, and the upgrade holds an exclusive one. The kernel releases both when their
process ends.

A second file, the turnstile, gives the upgrade a turn: each import briefly takes a shared lock on it. Without it, workers that
constantly begin attempts would never leave a gap.
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
    """Raised if another process holds the lock for too long, with the name of the file."""


@contextlib.contextmanager
def importing(folder: str, *, wait_seconds: float = IMPORT_WAITS_SECONDS) -> Iterator[None]:
    """Block upgrades while yt-dlp is imported. First wait for the end of a running upgrade.

    The import continues without the lock if there is no folder, if the files cannot be opened, or if an upgrade does not end.
    """
    with contextlib.ExitStack() as stack:
        try:
            if folder:
                with contextlib.closing(_LockFile(Path(folder, TURNSTILE_FILE))) as turnstile:
                    turnstile.acquire(fcntl.LOCK_SH, wait_seconds)
                    lock = stack.enter_context(contextlib.closing(_LockFile(Path(folder, LOCK_FILE))))
                    lock.acquire(fcntl.LOCK_SH, wait_seconds)
        except LockBusy:
            _warn(f"an upgrade of yt-dlp has not ended for {wait_seconds:.0f} s: importing yt-dlp anyway")
        except OSError as error:
            _warn(f"yt-dlp is imported without a lock against upgrades: {error}")
        yield


def _warn(message: str) -> None:
    import logging  # every child imports this module, and few have anything to log

    logging.getLogger(__name__).warning(message)


@contextlib.contextmanager
def no_imports(folder: Path, *, wait_seconds: float) -> Iterator[tuple[int, ...]]:
    """Block imports of yt-dlp. First wait for the end of running imports.

    Yields the descriptors that hold the locks. A program that inherits them keeps the locks until it ends. Raises LockBusy, or
    OSError if the files cannot be opened.
    """
    with (
        contextlib.closing(_LockFile(folder / TURNSTILE_FILE)) as turnstile,
        contextlib.closing(_LockFile(folder / LOCK_FILE)) as lock,
    ):
        turnstile.acquire(fcntl.LOCK_EX, wait_seconds)
        lock.acquire(fcntl.LOCK_EX, wait_seconds)
        yield turnstile.fd, lock.fd


class _LockFile:
    """A file that is locked while it is open."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self.fd = open_private(path)

    def close(self) -> None:
        os.close(self.fd)

    def acquire(self, kind: int, wait_seconds: float) -> None:
        """Lock the file, shared or exclusively. Raises LockBusy if others hold it for longer than `wait_seconds`."""
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
