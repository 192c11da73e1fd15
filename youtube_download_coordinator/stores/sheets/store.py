"""The verbs of the Store contract on a spreadsheet.

The Lease cell of a row alone decides (words.py); it is swapped by findReplace. The cells that people see are written behind it,
by line, with the next request that is written anyway, and the answer shows whether they landed where they should.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Lease, Row, State, VideoTask
from youtube_download_coordinator.store import DEAD_LETTERS, EVERY_ROW, VIDEO_TASKS, Change, Swap, Table, Where
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.book import Book, Known, Ledger, NotNow, find_replace, group_of
from youtube_download_coordinator.stores.sheets.connection import (
    MAX_CLOCK_ERROR_SECONDS,
    AnswerLost,
    Connection,
    Json,
)
from youtube_download_coordinator.stores.sheets.layout import Tab
from youtube_download_coordinator.stores.sheets.projecting import Projections
from youtube_download_coordinator.stores.sheets.rows import read_row, row_cells
from youtube_download_coordinator.stores.sheets.views import START_OF_TIME, Mark
from youtube_download_coordinator.stores.sheets.words import write_word
from youtube_download_coordinator.urls import source_target

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

CLAIM_LOOKS = 4
"""How many places a claim looks at before it says that nothing is due."""
SWAP_ROUNDS = 5
"""How often a swap whose answer was lost is sent again."""
MOVE_ROUNDS = 5


class SheetsStore:
    """The Store contract on one spreadsheet. Raises ConfigError when the settings lead to none that can be used."""

    clock_error_seconds = MAX_CLOCK_ERROR_SECONDS

    def __init__(self, config: Config) -> None:
        self._connection = Connection(config)
        self._book = Book(config, self._connection)
        self._projections = Projections(self._book)
        self._adoption = Adoption(self._book)
        self._turn = self._book.turn
        with self._turn:
            self._book.layout()

    # --- looking -----------------------------------------------------------------------------------------------------

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        with self._turn:
            if where.state is State.PENDING and where.due is not None:
                return self._scan_due(table, where, where.due, limit)
            self._look(table.name, if_older_than_seconds=1.0)
            positions = self._book.view(table.name).matching(where)[:limit]
            return self._rows(table, where, positions)

    def _scan_due(self, table: Table[R], where: Where, due: datetime, limit: int) -> list[R]:
        """Read a few lines that should be due, and look through the tab again only when none of them is."""
        anywhere = self._book.random if due <= self._connection.now() else None
        for _ in range(CLAIM_LOOKS):
            view = self._book.view(table.name)
            positions = view.take_due(due, limit, anywhere)
            if not positions:
                if not view.is_stale:
                    return []
                self._look(table.name, if_older_than_seconds=0)
                positions = self._book.view(table.name).take_due(due, limit, anywhere)
            rows = [row for row in self._rows(table, where, positions) if _is_itself(row)]
            if rows or not positions:
                return sorted(rows, key=lambda row: (_act_at(row.lease) or START_OF_TIME, row.id))
        return []

    def _look(self, name: str, *, if_older_than_seconds: float) -> None:
        """Look through a tab; take in what people have added, and repair what does not show its lease."""
        self._book.look([name], if_older_than_seconds=if_older_than_seconds)
        self._projections.repair(name)
        self._adoption.settle(name)

    def _rows(self, table: Table[R], where: Where, positions: Sequence[int]) -> list[R]:
        """Read lines and keep the rows that match now, in the order of the lines that were given."""
        lines = self._book.read(table.name, positions) if positions else {}
        tab, view = self._book.tab(table.name), self._book.view(table.name)
        rows = []
        for position, cells in lines.items():
            values = dict(zip(tab.header, [*cells, *[""] * len(tab.header)], strict=False))
            view.note(position, Mark(values["Lease"], values["Status"], values["Shown"], values["URL"]))
            row = read_row(table, tab, cells)
            if row is not None and _matches(where, row):
                rows.append(self._projections.as_written(row))
        return rows

    def count(self, table: Table[R]) -> Mapping[State, int]:
        with self._turn:
            self._look(table.name, if_older_than_seconds=1.0)
            words = self._book.view(table.name).words()
            return Counter(word.lease.state for _, word in words if word.lease)

    # --- swapping ----------------------------------------------------------------------------------------------------

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        if not changes:
            return []
        with self._turn:
            counts = self._swap(table.name, changes)
            outcomes = [Swap.WON if count else Swap.LOST for count in counts]
            for change, count in zip(changes, counts, strict=True):
                if count:
                    self._projections.owe(table.name, change.new)
                if count > 1:
                    self._adoption.split_copies(table.name)
            return outcomes

    def _swap(self, name: str, changes: Sequence[Change[R]]) -> list[int]:
        """How many cells each swap changed."""
        area = self._book.tab(name).area("Lease")
        swaps = [find_replace(write_word(change.seen), write_word(change.new), area) for change in changes]
        owed, show, check = self._projections.take(name)
        try:
            answer = self._connection.write([*swaps, *owed], show=show)
        except AnswerLost as error:
            return self._resolve(name, changes, error)
        check(answer)
        counts = [_occurrences(reply) for reply in answer.get("replies", [])[: len(changes)]]
        return self._look_for_lost_holdings(name, changes, counts)

    def _resolve(self, name: str, changes: Sequence[Change[R]], error: AnswerLost) -> list[int]:
        """After a lost answer: where our word stands we won; where the old one stands, ask the same again; else it is lost.

        The request that got lost may still be applied later. Then it finds the old word no more, or makes the word that we take
        for ours: words are unique, so sending one twice does no harm.
        """
        log.warning("Google Sheets: %s; finding out whether the change was made", error)
        for round_number in range(SWAP_ROUNDS):
            standing = self._standing(name)
            again = [write_word(change.seen) in standing for change in changes]
            if not any(again):
                return [standing[write_word(change.new)] for change in changes]
            area = self._book.tab(name).area("Lease")
            swaps = [find_replace(write_word(change.seen), write_word(change.new), area) for change in changes]
            try:
                self._connection.write(swaps)
            except AnswerLost as lost:
                if round_number == SWAP_ROUNDS - 1:
                    raise lost from error
                self._connection.pause(2.0**round_number)
        standing = self._standing(name)
        return [standing[write_word(change.new)] for change in changes]

    def _standing(self, name: str) -> Counter[str]:
        """Every word that stands in a tab now."""
        self._book.look([name], if_older_than_seconds=0)
        return Counter(mark.lease for mark in self._book.view(name).marks)

    def _look_for_lost_holdings(self, name: str, changes: Sequence[Change[R]], counts: list[int]) -> list[int]:
        """A row that is held may stand in another tab, by a move that a person's sort led astray: carry it back, then swap."""
        lost = [
            index
            for index, (change, count) in enumerate(zip(changes, counts, strict=True))
            if not count and change.seen.lease.state is State.HELD and isinstance(change.seen, VideoTask)
        ]
        other = {VIDEO_TASKS.name: DEAD_LETTERS, DEAD_LETTERS.name: VIDEO_TASKS}.get(name)
        if not lost or other is None:
            return counts
        standing = self._standing(other.name)
        for index in lost:
            seen = changes[index].seen
            if write_word(seen) in standing and isinstance(seen, VideoTask):
                home = VIDEO_TASKS if name == VIDEO_TASKS.name else DEAD_LETTERS
                self.move(other, seen, home)
                counts[index] = self._swap_again(name, changes[index])
        return counts

    def _swap_again(self, name: str, change: Change[R]) -> int:
        swap = find_replace(write_word(change.seen), write_word(change.new), self._book.tab(name).area("Lease"))
        return _occurrences(self._connection.write([swap]).get("replies", [{}])[0])

    # --- adding and moving -------------------------------------------------------------------------------------------

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        if not rows:
            return []
        with self._turn:
            given: dict[str, Known] = {}

            def build(ledger: Ledger) -> list[Json]:
                return self._insertion(table, rows, ledger, given)

            try:
                self._book.token_batch(build)
            except NotNow:
                return [None] * len(rows)
            return _ids_by_key(rows, given)

    def _insertion(self, table: Table[R], rows: Sequence[R], ledger: Ledger, given: dict[str, Known]) -> list[Json]:
        """The requests that append the rows whose keys are new, and raise the next ID with them.

        `given` is what an earlier round meant to add: where it stands with its nonce, that round was applied after all.
        """
        group = group_of(table.name)
        known = ledger.keys[group]
        for key in [key for key, mine in given.items() if known.get(key) != mine]:
            del given[key]
        new: dict[str, R] = {}
        for row in rows:
            if row.key not in known:
                new.setdefault(row.key, row)
        if not new and not given:
            raise NotNow
        return self._appending(table, list(new.values()), ledger, given) if new else []

    def _appending(self, table: Table[R], new: list[R], ledger: Ledger, given: dict[str, Known]) -> list[Json]:
        group = group_of(table.name)
        first, raising = self._book.take_ids(ledger, group, len(new))
        numbered = [replace(row, id=first + index) for index, row in enumerate(new)]
        added = {row.key: Known(row.id, row.lease.nonce) for row in numbered}
        ledger.keys[group] |= added
        given |= added
        tab = self._book.tab(table.name)
        lines = [row_cells(tab, row) for row in numbered]
        self._book.view(table.name).looked_at = None  # they stand somewhere behind what was seen
        return [{"appendCells": {"sheetId": tab.sheet_id, "rows": lines, "fields": "userEnteredValue"}}, *raising]

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        with self._turn:
            word = write_word(seen)
            for _ in range(MOVE_ROUNDS):
                self._book.look([table.name, to.name], if_older_than_seconds=0)
                source = next(
                    (at for at, mark in enumerate(self._book.view(table.name).marks) if mark.lease == word), None
                )
                if source is None:
                    return False
                if self._move_line(table.name, source, to.name, word):
                    return True
            raise StoreError(f"{word} cannot be moved: it stands somewhere else each time")

    def _move_line(self, name: str, source: int, target_name: str, word: str) -> bool:
        """Copy a line to the end of another tab and delete it, in one instant; whether it was the line with the word."""
        tab, target = self._book.tab(name), self._book.tab(target_name)
        at = max(len(self._book.view(target_name).marks), 1)
        changes = _carry(tab, source, target, at)
        self._book.token_batch(lambda ledger: changes, show=[target.a1("Lease", rows=(at, at + 1))])
        for changed in (name, target_name):
            self._book.view(changed).forget_lines()
        self._book.look([name, target_name], if_older_than_seconds=0)
        if not any(mark.lease == word for mark in self._book.view(target_name).marks):
            return False
        self._projections.follow(word, name, target_name)
        return True

    # --- the rest ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        now = self._connection.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as exact as a word

    def close(self) -> None:
        with self._turn:
            self._projections.flush()
            self._connection.close()


def _carry(tab: Tab, source: int, target: Tab, at: int) -> list[Json]:
    """Insert a line, copy each column into the column of the same name, delete the line."""
    rows = {"sheetId": target.sheet_id, "dimension": "ROWS", "startIndex": at, "endIndex": at + 1}
    insert = {"insertDimension": {"range": rows, "inheritFromBefore": True}}
    shared = [name for name in tab.header if name and name in target.header]
    copies = [
        {
            "copyPaste": {
                "source": tab.area(name, source),
                "destination": target.area(name, at),
                "pasteType": "PASTE_NORMAL",
            }
        }
        for name in shared
    ]
    # Google refuses to delete the last line below the header, so there is always one more.
    spare = {"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": 1}}
    gone = {"sheetId": tab.sheet_id, "dimension": "ROWS", "startIndex": source, "endIndex": source + 1}
    return [insert, *copies, spare, {"deleteDimension": {"range": gone}}]


def _occurrences(reply: Json) -> int:
    """Google leaves out a count of zero."""
    return int(reply.get("findReplace", {}).get("occurrencesChanged", 0))


def _ids_by_key(rows: Sequence[Row], given: dict[str, Known]) -> list[int | None]:
    """The ID of each row that was kept; of two with one key the first."""
    left = {key: each.row_id for key, each in given.items()}
    return [left.pop(row.key, None) for row in rows]


def _matches(where: Where, row: Row) -> bool:
    """Whether a row that was read still is what was looked for."""
    lease = row.lease
    return (
        (where.state is None or lease.state is where.state)
        and (where.due is None or _act_at(lease) is None or (_act_at(lease) or where.due) <= where.due)
        and (not where.asked or row.asked is not None)
    )


def _act_at(lease: Lease) -> datetime | None:
    return lease.not_before or lease.until


def _is_itself(row: Row) -> bool:
    """Whether the row's URL still is the one that its lease is for: a person may have typed another."""
    try:
        return source_target(row.url, allow_other_sites=True).key == row.key or row.key.startswith("url:")
    except ValueError:
        return False
