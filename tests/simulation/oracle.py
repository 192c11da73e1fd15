"""What must never happen: looked for after every request, in the simulator's grid itself and in what workers believe.

(1) two valid leases on one row, or a result taken from one who no longer holds it; (2) a row lost, or standing in two tabs once
things are quiet; (3) two rows for one video or two sources for one URL; (4) a cell of a person's own column changed; (5) a row
that nothing will ever move again. And (6) an attempt that is not counted, or made again before its pause is over (leases.py); (7)
something begun while people or YouTube say stop (gates.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.simulation.admissions import Gates
from tests.simulation.leases import Steps
from tests.simulation.world import Request, Violation
from youtube_download_coordinator.models import Row, State, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.queue.store import SOURCES, Table
from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease, version_text
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

VIDEO_TABS = ("Video Tasks", "Dead-Letter Queue")
KINDS = {"Sources": "s", "Video Tasks": "v", "Dead-Letter Queue": "v"}

Line = dict[str, str]

_word = cache(decode_lease)


class Oracle:
    """Sees everything, and forgets nothing."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos, self.book = chaos, chaos.world.book
        self.asked: set[int] = set()
        """IDs in whose Status a person typed something: what is done may be undone."""
        self.freed: set[str] = set()
        """Keys and URLs of rows with which a person did something that may make them run again."""
        self.brought: set[int] = set()
        """IDs of rows that a person has typed beside another URL: if that row is deleted then, the other gets it."""
        self.over: set[int] = set()
        """Claims (by identity) whose holder has begun to end them: it works no more on them."""
        self.unheard: set[int] = set()
        """Those whose outcome was sent and had no answer: it may have been recorded, and the row claimed anew since."""
        self.kept: list[Claim[Any]] = []
        """Those claims, so that no other gets the identity of one."""
        self.steps, self.gates = Steps(chaos), Gates(chaos)
        self.attempts = 0
        self._seen_version = -1
        self._states: dict[tuple[str, int], EncodedLease] = {}
        self._own: Counter[tuple[str, str, str]] = Counter()
        self._inserted: set[tuple[str, str, str]] = set()
        self._sources_notes: set[str] = set()
        """What people wrote beside sources: an expansion copies it to the videos."""
        self._done: Counter[str] = Counter()

    # --- reading -----------------------------------------------------------------------------------------------------

    def lines(self, *tabs: str) -> Iterator[tuple[str, Line]]:
        """Every line of tabs that has anything, by column name."""
        for tab in tabs:
            header, *rows = self.book.rows(tab)
            names = [str(name) for name in header]
            blank = [""] * len(names)
            for row in rows:
                yield tab, {name: str(cell) for name, cell in zip(names, [*row, *blank], strict=False) if name}

    def words(self, *tabs: str) -> Iterator[tuple[str, Line, EncodedLease]]:
        """Every line that has a lease."""
        for tab, line in self.lines(*tabs):
            word = _word(line.get("Lease", ""))
            if word and word.lease:
                yield tab, line, word

    def forget_own_cells(self) -> None:
        """A person has changed some: from here on they stay as they are now."""
        self._own = self._own_cells()
        self._sources_notes |= {notes for kind, _, notes in self._own if kind == "s"}

    def deleted(self, tab: str, word: EncodedLease) -> None:
        """A person has deleted a row: another that brings its ID along may have it."""
        self._states.pop((KINDS[tab], word.row_id), None)

    def _own_cells(self) -> Counter[tuple[str, str, str]]:
        return Counter(
            (KINDS[tab], line["URL"], line.get("Notes", "")) for tab, line in self.lines(*KINDS) if line.get("URL")
        )

    # --- after each request ------------------------------------------------------------------------------------------

    def heard(self, request: Request) -> None:
        """A request was answered."""
        self.steps.heard(request)
        self.gates.answered(request)
        self.look()

    def look(self) -> None:
        """See whether anything has happened that must never happen."""
        self._no_two_hold_one_row()
        self.steps.look()
        self.gates.look()
        if self.book.version == self._seen_version or "Lease" not in self.book.rows("Video Tasks")[0]:
            return
        self._seen_version = self.book.version
        self._nobodys_cells_changed()
        self._nothing_is_undone()

    def _no_two_hold_one_row(self) -> None:
        holders: dict[tuple[str, str], str] = {}
        for process, _, claim in self.steps.held():
            # A URL whose row a person has deleted or sent again may be worked on as another row.
            key = str(claim.row.id) if self._is_free(claim.row) else claim.row.key
            other = holders.setdefault((claim.table.name, key), process.name)
            if other != process.name:
                raise Violation(f"(1) {other} and {process.name} hold {claim.table.name} {key} at the same time")

    def _is_free(self, row: Row) -> bool:
        return row.key in self.freed or row.url in self.freed or row.id in self.asked

    def _nobodys_cells_changed(self) -> None:
        """Lines of a person's cells are only ever added, by an insertion."""
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
        for (kind, row_id), word in self._newest().items():
            before = self._states.get((kind, row_id))
            if before and before != word:
                self._is_a_step(kind, before, word)
            self._states[kind, row_id] = word

    def _newest(self) -> dict[tuple[str, int], EncodedLease]:
        """Every row's lease; where a person has copied a line, that of the line that went on."""
        newest: dict[tuple[str, int], EncodedLease] = {}
        for tab, _, word in self.words(*KINDS):
            other = newest.get((KINDS[tab], word.row_id))
            if other is None or _version(word) >= _version(other):
                newest[KINDS[tab], word.row_id] = word
        return newest

    def _is_a_step(self, kind: str, before: EncodedLease, word: EncodedLease) -> None:
        if not before.lease or not word.lease:
            return
        same_holder = word.lease.holder == before.lease.holder
        if word.lease.state is before.lease.state and word.lease.version == before.lease.version and same_holder:
            return  # the same outcome, recorded once more by a holder who did not hear that it was
        is_other = word.key != before.key and not word.lease.detail.startswith("duplicate")
        if is_other and word.row_id not in self.brought:
            raise Violation(f"(3) an ID is given again: {told(before)} for {before.key}, now for {word.key}")
        free = word.row_id in self.asked or word.lease.detail.startswith("duplicate")
        if before.lease.state is State.DONE and word.lease.state is not State.DONE and not free:
            raise Violation(f"(1) what was done is undone: {told(before)}, now {told(word)}")
        if word.lease.version == before.lease.version and not self.steps.are_of_one(before, word):
            raise Violation(f"(1) one lease became two: {told(before)} and {told(word)}")
        if word.lease.version < before.lease.version:
            raise Violation(f"(1) a lease went back: {told(before)}, now {told(word)}")
        self.steps.step(kind, before, word)

    # --- what workers did --------------------------------------------------------------------------------------------

    def begins(self, worker: str, row: Row, timeout_seconds: float) -> None:
        """An attempt begins at a video."""
        self.attempts += 1
        self.chaos.world.note(f"{worker} begins to process v{row.id} ({row.key})")
        if self._done[row.key] and not self._is_free(row):
            raise Violation(f"(1) {row.key} is processed again after it was done")
        if not self._is_free(row):
            self.steps.begins(worker, row, self._states.get(("v", row.id)), timeout_seconds)

    def ended(self, worker: str, claim: Claim[Any], row: Row | None, *, was_valid: bool) -> None:
        """A claim was ended by its holder; None: its outcome was refused."""
        if row is None and (was_valid or id(claim) in self.unheard):
            self.lost(worker, claim)
        if isinstance(row, VideoTask) and row.lease.state is State.DONE:
            self._done[row.key] += 1
            if self._done[row.key] > 1 and not self._is_free(row):
                raise Violation(f"(1) {row.key} has two results")

    def lost(self, worker: str, claim: Claim[Any]) -> None:
        """A worker was told that somebody else has its row."""
        kind = "s" if claim.table.name == SOURCES.name else "v"
        word = self._states.get((kind, claim.row.id))
        if word is None or word.lease is None or self._is_free(claim.row):
            return
        # Much later versions are those of another claim, perhaps by the same worker.
        is_its_own = word.lease.version <= claim.row.lease.version + 1 and self.steps.is_by(worker, word)
        if is_its_own and word.lease.state in {State.HELD, State.DONE}:
            raise Violation(f"(1) {worker} is told that it has lost the row which stands there: {told(word)}")

    def added(self, table: Table[Any], rows: Iterable[Row]) -> None:
        """Rows were inserted, or are known: they must be there."""
        kind = "s" if table.name == SOURCES.name else "v"
        standing = {line["URL"] for tab, line in self.lines(*KINDS) if KINDS[tab] == kind}
        if missing := [row.url for row in rows if row.url not in standing and not self._is_free(row)]:
            raise Violation(f"(2) said to be inserted, and not there: {missing}")

    # --- at the end --------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """Lines that wait for something."""
        waiting = []
        for tab, line in self.lines(*KINDS):
            word = _word(line["Lease"])
            if word is None:
                waiting += [line] if line["URL"] else []
            elif word.lease is None or not _is_final(word) or _is_astray(tab, word):
                waiting.append(line)
        return [str(line) for line in waiting]

    def is_settled(self) -> bool:
        return not self.unsettled()

    def check_the_end(self) -> None:
        """Everything is done or dead, stands once, and shows what it is."""
        for group in (("Sources",), VIDEO_TABS):
            words = list(self.words(*group))
            ids = Counter(word.row_id for _, _, word in words)
            if twice := [row_id for row_id, count in ids.items() if count > 1]:
                raise Violation(f"(2) IDs that stand twice: {twice}")
            keys = Counter(word.key for _, _, word in words if word.key != "none" and not _is_duplicate(word))
            if twice_keys := [key for key, count in keys.items() if count > 1]:
                raise Violation(f"(3) two rows: {twice_keys}")
            for tab, line, word in words:
                self._is_shown(tab, line, word)
        self.gates.check_the_end()
        if formulas := [each for each in self.book.formulas() if each[0] != "Control"]:
            raise Violation(f"(4) text became a formula: {formulas}")
        if self.chaos.world.simulator.answer_problems or self.chaos.world.simulator.misses:
            raise Violation(f"{self.chaos.world.simulator.answer_problems} {self.chaos.world.simulator.misses}")

    def _is_shown(self, tab: str, line: Line, word: EncodedLease) -> None:
        lease = word.lease
        assert lease is not None
        done = lease.state is State.DONE
        expected = {
            "ID": str(word.row_id),
            "Status": status_text(lease.state),
            "Shown": version_text(word.row_id, lease),
            "RetryCount": str(lease.tries),
            "NotBefore": format_utc(Row(url="", key="", lease=lease).not_before),
            "LastError": "" if done else lease.detail,
        } | ({} if tab == "Sources" else {"Result": lease.detail if done else ""})
        if wrong := {name: (line.get(name, ""), text) for name, text in expected.items() if line.get(name, "") != text}:
            raise Violation(f"(5) shown wrong in {tab} for ever: {wrong} of {line}")


def told(word: EncodedLease) -> str:
    """A lease as people say it."""
    lease = word.lease
    return f"v{word.row_id}.{lease.version} {lease.state} {lease.holder}".strip() if lease else f"v{word.row_id} draft"


def _version(word: EncodedLease) -> int:
    return word.lease.version if word.lease else 0


def _listed(cells: Counter[tuple[str, str, str]]) -> str:
    return ", ".join(f"{kind} {url} {notes!r}" for kind, url, notes in cells) or "nothing"


def _is_astray(tab: str, word: EncodedLease) -> bool:
    return (
        tab in VIDEO_TABS
        and word.lease is not None
        and (tab == "Dead-Letter Queue") != (word.lease.state is State.DEAD)
    )


def _is_duplicate(word: EncodedLease) -> bool:
    return word.lease is not None and word.lease.detail.startswith("duplicate of")


def _is_final(word: EncodedLease) -> bool:
    return word.lease is not None and word.lease.state in {State.DONE, State.ERROR, State.DEAD}
