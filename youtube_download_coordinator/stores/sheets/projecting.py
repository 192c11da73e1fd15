"""Showing leases: the cells that people read, written behind the word that decides.

What is owed waits for the next request that is written anyway, for SHOW_SECONDS at the most. It is written by line; a person may
have sorted the tab, so the answer shows the Lease cell of each line, and what landed on a stranger is repaired from the words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Row
from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.stores.sheets.book import DATA_TABS, Book
from youtube_download_coordinator.stores.sheets.connection import Json
from youtube_download_coordinator.stores.sheets.rows import projection
from youtube_download_coordinator.stores.sheets.views import Mark
from youtube_download_coordinator.stores.sheets.words import read_word, version, write_word

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

SHOW_SECONDS = 10.0
"""People see a change after this long at the latest."""
REPAIR_SECONDS = 60.0
"""Cells that do not show their lease for this long are rewritten by whoever sees it: their writer is gone."""
REPAIRS_MAX = 100
"""Lines repaired with one look."""

_FACTS = ("claimed_by", "claimed_at", "title", "videos", "checked_at")
_TABLES: dict[str, Table[Row]] = {table.name: table for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)}  # type: ignore[misc]


class Projections:
    """What this process owes to people's eyes."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._owed: dict[str, dict[int, Row]] = {name: {} for name in DATA_TABS}
        self._unshown_since: dict[str, float] = {}
        self._timer: threading.Timer | None = None

    def owe(self, name: str, row: Row) -> None:
        """Remember that a row's lease has changed; an earlier change of it that nobody has seen yet is passed over."""
        self._owed[name][row.id] = row
        position = self._book.view(name).position_of(row.id)
        if position is not None:
            mark = self._book.view(name).marks[position]
            self._book.view(name).note(position, mark._replace(lease=write_word(row)))
        self._start_timer()

    def follow(self, word: str, name: str, target_name: str) -> None:
        """A row was moved to another tab: what is owed to it is owed there."""
        for row_id, row in list(self._owed[name].items()):
            if write_word(row) == word:
                self._owed[target_name][row_id] = self._owed[name].pop(row_id)

    def as_written(self, row: R) -> R:
        """A row that was read, with what this process still owes to its cells."""
        for owed in self._owed.values():
            mine = owed.get(row.id)
            if mine is not None and mine.lease == row.lease and type(mine) is type(row):
                facts = {name: getattr(mine, name) for name in _FACTS if hasattr(mine, name)}
                return replace(row, **facts)
        return row

    def take(self, name: str) -> tuple[list[Json], list[str], Callable[[Json], None]]:
        """The requests that show what is owed in a tab, the cells that the answer is to show, and what to do with the answer."""
        tab, view = self._book.tab(name), self._book.view(name)
        owed, self._owed[name] = self._owed[name], {}
        placed = {at: row for row in owed.values() if (at := view.position_of(row.id)) is not None}
        for row in owed.values():
            if row.id not in {each.id for each in placed.values()}:
                self._owed[name][row.id] = row  # shown when its line is known
        requests = [each for at, row in placed.items() for each in projection(tab, at, row, rebuilt=False)]
        show = [tab.a1("Lease", rows=(at, at + 1)) for at in placed]
        return requests, show, lambda answer: self._check(name, placed, answer)

    def _check(self, name: str, placed: dict[int, Row], answer: Json) -> None:
        """See whether what was written landed on its own line; else the words say what must stand there."""
        tab, view = self._book.tab(name), self._book.view(name)
        standing = _lease_cells(answer, tab.sheet_id)
        strays = []
        for at, row in placed.items():
            word = read_word(standing.get(at, ""))
            if word is not None and word.row_id == row.id:
                mark = view.marks[at] if at < len(view.marks) else Mark()
                shown = version(row.id, row.lease)
                view.note(at, Mark(standing[at], row.status.value, shown, mark.url or row.url))
            else:
                strays.append(row)
        if strays:
            log.info("%d rows of %s have moved; their lines are found again and repaired", len(strays), tab.title)
            self._owed[name] |= {row.id: row for row in strays if row.id not in self._owed[name]}
            for at in placed:
                for mark in view.marks[at : at + 1]:
                    self._unshown_since[mark.lease] = (
                        0.0  # what was written there by mistake is repaired at the next look
                    )
            view.forget_lines()

    def repair(self, name: str) -> None:
        """After a look: rewrite the cells of lines that have not shown their lease for a while."""
        tab, view = self._book.tab(name), self._book.view(name)
        now = time.monotonic()
        unshown = {mark.lease: at for at, mark in enumerate(view.marks) if _does_not_show(mark)}
        mine = {write_word(row) for row in self._owed[name].values()}
        since = {word: self._unshown_since.get(word, now) for word in unshown}
        self._unshown_since = {**{k: v for k, v in self._unshown_since.items() if k in unshown}, **since}
        due = [word for word in unshown if word not in mine and now - since[word] >= REPAIR_SECONDS][:REPAIRS_MAX]
        if not due:
            return
        requests = [each for word in due for each in self._rebuilt(tab_name=name, position=unshown[word], word=word)]
        log.info("rewriting the cells of %d rows of %s that did not show their lease", len(due), tab.title)
        self._book.connection.write(requests)
        view.looked_at = None

    def _rebuilt(self, tab_name: str, position: int, word: str) -> list[Json]:
        read = read_word(word)
        if read is None or read.lease is None:
            return []
        kind = _TABLES[tab_name].row_type
        row = kind(id=read.row_id, key=read.key, url="", lease=read.lease, claimed_by=read.lease.holder)
        return projection(self._book.tab(tab_name), position, row, rebuilt=True)

    def flush(self) -> None:
        """Show everything that is owed, now."""
        for name in DATA_TABS:
            if self._owed[name]:
                self._book.look([name])
                requests, show, check = self.take(name)
                if requests:
                    check(self._book.connection.write(requests, show=show))

    def _start_timer(self) -> None:
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(SHOW_SECONDS, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        try:
            with self._book.turn:
                self._timer = None
                self.flush()
        except StoreError as error:
            log.info("the sheet does not show the last changes yet: %s", error)


def _does_not_show(mark: Mark) -> bool:
    word = read_word(mark.lease) if mark.lease else None
    return word is not None and word.lease is not None and mark.shown != version(word.row_id, word.lease)


def _lease_cells(answer: Json, sheet_id: int) -> dict[int, str]:
    """The Lease cells that an answer shows, by line."""
    cells: dict[int, str] = {}
    for sheet in answer.get("updatedSpreadsheet", {}).get("sheets", []):
        if sheet.get("properties", {}).get("sheetId", 0) != sheet_id:
            continue
        for block in sheet.get("data", []):
            for offset, row in enumerate(block.get("rowData", [])):
                value = (row.get("values") or [{}])[0].get("userEnteredValue", {})
                cells[block.get("startRow", 0) + offset] = str(value.get("stringValue", ""))
    return cells
