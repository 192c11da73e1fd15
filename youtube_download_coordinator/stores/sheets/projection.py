"""Showing leases: the cells that people read, written behind the word that decides.

What is owed waits for the next request that is written anyway, for SHOW_SECONDS at the most. It is written by line; a person may
have sorted the tab, so the answer shows the Lease cell of each line, and what landed on a stranger is repaired from the words.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import WRITTEN_BY_SWAPS, Row, State, columns_of
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.cells import blank, projection, read_row, shows
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_lease, version_text
from youtube_download_coordinator.stores.sheets.snapshot import RANGES_MAX, KeyCells
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, Spreadsheet, shown_rows

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

SHOW_SECONDS = 30.0
"""People see a change after this long at the latest."""
REPAIR_SECONDS = 60.0
"""Cells that do not show their lease for this long are rewritten by whoever sees it: their writer is gone."""
LEFT_SECONDS = 300.0
"""Cells that do not show the lease of a row which was claimed this long ago are rewritten by a process that is about to end."""
REPAIRS_MAX = 500
"""Lines repaired with one look."""

_TABLES: dict[str, Table[Row]] = {table.name: table for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)}  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class ProjectionBatch:
    """What one request shows along with its own work: rows by line."""

    name: str
    placed: Mapping[int, Row]
    requests: list[Json]
    cells: list[str]
    """The Lease cells of those lines, which the answer is to show."""


class Projections:
    """What this process owes to people's eyes."""

    def __init__(self, book: Spreadsheet) -> None:
        self._book = book
        self._owed: dict[str, dict[int, Row]] = {name: {} for name in DATA_TABS}
        self._unshown_since: dict[str, float] = {}
        """By the text of the Lease cell: since when its line was seen not to show it."""
        self._awaited = False
        self._show_at: float | None = None
        """When what is owed is to be shown at the latest."""

    # --- owing -------------------------------------------------------------------------------------------------------

    def enqueue(self, name: str, row: Row) -> None:
        """Remember that a row's lease has changed; an earlier change of it that nobody has seen yet is passed over."""
        self._owed[name][row.id] = row
        view = self._book.snapshot(name)
        position = view.position_of(row.id)
        if position is not None:
            view.update_line(position, view.key_cells[position]._replace(lease=encode_lease(row)))
        self._await()

    def discard(self, name: str, seen: Row) -> None:
        """Somebody else has changed the row since, and shows it."""
        owed = self._owed[name].get(seen.id)
        if owed is not None and owed.lease == seen.lease:
            del self._owed[name][seen.id]

    def moved(self, row_id: int, name: str, target: str) -> None:
        """A row that is owed stands in another tab now."""
        if row := self._owed[name].pop(row_id, None):
            self._owed[target].setdefault(row_id, row)

    def as_written(self, row: R) -> R:
        """A row that was read, with what this process still owes to its cells."""
        for owed in self._owed.values():
            mine = owed.get(row.id)
            if mine is not None and mine.lease == row.lease and type(mine) is type(row):
                columns = columns_of(type(row)).stored.items()
                names = [name for name, column in columns if column.writer in WRITTEN_BY_SWAPS]
                return replace(row, **{name: getattr(mine, name) for name in names})
        return row

    def next_batch(self, name: str, without: Collection[int] = ()) -> ProjectionBatch:
        """What is owed in a tab and whose line is known, to be written now: given to `check` or to `put_back` afterwards.

        `without`: rows that change with the same request, and are owed anew after it.
        """
        tab, view, owed = self._book.tab(name), self._book.snapshot(name), self._owed[name]
        waiting = [row for row in owed.values() if row.id not in without]
        placed = {at: row for row in waiting if (at := view.position_of(row.id)) is not None}
        for row in placed.values():
            del owed[row.id]
        if not any(self._owed.values()):
            self._show_at = None
        requests = [each for at, row in placed.items() for each in projection(tab, at, row, rebuilt=False)]
        return ProjectionBatch(name, placed, requests, [tab.a1("Lease", rows=(at, at + 1)) for at in placed])

    def put_back(self, showing: ProjectionBatch) -> None:
        """It was not written, or nobody knows."""
        for row in showing.placed.values():
            self._owed[showing.name].setdefault(row.id, row)
            self._await()

    def check(self, showing: ProjectionBatch, answer: Json) -> None:
        """See whether what was written landed on its own line; else the words say what must stand there."""
        tab, view = self._book.tab(showing.name), self._book.snapshot(showing.name)
        standing = shown_rows(answer, tab.sheet_id)
        for at, row in showing.placed.items():
            text = next(iter(standing.get(at, ())), "")
            word = decode_lease(text)
            if word is not None and word.row_id == row.id and text == encode_lease(row):
                url = view.key_cells[at].url if at < len(view.key_cells) else ""
                view.update_line(at, KeyCells(text, row.status.value, version_text(row.id, row.lease), url or row.url))
                continue
            if word is not None and word.row_id == row.id:  # somebody has changed it since
                self._unshown_since.setdefault(text, self._book.outside.monotonic())
                continue
            view.looked_at = None
            self._unshown_since[text] = float("-inf")  # a stranger's line: repaired at the next look
            self._owed[showing.name].setdefault(row.id, row)
            self._await()

    # --- repairing ---------------------------------------------------------------------------------------------------

    def repair(self, name: str) -> None:
        """After a look: rewrite the cells of lines that have not shown their lease for a while, and forget rows that are gone."""
        tab, view, now = self._book.tab(name), self._book.snapshot(name), self._book.outside.monotonic()
        self._owed[name] = {row_id: row for row_id, row in self._owed[name].items() if view.position_of(row_id)}
        wrong = self._wrong(name)
        for mark in wrong.values():
            self._unshown_since.setdefault(mark.lease, now)
        due = [at for at, mark in wrong.items() if now - self._unshown_since[mark.lease] >= REPAIR_SECONDS]
        if requests := [each for at in due[:REPAIRS_MAX] for each in self._rebuilt(name, at, view.key_cells[at].lease)]:
            log.info("rewriting the cells of %d rows of %s that did not show their lease", len(due), tab.title)
            self._write(requests)
            view.looked_at = None
        still = {mark.lease for each in self._book.views.values() for mark in each.key_cells if _is_wrong(mark)}
        self._unshown_since = {text: since for text, since in self._unshown_since.items() if text in still}

    def _wrong(self, name: str) -> dict[int, KeyCells]:
        """Lines that do not show their lease, and owe that to another process."""
        mine = {encode_lease(row) for row in self._owed[name].values()}
        marks = enumerate(self._book.snapshot(name).key_cells)
        return {at: mark for at, mark in marks if at and _is_wrong(mark) and mark.lease not in mine}

    def schedule_leftovers(self, name: str) -> None:
        """Show at the next look what whoever owes it has left behind, by the time of its claim.

        For a process that is about to end: it never sees a line wrong for long, and there may be only such processes.
        """
        tab, wrong = self._book.tab(name), list(self._wrong(name))[:RANGES_MAX]
        lines = self._book.read(name, wrong) if wrong else {}
        rows = [row for cells in lines.values() if (row := read_row(_TABLES[name], tab, cells))]
        self.schedule_now(encode_lease(row) for row in rows if self._is_leftover(row))

    def _is_leftover(self, row: Row) -> bool:
        now, lease = self._book.connection.now(), row.lease
        if lease.state is State.HELD and lease.until is not None and lease.until > now:
            return False
        return row.claimed_at is None or (now - row.claimed_at).total_seconds() >= LEFT_SECONDS

    def schedule_now(self, words: Iterable[str]) -> None:
        """Show these at the next look."""
        self._unshown_since |= dict.fromkeys(words, float("-inf"))

    def _write(self, requests: list[Json]) -> None:
        """Cosmetics: what cannot be written now is seen and written later."""
        try:
            self._book.write(requests)
        except (Refused, AnswerLost) as error:
            log.info("the sheet does not show every lease yet: %s", error)

    def _rebuilt(self, name: str, position: int, text: str) -> list[Json]:
        tab, word, kind = self._book.tab(name), decode_lease(text), _TABLES[name].row_type
        if word is None or word.lease is None:
            return blank(tab, position, kind)
        row = kind(id=word.row_id, key=word.key, url="", lease=word.lease, claimed_by=word.lease.holder)
        return projection(tab, position, row, rebuilt=True)

    # --- in time -----------------------------------------------------------------------------------------------------

    @property
    def has_misplaced_cells(self) -> bool:
        """Whether something was written on a line that was not meant."""
        return float("-inf") in self._unshown_since.values()

    def flush(self) -> None:
        """Show everything that is owed, now."""
        for name in DATA_TABS:
            if self.has_misplaced_cells or any(
                self._book.snapshot(name).position_of(row_id) is None for row_id in self._owed[name]
            ):
                self._book.reload([name])
            showing = self.next_batch(name)
            if not showing.requests:
                continue
            try:
                self.check(showing, self._book.write(showing.requests, show=showing.cells))
            except (Refused, StoreUnavailable) as error:
                self.put_back(showing)
                self._book.snapshot(name).forget_lines()
                log.info("the sheet does not show the last changes yet: %s", error)

    def _await(self) -> None:
        """See to it that what is owed is shown in time, also when nothing else is written."""
        if self._show_at is None:
            self._show_at = self._book.outside.monotonic() + SHOW_SECONDS
        if not self._awaited:
            self._awaited = True
            self._book.outside.later(max(0.0, self._show_at - self._book.outside.monotonic()), self._on_time)

    def _on_time(self) -> None:
        try:
            with self._book.turn:
                self._awaited = False
                if self._show_at is not None and self._book.outside.monotonic() < self._show_at:
                    self._await()  # it was shown meanwhile, with something else; this is newer
                elif self._show_at is not None:
                    self.flush()
        except StoreError as error:
            log.info("the sheet does not show the last changes yet: %s", error)


def _is_wrong(mark: KeyCells) -> bool:
    """Whether a line shows something else than its lease; also one that shows a lease and has none."""
    word = decode_lease(mark.lease) if mark.lease else None
    return not shows(word, mark.status, mark.shown) if word else bool(mark.shown)
