"""Allow one transaction at a time on the SQLite files of a process, and none during a fork.

SQLite files must not stay open across a fork, because the child would assume that it holds the parent's locks
(https://www.sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork"). So a fork waits for the
transactions of other threads and closes the files. Both processes open them again when they need them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol
from weakref import WeakSet

from youtube_download_coordinator.errors import ConfigError

FORK_WAIT_SECONDS = 5.0
"""How long a fork waits for another thread's transaction, which takes longer only if another process holds the file's lock."""


class UnsafeFork(ConfigError):
    """Raised when the process was forked while another thread was using SQLite."""

    def __init__(self) -> None:
        super().__init__(
            "this process was forked while another thread was writing to a SQLite file, which SQLite does not survive:"
            " fork before threads use the queue, or start the process with multiprocessing's “spawn”"
        )


class ForkLock:
    """A lock that each transaction on one SQLite database holds. `close_files` closes its connections before a fork."""

    is_process_safe = True
    """Whether the parent acquired all locks in time before the fork."""

    def __init__(self, close_files: Callable[[], None]) -> None:
        self._close_files = close_files
        self._lock = threading.RLock()
        self._is_held_for_fork = False
        _LOCKS.add(self)

    def __enter__(self) -> None:
        if not ForkLock.is_process_safe:
            raise UnsafeFork
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        self._is_held_for_fork = self._lock.acquire(timeout=FORK_WAIT_SECONDS)
        if self._is_held_for_fork:
            self._close_files()

    def after_in_parent(self) -> None:
        if self._is_held_for_fork:
            self._lock.release()

    def after_in_child(self) -> None:
        self._lock = threading.RLock()
        ForkLock.is_process_safe &= self._is_held_for_fork


_LOCKS: WeakSet[ForkLock] = WeakSet()


def _before_fork() -> None:
    for lock in list(_LOCKS):
        lock.before_fork()


def _after_in_parent() -> None:
    for lock in list(_LOCKS):
        lock.after_in_parent()


def _after_in_child() -> None:
    for lock in list(_LOCKS):
        lock.after_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


class Reopened(Protocol):
    """What is opened anew in a forked process."""

    def after_fork(self) -> None: ...


_reopened: WeakSet[Reopened] = WeakSet()
LEFT_TO_THE_PARENT: list[object] = []
"""Pools of connections, kept because a pool that nobody refers to closes them."""


def reopen_after_fork(store: Reopened) -> None:
    """Call `store.after_fork` in each process that is forked from this one."""
    _reopened.add(store)


def _reopen() -> None:
    for store in list(_reopened):
        store.after_fork()


os.register_at_fork(after_in_child=_reopen)
