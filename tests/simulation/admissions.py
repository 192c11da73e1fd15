"""Nothing is begun while people or YouTube say stop, and of one machine's workers one tries at a time.

What Control says is read anew here, not with the library's own functions: what those get wrong is to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.simulation.hosts import host_of
from tests.simulation.roles import LEASE_SECONDS
from tests.simulation.world import Process, Request, Violation
from youtube_download_coordinator.models import Row
from youtube_download_coordinator.queue.store import SOURCES, Table

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos
    from tests.simulation.roles import WatchedQueue

CONTROL, FLEET = "Control", "fleet"
GO_ON = {FLEET: {"", "running", "go on", "clear"}, "cooldown": {"", "clear", "lifted", "running"}}
"""Everything else holds back: what nobody understands, too."""
LIBRARYS_WORDS = {"", "clear", "cooling", "probing"}
KNOWN_SECONDS = 30.5
"""docs/limits.md: half a minute after something was typed the workers know."""
LATE_SECONDS = 60.0
"""Whose requests failed, or took long, so recently may not have said in time that its probe goes on."""
TOLD_MAX = 40
DAYS_BEFORE_1970 = 25569


@dataclass(frozen=True, slots=True)
class Said:
    """A line of Control."""

    value: str = ""
    until: float | None = None
    """In seconds since 1970."""

    def holds_back(self, kind: str) -> bool:
        return self.value.strip(" .").casefold() not in GO_ON[kind]


Saying = Mapping[str, Said]
"""What Control says, by the names of its lines."""


class Gates:
    """Looks at every attempt that begins, and at every probe."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._seen_version = -1
        self._now_said: Saying = {}
        self._on_its_way: dict[str, tuple[float, Saying]] = {}
        self._known: dict[Process, list[tuple[float, float, Saying]]] = {}
        """What each process was told: when it heard it, when that was true, what it was."""
        self._troubled: dict[Process, float] = {}
        """When a request of a process had no answer, or took long."""
        self._unheard: list[float] = []
        """When any was killed, had no answer, or waited long for one."""
        self._sorted: list[float] = []
        self._touched: dict[str, float] = {}
        self._typed: dict[str, set[str]] = {}
        self._shut_at: dict[str, float] = {}
        """When a line was seen to hold back."""
        self._probing: dict[Process, float] = {}
        """Since when a process has been the one that tries."""

    @property
    def now(self) -> float:
        return self._chaos.world.clock.now()

    # --- what is known -------------------------------------------------------------------------------------------------

    def touched(self, name: str, value: str | None) -> None:
        """A person has changed a line, perhaps its Value."""
        self._touched[name] = self.now
        if value is not None:
            self._typed.setdefault(name, set()).add(value)

    def troubled(self, process: Process) -> None:
        """A process may not be heard in time."""
        self._troubled[process] = self.now
        self._unheard.append(self.now)

    def sorted(self) -> None:
        """A person has sorted Control."""
        self._sorted.append(self.now)

    def answered(self, request: Request) -> None:
        """A request was answered; the answer is on its way."""
        self._on_its_way[request.process] = self.now, self._read()

    def received(self, process: Process, request: Request) -> None:
        """A process was told something."""
        if request.status not in {200, 400} or request.answer[:1] != b"{":
            self.troubled(process)
        elif request.status == 200 and _shows_control(request):
            news = (self.now, *self._on_its_way[request.process])
            self._known[process] = [*self._known.get(process, [])[-TOLD_MAX:], news]

    def _read(self) -> Saying:
        book = self._chaos.world.book
        if book.version != self._seen_version:
            self._seen_version = book.version
            self._now_said = read_control(book)
        for name, said in self._now_said.items():
            if said.holds_back(_kind(name)):
                self._shut_at[name] = self.now
        return self._now_said

    # --- attempts ------------------------------------------------------------------------------------------------------

    def begins(self, process: Process, queue: WatchedQueue, table: Table[Any], row: Row) -> None:
        """An attempt begins. What its worker knows of Control is no older than said, and lets it."""
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
        """Why a worker that was told this may not begin with a row."""
        fleet, line = said.get(FLEET, Said()), said.get(_cooldown(process), Said())
        if fleet.holds_back(FLEET) and (fleet.until is None or fleet.until > self.now):
            return f"the fleet is paused: {fleet}"
        probe = queue.admission._probe if queue.admission._probed_row == row else None
        if line.holds_back("cooldown") and (probe is None or _seconds(probe.line.until) != line.until):
            return f"its machine cools down: {line}, {queue.admission._probe}"
        return ""

    def throttled(self, process: Process, began: float) -> None:
        """An attempt was recorded as throttled: its machine's cooldown stood there meanwhile, unless a person lifted it."""
        name = _cooldown(process)
        self._read()
        lifted = self._touched.get(name, 0.0) > began - KNOWN_SECONDS - LATE_SECONDS
        if self._shut_at.get(name, 0.0) < began and not lifted:
            raise Violation(f"(7) {process.name} was throttled, and its machine goes on: {self._now_said.get(name)}")

    # --- probes --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """On one machine nobody probes while another does."""
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
                    and self._still_probes(other, probing[other])
                ):
                    raise Violation(f"(7) {process.name} and {other.name} probe at the same time")

    def _still_probes(self, process: Process, queue: WatchedQueue) -> bool:
        """Whether a probe still counts: by what stands in Control, or because its worker is well and works on its row."""
        if self._touched.get(_cooldown(process), 0.0) >= self._probing[process] - LATE_SECONDS:
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
        """A worker has renewed what it holds; `began`: since when. With its row the probe is renewed, too.

        Not where a person has said something else meanwhile: then nothing of the probe is left in the line.
        """
        probe, rows, name = queue.admission._probe, self._renewed_rows(process), _cooldown(process)
        line = self._read().get(name, Said())
        until = _seconds(probe.line.until) if probe and queue.admission._probed_row in rows else None
        if until is None or until != line.until or line.value.casefold() != "probing":
            return
        if until < began + LEASE_SECONDS - queue.store.clock_error_seconds and self._touched.get(name, 0.0) < began:
            raise Violation(f"(7) {process.name} renews its row, but not its probe: {line}")

    # --- at the end ----------------------------------------------------------------------------------------------------

    def check_the_end(self) -> None:
        """No line says what nobody has said of it.

        docs/limits.md: but what a worker wrote there in the instant of a sort, and was kept from taking back.
        """
        if any(abs(at - lost) < LATE_SECONDS for at in self._sorted for lost in self._unheard):
            return
        for name, said in read_control(self._chaos.world.book, every=True).items():
            words = {""} if name not in self._typed and name == FLEET else self._typed.get(name, set())
            words = words | (LIBRARYS_WORDS if name.startswith("cooldown ") else {""})
            if said.value not in {word.strip() for word in words} | words:
                raise Violation(f"(7) the line {name!r} of Control says {said.value!r}, which nobody has said of it")


def read_control(book: Any, *, every: bool = False) -> dict[str, Said]:
    """What the lines say that steer workers, the first of each name; `every`: what stands in others, too."""
    if book.contents.titled(CONTROL) is None:
        return {}
    header, *rows = book.rows(CONTROL) or [[]]
    found: dict[str, Said] = {}
    for row in rows:
        line = dict(zip(header, [*row, *[""] * len(header)], strict=False))
        name = " ".join(str(line.get("Name", "")).split()).casefold()
        if name and (every or name == FLEET or name.startswith("cooldown ")):
            found.setdefault(name, Said(str(line.get("Value", "")), _until(line.get("Until", ""))))
    return found


def _until(cell: Any) -> float | None:
    """A time that a worker wrote, or one that Sheets took for a date when a person typed it."""
    if isinstance(cell, int | float):
        return round((float(cell) - DAYS_BEFORE_1970) * 86400)
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ][\d:]+Z?", str(cell)):
        return datetime.fromisoformat(str(cell).rstrip("Z") + "+00:00").timestamp()
    if re.fullmatch(r"\d+/\d\d/\d{4} [\d:]+", str(cell)):  # as Sheets shows it; the 21st is no month
        return datetime.strptime(f"{cell} +0000", "%m/%d/%Y %H:%M:%S %z").timestamp()
    return None


def _shows_control(request: Request) -> bool:
    if request.method == "GET":
        return request.path.endswith("values:batchGet") and CONTROL in unquote(request.query)
    return b"responseRanges" in request.body and CONTROL.encode() in request.body


def _is_renewed(claim: Any, process: Process) -> bool:
    """An attempt that should have ended is renewed no more."""
    return claim.renew_until is None or process.monotonic() < claim.renew_until - LATE_SECONDS


def _kind(name: str) -> str:
    return name.partition(" ")[0]


def _cooldown(process: Process) -> str:
    return f"cooldown {host_of(process)}"


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
