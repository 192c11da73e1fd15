"""Decide whether this worker may start an attempt now. The fleet's pause, the machine's cooldown and its rate limit decide.

Their state is in two stores. Control is part of the queue: people see and change it. It has one line for the fleet and one for
each cooldown. All processes of one machine share the machine state, which is cheap to read. It contains the rate limit, and a
revision that changes with the cooldown: when it changes, the other processes read Control again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreGone, StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, Row, Verdict, VideoTask
from youtube_download_coordinator.queue import cooldown, suspicion
from youtube_download_coordinator.queue.canary import CanaryAnswer
from youtube_download_coordinator.queue.cooldown import FLEET, MINIMUM_VERSION, ControlValue, Probe
from youtube_download_coordinator.queue.lifecycle import NO_THROTTLE, Throttle
from youtube_download_coordinator.queue.machine_lines import YOUTUBE
from youtube_download_coordinator.queue.probing import Probing
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.queue.suspicion import FailedVideo
from youtube_download_coordinator.reasons import MEDIA_BLOCK, PLAYER_BLOCKS, SUBTITLES_BLOCK, TRAINABILITY, UPLOAD
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

MEDIA_BLOCK_ROWS = 3
"""The number of different rows with refused media, in succession, after which this machine is treated as blocked."""
CANARY_LEASE = timedelta(minutes=2)
"""While the canary is requested, no other worker may probe, for at most this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A reason for which no attempt may start."""

    why: str
    """One line for people."""
    until: datetime | None
    """None: until a person changes it."""
    by_own_probe: bool = False
    """This worker is running the probe itself."""


@dataclass(slots=True, kw_only=True)
class Admission(Probing):
    """One worker's view of pauses and cooldowns. Safe to use from several threads."""

    _refused_media: set[tuple[str, int]] = field(default_factory=set)
    """The rows whose media were refused since YouTube last answered another row."""
    _undecided_until: datetime | None = None
    """Until then, a refusal waits for the running attempts. Their outcomes show whether the row or the machine is the cause."""
    _begun: Control | None = None
    """The cooldown or suspicion that this worker has just begun and that the canary may end at once."""
    _last_logged: str = ""

    # --- admission ---------------------------------------------------------------------------------------------------

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
                self._last_logged = ""
                return None
            mine = self._probe is not None and cooldown.is_probe(line, self._probe)
            value = cooldown.value_of(line)
            is_outage = cooldown.is_suspicion(line) and value is ControlValue.COOLING
            why = _describe(f"{line.name}: {ControlValue.SUSPECT if is_outage else value}", line)
            return self._log_block(line, Blocked(why=why, until=line.until, by_own_probe=mine))

    def blocked_for(self, table: Table[Any], row: Row) -> Blocked | None:
        """Return why an attempt at a claimed row must wait, or None. While a probe runs, only the probed row may start."""
        with self._lock:
            blocked = self.blocked()
            if blocked is None and self._may_be_probed:
                return Blocked(why=f"{self.cooldown_name}: one row is being tried first", until=None)
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

        A canary, if there is one, is requested before a row is claimed. That may take a minute.
        """
        with self._lock:
            slots = self.available_slots(count)
            if not slots or not self._may_be_probed:
                return slots
            if not self._take_probe():
                return 0
            before = self._probe.before if self._probe else None
        if before is None or self.canary is None or not self._may_be_disproved(before):
            return slots
        answer = self.canary.ask(after_pause=True, suspected=_suspected_reason(before))
        with self._lock:
            return self._follow_canary(answer, before, count, slots)

    def _follow_canary(self, answer: CanaryAnswer, before: Control, count: int, slots: int) -> int:
        """End or prolong the cooldown or suspicion according to the canary's answer. Return how many rows may be claimed."""
        is_outage = cooldown.is_suspicion(before)
        if answer is CanaryAnswer.ANSWERED:
            self._answered()
            if is_outage:
                self.suspicion.succeeded(None, self._lines.values())
            return self.available_slots(count)
        if answer is CanaryAnswer.UNKNOWN or (is_outage and answer is CanaryAnswer.THROTTLED):
            return slots  # the answer proves nothing, so a row has to be tried
        reason = cooldown.reason_of(self._line)
        self._throttled_again(
            before.reason if is_outage else f"{self.worker}: {reason}: the canary was refused as well"
        )
        return 0

    def _may_be_disproved(self, line: Control) -> bool:
        """Return whether the canary can show that a cooldown or a suspicion is over."""
        if cooldown.is_suspicion(line):
            return self.suspicion.is_youtubes(line)
        return cooldown.reason_of(line) in PLAYER_BLOCKS

    def check_canary(self) -> None:
        """Request the canary, to end the cooldown or suspicion that this worker has just begun if YouTube answers.

        That may take a minute.
        """
        begun, self._begun = self._begun, None
        if begun is None:
            return
        is_outage = cooldown.is_suspicion(begun)
        try:
            is_disproved = self._may_be_disproved(begun) and self._is_disproved(begun)
        except StoreError as error:  # another worker can probe once CANARY_LEASE has passed
            log.warning("%s: the canary's answer could not be recorded: %s", begun.name, error)
            is_disproved = False
        self.goes_on = is_disproved
        if is_disproved:
            log.warning("%s: YouTube answers for the canary, so the row is the cause", begun.name)
        elif is_outage:
            self.suspicion.confirmed(cooldown.reason_of(begun))
            self._unreported = begun
        else:
            self.on_cooldown(begun)

    def _is_disproved(self, begun: Control) -> bool:
        """Request the canary, and end the cooldown if YouTube answers. Return whether it was ended.

        False also if somebody has changed the line in the meantime.
        """
        canary, suspected = self.canary, _suspected_reason(begun)
        if canary is None or (suspected and not canary.is_known):
            return False
        with self._lock:
            now = self.store.now()
            line = self._set(lambda line: cooldown.checking(line, begun, now, self.worker, CANARY_LEASE), begun.name)
        if line is None:
            return False
        probe, answer = Probe(line=line, before=begun), canary.ask(suspected=suspected)
        with self._lock:
            if answer is CanaryAnswer.ANSWERED:
                if suspected:
                    self.suspicion.disproved()
                ended = self._set(lambda line: cooldown.answered(line, probe, self.worker, self.pauses), begun.name)
                return ended is not None
            self._set(lambda line: cooldown.restored(line, probe), begun.name)
            return False

    def report_suspicion(self) -> None:
        """Report the suspicion of an outage that this worker has just begun or prolonged. That may take a minute."""
        begun, self._unreported = self._unreported, None
        if begun is None:
            return
        line, upgrade = begun, self.find_upgrade() if self.suspicion.is_youtubes(begun) else ""
        try:
            with self._lock:
                line = self._set(lambda line: suspicion.explained(line, begun, upgrade), begun.name) or begun
        except StoreError as error:
            log.warning("%s: the advice (%s) could not be added to Control: %s", line.name, upgrade, error)
        log.warning("an outage is suspected, so failures are not counted: %s", cooldown.describe(line))
        self.on_suspicion(line)

    def suspected_videos(self) -> list[tuple[str, FailedVideo]]:
        """Return the videos whose failed attempts must no longer count, each with its reason."""
        return self.suspicion.to_give_back(self._lines)

    @property
    def awaits_answers(self) -> bool:
        """Return whether a refusal is undecided until a running attempt has ended. Until then, no other attempt may start."""
        with self._lock:
            return self._undecided_until is not None and self.store.now() < self._undecided_until

    def _log_block(self, line: Control, blocked: Blocked) -> Blocked:
        """Log the reason once, rather than for each row that waits."""
        if blocked.why != self._last_logged and not blocked.by_own_probe:
            self._last_logged = blocked.why
            log.warning("nothing starts: %s", blocked.why)
            if not cooldown.is_understood(line):
                log.warning("Control, %r: Value %r is not a known word, so all workers wait", line.name, line.value)
        return blocked

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def record_outcome(
        self,
        table: Table[Any],
        row: Row,
        outcome: Outcome | None,
        *,
        others_run: bool = False,
        begun: datetime | None = None,
    ) -> Throttle:
        """Apply an outcome to the cooldown and the suspicion before the row is recorded. Return how they affect a failed row.

        `outcome` is None if the row was released. `others_run`: whether this worker is also attempting other rows. `begun`:
        when the attempt began, if known. Repeatable after StoreUnavailable.
        """
        with self._lock:
            try:
                throttle = self._record((table.name, row.id), row, outcome, others_run)
                return self._weigh(row, outcome, begun, throttle)
            except (StoreUnavailable, StoreGone):
                raise
            except StoreError as error:  # the outcome must still be recorded
                log.error("%s could not be changed: %s", self.cooldown_name, error)  # noqa: TRY400
                return NO_THROTTLE

    def _record(self, row_id: tuple[str, int], row: Row, outcome: Outcome | None, others_run: bool) -> Throttle:
        is_the_probe = row_id == self._probed_row
        contacted = _contacted_youtube(outcome)
        if outcome is not None and not contacted:
            self._shared.refund_start(row)
        if is_the_probe and self._probe and cooldown.is_suspicion(self._probe.line):
            self._end_suspicion_probe(outcome)
            is_the_probe = False
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

    def _end_suspicion_probe(self, outcome: Outcome | None) -> None:
        """End the suspicion after a success, and prolong it after a failure."""
        probe, now = self._probe, self.store.now()
        is_block = isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED
        if probe is None or is_block or not _contacted_youtube(outcome):
            self._return_probe()
        elif not isinstance(outcome, Failure):
            self._answered()
            self.suspicion.succeeded(None, self._lines.values())
        elif suspicion.is_evidence(outcome):
            self._throttled_again(probe.before.reason)
        else:  # a failure caused by the video itself proves nothing
            why = probe.before.reason
            self._set(lambda line: cooldown.undecided(line, probe, now, why, self.pauses), probe.line.name)
            self._probe = self._probed_row = None

    def _weigh(self, row: Row, outcome: Outcome | None, begun: datetime | None, throttle: Throttle) -> Throttle:
        """Add an outcome to the evidence of an outage. While an outage is suspected, failures are not counted."""
        if isinstance(outcome, Done) and outcome.asked_youtube and isinstance(row, VideoTask):
            self.suspicion.succeeded(begun, self._lines.values())
        if not isinstance(outcome, Failure) or not suspicion.is_evidence(outcome):
            return throttle
        if not self._is_suspected() and isinstance(row, VideoTask):
            line = self.suspicion.failed(row, outcome, self._read_lines(), self.store.now())
            self._begun = line or self._begun
        return replace(throttle, is_suspected=True) if self._is_suspected() else throttle

    def _is_suspected(self) -> bool:
        return cooldown.value_of(self._read_lines().get(self.suspicion.line_name)) is not ControlValue.CLEAR

    def _may_be_decided_by_others(self, row: Row, failure: Failure) -> bool:
        """Return whether running attempts should decide about a refusal. YouTube's explicit blocks stop the machine at once."""
        is_open = cooldown.value_of(self._read_lines().get(self._name_for(failure))) is ControlValue.CLEAR
        return is_open and not (failure.reason in PLAYER_BLOCKS and row.key.startswith(YOUTUBE))

    def _leave_undecided(self, failure: Failure) -> Throttle:
        """Start no further attempt until a running one has an answer. A cooldown begins only if all of them are refused."""
        is_first = self._undecided_until is None
        self._undecided_until = self.store.now() + timedelta(seconds=self.pauses.first_seconds)
        self.goes_on = True
        log.warning("%s: starting nothing more until a running attempt has ended: %s", self.worker, failure)
        return Throttle(is_row_at_fault=is_first, until=self._undecided_until)

    def _is_media_block(self, row_id: tuple[str, int], row: Row, failure: Failure, is_the_probe: bool) -> bool:
        """Return whether refused media show a block: several different rows were refused, or the probe of such a block was.

        A row whose last attempt was refused as well is no new evidence: such rows are retried at about the same time.
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
        """Begin or prolong the cooldown. The row that triggered it counts a throttle, unless it was the probe."""
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
        """Return the name of the Control line that a refusal affects."""
        return self._subtitles_name if failure.reason == SUBTITLES_BLOCK else self.cooldown_name

    def _announce(self, line: Control, row: Row, failure: Failure) -> None:
        """Report a cooldown that begins. If the canary may end it at once, leave the report to `check_canary`."""
        log.warning("YouTube throttles: %s", cooldown.describe(line))
        is_players = failure.reason in PLAYER_BLOCKS and row.key.startswith(YOUTUBE)
        if is_players and self.canary and self.canary.is_trusted:
            self._begun = line
            self.canary.row_refused(row)
        else:
            self.on_cooldown(line)

    # --- people ------------------------------------------------------------------------------------------------------

    def pause(self, until: datetime | None, reason: str) -> Control | None:
        """Pause the fleet."""
        return self._set(lambda line: cooldown.paused(line, until, reason), FLEET)

    def resume(self, reason: str) -> Control | None:
        """Resume the fleet, and remove its line. None when it was not paused."""
        with self._lock:
            line = next((line for line in self.store.controls(fresh=True) if line.name == FLEET), None)
            resumed = cooldown.resumed(line, reason)
            if line and not self.store.remove_control(FLEET, lambda _: True) and resumed:
                return self._set(
                    lambda _: resumed, FLEET
                )  # somebody deleted the line; only the record of its pause is left
            self._lines = {name: line for name, line in self._lines.items() if name != FLEET}
            self._shared.increase_revision()
            return resumed

    def lift(self, reason: str) -> Control | None:
        """End this machine's cooldown, its cooldown for subtitles, and its suspicion. Return None when there was none."""
        names = (self.suspicion.line_name, self._subtitles_name, self.cooldown_name)
        lines = [self._set(lambda line: cooldown.lifted(line, reason), name) for name in names]
        return next((line for line in reversed(lines) if line), None)

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
            return outcome.verdict is not Verdict.UNFIT and outcome.reason not in (UPLOAD, TRAINABILITY)


def _suspected_reason(line: Control) -> str:
    """Return the reason of the suspected outage in a line, or an empty text for a cooldown."""
    return cooldown.reason_of(line) if cooldown.is_suspicion(line) else ""


def _describe(what: str, line: Control) -> str:
    until = f" until {format_utc(line.until)}" if line.until else ""
    return f"{what}{until}{f': {line.reason}' if line.reason else ''}"
