"""Replacements for `threading` and `time`, for threads that run one at a time on simulated time.

The library's own threads (the heartbeat, the timer that shows what is owed) are actors too: a lock or an event that another
thread has to give way for hands on the baton instead of blocking it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.simulation.world import Actor

NEVER = float("inf")

_me = threading.local()


def become(actor: Actor) -> None:
    """Say who runs in this thread."""
    _me.actor = actor


def current() -> Actor:
    """Return the actor of the calling thread."""
    actor: Actor = _me.actor
    return actor


class _Waiting:
    """Actors that wait for something; whoever brings it about lets all of them look again."""

    def __init__(self) -> None:
        self._actors: list[Actor] = []

    def wait_for(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait for the condition, for so many seconds at most. Return whether it holds."""
        if condition():
            return True
        me = current()
        ends = NEVER if seconds is None else me.process.world.clock.now() + seconds
        while not condition() and me.process.world.clock.now() < ends:
            self._actors.append(me)
            try:
                me.wait(ends)
            finally:
                self._actors = [actor for actor in self._actors if actor is not me]
        return condition()

    def look_again(self) -> None:
        for actor in self._actors:
            actor.wakes_at = min(actor.wakes_at, actor.process.world.clock.now())
        self._actors.clear()


class RLock:
    """A lock that its owner may take again."""

    def __init__(self) -> None:
        self._owner: Actor | None = None
        self._count = 0
        self._waiting = _Waiting()

    def __enter__(self) -> bool:
        self._waiting.wait_for(lambda: self._owner in (None, current()))
        self._owner = current()
        self._count += 1
        return True

    def __exit__(self, *error: object) -> None:
        self._count -= 1
        if not self._count:
            self._owner = None
            self._waiting.look_again()


class Event:
    """A flag that can be waited for."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting = _Waiting()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._waiting.look_again()

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiting.wait_for(self.is_set, timeout)


class Thread:
    """A thread of the process of whoever starts it."""

    def __init__(
        self, *, target: Callable[..., Any], args: Iterable[Any] = (), name: str = "thread", daemon: bool = True
    ) -> None:
        self._target, self._args = target, args
        self._name = name
        self._ended = Event()

    def start(self) -> None:
        current().process.thread(self._name, self._run)

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            self._target(*self._args)
        finally:
            self._ended.set()


class Time:
    """A replacement for `time`."""

    @staticmethod
    def monotonic() -> float:
        return current().process.monotonic()

    @staticmethod
    def sleep(seconds: float) -> None:
        current().process.rest(seconds)


class _Waited(NamedTuple):
    done: set[Future[Any]]
    not_done: set[Future[Any]]


def wait(futures: Iterable[Future[Any]], timeout: float | None = None, return_when: str = "") -> _Waited:
    """Wait as `concurrent.futures.wait` does, for attempts that end by themselves."""
    everything = set(futures)
    done = {future for future in everything if future.done()}
    if done != everything:
        current().process.rest(timeout or 0.0)
        done = {future for future in everything if future.done()}
    return _Waited(done, everything - done)
