"""Admission: whether this worker may start an attempt now, given the fleet's pause, its machine's cooldown and rate limit.

Two stores decide. Control, in the queue's own store, has what people see and change: a line for the fleet, and one for each
cooldown. The machine state is shared by all processes of one machine and is cheap to read: it has the rate limit, and a revision
that changes with the cooldown, so that the other processes read Control afresh at once.
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
from youtube_download_coordinator.queue.canary import Canary, CanaryAnswer
from youtube_download_coordinator.queue.cooldown import FLEET, MINIMUM_VERSION, SUBTITLES, ControlValue, Pauses, Probe
from youtube_download_coordinator.queue.lifecycle import NO_THROTTLE, Throttle
from youtube_download_coordinator.queue.machine_lines import YOUTUBE, MachineLines
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.store import SetControl, Store, Table
from youtube_download_coordinator.reasons import MEDIA_BLOCK, PLAYER_BLOCKS, SUBTITLES_BLOCK
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

MEDIA_BLOCK_ROWS = 3
"""So many different rows in a row whose media are refused are a block of this machine."""
CANARY_LEASE = timedelta(minutes=2)
"""How long nobody else may probe while the canary is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why no attempt may start."""

    why: str
    """One line for people."""
    until: datetime | None
    """None: until a person changes it."""
    by_own_probe: bool = False
    """This worker is running the probe itself."""


@dataclass(slots=True, kw_only=True)
class Admission:
    """One worker's view of pauses and cooldowns. Safe to use from several threads."""

    store: Store
    """The queue's."""
    worker: str
    """`host/run`."""
    cooldown_name: str
    pauses: Pauses
    lease: timedelta
    """How long a probe lasts unless it is renewed."""
    machine_state: Store | None = None
    """The machine's own store; None: no rate limit, and other processes are not notified."""
    rate_limit: RateLimit | None = None
    """None: no limit."""
    on_cooldown: Callable[[Control], None] = lambda line: None
    """Called with each cooldown that this process begins or prolongs."""
    version: str = ""
    """Of this library; a line of Control may require a newer one."""
    canary: Canary | None = None
    makes_subtitles: bool = False
    """Whether a block of subtitles alone holds this worker back. Set as soon as it meets one."""
    goes_on: bool = False
    """Whether this worker goes on after the last refusal: the canary has disproved the cooldown, or attempts that run decide."""
    _lines: dict[str, Control] = field(default_factory=dict)
    _probe: Probe | None = None
    _probed_row: tuple[str, int] | None = None
    """The table and the ID of the row that is the probe."""
    _refused_media: set[tuple[str, int]] = field(default_factory=set)
    """The rows whose media were refused, since YouTube last answered another one."""
    _undecided_until: datetime | None = None
    """A refusal waits until then for the attempts that run: their answers decide whether its row or the machine is at fault."""
    _begun: Control | None = None
    """The cooldown that this worker has just begun and that the canary may end at once."""
    _last_logged: str = ""
    _shared: MachineLines = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._shared = MachineLines(store=self.machine_state, rate_limit=self.rate_limit)

    # --- admitting ---------------------------------------------------------------------------------------------------

    def blocked(self) -> Blocked | None:
        """Return why no attempt may start now. None if one may, even if only as a probe."""
        with self._lock:
            now, lines = self.store.now(), self._read_lines()
            fleet, minimum = lines.get(FLEET), lines.get(MINIMUM_VERSION)
            if fleet and cooldown.is_paused(fleet, now):
                return self._log_block(fleet, Blocked(why=_describe("the fleet is paused", fleet), until=fleet.until))
            if self.version and minimum and cooldown.is_too_old(self.version, minimum):
                why = f"Control requires version {minimum.value.strip()} or newer, this worker is {self.version}: upgrade it"
                return self._log_block(minimum, Blocked(why=why, until=None))
            line = self._dated(self._line)
            if cooldown.value_of(line) is ControlValue.CLEAR or cooldown.may_be_probed(line, now) or line is None:
                return None
            mine = self._probe is not None and cooldown.is_probe(line, self._probe)
            why = _describe(f"{line.name}: {cooldown.value_of(line)}", line)
            return self._log_block(line, Blocked(why=why, until=line.until, by_own_probe=mine))

    def blocked_for(self, table: Table[Any], row: Row) -> Blocked | None:
        """Return why an attempt at a claimed row must wait, or None. While a probe runs, only the probed row may start."""
        with self._lock:
            blocked = self.blocked()
            if blocked is None and self._may_be_probed:
                return Blocked(why=f"{self.cooldown_name}: one row is tried first", until=None)
            is_the_probe = blocked is not None and blocked.by_own_probe and self._probed_row == (table.name, row.id)
            return None if is_the_probe else blocked

    def available_slots(self, count: int) -> int:
        """Return how many of `count` rows may be claimed now: all, one as a probe, or none."""
        with self._lock:
            if self._probe and self._probed_row is None:
                return min(count, 1)  # the probe is taken, and no row claimed for it yet
            if self.blocked():
                return 0
            return min(count, 1) if self._may_be_probed else count

    def acquire(self, count: int) -> int:
        """Return the available slots right before rows are claimed. If it is one as a probe, reserve the probe.

        Where there is a canary, it is asked before a row is: that may take a minute.
        """
        with self._lock:
            slots = self.available_slots(count)
            if not slots or not self._may_be_probed:
                return slots
            if not self._take_probe():
                return 0
            canary = self.canary if self._probe and _is_players(self._probe.before) else None
        if canary is None:
            return slots
        answer = canary.ask(after_pause=True)
        with self._lock:
            if answer is CanaryAnswer.ANSWERED:
                self._answered()
                return self.available_slots(count)
            if answer is CanaryAnswer.THROTTLED:
                self._throttled_again(f"{self.worker}: {cooldown.reason_of(self._line)}: the canary was refused, too")
                return 0
            return slots

    def check_canary(self) -> None:
        """Ask the canary whether the cooldown that this worker has just begun is needed. That may take a minute."""
        begun, self._begun = self._begun, None
        if begun is None or self.canary is None:
            return
        try:
            is_disproved = self._is_disproved(begun, self.canary)
        except StoreError as error:  # whoever comes next probes when CANARY_LEASE is over
            log.warning("%s: the canary's answer is lost: %s", begun.name, error)
            is_disproved = False
        self.goes_on = is_disproved
        if is_disproved:
            log.warning("%s: YouTube answers for the canary, so the row is at fault", begun.name)
        else:
            self.on_cooldown(begun)

    def _is_disproved(self, begun: Control, canary: Canary) -> bool:
        """Ask the canary, and end the cooldown if it is answered. False, too, if somebody has changed the line meanwhile."""
        with self._lock:
            now = self.store.now()
            line = self._set(lambda line: cooldown.checking(line, begun, now, self.worker, CANARY_LEASE), begun.name)
        if line is None:
            return False
        probe, answer = Probe(line=line, before=begun), canary.ask()
        with self._lock:
            if answer is CanaryAnswer.ANSWERED:
                ended = self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses), begun.name)
                return ended is not None
            self._set(lambda line: cooldown.restored(line, probe), begun.name)
            return False

    @property
    def is_probe_due(self) -> bool:
        """Whether the next row that is claimed is a probe, as far as this worker knows without reading Control."""
        with self._lock:
            return self._may_be_probed or (self._probe is not None and self._probed_row is None)

    @property
    def needs_probe(self) -> bool:
        """Whether a probe is due: one row may be tried, and no row claimed before may start."""
        with self._lock:
            self._read_lines()
            return self._may_be_probed

    @property
    def needs_video_probe(self) -> bool:
        """Whether a probe is due that should be a video: listing a source may work while no video does.

        False once the probe is overdue (nobody processes videos here): then a source has to do.
        """
        with self._lock:
            return self._may_be_probed and not cooldown.is_overdue(self._line, self.store.now())

    @property
    def _line(self) -> Control | None:
        """The line that holds this worker back: its machine's, or, while that one is clear, the one for subtitles."""
        line, subtitles = self._lines.get(self.cooldown_name), self._lines.get(self._subtitles_name)
        is_clear = cooldown.value_of(line) is ControlValue.CLEAR
        return subtitles if is_clear and self.makes_subtitles and subtitles else line

    @property
    def _subtitles_name(self) -> str:
        return f"{self.cooldown_name}{SUBTITLES}"

    @property
    def _may_be_probed(self) -> bool:
        return cooldown.may_be_probed(self._line, self.store.now())

    def _read_lines(self) -> dict[str, Control]:
        """Read Control, afresh if another process here has changed it. While the store is unavailable, return the last lines."""
        revision, is_changed = self._shared.read_revision()
        try:
            lines = self.store.controls(fresh=is_changed)
        except StoreUnavailable as error:
            log.warning("Control cannot be read, its last content is used: %s", error)
            return self._lines
        self._shared.revision = revision
        self._lines = {line.name: line for line in reversed(lines)}  # of two with one name, the first
        return self._lines

    def _dated(self, line: Control | None) -> Control | None:
        if not cooldown.lacks_until(line):
            return line
        now = self.store.now()
        return self._set(lambda line: cooldown.dated(line, now, self.pauses), line.name if line else "") or line

    def _log_block(self, line: Control, blocked: Blocked) -> Blocked:
        """Log each reason once, not for each row that has to wait."""
        if blocked.why != self._last_logged and not blocked.by_own_probe:
            self._last_logged = blocked.why
            log.warning("nothing is begun: %s", blocked.why)
            if not cooldown.is_understood(line):
                log.warning("Control, %r: Value %r is not understood, so nobody goes on", line.name, line.value)
        return blocked

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
        """Bind the reserved probe to the first claimed row. Without a row, return it so that another worker may probe."""
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

    @property
    def awaits_answers(self) -> bool:
        """Whether attempts that run decide whether a refusal holds this machine back. Until then no other begins beside them."""
        with self._lock:
            return self._undecided_until is not None and self.store.now() < self._undecided_until

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def record_outcome(
        self, table: Table[Any], row: Row, outcome: Outcome | None, *, others_run: bool = False
    ) -> Throttle:
        """Take account of an outcome before the row records it, and return what that means for a throttled row.

        None: the row was released. `others_run`: whether this worker's attempts at other rows go on. Repeatable after
        StoreUnavailable.
        """
        with self._lock:
            try:
                return self._record((table.name, row.id), row, outcome, others_run)
            except StoreUnavailable:
                raise
            except StoreError as error:  # the outcome matters more than the line
                log.error("%s could not be changed: %s", self.cooldown_name, error)  # noqa: TRY400
                return NO_THROTTLE

    def _record(self, row_id: tuple[str, int], row: Row, outcome: Outcome | None, others_run: bool) -> Throttle:
        is_the_probe = row_id == self._probed_row
        contacted = _contacted_youtube(outcome)
        if outcome is not None and not contacted:
            self._shared.refund_start(row)
        if isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED:
            if others_run and not is_the_probe and self._may_be_decided_by_others(row, outcome):
                return self._leave_undecided(outcome)
            return self._throttled(row, outcome, is_the_probe)
        if isinstance(outcome, Failure) and self._is_media_block(row_id, row, outcome, is_the_probe):
            self._throttled(row, outcome, is_the_probe)
        elif is_the_probe and contacted:
            self._answered()
        elif is_the_probe:
            self._return_probe()
        if contacted and outcome is not None:
            self._note_answer(row_id, row, outcome)
        return NO_THROTTLE

    def _may_be_decided_by_others(self, row: Row, failure: Failure) -> bool:
        """Return whether a refusal closes an open admission, and is not one of YouTube's own: those stop the machine at once."""
        is_open = cooldown.value_of(self._read_lines().get(self._name_for(failure))) is ControlValue.CLEAR
        return is_open and not (failure.reason in PLAYER_BLOCKS and row.key.startswith(YOUTUBE))

    def _leave_undecided(self, failure: Failure) -> Throttle:
        """Begin nothing more until an attempt that runs is answered. A cooldown begins only when the last of them is refused."""
        is_first = self._undecided_until is None
        self._undecided_until = self.store.now() + timedelta(seconds=self.pauses.first_seconds)
        self.goes_on = True
        log.warning("%s: nothing more is begun until another attempt has ended: %s", self.worker, failure)
        return Throttle(is_row_at_fault=is_first, until=self._undecided_until)

    def _is_media_block(self, row_id: tuple[str, int], row: Row, failure: Failure, is_the_probe: bool) -> bool:
        """Return whether refused media mean a block: several different rows, or the probe of such a block.

        A row whose last attempt was refused, too, says nothing new: such rows are retried at about the same time.
        """
        if failure.reason != MEDIA_BLOCK:
            return False
        if is_the_probe:
            return self._probe is not None and cooldown.reason_of(self._probe.line) == MEDIA_BLOCK
        return row.lease.reason != MEDIA_BLOCK and len(self._refused_media | {row_id}) >= MEDIA_BLOCK_ROWS

    def _note_answer(self, row_id: tuple[str, int], row: Row, outcome: Outcome) -> None:
        if isinstance(outcome, Failure) and outcome.reason == MEDIA_BLOCK:
            if row.lease.reason != MEDIA_BLOCK:
                self._refused_media.add(row_id)
        else:
            self._refused_media.clear()
        self._undecided_until = None
        if self.canary and isinstance(outcome, Done):
            self.canary.remember(row, self.store.now())
        elif self.canary and row.key.startswith(YOUTUBE):
            self.canary.row_answered()

    def _throttled(self, row: Row, failure: Failure, is_the_probe: bool) -> Throttle:
        """Begin or prolong the cooldown. A row that began it is at fault, unless it was the probe."""
        self.goes_on = False
        why = f"{self.worker}: {failure}"
        name = self._name_for(failure)
        was_undecided = self._undecided_until is not None and failure.reason not in PLAYER_BLOCKS
        self._undecided_until = None
        self.makes_subtitles |= failure.reason == SUBTITLES_BLOCK
        line = self._throttled_again(why) if is_the_probe and self._probe else None
        if line is None and cooldown.value_of(self._read_lines().get(name)) is ControlValue.CLEAR:
            now = self.store.now()
            line = self._set(lambda line: cooldown.throttled(line, name, now, why, self.pauses), name)
            if line is not None:
                self._announce(line, row, failure)
                return Throttle(is_row_at_fault=not (is_the_probe or was_undecided), until=line.until)
        line = line or self._lines.get(name)
        return Throttle(until=line.until if line else None)

    def _name_for(self, failure: Failure) -> str:
        """Return the name of the line that a refusal concerns."""
        return self._subtitles_name if failure.reason == SUBTITLES_BLOCK else self.cooldown_name

    def _throttled_again(self, why: str) -> Control | None:
        """Prolong the cooldown after a refused probe. None if a person has changed the line meanwhile."""
        now, probe = self.store.now(), self._probe
        if probe is None:
            return None
        line = self._set(lambda line: cooldown.throttled_again(line, probe, now, why, self.pauses), probe.line.name)
        self._probe = self._probed_row = None
        if line is not None:
            log.warning("YouTube throttles: %s", cooldown.describe(line))
            self.on_cooldown(line)
        return line

    def _announce(self, line: Control, row: Row, failure: Failure) -> None:
        """Report a cooldown that begins; if the canary can disprove it, only after that was asked (`check_canary`)."""
        log.warning("YouTube throttles: %s", cooldown.describe(line))
        is_players = failure.reason in PLAYER_BLOCKS and row.key.startswith(YOUTUBE)
        if is_players and self.canary and self.canary.is_trusted:
            self._begun = line
            self.canary.row_refused(row)
        else:
            self.on_cooldown(line)

    def _answered(self) -> None:
        probe = self._probe
        if probe and self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses), probe.line.name):
            log.warning("%s: YouTube answers again", probe.line.name)
        self._probe = self._probed_row = None

    # --- people ------------------------------------------------------------------------------------------------------

    def pause(self, until: datetime | None, reason: str) -> Control | None:
        """Pause the fleet."""
        return self._set(lambda line: cooldown.paused(line, until, reason), FLEET)

    def resume(self, reason: str) -> Control | None:
        """Resume the fleet. None when it was not paused."""
        return self._set(lambda line: cooldown.resumed(line, reason), FLEET)

    def lift(self, reason: str) -> Control | None:
        """End this machine's cooldown, also one for subtitles alone. None when there was none."""
        line = self._set(lambda line: cooldown.lifted(line, reason))
        return self._set(lambda line: cooldown.lifted(line, reason), self._subtitles_name) or line

    def _set(self, change: SetControl, name: str = "") -> Control | None:
        """Change a line of Control, and make the other processes of this machine read it."""
        line = self.store.set_control(name or self.cooldown_name, change)
        if line is not None:
            self._lines = self._lines | {line.name: line}
            self._shared.increase_revision()
        return line

    def start_delay_seconds(self, row: Row) -> float:
        """Count the start of an attempt at the row and return 0, or return how long to wait before asking again."""
        return self._shared.start_delay_seconds(row)


def _contacted_youtube(outcome: Outcome | None) -> bool:
    """Return whether an outcome shows how YouTube answers."""
    match outcome:
        case None:
            return False
        case Done():
            return outcome.asked_youtube
        case Failure():
            return outcome.verdict is not Verdict.UNFIT


def _is_players(line: Control) -> bool:
    """Return whether a cooldown is due to a refusal that the canary can prove or disprove."""
    return cooldown.reason_of(line) in PLAYER_BLOCKS


def _describe(what: str, line: Control) -> str:
    until = f" until {format_utc(line.until)}" if line.until else ""
    return f"{what}{until}{f': {line.reason}' if line.reason else ''}"
