"""A store that counts what it is asked, and is unavailable when a test says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.stores.sql import SqlStore


class FaultyStore(SqlStore):
    """An embedded store whose verbs fail on request."""

    def __init__(self, url: str = "sqlite://") -> None:
        self.calls: Counter[str] = Counter()
        self.fails: Callable[[str], bool] = lambda verb: False
        """Whether this call is to raise StoreUnavailable."""
        super().__init__(url)

    def _asked(self, verb: str) -> None:
        self.calls[verb] += 1
        if self.fails(verb):
            raise StoreUnavailable(f"no {verb} now")

    def scan(self, *given: Any, **named: Any) -> Any:
        self._asked("scan")
        return super().scan(*given, **named)

    def count(self, *given: Any, **named: Any) -> Any:
        self._asked("count")
        return super().count(*given, **named)

    def swap(self, *given: Any, **named: Any) -> Any:
        self._asked("swap")
        return super().swap(*given, **named)

    def insert(self, *given: Any, **named: Any) -> Any:
        self._asked("insert")
        return super().insert(*given, **named)

    def move(self, *given: Any, **named: Any) -> Any:
        self._asked("move")
        return super().move(*given, **named)

    def now(self) -> Any:
        self._asked("now")
        return super().now()


class ClockedStore(FaultyStore):
    """A store whose clock a test sets."""

    ahead = timedelta(0)

    def now(self) -> Any:
        return super().now() + self.ahead
