"""Whether this worker may begin anything now: the fleet's pause, its machine's cooldown, and the machine's pace.

Two boards say so. The queue's own store has what people see and change: a line for the fleet, one for each cooldown. The
machine's board is shared by all processes of this machine and costs nothing to ask: it has the pace, and a mark that changes with
the cooldown, so that the others here look at the queue's line at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, Row, Verdict
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.cooldown import FLEET, Pauses, Probe
from youtube_download_coordinator.queue.rate_limit import RATE_LIMIT_LINE, RateLimit
from youtube_download_coordinator.queue.store import SetControl, Store, Table
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

CHANGED = "changed"
"""The line of the machine's board whose value is another one after each change of a cooldown."""
YOUTUBE = "yt:"
"""How the keys of YouTube's rows begin: no other site is paced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Nothing may be begun."""

    why: str
    """One line for people."""
    until: datetime | None
    """None: until a person says otherwise."""
    by_own_probe: bool = False
    """This worker is trying one row, and will know more when that has ended."""


@dataclass(slots=True, kw_only=True)
class Admission:
    """One worker's view of what holds everybody back. Safe to use from several threads."""

    store: Store
    """The queue's."""
    worker: str
    """`host/run`."""
    cooldown_name: str
    pauses: Pauses
    lease: timedelta
    """How long a worker may try one row without a word."""
    machine_state: Store | None = None
    """The machine's own; None: neither a pace nor a word to other processes."""
    rate_limit: RateLimit | None = None
    """None: as fast as it goes."""
    on_cooldown: Callable[[Control], None] = lambda line: None
    """Told of each cooldown that this process begins or prolongs."""
    _lines: dict[str, Control] = field(default_factory=dict)
    _mark: str | None = None
    """None: not looked yet; what the store saw when it was opened is fresh."""
    _probe: Probe | None = None
    _probed_row: tuple[str, int] | None = None
    """The table and the ID of the row that is the probe."""
    _last_logged: str = ""
    _machine_state_failed: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # --- may I? ------------------------------------------------------------------------------------------------------

    def blocked(self) -> Blocked | None:
        """Why nothing may be begun now; None when it may, if only one row as a probe."""
        with self._lock:
            now, lines = self.store.now(), self._read_lines()
            fleet, line = lines.get(FLEET), self._dated(lines.get(self.cooldown_name))
            if fleet and cooldown.is_paused(fleet, now):
                return self._log_block(fleet, Blocked(why=_describe("the fleet is paused", fleet), until=fleet.until))
            if (
                line is None
                or cooldown.value_of(line) is cooldown.ControlValue.CLEAR
                or cooldown.may_be_probed(line, now)
            ):
                return None
            mine = self._probe is not None and cooldown.is_probe(line, self._probe)
            why = _describe(f"{line.name}: {cooldown.value_of(line)}", line)
            return self._log_block(line, Blocked(why=why, until=line.until, by_own_probe=mine))

    def blocked_for(self, table: Table[Any], row: Row) -> Blocked | None:
        """Why an attempt at a row that is held may not begin now: one that is not the probe waits for what comes of that."""
        with self._lock:
            closed = self.blocked()
            if closed is None and self._may_be_probed:
                return Blocked(why=f"{self.cooldown_name}: one row is tried first", until=None)
            is_the_probe = closed is not None and closed.by_own_probe and self._probed_row == (table.name, row.id)
            return None if is_the_probe else closed

    def available_slots(self, count: int) -> int:
        """How many of `count` rows may be claimed now: all, one as a probe, none."""
        with self._lock:
            if self._probe and self._probed_row is None:
                return min(count, 1)  # taken, and no row won with it yet
            if self.blocked():
                return 0
            return min(count, 1) if self._may_be_probed else count

    def acquire(self, count: int) -> int:
        """The same, right before they are claimed. If it is one as a probe, no other worker gets one from now on."""
        with self._lock:
            admitted = self.available_slots(count)
            if admitted and self._may_be_probed and not self._take_probe():
                return 0
            return admitted

    @property
    def needs_probe(self) -> bool:
        """Whether one row may be tried, and none that was claimed before may be begun."""
        with self._lock:
            self._read_lines()
            return self._may_be_probed

    @property
    def needs_video_probe(self) -> bool:
        """Whether one row may be tried, and listing a source would say too little: it may work while no video does.

        Where nobody has tried a video for a long time (nobody processes here), a source has to do.
        """
        with self._lock:
            return self._may_be_probed and not cooldown.is_overdue(self._line, self.store.now())

    @property
    def _line(self) -> Control | None:
        return self._lines.get(self.cooldown_name)

    @property
    def _may_be_probed(self) -> bool:
        return cooldown.may_be_probed(self._line, self.store.now())

    def _read_lines(self) -> dict[str, Control]:
        """The lines, afresh when another process here has changed one. While the store is unavailable, those seen last."""
        mark = self._read_mark()
        try:
            found = self.store.controls(fresh=self._mark not in {None, mark})
        except StoreUnavailable as error:
            log.warning("Control cannot be read, what it said last holds: %s", error)
            return self._lines
        self._mark = mark
        self._lines = {line.name: line for line in reversed(found)}
        return self._lines

    def _dated(self, line: Control | None) -> Control | None:
        if not cooldown.lacks_until(line):
            return line
        now = self.store.now()
        return self._set(lambda line: cooldown.dated(line, now, self.pauses)) or line

    def _log_block(self, line: Control, closed: Blocked) -> Blocked:
        """Once for each reason, not for each row that is not begun."""
        if closed.why != self._last_logged and not closed.by_own_probe:
            self._last_logged = closed.why
            log.warning("nothing is begun: %s", closed.why)
            if not cooldown.is_understood(line):
                log.warning("Control, %r: Value %r is not understood, so nobody goes on", line.name, line.value)
        return closed

    # --- probing -----------------------------------------------------------------------------------------------------

    def _take_probe(self) -> bool:
        now = self.store.now()
        before: list[Control | None] = []

        def change(line: Control | None) -> Control | None:
            before[:] = [line]
            return cooldown.probing(line, now, self.worker, self.lease)

        line = self._set(change)
        if line is None or before[0] is None:
            return False
        self._probe, self._probed_row = Probe(line=line, before=before[0]), None
        log.warning("%s: one row is tried", line.name)
        return True

    def bind_probe(self, table: Table[Any], rows: Sequence[Row]) -> None:
        """What was claimed after `admit`: the row that is the probe, or nothing, and then another worker may probe."""
        with self._lock:
            if self._probe is None or self._probed_row is not None:
                return
            if rows:
                self._probed_row = (table.name, rows[0].id)
            else:
                self._return_probe()

    def renew_probe(self, held: Collection[tuple[str, int]]) -> None:
        """The attempts at these rows (table and ID) go on; the probe may be among them."""
        with self._lock:
            probe, now = self._probe, self.store.now()
            if probe is None or self._probed_row not in held:
                return
            line = self._set(lambda line: cooldown.probing_on(line, probe, now, self.lease))
            if line is not None:
                self._probe = replace(probe, line=line)

    def _return_probe(self) -> None:
        probe, self._probe, self._probed_row = self._probe, None, None
        try:
            if probe is not None:
                self._set(lambda line: cooldown.given_back(line, probe))
        except StoreError as error:
            log.warning("%s: another may probe when %s has run out: %s", self.cooldown_name, self.worker, error)

    # --- what came of it ---------------------------------------------------------------------------------------------

    def record_outcome(self, table: Table[Any], row: Row, outcome: Outcome | None) -> None:
        """What came of an attempt, before it is recorded; None: it was given back. May be repeated after StoreUnavailable."""
        with self._lock:
            try:
                self._record((table.name, row.id) == self._probed_row, row, outcome)
            except StoreUnavailable:
                raise
            except StoreError as error:  # the outcome is worth more than the line
                log.error("%s could not be changed: %s", self.cooldown_name, error)  # noqa: TRY400

    def _record(self, is_the_probe: bool, row: Row, outcome: Outcome | None) -> None:
        asked = _asked_youtube(outcome)
        if outcome is not None and not asked:
            self._refund_start(row)
        if isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED:
            self._throttled(f"{self.worker}: {outcome}", is_the_probe)
        elif is_the_probe and asked:
            self._answered()
        elif is_the_probe:
            self._return_probe()

    def _throttled(self, why: str, is_the_probe: bool) -> None:
        now, probe = self.store.now(), self._probe
        line = None
        if probe and is_the_probe:
            line = self._set(lambda line: cooldown.throttled_again(line, probe, now, why, self.pauses))
            self._probe = self._probed_row = None
        if (
            line is None
            and cooldown.value_of(self._read_lines().get(self.cooldown_name)) is cooldown.ControlValue.CLEAR
        ):
            line = self._set(lambda line: cooldown.throttled(line, self.cooldown_name, now, why, self.pauses))
        if line is not None:
            log.warning("YouTube throttles: %s", cooldown.describe(line))
            self.on_cooldown(line)

    def _answered(self) -> None:
        probe = self._probe
        if probe and self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses)):
            log.warning("%s: YouTube answers again", self.cooldown_name)
        self._probe = self._probed_row = None

    # --- people ------------------------------------------------------------------------------------------------------

    def pause(self, until: datetime | None, reason: str) -> Control | None:
        """Pause the fleet."""
        return self._set(lambda line: cooldown.paused(line, until, reason), FLEET)

    def resume(self, reason: str) -> Control | None:
        """Let the fleet go on; None when it was not paused."""
        return self._set(lambda line: cooldown.resumed(line, reason), FLEET)

    def lift(self, reason: str) -> Control | None:
        """End this machine's cooldown; None when there was none."""
        return self._set(lambda line: cooldown.lifted(line, reason))

    def _set(self, change: SetControl, name: str = "") -> Control | None:
        """Change a line, and have the other processes of this machine look."""
        line = self.store.set_control(name or self.cooldown_name, change)
        if line is not None:
            self._lines = self._lines | {line.name: line}
            self._write_mark()
        return line

    # --- the machine's board -----------------------------------------------------------------------------------------

    def start_delay_seconds(self, row: Row) -> float:
        """0 when an attempt at the row may begin now, which it then does; else how long to wait before asking again."""
        if self.machine_state is None or self.rate_limit is None or not row.key.startswith(YOUTUBE):
            return 0.0
        pace = self.rate_limit
        waits: list[float] = []
        try:
            now = self.machine_state.now()

            def change(line: Control | None) -> Control | None:
                waits[:] = [pace.delay(line, now).total_seconds()]
                return pace.take(line, now)

            self.machine_state.set_control(RATE_LIMIT_LINE, change)
        except StoreError as error:
            self._go_on_without_machine_state(error)
            return 0.0
        return waits[0]

    def _refund_start(self, row: Row) -> None:
        if self.machine_state is None or self.rate_limit is None or not row.key.startswith(YOUTUBE):
            return
        pace = self.rate_limit
        try:
            now = self.machine_state.now()
            self.machine_state.set_control(RATE_LIMIT_LINE, lambda line: pace.refund(line, now))
        except StoreError as error:
            self._go_on_without_machine_state(error)

    def _read_mark(self) -> str:
        try:
            lines = self.machine_state.controls() if self.machine_state else []
        except StoreError as error:
            self._go_on_without_machine_state(error)
            return self._mark or ""
        return next((line.value for line in lines if line.name == CHANGED), "")

    def _write_mark(self) -> None:
        before: list[str] = []

        def next_one(line: Control | None) -> Control:
            before[:] = [line.value if line else ""]
            return Control(name=CHANGED, value=str(int(before[0] or "0") + 1))

        try:
            changed = self.machine_state.set_control(CHANGED, next_one) if self.machine_state else None
            if changed and before == [self._mark]:
                self._mark = changed.value  # this change is known here
        except StoreError as error:
            self._go_on_without_machine_state(error)

    def _go_on_without_machine_state(self, error: StoreError) -> None:
        """A full disk must not stop the queue: what it has to say about that is said by the attempts."""
        if not self._machine_state_failed:
            self._machine_state_failed = True
            log.error("this machine's board (state_dir) does not answer, so nothing is paced: %s", error)


def _asked_youtube(outcome: Outcome | None) -> bool:
    """Whether an outcome says anything about YouTube."""
    match outcome:
        case None:
            return False
        case Done():
            return outcome.asked_youtube
        case Failure():
            return outcome.verdict is not Verdict.UNFIT


def _describe(what: str, line: Control) -> str:
    until = f" until {format_utc(line.until)}" if line.until else ""
    return f"{what}{until}{f': {line.reason}' if line.reason else ''}"
