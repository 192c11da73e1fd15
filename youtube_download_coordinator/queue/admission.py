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
from youtube_download_coordinator.queue.rate_limit import PACE, Pace
from youtube_download_coordinator.queue.store import SetControl, Store, Table
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

CHANGED = "changed"
"""The line of the machine's board whose value is another one after each change of a cooldown."""
YOUTUBE = "yt:"
"""How the keys of YouTube's rows begin: no other site is paced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Nothing may be begun."""

    why: str
    """One line for people."""
    until: datetime | None
    """None: until a person says otherwise."""
    by_own_probe: bool = False
    """This worker is trying one row, and will know more when that has ended."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """One worker's view of what holds everybody back. Safe to use from several threads."""

    store: Store
    """The queue's."""
    worker: str
    """`host/run`."""
    cooldown_name: str
    pauses: Pauses
    lease: timedelta
    """How long a worker may try one row without a word."""
    board: Store | None = None
    """The machine's own; None: neither a pace nor a word to other processes."""
    pace: Pace | None = None
    """None: as fast as it goes."""
    on_cooldown: Callable[[Control], None] = lambda line: None
    """Told of each cooldown that this process begins or prolongs."""
    _lines: dict[str, Control] = field(default_factory=dict)
    _mark: str | None = None
    """None: not looked yet; what the store saw when it was opened is fresh."""
    _probe: Probe | None = None
    _probed: tuple[str, int] | None = None
    """The table and the ID of the row that is the probe."""
    _said: str = ""
    _board_failed: bool = False
    _turn: threading.RLock = field(default_factory=threading.RLock)

    # --- may I? ------------------------------------------------------------------------------------------------------

    def closed(self) -> Closed | None:
        """Why nothing may be begun now; None when it may, if only one row as a probe."""
        with self._turn:
            now, lines = self.store.now(), self._look()
            fleet, line = lines.get(FLEET), self._dated(lines.get(self.cooldown_name))
            if fleet and cooldown.is_paused(fleet, now):
                return self._say(fleet, Closed(why=_told("the fleet is paused", fleet), until=fleet.until))
            if line is None or cooldown.word_of(line) is cooldown.Word.CLEAR or cooldown.may_be_probed(line, now):
                return None
            mine = self._probe is not None and cooldown.is_probe(line, self._probe)
            why = _told(f"{line.name}: {cooldown.word_of(line)}", line)
            return self._say(line, Closed(why=why, until=line.until, by_own_probe=mine))

    def closed_to(self, table: Table[Any], row: Row) -> Closed | None:
        """Why an attempt at a row that is held may not begin now: one that is not the probe waits for what comes of that."""
        with self._turn:
            closed = self.closed()
            if closed is None and self._may_be_probed:
                return Closed(why=f"{self.cooldown_name}: one row is tried first", until=None)
            is_the_probe = closed is not None and closed.by_own_probe and self._probed == (table.name, row.id)
            return None if is_the_probe else closed

    def admits(self, count: int) -> int:
        """How many of `count` rows may be claimed now: all, one as a probe, none."""
        with self._turn:
            if self._probe and self._probed is None:
                return min(count, 1)  # taken, and no row won with it yet
            if self.closed():
                return 0
            return min(count, 1) if self._may_be_probed else count

    def admit(self, count: int) -> int:
        """The same, right before they are claimed. If it is one as a probe, no other worker gets one from now on."""
        with self._turn:
            admitted = self.admits(count)
            if admitted and self._may_be_probed and not self._take_probe():
                return 0
            return admitted

    @property
    def waits_for_a_probe(self) -> bool:
        """Whether one row may be tried, and none that was claimed before may be begun."""
        with self._turn:
            self._look()
            return self._may_be_probed

    @property
    def waits_for_a_video(self) -> bool:
        """Whether one row may be tried, and listing a source would say too little: it may work while no video does.

        Where nobody has tried a video for a long time (nobody processes here), a source has to do.
        """
        with self._turn:
            return self._may_be_probed and not cooldown.is_overdue(self._line, self.store.now())

    @property
    def _line(self) -> Control | None:
        return self._lines.get(self.cooldown_name)

    @property
    def _may_be_probed(self) -> bool:
        return cooldown.may_be_probed(self._line, self.store.now())

    def _look(self) -> dict[str, Control]:
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

    def _say(self, line: Control, closed: Closed) -> Closed:
        """Once for each reason, not for each row that is not begun."""
        if closed.why != self._said and not closed.by_own_probe:
            self._said = closed.why
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
        self._probe, self._probed = Probe(line=line, before=before[0]), None
        log.warning("%s: one row is tried", line.name)
        return True

    def probes_with(self, table: Table[Any], rows: Sequence[Row]) -> None:
        """What was claimed after `admit`: the row that is the probe, or nothing, and then another worker may probe."""
        with self._turn:
            if self._probe is None or self._probed is not None:
                return
            if rows:
                self._probed = (table.name, rows[0].id)
            else:
                self._give_back()

    def hold_on(self, held: Collection[tuple[str, int]]) -> None:
        """The attempts at these rows (table and ID) go on; the probe may be among them."""
        with self._turn:
            probe, now = self._probe, self.store.now()
            if probe is None or self._probed not in held:
                return
            line = self._set(lambda line: cooldown.probing_on(line, probe, now, self.lease))
            if line is not None:
                self._probe = replace(probe, line=line)

    def _give_back(self) -> None:
        probe, self._probe, self._probed = self._probe, None, None
        try:
            if probe is not None:
                self._set(lambda line: cooldown.given_back(line, probe))
        except StoreError as error:
            log.warning("%s: another may probe when %s has run out: %s", self.cooldown_name, self.worker, error)

    # --- what came of it ---------------------------------------------------------------------------------------------

    def heard(self, table: Table[Any], row: Row, outcome: Outcome | None) -> None:
        """What came of an attempt, before it is recorded; None: it was given back. May be repeated after StoreUnavailable."""
        with self._turn:
            try:
                self._heard((table.name, row.id) == self._probed, row, outcome)
            except StoreUnavailable:
                raise
            except StoreError as error:  # the outcome is worth more than the line
                log.error("%s could not be changed: %s", self.cooldown_name, error)  # noqa: TRY400

    def _heard(self, is_the_probe: bool, row: Row, outcome: Outcome | None) -> None:
        asked = _asked_youtube(outcome)
        if outcome is not None and not asked:
            self._return_slot(row)
        if isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED:
            self._throttled(f"{self.worker}: {outcome}", is_the_probe)
        elif is_the_probe and asked:
            self._answered()
        elif is_the_probe:
            self._give_back()

    def _throttled(self, why: str, is_the_probe: bool) -> None:
        now, probe = self.store.now(), self._probe
        line = None
        if probe and is_the_probe:
            line = self._set(lambda line: cooldown.throttled_again(line, probe, now, why, self.pauses))
            self._probe = self._probed = None
        if line is None and cooldown.word_of(self._look().get(self.cooldown_name)) is cooldown.Word.CLEAR:
            line = self._set(lambda line: cooldown.throttled(line, self.cooldown_name, now, why, self.pauses))
        if line is not None:
            log.warning("YouTube throttles: %s", cooldown.in_words(line))
            self.on_cooldown(line)

    def _answered(self) -> None:
        probe = self._probe
        if probe and self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses)):
            log.warning("%s: YouTube answers again", self.cooldown_name)
        self._probe = self._probed = None

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

    def seconds_until_begin(self, row: Row) -> float:
        """0 when an attempt at the row may begin now, which it then does; else how long to wait before asking again."""
        if self.board is None or self.pace is None or not row.key.startswith(YOUTUBE):
            return 0.0
        pace = self.pace
        waits: list[float] = []
        try:
            now = self.board.now()

            def change(line: Control | None) -> Control | None:
                waits[:] = [pace.wait(line, now).total_seconds()]
                return pace.begun(line, now)

            self.board.set_control(PACE, change)
        except StoreError as error:
            self._without_board(error)
            return 0.0
        return waits[0]

    def _return_slot(self, row: Row) -> None:
        if self.board is None or self.pace is None or not row.key.startswith(YOUTUBE):
            return
        pace = self.pace
        try:
            now = self.board.now()
            self.board.set_control(PACE, lambda line: pace.not_asked(line, now))
        except StoreError as error:
            self._without_board(error)

    def _read_mark(self) -> str:
        try:
            lines = self.board.controls() if self.board else []
        except StoreError as error:
            self._without_board(error)
            return self._mark or ""
        return next((line.value for line in lines if line.name == CHANGED), "")

    def _write_mark(self) -> None:
        before: list[str] = []

        def next_one(line: Control | None) -> Control:
            before[:] = [line.value if line else ""]
            return Control(name=CHANGED, value=str(int(before[0] or "0") + 1))

        try:
            changed = self.board.set_control(CHANGED, next_one) if self.board else None
            if changed and before == [self._mark]:
                self._mark = changed.value  # this change is known here
        except StoreError as error:
            self._without_board(error)

    def _without_board(self, error: StoreError) -> None:
        """A full disk must not stop the queue: what it has to say about that is said by the attempts."""
        if not self._board_failed:
            self._board_failed = True
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


def _told(what: str, line: Control) -> str:
    until = f" until {format_utc(line.until)}" if line.until else ""
    return f"{what}{until}{f': {line.reason}' if line.reason else ''}"
