"""Add this machine's publications to the index of its place, in the background, because the network may take minutes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from youtube_download_coordinator.corpus.index import BuriedKeys, Index
from youtube_download_coordinator.errors import CoordinatorError
from youtube_download_coordinator.storage.opening import open_place

_log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
CLOSING_SECONDS = 5.0
"""How long the end of a worker waits for the index. The next worker adds the remaining facts."""


@dataclass(slots=True)
class IndexUpkeep:
    """The index of one place, which a worker's process keeps up to date."""

    output_dir: Path | str
    state_dir: Path
    monotonic: Callable[[], float] = time.monotonic
    buried_keys: BuriedKeys = lambda keys: set()
    """A function that returns the given keys whose videos were purged."""
    _thread: threading.Thread | None = field(default=None, init=False)
    _due: float | None = field(default=None, init=False)

    def tick(self) -> None:
        """Start adding spooled facts to the index, at most every ten minutes. Does not wait."""
        now = self.monotonic()
        if self._due is None or now >= self._due:
            self._due = now + EVERY_SECONDS
            self._start()

    def close(self) -> None:
        """Add the remaining facts to the index, unless that takes too long."""
        if self._due is None:  # there were no publications
            return
        self.join()
        if self._thread is None or not self._thread.is_alive():
            self._start()
            self.join()

    def join(self) -> None:
        """Wait for the background thread, unless that takes too long."""
        if self._thread:
            self._thread.join(CLOSING_SECONDS)

    def _start(self) -> None:
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and (self.state_dir / "index").is_dir():
            self._thread = threading.Thread(target=self._flush, name="index", daemon=True)
            self._thread.start()

    def _flush(self) -> None:
        try:
            Index(open_place(self.output_dir), self.state_dir, self.buried_keys).flush()
        except CoordinatorError as error:
            _log.warning("the index of the corpus is not up to date: %s", error)
