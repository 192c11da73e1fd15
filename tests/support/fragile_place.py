"""A place in memory whose process is killed at one of its requests that change something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.memory_place import MemoryPlace


class Killed(BaseException):
    pass


class FragilePlace(MemoryPlace):
    """A place whose process is killed at one of its requests that change something, before or after it."""

    left = 10**9
    fatal = ""
    """The path at which it is killed, whatever is left."""
    is_after = False

    def _strike(self, path: str, work: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left < 0 or path == self.fatal:
            if self.is_after:
                work()
            raise Killed
        return work()

    def _put(self, path: str, *arguments: Any, **more: Any) -> bool:
        return bool(self._strike(path, lambda: super(FragilePlace, self)._put(path, *arguments, **more)))

    def delete(self, path: str) -> None:
        self._strike(path, lambda: super(FragilePlace, self).delete(path))
