"""Waiting for a condition: tests never sleep for a guessed time. And what they often wait for: that processes are gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import psutil

POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], object], seconds: float = 60, poll_seconds: float = POLL_SECONDS) -> None:
    """Return as soon as the condition holds; fail when it does not within that time."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        pause.wait(poll_seconds)


def any_alive(processes: Iterable[psutil.Process]) -> bool:
    """Return whether one of the processes still runs. A zombie does not: init has not reaped it yet."""
    return any(map(_is_alive, processes))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # gone between the two questions
        return False
