"""Mutations of the sheet's store: swaps, tokens, encoded leases, and the cells that people see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from unittest import mock

from tests.simulation import threads
from youtube_download_coordinator.models import Row, Status
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.claims import by_table
from youtube_download_coordinator.queue.store import Change
from youtube_download_coordinator.stores.clock import Sent, StoreClock
from youtube_download_coordinator.stores.sheets import api, cells, projection, snapshot
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.batch_token import Token, token_of
from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.compare_and_swap import CompareAndSwap
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, RowIndex
from youtube_download_coordinator.stores.sheets.layout import TEXT_MAX_CHARACTERS, Tab, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, encode_lease
from youtube_download_coordinator.stores.sheets.new_rows import NewRows
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet

SHEETS = "youtube_download_coordinator.stores.sheets."


@contextmanager
def claim_by_write_and_verify() -> Iterator[None]:
    """Claim a row by overwriting its Lease cell and reading it back, like the first implementation."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        spreadsheet, tab = self._spreadsheet, self._spreadsheet.tab(name)
        spreadsheet.reload([name], if_older_than_seconds=0)
        lines = {line.lease: position for position, line in enumerate(spreadsheet.snapshot(name).key_cells)}
        positions = [lines.get(encode_lease(change.seen)) for change in changes]
        writes = [
            _write_cell(tab.sheet_id, position, tab.column("Lease"), encode_lease(change.new))
            for position, change in zip(positions, changes, strict=True)
            if position is not None
        ]
        if writes:
            spreadsheet.connection.write(writes)
        spreadsheet.reload([name], if_older_than_seconds=0)
        read_back = spreadsheet.snapshot(name).key_cells
        return [
            int(
                position is not None
                and position < len(read_back)
                and read_back[position].lease == encode_lease(change.new)
            )
            for position, change in zip(positions, changes, strict=True)
        ]

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def swap_that_ignores_its_answer() -> Iterator[None]:
    """Count a swap as won without checking how many cells it has changed."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        self._send(name, changes)
        return [1] * len(changes)

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def leases_without_a_nonce() -> Iterator[None]:
    """Leave the nonce out of encoded leases and the names of tokens: two machines may make the same one."""
    with mock.patch.object(Queue, "_nonce", _no_nonce), mock.patch.object(Spreadsheet, "nonce", _no_nonce):
        yield


@contextmanager
def status_read_without_shown() -> Iterator[None]:
    """Take Status for a person's request also if it only lags behind the lease."""

    def requested_status(encoded: EncodedLease, status: str, shown: str) -> Status | None:
        typed = status.strip().lower()
        known = {Status.PENDING.value, Status.DONE.value, Status.ERROR.value}
        if encoded.lease is None or typed not in known or typed == status_text(encoded.lease.state):
            return None
        return Status(typed)

    with (
        mock.patch.object(cells, "requested_status", requested_status),
        mock.patch.object(snapshot, "requested_status", requested_status),
    ):
        yield


@contextmanager
def row_deleted_apart_from_its_copy() -> Iterator[None]:
    """Copy a moved row with one request and delete its line with the next, as two calls of gspread would."""
    move_requests = Mover._move_requests

    def in_two(self: Mover, name: str, encoded: str, target: str) -> list[Json]:
        *copying, spare, deleting = move_requests(self, name, encoded, target)
        self._spreadsheet.connection.write(copying)
        return [spare, deleting]

    with mock.patch.object(Mover, "_move_requests", in_two):
        yield


@contextmanager
def inserting_without_the_token() -> Iterator[None]:
    """Append rows after reading the known keys, without the token that tells whether another process was first."""

    def run(self: GuardedBatches, build: Callable[[RowIndex], list[Json]], *, by_line: bool = True) -> Json:
        return self.spreadsheet.connection.write(build(self.read_index()))

    with mock.patch.object(GuardedBatches, "run", run):
        yield


@contextmanager
def renewal_beside_a_result() -> Iterator[None]:
    """Renew without the lock under which results are recorded: two swaps of one row run at the same time."""

    def renew(self: Queue) -> list[Claim[Any]]:
        before = self.monotonic()
        renewable = [claim for claim in self._held if claim.renew_until is None or before < claim.renew_until]
        lost = [claim for table, claims in by_table(renewable) for claim in self._renew(table, claims, before)]
        for claim in lost:
            self._drop(claim)
        return lost

    with mock.patch.object(Queue, "renew", renew):
        yield


@contextmanager
def local_clocks() -> Iterator[None]:
    """Decide by each machine's wall clock when a lease expires, instead of the store's clock."""

    def now(self: api.Connection) -> datetime:
        if self._clock is None:
            self.properties("spreadsheetId")
        return datetime.fromtimestamp(threads.current().process.wall(), UTC)

    with mock.patch.object(api.Connection, "now", now):
        yield


@contextmanager
def user_entered() -> Iterator[None]:
    """Write text like a person's input (USER_ENTERED): text that begins with = becomes a formula, digits a number."""

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
    """Count a swap without an answer as lost: nobody checks whether it was applied, or is applied later."""

    def swap(self: CompareAndSwap, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        try:
            return self._send(name, changes)
        except api.AnswerLost:
            return [0] * len(changes)

    with mock.patch.object(CompareAndSwap, "swap", swap):
        yield


@contextmanager
def rows_read_before_the_token() -> Iterator[None]:
    """Read the rows of a guarded batch before the token: rows that others add in between are missed."""

    def read_index(self: GuardedBatches) -> RowIndex:
        index = self._read_rows(Token())
        index.token = token_of(self.spreadsheet.connection.properties("namedRanges"))
        return index

    with mock.patch.object(GuardedBatches, "read_index", read_index):
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
    """Leave a row that a person has copied as two rows with one ID."""
    with mock.patch.object(Adoption, "_duplicates", return_value=[]):
        yield


@contextmanager
def adoption_forgets_what_it_covered() -> Iterator[None]:
    """Turn a draft that a sort has put on another row into a row: the lease that it covered is not put back."""
    settled: Any = NewRows._settled

    def settled_blindly(self: NewRows, name: str, values: Any, slots: Any, used: Any) -> Any:
        return settled(self, name, values, [], used)

    with mock.patch.object(NewRows, "_settled", settled_blindly):
        yield


@contextmanager
def peoples_columns_are_written() -> Iterator[None]:
    """Project the whole line, with people's own columns as they were when it was read."""

    def whole_line(tab: Tab, position: int, row: Row, *, rebuilt: bool) -> list[Json]:
        return [*cells.projection(tab, position, row, rebuilt=rebuilt), *cells.write_cells(tab, position, row.extra)]

    with mock.patch.object(projection, "projection", whole_line):
        yield


@contextmanager
def wrong_cells_are_left_wrong() -> Iterator[None]:
    """Never repair cells of other processes that do not show their lease."""
    with mock.patch.object(Projections, "repair"):
        yield


@contextmanager
def clock_that_adds_the_answers_way() -> Iterator[None]:
    """Add the duration of a request to Google's time, as a time server's client would do."""

    record = StoreClock.record

    def later(self: StoreClock, answer: datetime, sent: Sent) -> None:
        record(self, answer + timedelta(seconds=self._monotonic() - sent.monotonic), sent)

    with mock.patch.object(StoreClock, "record", later):
        yield


@contextmanager
def tabs_read_by_title() -> Iterator[None]:
    """Read tabs by the titles that they had first, and write them by their sheetIds, like version 0.1.0."""
    values = Connection.values

    def by_title(self: Connection, areas: Sequence[Json]) -> list[api.Values]:
        sheets = self.properties("sheets.properties(sheetId,title)")["sheets"]
        present = {sheet["properties"]["title"]: sheet["properties"].get("sheetId", 0) for sheet in sheets}
        first = self.__dict__.setdefault("first_titles", {})
        for title, sheet_id in present.items():
            first.setdefault(sheet_id, title)
        sheet_ids = [present.get(first[area["sheetId"]], area["sheetId"]) for area in areas]
        return values(self, [{**area, "sheetId": sheet_id} for area, sheet_id in zip(areas, sheet_ids, strict=True)])

    with mock.patch.object(Connection, "values", by_title):
        yield
