"""Check the promises after every request, in the simulator's grid and in the workers' memory.

(1) Two valid leases on one row, or a result accepted from a former holder. (2) A row lost, or in two tabs once the fleet is
quiet. (3) Two rows for one video, or two sources for one URL. (4) A changed cell in a person's own column. (5) A row that
nothing will ever move again. (6) An attempt that is not counted, or repeated before its backoff has ended (leases.py). (7) An
attempt that begins while people or YouTube stop the fleet (admissions.py). (8) A machine that begins what it cannot do, or a row
that is given up although another machine offers what it needs (needs.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.simulation.admissions import Admissions
from tests.simulation.leases import Steps
from tests.simulation.needs import Needs
from tests.simulation.world import Request, Violation
from youtube_download_coordinator.models import Row, State, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.queue.store import SOURCES, Table
from youtube_download_coordinator.reasons import UNKNOWN_STATUS
from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease, version_text
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

VIDEO_TABS = ("Video Tasks", "Dead-Letter Queue")
KINDS = {"Sources": "s", "Video Tasks": "v", "Dead-Letter Queue": "v"}

Line = dict[str, str]

_decode = cache(decode_lease)


class Oracle:
    """A checker of the promises, with complete knowledge of the simulated world."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos, self.book = chaos, chaos.world.book
        self.requested_ids: set[int] = set()
        """IDs of rows whose Status a person has set: a done row may run again."""
        self.freed: set[str] = set()
        """Keys and URLs of rows that may run again because of something that a person did."""
        self.imported_ids: set[int] = set()
        """IDs of rows that a person has also typed beside another URL: if the row is deleted, the other one gets the ID."""
        self.over: set[int] = set()
        """Claims (by identity) whose holder has begun to end them and does not work on them."""
        self.unheard: set[int] = set()
        """Claims whose outcome was sent without an answer: it may be recorded, and the row claimed again since."""
        self.kept: list[Claim[Any]] = []
        """Those claims, so that no other claim gets the identity of one."""
        self.admitted_at: dict[int, float] = {}
        """When admission took account of the outcome of a claim (by identity): once, however often it is sent to the store."""
        self.steps, self.admissions, self.needs = Steps(chaos), Admissions(chaos), Needs(chaos)
        self.attempts = 0
        self._seen_version = -1
        self._states: dict[tuple[str, int], EncodedLease] = {}
        self._own: Counter[tuple[str, str, str]] = Counter()
        self._inserted: set[tuple[str, str, str]] = set()
        self._sources_notes: set[str] = set()
        """What people wrote into their columns of sources: an expansion copies it to the videos."""
        self._done: Counter[str] = Counter()

    # --- reading -----------------------------------------------------------------------------------------------------

    def lines(self, *tabs: str) -> Iterator[tuple[str, Line]]:
        """Yield the lines of tabs by column name."""
        for tab in tabs:
            header, *rows = self.chaos.world.rows(tab)
            names = [str(name) for name in header]
            blank = [""] * len(names)
            for row in rows:
                yield tab, {name: str(cell) for name, cell in zip(names, [*row, *blank], strict=False) if name}

    def leases(self, *tabs: str) -> Iterator[tuple[str, Line, EncodedLease]]:
        """Yield the lines that have a lease."""
        for tab, line in self.lines(*tabs):
            encoded = _decode(line.get("Lease", ""))
            if encoded and encoded.lease:
                yield tab, line, encoded

    def forget_own_cells(self) -> None:
        """Accept the cells of people's own columns as they are now, after a person has changed some."""
        self._own = self._own_cells()
        self._sources_notes |= {notes for kind, _, notes in self._own if kind == "s"}

    def deleted(self, tab: str, encoded: EncodedLease) -> None:
        """Record that a person has deleted a row: another row that was typed in with its ID may have it."""
        self._states.pop((KINDS[tab], encoded.row_id), None)

    def _own_cells(self) -> Counter[tuple[str, str, str]]:
        return Counter(
            (KINDS[tab], line["URL"], line.get("Notes", "")) for tab, line in self.lines(*KINDS) if line.get("URL")
        )

    # --- after each request ------------------------------------------------------------------------------------------

    def heard(self, request: Request) -> None:
        """Check the spreadsheet after a request."""
        self.steps.heard(request)
        self.admissions.answered(request)
        self.look()

    def look(self) -> None:
        """Check that nothing has happened that must never happen."""
        self._no_two_hold_one_row()
        self.steps.look()
        self.admissions.look()
        self.needs.look()
        if self.book.version == self._seen_version or "Lease" not in self.chaos.world.rows("Video Tasks")[0]:
            return
        self._seen_version = self.book.version
        self._nobodys_cells_changed()
        self._nothing_is_undone()

    def _no_two_hold_one_row(self) -> None:
        holders: dict[tuple[str, str], str] = {}
        for process, _, claim in self.steps.held():
            # A URL whose row a person has deleted or sent again may be worked on as another row.
            key = str(claim.row.id) if self.is_free(claim.row) else claim.row.key
            other = holders.setdefault((claim.table.name, key), process.name)
            if other != process.name:
                raise Violation(f"(1) {other} and {process.name} hold {claim.table.name} {key} at the same time")

    def is_free(self, row: Row) -> bool:
        """Return whether a row may run again because of something that a person did."""
        return row.key in self.freed or row.url in self.freed or row.id in self.requested_ids

    def _nobodys_cells_changed(self) -> None:
        """Check that people's own cells never change, and are only added by an insertion."""
        now = self._own_cells()
        if missing := self._own - now:
            raise Violation(f"(2)(4) lost or changed: {_listed(missing)}; new: {_listed(now - self._own)}")
        for (kind, url, notes), count in (now - self._own).items():
            twice = (kind, url, notes) in self._inserted and url not in self.freed
            copied = notes[:1] in ("n", "s") or (kind == "v" and notes in self._sources_notes)
            if count > 1 or twice or not copied:
                raise Violation(f"(3) added once more: {kind} {url} {notes}")
            self._inserted.add((kind, url, notes))
        self._own = now

    def _nothing_is_undone(self) -> None:
        for (kind, row_id), encoded in self._newest().items():
            before = self._states.get((kind, row_id))
            if before and before != encoded:
                self._is_a_step(kind, before, encoded)
            self._states[kind, row_id] = encoded

    def _newest(self) -> dict[tuple[str, int], EncodedLease]:
        """Return every row's lease. Of duplicates, take the newest version."""
        newest: dict[tuple[str, int], EncodedLease] = {}
        for tab, _, encoded in self.leases(*KINDS):
            other = newest.get((KINDS[tab], encoded.row_id))
            if other is None or _version(encoded) >= _version(other):
                newest[KINDS[tab], encoded.row_id] = encoded
        return newest

    def _is_a_step(self, kind: str, before: EncodedLease, encoded: EncodedLease) -> None:
        if not before.lease or not encoded.lease:
            return
        same_holder = encoded.lease.holder == before.lease.holder
        if encoded.lease.state is before.lease.state and encoded.lease.version == before.lease.version and same_holder:
            return  # the same outcome, recorded once more by a holder who did not hear that it was
        is_other = encoded.key != before.key and not encoded.lease.detail.startswith("duplicate")
        if is_other and encoded.row_id not in self.imported_ids:
            raise Violation(f"(3) an ID is given again: {describe(before)} for {before.key}, now for {encoded.key}")
        free = encoded.row_id in self.requested_ids or encoded.lease.detail.startswith("duplicate")
        if before.lease.state is State.DONE and encoded.lease.state is not State.DONE and not free:
            raise Violation(f"(1) what was done is undone: {describe(before)}, now {describe(encoded)}")
        if encoded.lease.version == before.lease.version and not self.steps.are_of_one(before, encoded):
            raise Violation(f"(1) one lease became two: {describe(before)} and {describe(encoded)}")
        if encoded.lease.version < before.lease.version:
            raise Violation(f"(1) a lease went back: {describe(before)}, now {describe(encoded)}")
        self.steps.step(kind, before, encoded)

    # --- what workers did --------------------------------------------------------------------------------------------

    def begins(self, worker: str, row: Row, timeout_seconds: float) -> None:
        """Check that an attempt may begin at a video."""
        self.attempts += 1
        self.chaos.world.note(f"{worker} begins to process v{row.id} ({row.key})")
        if self._done[row.key] and not self.is_free(row):
            raise Violation(f"(1) {row.key} is processed again after it was done")
        if not self.is_free(row):
            self.steps.begins(worker, row, self._states.get(("v", row.id)), timeout_seconds)

    def ended(self, worker: str, claim: Claim[Any], row: Row | None, *, was_valid: bool) -> None:
        """Record that a holder has ended its claim. None: its outcome was refused."""
        if row is None and (was_valid or id(claim) in self.unheard):
            self.lost(worker, claim)
        if isinstance(row, VideoTask) and row.lease.state is State.DONE:
            self._done[row.key] += 1
            if self._done[row.key] > 1 and not self.is_free(row):
                raise Violation(f"(1) {row.key} has two results")

    def admitted(self, claims: Iterable[Claim[Any]], began: float) -> None:
        """Record that admission has taken account of outcomes, in a call that began then, perhaps not for the first time."""
        for claim in claims:
            if claim.throttle is not None and id(claim) not in self.admitted_at:
                self.admitted_at[id(claim)] = began
                self.kept.append(claim)

    def lost(self, worker: str, claim: Claim[Any]) -> None:
        """Check that a worker which has lost its row has really lost it."""
        kind = "s" if claim.table.name == SOURCES.name else "v"
        encoded = self._states.get((kind, claim.row.id))
        if encoded is None or encoded.lease is None or self.is_free(claim.row):
            return
        # Much later versions are those of another claim, perhaps by the same worker.
        is_its_own = encoded.lease.version <= claim.row.lease.version + 1 and self.steps.is_by(worker, encoded)
        if is_its_own and encoded.lease.state in {State.HELD, State.DONE}:
            raise Violation(f"(1) {worker} has lost the row, but the sheet shows its lease: {describe(encoded)}")

    def added(self, table: Table[Any], rows: Iterable[Row]) -> None:
        """Check that rows which were inserted, or were known, are on the sheet."""
        kind = "s" if table.name == SOURCES.name else "v"
        standing = {line["URL"] for tab, line in self.lines(*KINDS) if KINDS[tab] == kind}
        if missing := [row.url for row in rows if row.url not in standing and not self.is_free(row)]:
            raise Violation(f"(2) said to be inserted, and not there: {missing}")

    # --- at the end --------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """Return the lines that still wait for something."""
        waiting = []
        for tab, line in self.lines(*KINDS):
            encoded = _decode(line["Lease"])
            if encoded is None:
                waiting += [line] if line["URL"] else []
            elif encoded.lease is None or not _is_final(encoded) or _is_misplaced(tab, encoded):
                waiting.append(line)
        return [str(line) for line in waiting]

    def is_settled(self) -> bool:
        return not self.unsettled()

    def check_the_end(self) -> None:
        """Check that every row is done or dead, exists once, and shows its lease."""
        for group in (("Sources",), VIDEO_TABS):
            leases = list(self.leases(*group))
            ids = Counter(encoded.row_id for _, _, encoded in leases)
            if twice := [row_id for row_id, count in ids.items() if count > 1]:
                raise Violation(f"(2) IDs that stand twice: {twice}")
            keys = Counter(
                encoded.key for _, _, encoded in leases if encoded.key != "none" and not _is_duplicate(encoded)
            )
            if twice_keys := [key for key, count in keys.items() if count > 1]:
                raise Violation(f"(3) two rows: {twice_keys}")
            for tab, line, encoded in leases:
                self._is_shown(tab, line, encoded)
        self.admissions.check_the_end()
        self.chaos.outages.check_the_end()
        if formulas := [each for each in self.book.formulas() if each[0] != "Control"]:
            raise Violation(f"(4) text became a formula: {formulas}")
        if self.chaos.world.simulator.answer_problems or self.chaos.world.simulator.misses:
            raise Violation(f"{self.chaos.world.simulator.answer_problems} {self.chaos.world.simulator.misses}")

    def _is_shown(self, tab: str, line: Line, encoded: EncodedLease) -> None:
        lease = encoded.lease
        assert lease is not None
        done = lease.state is State.DONE
        expected = {
            "ID": str(encoded.row_id),
            "Status": status_text(lease.state),
            "Shown": version_text(encoded.row_id, lease),
            "RetryCount": str(lease.tries),
            "NotBefore": format_utc(Row(url="", key="", lease=lease).not_before),
            "LastError": "" if done else lease.detail,
        } | ({} if tab == "Sources" else {"Result": lease.detail if done else ""})
        if line.get("LastError", "").startswith(f"{UNKNOWN_STATUS}: "):  # a note about what a person typed into Status
            del expected["LastError"]
        if wrong := {name: (line.get(name, ""), text) for name, text in expected.items() if line.get(name, "") != text}:
            raise Violation(f"(5) shown wrong in {tab} for ever: {wrong} of {line}")


def describe(encoded: EncodedLease) -> str:
    """Return a lease as a short text."""
    lease = encoded.lease
    return (
        f"v{encoded.row_id}.{lease.version} {lease.state} {lease.holder}".strip()
        if lease
        else f"v{encoded.row_id} draft"
    )


def _version(encoded: EncodedLease) -> int:
    return encoded.lease.version if encoded.lease else 0


def _listed(cells: Counter[tuple[str, str, str]]) -> str:
    return ", ".join(f"{kind} {url} {notes!r}" for kind, url, notes in cells) or "nothing"


def _is_misplaced(tab: str, encoded: EncodedLease) -> bool:
    return (
        tab in VIDEO_TABS
        and encoded.lease is not None
        and (tab == "Dead-Letter Queue") != (encoded.lease.state is State.DEAD)
    )


def _is_duplicate(encoded: EncodedLease) -> bool:
    return encoded.lease is not None and encoded.lease.detail.startswith("duplicate of")


def _is_final(encoded: EncodedLease) -> bool:
    return encoded.lease is not None and encoded.lease.state in {State.DONE, State.ERROR, State.DEAD}
