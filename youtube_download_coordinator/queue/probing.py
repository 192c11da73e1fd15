"""Probing: when the pause of a cooldown is over, one worker may try one row.

This is the part of an admission (admission.py) that reads and changes lines of Control.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control, Row, State
from youtube_download_coordinator.queue import cooldown, suspicion
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import SUBTITLES, ControlValue, Pauses, Probe
from youtube_download_coordinator.queue.machine_lines import MachineLines
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import VIDEO_TASKS, AccentOrder, SetControl, Store, Table, Where
from youtube_download_coordinator.queue.suspicion import DEFAULT_LIMITS, OutageLimits
from youtube_download_coordinator.queue.suspicion_watch import SuspicionWatch

log = logging.getLogger(__name__)

OTHER_SOURCE_ROWS = 1000
"""The number of due rows in which a row of another source is searched for."""


@dataclass(slots=True, kw_only=True)
class Probing:
    """One worker's view of the lines of Control that may block it. Safe to use from several threads."""

    store: Store
    """The queue's store."""
    worker: str
    """`host/run`."""
    cooldown_name: str
    pauses: Pauses
    lease: timedelta
    """The length of a probe that is not renewed."""
    machine_state: Store | None = None
    """The machine's own store; None: no rate limit, and other processes are not notified."""
    rate_limit: RateLimit | None = None
    """None: no limit."""
    on_cooldown: Callable[[Control], None] = lambda line: None
    """A callback for each cooldown that this process begins or prolongs."""
    on_suspicion: Callable[[Control], None] = lambda line: None
    """A callback for each suspicion of an outage that this process begins or prolongs."""
    outage_limits: OutageLimits = DEFAULT_LIMITS
    yt_dlp_version: Callable[[], str] = lambda: ""
    """A function that returns the version that is installed now. It may be upgraded at any time."""
    find_upgrade: Callable[[], str] = lambda: ""
    """A function that returns advice about a newer yt-dlp on the package index, in up to a minute."""
    version: str = ""
    """The version of this library. A line of Control may require a newer one."""
    accents: Callable[[], AccentOrder | None] = lambda: None
    """A function that returns which accents may be claimed; None: all."""
    canary: Canary | None = None
    makes_subtitles: bool = False
    """Whether a cooldown for subtitles applies to this worker. Set when subtitles are first refused."""
    goes_on: bool = False
    """Whether this worker continues after the last refusal: the canary has disproved the cooldown, or running attempts decide."""
    _lines: dict[str, Control] = field(default_factory=dict)
    _probe: Probe | None = None
    _probed_row: tuple[str, int] | None = None
    """The table and the ID of the row that is the probe."""
    _unreported: Control | None = None
    """The suspicion that this worker has just begun or prolonged."""
    _shared: MachineLines = field(init=False)
    suspicion: SuspicionWatch = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._shared = MachineLines(store=self.machine_state, rate_limit=self.rate_limit)
        self.suspicion = SuspicionWatch(
            worker=self.worker,
            pauses=self.pauses,
            limits=self.outage_limits,
            installed_version=self.yt_dlp_version,
            shared=self._shared,
            set_line=self._set,
            has_other_source=self._has_other_source,
        )

    # --- lines ---------------------------------------------------------------------------------------------------------

    @property
    def is_probe_due(self) -> bool:
        """Return whether the next claimed row is a probe, according to the lines read last."""
        with self._lock:
            return self._may_be_probed or (self._probe is not None and self._probed_row is None)

    @property
    def needs_probe(self) -> bool:
        """Return whether a probe is due: one row may be tried, and no row claimed earlier may start."""
        with self._lock:
            self._read_lines()
            return self._may_be_probed

    @property
    def needs_video_probe(self) -> bool:
        """Return whether a probe is due that should be a video: listing a source may work while videos are refused.

        False once the probe is overdue, because nobody processes videos here: then a source may be the probe.
        """
        with self._lock:
            return self._may_be_probed and not cooldown.is_overdue(self._line, self.store.now())

    @property
    def _line(self) -> Control | None:
        """Return the line that blocks this worker: its machine's cooldown, its cooldown for subtitles, or its suspicion."""
        names = [
            self.cooldown_name,
            *([self._subtitles_name] if self.makes_subtitles else []),
            self.suspicion.line_name,
        ]
        lines = [self._lines[name] for name in names if name in self._lines]
        return next((line for line in lines if cooldown.value_of(line) is not ControlValue.CLEAR), None)

    @property
    def _subtitles_name(self) -> str:
        return f"{self.cooldown_name}{SUBTITLES}"

    @property
    def _may_be_probed(self) -> bool:
        return cooldown.may_be_probed(self._line, self.store.now())

    def _read_lines(self) -> dict[str, Control]:
        """Read Control, without a cache if another process of this machine has changed it.

        While the store is unavailable, return the lines read last.
        """
        revision, is_changed = self._shared.read_revision()
        try:
            lines = self.store.controls(fresh=is_changed)
        except StoreUnavailable as error:
            log.warning("Control cannot be read; using its last known content: %s", error)
            return self._lines
        self._shared.revision = revision
        self._lines = {line.name: line for line in reversed(lines)}  # of two lines with one name, the first counts
        return self._lines

    def _dated(self, line: Control | None) -> Control | None:
        if not cooldown.lacks_until(line):
            return line
        now = self.store.now()
        return self._set(lambda line: cooldown.dated(line, now, self.pauses), line.name if line else "") or line

    def _set(self, change: SetControl, name: str = "") -> Control | None:
        """Change a line of Control, and make the other processes of this machine read it."""
        line = self.store.set_control(name or self.cooldown_name, change)
        if line is not None:
            self._lines = self._lines | {line.name: line}
            self._shared.increase_revision()
        return line

    def _has_other_source(self, sources: Collection[str]) -> bool:
        where = Where(state=State.PENDING, due=self.store.now(), accents=self.accents())
        rows = self.store.scan(VIDEO_TASKS, where, limit=OTHER_SOURCE_ROWS)
        return any(suspicion.source_of(row) not in sources for row in rows)

    # --- probing -----------------------------------------------------------------------------------------------------

    def _take_probe(self) -> bool:
        now = self.store.now()
        before: Control | None = None

        def change(line: Control | None) -> Control | None:
            nonlocal before
            before = line
            return cooldown.probing(line, now, self.worker, self.lease)

        line = self._set(change, self._line.name if self._line else "")
        if line is None or before is None:
            return False
        self._probe, self._probed_row = Probe(line=line, before=before), None
        log.warning("%s: one row is tried", line.name)
        return True

    def bind_probe(self, table: Table[Any], rows: Sequence[Row]) -> None:
        """Bind the reserved probe to the first claimed row. Without a row, give the probe up, so that another may probe."""
        with self._lock:
            if self._probe is None or self._probed_row is not None:
                return
            if rows:
                self._probed_row = (table.name, rows[0].id)
            else:
                self._return_probe()

    def renew_probe(self, held: Collection[tuple[str, int]]) -> None:
        """Renew the probe if it is among these held rows (table and ID)."""
        with self._lock:
            probe, now = self._probe, self.store.now()
            if probe is None or self._probed_row not in held:
                return
            line = self._set(lambda line: cooldown.probing_on(line, probe, now, self.lease), probe.line.name)
            if line is not None:
                self._probe = replace(probe, line=line)

    def _return_probe(self) -> None:
        probe, self._probe, self._probed_row = self._probe, None, None
        try:
            if probe is not None:
                self._set(lambda line: cooldown.restored(line, probe), probe.line.name)
        except StoreError as error:
            log.warning(
                "%s: another worker may probe once the probe of %s expires: %s", self.cooldown_name, self.worker, error
            )

    def _throttled_again(self, why: str) -> Control | None:
        """Prolong the cooldown after a refused probe. None if a person has changed the line meanwhile."""
        now, probe = self.store.now(), self._probe
        if probe is None:
            return None
        line = self._set(lambda line: cooldown.throttled_again(line, probe, now, why, self.pauses), probe.line.name)
        self._probe = self._probed_row = None
        if line is not None and cooldown.is_suspicion(line):
            self.suspicion.confirmed(cooldown.reason_of(line))
            self._unreported = line
        elif line is not None:
            log.warning("YouTube throttles: %s", cooldown.describe(line))
            self.on_cooldown(line)
        return line

    def _answered(self) -> None:
        probe = self._probe
        if probe and self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses), probe.line.name):
            log.warning("%s: YouTube answers again", probe.line.name)
        self._probe = self._probed_row = None
