"""What a spreadsheet needs, made worse: swaps, tokens, words, and what people see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from unittest import mock

from tests.simulation import threads
from youtube_download_coordinator.models import Row, Status
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.queue import _by_table
from youtube_download_coordinator.queue.store import Change
from youtube_download_coordinator.stores.sheets import api as connection
from youtube_download_coordinator.stores.sheets import cells as rows
from youtube_download_coordinator.stores.sheets import layout
from youtube_download_coordinator.stores.sheets import projection as projecting
from youtube_download_coordinator.stores.sheets import snapshot as views
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.compare_and_swap import CompareAndSwap
from youtube_download_coordinator.stores.sheets.layout import TEXT_MAX_CHARACTERS, Tab, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, encode_lease
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.spreadsheet import RowIndex, Spreadsheet

SHEETS = "youtube_download_coordinator.stores.sheets."


@contextmanager
def claim_by_write_and_verify() -> Iterator[None]:
    """A claim is written over whatever stands in the row's line and read back, as the first implementation did."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        tab = self._book.tab(name)
        self._book.reload([name], if_older_than_seconds=0)
        lines = {mark.lease: at for at, mark in enumerate(self._book.snapshot(name).key_cells)}
        places = [lines.get(encode_lease(change.seen)) for change in changes]
        writes = [
            _write_cell(tab.sheet_id, at, tab.column("Lease"), encode_lease(change.new))
            for at, change in zip(places, changes, strict=True)
            if at is not None
        ]
        if writes:
            self._book.connection.write(writes)
        self._book.reload([name], if_older_than_seconds=0)
        marks = self._book.snapshot(name).key_cells
        return [
            int(at is not None and at < len(marks) and marks[at].lease == encode_lease(change.new))
            for at, change in zip(places, changes, strict=True)
        ]

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def swap_that_ignores_its_answer() -> Iterator[None]:
    """A swap is sent, and taken for won without looking at how many cells Google says it changed."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        self._send(name, changes)
        return [1] * len(changes)

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def words_without_a_nonce() -> Iterator[None]:
    """Words, and the names of token batches, have no nonce: two machines may make the same one."""
    with mock.patch.object(Queue, "_nonce", _no_nonce), mock.patch.object(Spreadsheet, "nonce", _no_nonce):
        yield


@contextmanager
def status_read_without_shown() -> Iterator[None]:
    """What stands in Status is taken for a person's word, also where it only lags behind the lease."""

    def asked(word: EncodedLease, status: str, shown: str) -> Status | None:
        typed = status.strip().lower()
        known = {Status.PENDING.value, Status.DONE.value, Status.ERROR.value}
        if word.lease is None or typed not in known or typed == status_text(word.lease.state):
            return None
        return Status(typed)

    with mock.patch.object(rows, "requested_status", asked), mock.patch.object(views, "requested_status", asked):
        yield


@contextmanager
def row_deleted_apart_from_its_copy() -> Iterator[None]:
    """A move copies the row with one request and deletes its line with the next, as two calls of gspread would."""
    carry = Mover._carry

    def in_two(self: Mover, name: str, word: str, target: str) -> list[Json]:
        *copying, spare, deleting = carry(self, name, word, target)
        self._book.connection.write(copying)
        return [spare, deleting]

    with mock.patch.object(Mover, "_carry", in_two):
        yield


@contextmanager
def inserting_without_the_token() -> Iterator[None]:
    """Rows are appended after a look at which keys are known, without the token that says nobody was first."""

    def token_batch(
        self: Spreadsheet,
        build: Callable[[RowIndex], list[Json]],
        *,
        show: Callable[[], Sequence[str]] = tuple,
        by_line: bool = True,
    ) -> Json:
        return self.connection.write(build(self.read_row_index()), show=list(show()))

    with mock.patch.object(Spreadsheet, "guarded_batch", token_batch):
        yield


@contextmanager
def renewal_beside_a_result() -> Iterator[None]:
    """The heartbeat renews without the lock that a result is recorded under: two swaps of one row are under way at once."""

    def renew(self: Queue) -> list[Claim[Any]]:
        before = self.monotonic()
        renewable = [claim for claim in self._held if claim.renew_until is None or before < claim.renew_until]
        lost = [claim for table, claims in _by_table(renewable) for claim in self._renew(table, claims, before)]
        for claim in lost:
            self._drop(claim)
        return lost

    with mock.patch.object(Queue, "renew", renew):
        yield


@contextmanager
def local_clocks() -> Iterator[None]:
    """Each machine's own wall clock says when a lease has run out, instead of the store's."""

    def now(self: connection.Connection) -> datetime:
        if self._clock is None:
            self.properties("spreadsheetId")
        return datetime.fromtimestamp(threads.current().process.wall(), UTC)

    with mock.patch.object(connection.Connection, "now", now):
        yield


@contextmanager
def user_entered() -> Iterator[None]:
    """Text is written as if a person typed it (USER_ENTERED): what begins with = is a formula, digits are a number."""

    def typed_cell(text: str) -> Json:
        if text.startswith("="):
            return {"userEnteredValue": {"formulaValue": text[:TEXT_MAX_CHARACTERS]}}
        if text.isdecimal():
            return {"userEnteredValue": {"numberValue": float(text)}}
        return text_cell(text)

    with ExitStack() as stack:
        for module in [each for name, each in sys.modules.items() if name.startswith(SHEETS) and _writes_text(each)]:
            stack.enter_context(mock.patch.object(module, "text_cell", typed_cell))
        yield


@contextmanager
def lost_answer_taken_for_a_failure() -> Iterator[None]:
    """A swap without an answer counts as lost: nobody looks whether it was applied, or comes to be."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        try:
            return self._send(name, changes)
        except connection.AnswerLost:
            return [0] * len(changes)

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def rows_read_before_the_token() -> Iterator[None]:
    """A token batch reads the rows first and then the token: what others add in between is not seen."""

    def read_ledger(self: Spreadsheet) -> RowIndex:
        ledger = self._read_row_index_of("")
        ledger.token = layout.token_of(self.connection.properties("namedRanges"))
        return ledger

    with mock.patch.object(Spreadsheet, "read_row_index", read_ledger):
        yield


def _writes_text(module: ModuleType) -> bool:
    return getattr(module, "text_cell", None) is text_cell


def _no_nonce(self: object) -> str:
    return "00000000"


def _write_cell(sheet_id: int, row: int, column: int, text: str) -> Json:
    start = {"sheetId": sheet_id, "rowIndex": row, "columnIndex": column}
    return {"updateCells": {"start": start, "rows": [{"values": [text_cell(text)]}], "fields": "userEnteredValue"}}


@contextmanager
def copies_are_left_alone() -> Iterator[None]:
    """A row that a person has copied stays two rows with one ID."""
    with mock.patch.object(Adoption, "_duplicates", return_value=[]):
        yield


@contextmanager
def adoption_forgets_what_it_covered() -> Iterator[None]:
    """A draft that a sort has put on a row becomes a row of its own: the lease that it covered is not put back."""
    settled: Any = Adoption._settled

    def settled_blindly(self: Adoption, *given: Any) -> str:
        word: str = settled(self, *(replace(each, slots=[]) if isinstance(each, RowIndex) else each for each in given))
        return word

    with mock.patch.object(Adoption, "_settled", settled_blindly):
        yield


@contextmanager
def peoples_columns_are_written() -> Iterator[None]:
    """What is written for people's eyes is the whole line, with their own columns as they were when it was read."""

    def whole_line(tab: Tab, position: int, row: Row, *, rebuilt: bool) -> list[Json]:
        return [*rows.projection(tab, position, row, rebuilt=rebuilt), *rows.write_cells(tab, position, row.extra)]

    with mock.patch.object(projecting, "projection", whole_line):
        yield


@contextmanager
def wrong_cells_are_left_wrong() -> Iterator[None]:
    """Cells that do not show their lease are not rewritten by others, whatever became of who should have."""
    with mock.patch.object(Projections, "repair"):
        yield


@contextmanager
def clock_that_adds_the_answers_way() -> Iterator[None]:
    """Google's clock is taken to be ahead of an answer by as long as it took, as a time server's would be."""

    def now(self: connection._Clock, monotonic: float) -> datetime:
        return self.date + timedelta(seconds=self.took_seconds + monotonic - self.received)

    with mock.patch.object(connection._Clock, "now", now):
        yield
