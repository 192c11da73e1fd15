"""Allow one publisher at a time, with a lock file in the place that names it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from youtube_download_coordinator.corpus.recordings import FOLDER
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.storage.place import Held, Place
from youtube_download_coordinator.text import format_utc

LOCK = f"{FOLDER}/hub.lock"
ABANDONED = timedelta(hours=6)
"""A publisher renews its lock with every batch. It counts as dead after this time without a renewal."""


class HubLock:
    """The lock of a place."""

    def __init__(self, place: Place, now: datetime) -> None:
        self._place = place
        content = {"host": socket.gethostname(), "pid": os.getpid(), "since": format_utc(now)}
        self._content = json.dumps(content).encode()

    def take(self, now: datetime) -> None:
        """Take the lock. Raises UserError, which names the other process, if it is held."""
        for _ in range(2):
            if self._place.put_if_absent(LOCK, self._content, content_type="application/json", metadata={}):
                return
            held = self._place.head(LOCK)
            if held and not self._is_abandoned(held, now):
                raise_in_use(self._place)
            self._place.delete(LOCK)
        raise UserError("another process has just started to publish this place: wait until it has ended")

    def _is_abandoned(self, held: Held, now: datetime) -> bool:
        """Return whether the lock's process is dead. This process holds the machine's lock, so no other one here publishes."""
        return _read(self._place).get("host") == socket.gethostname() or now - held.modified > ABANDONED

    def renew(self, folder: Path) -> None:
        """Renew the lock. Raises UserError if another process has taken over."""
        if self._place.head(LOCK) is None or self._place.get(LOCK) != self._content:
            raise UserError(f"{_owner(self._place)} has taken over, because this process seemed to be dead")
        file = folder / "lock"
        file.write_bytes(self._content)
        self._place.put(LOCK, file, content_type="application/json", metadata={})

    def release(self) -> None:
        """Remove the lock if it is still held."""
        with contextlib.suppress(FileNotFoundError):
            if self._place.get(LOCK) == self._content:
                self._place.delete(LOCK)


@contextlib.contextmanager
def held_lock(place: Place) -> Iterator[HubLock]:
    """Hold the lock of a place. Raises UserError, which names its holder, and the errors of Place."""
    now = datetime.now(UTC)  # noqa: TID251  (the place has no clock but that of its files)
    lock = HubLock(place, now)
    lock.take(now)
    try:
        yield lock
    finally:
        lock.release()


def raise_in_use(place: Place) -> NoReturn:
    """Raise UserError, which names the process that publishes the place."""
    raise UserError(f"{_owner(place)} is publishing this place: wait until it has ended")


def _read(place: Place) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(place.get(LOCK))
        return content if isinstance(content, dict) else {}
    return {}


def _owner(place: Place) -> str:
    lock = _read(place)
    return f"{lock.get('host', '?')}, process {lock.get('pid', '?')}, since {lock.get('since', '?')},"
