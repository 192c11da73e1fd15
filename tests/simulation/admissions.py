"""Check that nothing starts while people or YouTube stop the fleet, and that one worker of a machine probes at a time.

Control is parsed again here, without the library's functions, so that errors in those are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.simulation.hosts import host_of
from tests.simulation.roles import LEASE_SECONDS
from tests.simulation.world import Process, Request, Violation, World
from youtube_download_coordinator.models import Failure, Outcome, Row, Verdict
from youtube_download_coordinator.queue.store import SOURCES, Table

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos
    from tests.simulation.roles import WatchedQueue

CONTROL, FLEET = "Control", "fleet"
GO_ON = {
    FLEET: {"", "running", "go on", "clear"},
    "cooldown": {"", "clear", "lifted", "running"},
    "suspect": {"", "clear", "lifted", "running", "watching"},
}
"""Every other value blocks attempts, also one that nobody understands."""
LIBRARY_VALUES = {
    FLEET: {""},
    "cooldown": {"", "clear", "cooling", "probing"},
    "suspect": {"", "clear", "suspect", "probing", "watching"},
    "offers": {"offered"},
}
KNOWN_SECONDS = 30.5
"""docs/limits.md: workers know what was typed after half a minute."""
UNDECIDED_SECONDS = 9.0
"""Within the first pause of a cooldown (PAUSES in roles.py) nothing is begun while a refusal is undecided."""
LATE_SECONDS = 60.0
"""A process whose requests failed or took long so recently may not have renewed its probe in time."""
READS_MAX = 40
DAYS_BEFORE_1970 = 25569


@dataclass(frozen=True, slots=True)
class Said:
    """A line of Control."""

    value: str = ""
    until: float | None = None
    """In seconds since 1970."""
    reason: str = ""

    def blocks(self, kind: str) -> bool:
        return self.value.strip(" .").casefold() not in GO_ON[kind]


Saying = Mapping[str, Said]
"""The lines of Control by name."""


class Admissions:
    """A checker of every attempt that begins, and of every probe."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._seen_version = -1
        self._now_said: Saying = {}
        self._on_its_way: dict[str, tuple[float, Saying]] = {}
        self._known: dict[Process, list[tuple[float, float, Saying]]] = {}
        """What each process has read of Control: when it got the answer, when that was true, and the lines."""
        self._troubled: dict[Process, float] = {}
        """When a request of a process had no answer, or took long."""
        self._unheard: list[float] = []
        """When a process was killed, had no answer, or waited long for one."""
        self._sorted: list[float] = []
        self._touched: dict[str, float] = {}
        self._typed: dict[str, set[str]] = {}
        self._blocked_at: dict[str, float] = {}
        """When a line last blocked attempts."""
        self._probing: dict[Process, float] = {}
        """Since when a process has been probing."""
        self._undecided: dict[Process, float] = {}
        """When an attempt of a process was refused while others of it ran: it may begin nothing until one of them has ended."""

    @property
    def now(self) -> float:
        return self._chaos.world.clock.now()

    # --- what is known -------------------------------------------------------------------------------------------------

    def touched(self, name: str, value: str | None) -> None:
        """Record that a person has changed a line, perhaps its Value."""
        self._touched[name] = self.now
        if value is not None:
            self._typed.setdefault(name, set()).add(value)

    def troubled(self, process: Process) -> None:
        """Record that the requests of a process may come late."""
        self._troubled[process] = self.now
        self._unheard.append(self.now)

    def sorted(self) -> None:
        """Record that a person has sorted Control."""
        self._sorted.append(self.now)

    def answered(self, request: Request) -> None:
        """Record that a request was answered. The answer is on its way."""
        self._on_its_way[request.process] = self.now, self._read()

    def received(self, process: Process, request: Request) -> None:
        """Record that a process has received an answer."""
        if request.status not in {200, 400} or request.answer[:1] != b"{":
            self.troubled(process)
        elif request.status == 200 and self._shows_control(request):
            news = (self.now, *self._on_its_way[request.process])
            self._known[process] = [*self._known.get(process, [])[-READS_MAX:], news]

    def _shows_control(self, request: Request) -> bool:
        sheet_id = self._chaos.world.sheet_id(CONTROL)
        if request.path.endswith("values:batchGetByDataFilter"):
            filters = json.loads(request.body)["dataFilters"]
            return {"gridRange": {"sheetId": sheet_id}} in filters
        if b"responseRanges" not in request.body:
            return False
        sheets = json.loads(request.answer).get("updatedSpreadsheet", {}).get("sheets", [])
        return any(sheet["properties"].get("sheetId", 0) == sheet_id for sheet in sheets)

    def _read(self) -> Saying:
        book = self._chaos.world.book
        if book.version != self._seen_version:
            self._seen_version = book.version
            self._now_said = read_control(self._chaos.world)
        for name, said in self._now_said.items():
            if said.blocks(_kind(name)):
                self._blocked_at[name] = self.now
        return self._now_said

    # --- attempts ------------------------------------------------------------------------------------------------------

    def begins(self, process: Process, queue: WatchedQueue, table: Table[Any], row: Row) -> None:
        """Check that an attempt may begin: its worker has read Control recently enough, and Control does not stop it."""
        if self.now < self._undecided.get(process, 0.0) + UNDECIDED_SECONDS and self._runs(
            process, (table.name, row.id)
        ):
            raise Violation(f"(7) {queue.worker} begins with v{row.id} before it knows whose fault a refusal is")
        *_, (_, at, _) = self._known[process]
        if self.now - at > KNOWN_SECONDS and self._troubled.get(process, 0.0) < at:
            raise Violation(
                f"(7) {queue.worker} begins with v{row.id}, and last looked at Control {self.now - at:.1f} s ago"
            )
        known = self._known[process]
        if table.name == SOURCES.name:  # between the look and the listing other requests are made
            known = [each for each, later in pairwise(known) if later[0] > self.now - KNOWN_SECONDS] + known[-1:]
        else:
            known = known[-1:]
        wrong = [self._closed(process, queue, (table.name, row.id), said) for _, _, said in known]
        if all(wrong):
            raise Violation(f"(7) {queue.worker} begins with v{row.id} while {wrong[-1]}")

    def _closed(self, process: Process, queue: WatchedQueue, row: tuple[str, int], said: Saying) -> str:
        """Return why a worker that has read these lines may not begin a row, or an empty string."""
        fleet = said.get(FLEET, Said())
        if fleet.blocks(FLEET) and (fleet.until is None or fleet.until > self.now):
            return f"the fleet is paused: {fleet}"
        probe = queue.admission._probe if queue.admission._probed_row == row else None
        for name in (_cooldown(process), self._chaos.outages.line_name(process)):
            line = said.get(name, Said())
            if line.blocks(_kind(name)):  # the first of them decides
                is_the_probe = (
                    probe is not None and probe.line.name == name and _seconds(probe.line.until) == line.until
                )
                return "" if is_the_probe else f"its machine waits: {name} {line}, {queue.admission._probe}"
        return ""

    def settled(self, process: Process, outcomes: Sequence[Outcome], began: float, *, others_run: bool) -> None:
        """Record results, whose recording began then.

        After a refusal the attempts that run decide whether its row or the machine is at fault.
        """
        verdicts = [outcome.verdict if isinstance(outcome, Failure) else None for outcome in outcomes]
        if any(verdict not in {Verdict.THROTTLED, Verdict.UNFIT} for verdict in verdicts):
            self._undecided.pop(process, None)
        elif Verdict.THROTTLED in verdicts and others_run:
            self._undecided[process] = began
        else:
            self._undecided.pop(process, None)

    def _runs(self, process: Process, but: tuple[str, int]) -> bool:
        """Return whether an attempt of the process runs, beside one."""
        held = (claim for owner, _, claim in self._chaos.oracle.steps.held() if owner is process)
        return any(claim.renew_until is not None and (claim.table.name, claim.row.id) != but for claim in held)

    def cooldown(self, process: Process) -> Said:
        """Return the line of a process' machine as Control has it now."""
        return self.line(_cooldown(process))

    def line(self, name: str) -> Said:
        """Return a line as Control has it now."""
        return self._read().get(name, Said())

    def was_ever_touched(self, name: str) -> bool:
        """Return whether a person has ever changed a line."""
        return name in self._touched

    def known(self, process: Process) -> list[tuple[float, float, Saying]]:
        """Return what a process has read of Control, the last at the end."""
        return self._known[process]

    def has_blocked(self, name: str, since: float) -> bool:
        """Return whether a line has blocked attempts since."""
        self._read()
        return self._blocked_at.get(name, 0.0) >= since

    def offers(self) -> dict[frozenset[str], float]:
        """Return what machines offer in Control now, and until when."""
        lines = read_control(self._chaos.world, every=True)
        return {
            frozenset(name.removeprefix("offers ").split()): said.until or 0.0
            for name, said in lines.items()
            if name.startswith("offers ") and said.value in {"", "offered"}
        }

    def is_touched(self, process: Process, since: float) -> bool:
        """Return whether a person has changed the machine's cooldown since, or shortly before."""
        return self.is_line_touched(_cooldown(process), since)

    def is_line_touched(self, name: str, since: float) -> bool:
        """Return whether a person has changed a line since, or shortly before."""
        return self._touched.get(name, 0.0) > since - KNOWN_SECONDS - LATE_SECONDS

    def throttled(self, process: Process, began: float) -> None:
        """Check an attempt recorded as throttled: its machine's cooldown has been in Control, unless a person removed it."""
        name = _cooldown(process)
        self._read()
        lifted = self._touched.get(name, 0.0) > began - KNOWN_SECONDS - LATE_SECONDS
        if self._blocked_at.get(name, 0.0) < began and not lifted:
            raise Violation(f"(7) {process.name} was throttled, and its machine goes on: {self._now_said.get(name)}")

    # --- probes --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Check that no two workers of one machine probe at the same time."""
        probing = {
            process: queue
            for process, queue in self._chaos.queues.items()
            if queue.admission._probe and not process.ended
        }
        begun = [process for process in probing if process not in self._probing]
        # The line was written when the answer began its way back.
        self._probing = {process: self._probing.get(process, self._known[process][-1][1]) for process in probing}
        for process in begun:
            for other in probing:
                if (
                    other is not process
                    and host_of(other) == host_of(process)
                    and _probed_line(probing[other]) == _probed_line(probing[process])
                    and self._still_probes(other, probing[other])
                ):
                    raise Violation(f"(7) {process.name} and {other.name} probe at the same time")

    def _still_probes(self, process: Process, queue: WatchedQueue) -> bool:
        """Return whether a probe still counts: by its line of Control, or because its worker is well and renews its row."""
        if self._touched.get(_probed_line(queue), 0.0) >= self._probing[process] - LATE_SECONDS:
            return False  # a person has ended it, perhaps before its worker knew that its line was written
        probe = queue.admission._probe
        until = _seconds(probe.line.until) if probe else None
        if until is not None and until > self.now:
            return True
        is_well = max(self._troubled.get(process, 0.0), process.frozen_until) < self.now - LATE_SECONDS
        return is_well and queue.admission._probed_row in self._renewed_rows(process)

    def _renewed_rows(self, process: Process) -> set[tuple[str, int]]:
        held = (claim for owner, _, claim in self._chaos.oracle.steps.held() if owner is process)
        return {(claim.table.name, claim.row.id) for claim in held if _is_renewed(claim, process)}

    def renewed(self, process: Process, queue: WatchedQueue, began: float) -> None:
        """Record that a worker has renewed its claims, since `began`. The probe is renewed with its row.

        It is not checked if a person has changed the line meanwhile: then it does not show the probe.
        """
        probe, rows, name = queue.admission._probe, self._renewed_rows(process), _probed_line(queue)
        line = self._read().get(name, Said())
        until = _seconds(probe.line.until) if probe and queue.admission._probed_row in rows else None
        if until is None or until != line.until or line.value.casefold() != "probing":
            return
        if until < began + LEASE_SECONDS - queue.store.clock_error_seconds and self._touched.get(name, 0.0) < began:
            raise Violation(f"(7) {process.name} renews its row, but not its probe: {line}")

    # --- at the end ----------------------------------------------------------------------------------------------------

    def check_the_end(self) -> None:
        """Check that no line has a value that nobody wrote into it.

        docs/limits.md: except one that a worker wrote at the moment of a sort, and could not repair.
        """
        if any(abs(at - lost) < LATE_SECONDS for at in self._sorted for lost in self._unheard):
            return
        for name, said in read_control(self._chaos.world, every=True).items():
            values = {""} if name not in self._typed and name == FLEET else self._typed.get(name, set())
            values = values | LIBRARY_VALUES.get(_kind(name), {""})
            if said.value not in {value.strip() for value in values} | values:
                raise Violation(
                    f"(7) the line {name!r} of Control has the value {said.value!r}, which nobody wrote into it"
                )


def read_control(world: World, *, every: bool = False) -> dict[str, Said]:
    """Return the lines that steer workers, the first of each name. `every`: also the others."""
    if world.sheet_id(CONTROL) is None:
        return {}
    header, *rows = world.rows(CONTROL) or [[]]
    lines: dict[str, Said] = {}
    for row in rows:
        line = dict(zip(header, [*row, *[""] * len(header)], strict=False))
        name = " ".join(str(line.get("Name", "")).split()).casefold()
        if name and (every or name == FLEET or name.startswith(("cooldown ", "suspect "))):
            said = Said(str(line.get("Value", "")), _until(line.get("Until", "")), str(line.get("Reason", "")))
            lines.setdefault(name, said)
    return lines


def _until(cell: Any) -> float | None:
    """Parse a time that a worker wrote, or one that Sheets has converted to a date when a person typed it."""
    if isinstance(cell, int | float):
        return round((float(cell) - DAYS_BEFORE_1970) * 86400)
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ][\d:]+Z?", str(cell)):
        return datetime.fromisoformat(str(cell).rstrip("Z") + "+00:00").timestamp()
    if re.fullmatch(r"\d+/\d\d/\d{4} [\d:]+", str(cell)):  # as Sheets shows it; the 21st is no month
        return datetime.strptime(f"{cell} +0000", "%m/%d/%Y %H:%M:%S %z").timestamp()
    return None


def _is_renewed(claim: Any, process: Process) -> bool:
    """Check that an attempt is not renewed after its deadline."""
    return claim.renew_until is None or process.monotonic() < claim.renew_until - LATE_SECONDS


def _kind(name: str) -> str:
    return name.partition(" ")[0]


def _probed_line(queue: WatchedQueue) -> str:
    return queue.admission._probe.line.name if queue.admission._probe else ""


def _cooldown(process: Process) -> str:
    return f"cooldown {host_of(process)}"


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
