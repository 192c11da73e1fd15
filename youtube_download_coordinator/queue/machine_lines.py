"""State shared by the processes of one machine: the rate limit, recent failures, and whether a cooldown has changed.

The state is kept in lines of the machine's own store (stores/machine.py). Without that store, or while it fails, there is no rate
limit, and a process notices a cooldown of another process only when it next reads Control.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Control, Row
from youtube_download_coordinator.queue.rate_limit import RATE_LIMIT_LINE, RateLimit
from youtube_download_coordinator.queue.store import SetControl, Store

log = logging.getLogger(__name__)

REVISION_LINE = "changed"
"""The line whose value increases with each change of a cooldown."""
_COUNT = re.compile("[0-9]{1,18}")
YOUTUBE = "yt:"
"""The prefix of the keys of YouTube's videos. Only these rows are rate limited."""


@dataclass(slots=True, kw_only=True)
class MachineLines:
    """One process's view of the machine state."""

    store: Store | None
    rate_limit: RateLimit | None
    memory: dict[str, Control] = field(default_factory=dict)
    """The lines of this process alone, used when there is no machine state."""
    revision: str | None = None
    """The revision that this process has seen. None: Control has not been read yet, so its first content is current."""
    _has_failed: bool = False

    def start_delay_seconds(self, row: Row) -> float:
        """Count the start of an attempt at the row and return 0, or return how long to wait before asking again."""
        if self.store is None or self.rate_limit is None or not row.key.startswith(YOUTUBE):
            return 0.0
        rate_limit = self.rate_limit
        delay_seconds = 0.0
        try:
            now = self.store.now()

            def change(line: Control | None) -> Control | None:
                nonlocal delay_seconds
                delay_seconds = rate_limit.delay(line, now).total_seconds()
                return rate_limit.take(line, now)

            self.store.set_control(RATE_LIMIT_LINE, change)
        except StoreError as error:
            self._go_on_without(error)
            return 0.0
        return delay_seconds

    def refund_start(self, row: Row) -> None:
        """Take back the start of an attempt that did not contact YouTube."""
        if self.store is None or self.rate_limit is None or not row.key.startswith(YOUTUBE):
            return
        rate_limit = self.rate_limit
        try:
            now = self.store.now()
            self.store.set_control(RATE_LIMIT_LINE, lambda line: rate_limit.refund(line, now))
        except StoreError as error:
            self._go_on_without(error)

    def read_revision(self) -> tuple[str, bool]:
        """Return the revision of the cooldowns, and whether another process has changed one."""
        try:
            lines = self.store.controls() if self.store else []
        except StoreError as error:
            self._go_on_without(error)
            return self.revision or "", False
        revision = next((line.value for line in lines if line.name == REVISION_LINE), "")
        return revision, self.revision not in {None, revision}

    def increase_revision(self) -> None:
        """Make the other processes of this machine read Control."""
        before = ""

        def increased(line: Control | None) -> Control:
            nonlocal before
            before = line.value if line else ""
            return Control(name=REVISION_LINE, value=str((int(before) if _COUNT.fullmatch(before) else 0) + 1))

        try:
            changed = self.store.set_control(REVISION_LINE, increased) if self.store else None
            if changed and before == self.revision:
                self.revision = changed.value  # this change is known here
        except StoreError as error:
            self._go_on_without(error)

    def read(self, name: str) -> Control | None:
        """Return a line, at most a moment old."""
        try:
            lines = self.store.controls() if self.store else []
        except StoreError as error:
            self._go_on_without(error)
            lines = []
        return next((line for line in lines if line.name == name), self.memory.get(name))

    def change(self, name: str, change: SetControl) -> None:
        """Change a line; only in this process if there is no machine state."""
        try:
            if self.store is not None:
                self.store.set_control(name, change)
                return
        except StoreError as error:
            self._go_on_without(error)
        line = change(self.memory.get(name))
        if line is not None:
            self.memory[name] = line

    def _go_on_without(self, error: StoreError) -> None:
        """Log once and go on without rate limiting; if the disk is full, the attempts report it."""
        if not self._has_failed:
            self._has_failed = True
            log.error("the machine state (state_dir) cannot be used; going on without a rate limit: %s", error)
