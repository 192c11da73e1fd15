"""Add, move and adopt rows in guarded batches, under an optimistic lock, the token (batch_token.py).

A batch is built from a row index, which is read *after* the token. If nobody takes the token before the batch arrives, the keys
and IDs in the index are still valid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from youtube_download_coordinator.errors import BadUrl, StoreError
from youtube_download_coordinator.models import DUPLICATE
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused, SpreadsheetFull
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines, find_replace
from youtube_download_coordinator.stores.sheets.batch_token import (
    Token,
    advance_token,
)
from youtube_download_coordinator.stores.sheets.cells import whole_number
from youtube_download_coordinator.stores.sheets.layout import (
    CONTROL,
    Layout,
    new_columns,
    with_used_columns,
)
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease
from youtube_download_coordinator.stores.sheets.snapshot import CHANGE, NUMBER_DIGITS_MAX, LastChange
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, GROUPS, Spreadsheet, control_line
from youtube_download_coordinator.stores.sheets.tab_search import read_layout
from youtube_download_coordinator.stores.sheets.tombstone_tab import TombstoneTab

log = logging.getLogger(__name__)

GUARDED_BATCH_ROUNDS = 20
"""How often a batch is built again if another process takes the token first."""
REFUSALS_MAX = 3
"""How often Google may refuse a batch although nobody took the token, because lines are gone. More would be a bug."""
ROW_INDEX_SECONDS = 30.0
"""How long a row index may be used again if nobody takes the token."""
IMPORTED_COLUMNS = ("ID", "RetryCount")
"""Cells whose values are kept when a typed-in row is adopted."""
IMPORTED_ID_MAX = 10_000_000
"""The maximum of an imported ID. No spreadsheet has more cells, so a greater number is not a row count."""
FORGED_ID_MIN = 10**NUMBER_DIGITS_MAX
"""The ID from which a person must have written a lease, because no queue counts so far."""
IMPORTED_TRIES_MAX = 1000


class IndexEntry(NamedTuple):
    """An entry of the row index. The nonce identifies the process that inserted the row."""

    row_id: int
    nonce: str


class ImportedCells(NamedTuple):
    """The cells of IMPORTED_COLUMNS in a line without a lease."""

    row_id: int | None = None
    tries: int = 0

    @classmethod
    def parse(cls, row_id: str, tries: str) -> ImportedCells:
        number = whole_number(row_id)
        is_id = number is not None and 0 < number <= IMPORTED_ID_MAX
        return cls(number if is_id else None, min(whole_number(tries) or 0, IMPORTED_TRIES_MAX))


@dataclass(slots=True)
class RowIndex:
    """The keys and IDs of all rows. The index is valid as long as the token is the current one."""

    token: Token
    change: LastChange
    """The batch that added the token, from Control; zero if Control does not contain it."""
    layout: Layout
    next_ids: dict[str, int]
    """The next IDs, by group."""
    keys: dict[str, dict[str, IndexEntry]]
    """All keys, by group."""
    slots: list[str]
    """The previous contents of the Lease cells of the lines that are being adopted."""
    numbers: dict[str, int]
    """The numbers in Control."""
    imported: Mapping[str, Mapping[int, ImportedCells]]
    """The cells of the rows that are not adopted yet, by tab and line."""
    unadopted_keys: Mapping[str, set[str]]
    """The keys of these rows, by group. They are treated as known when rows are inserted."""
    read_at: float
    loads: tuple[int, ...]
    """`TabSnapshot.loads` of the snapshots from which the index was built, by tab."""


class NothingToDo(Exception):
    """Raised while a guarded batch is built if no change is needed."""


class GuardedBatches:
    """The guarded batches of this process on one spreadsheet."""

    def __init__(self, spreadsheet: Spreadsheet) -> None:
        self.spreadsheet = spreadsheet
        self.tombstones = TombstoneTab(spreadsheet)
        self._index: RowIndex | None = None
        self._own_change = LastChange()
        """The last batch of this process."""

    def run(
        self,
        build: Callable[[RowIndex], list[Json]],
        *,
        by_line: bool = True,
        max_age_seconds: float = ROW_INDEX_SECONDS,
    ) -> Json:
        """Send the requests that `build` makes from a row index, and build them again if another process was first.

        Return Google's response, or an empty one if it was lost and the batch turned out to be applied. `build` may raise
        NothingToDo. Raises StoreFull if the spreadsheet has no room.

        `by_line`: the requests name lines, so the tabs are read after the token. Otherwise an index may be used that is as old as
        `max_age_seconds`.
        """
        index = self.read_index() if by_line else self._recent_index(max_age_seconds)
        refusals = 0
        for round_number in range(GUARDED_BATCH_ROUNDS):
            requests = build(index)
            change = LastChange(index.token.next.number, self.spreadsheet.nonce())
            guard = advance_token(index.token, self.spreadsheet.tab(CONTROL).sheet_id)
            self._index = None
            try:
                answer = self.spreadsheet.write([*guard, self._signature(index, change), *requests])
            except SpreadsheetFull:  # the token was the current one, so another round cannot help
                raise
            except (Refused, AnswerLost) as error:
                # Refused: another process was first, or a line is gone. Lost: it may have been applied, or will be refused.
                log.info("building a change of rows again: %s", error)
                problem, token, index = error, index.token, self.read_index()
                if index.change == change:
                    self._own_change = change
                    return {}
                refusals = refusals + 1 if index.token == token and isinstance(error, Refused) else 0
                if refusals > REFUSALS_MAX:
                    break
                self._pause(round_number)
            else:
                self._own_change = change
                index.token, index.change = index.token.next, self._checked_change()
                self._index = index
                return answer
        raise StoreError(f"Google refused a change of rows: {problem}")

    def _signature(self, index: RowIndex, change: LastChange) -> Json:
        """Return the request that records in Control which process has sent this batch."""
        control = self.spreadsheet.tab(CONTROL)
        if index.change.number:
            return find_replace(str(index.change), str(change), control.area("Lease"))
        return append_lines(control.sheet_id, [control_line(control, {"Name": CHANGE, "Lease": str(change)})])

    def _checked_change(self) -> LastChange:
        """Return the last change in Control. Raises GuaranteesFailed if another process has made the same change as this one.

        Google must refuse the second of two batches with the same token.
        """
        change = self.spreadsheet.control.change()
        if change.number == self._own_change.number and change != self._own_change:
            raise self.spreadsheet.alarm(f"two processes have made change {change.number} of the spreadsheet")
        return change if change == self._own_change or change.number > self._own_change.number else LastChange()

    def _pause(self, round_number: int) -> None:
        """Wait after a few lost rounds, so that other processes can proceed."""
        if round_number > 2:
            self.spreadsheet.connection.pause(self.spreadsheet.random.uniform(0, min(0.2 * round_number, 2.0)))

    def add_columns(self, name: str, names: Sequence[str]) -> None:
        """Add the custom columns that a tab lacks, to the right of all data."""

        def missing(index: RowIndex) -> list[Json]:
            connection = self.spreadsheet.connection
            tab = read_layout(connection, self.spreadsheet.config).tabs[name]
            new = [column for column in names if column not in tab.header]
            if not new:
                raise NothingToDo
            return new_columns(with_used_columns(connection, {name: tab})[name], new)

        with suppress(NothingToDo):
            self.run(missing, by_line=False)
        self.spreadsheet.forget_layout()

    def take_ids(self, index: RowIndex, group: str, count: int) -> tuple[int, list[Json]]:
        """Return the first of `count` new IDs, and the requests that record the next one.

        The next ID is kept in Control, so that deleting the last row does not free its ID.
        """
        first = index.next_ids[group]
        index.next_ids[group] = first + count
        return first, self.set_number(index, f"next {group}", first + count)

    def set_number(self, index: RowIndex, name: str, number: int) -> list[Json]:
        """Return the requests that write a number into Control, found by content or on a new line."""
        control = self.spreadsheet.tab(CONTROL)
        before, index.numbers[name] = index.numbers.get(name), number
        if before is None:
            line = control_line(control, {"Name": name, "Lease": f"{name} {number}"})
            return [append_lines(control.sheet_id, [line])]
        return [find_replace(f"{name} {before}", f"{name} {number}", control.area("Lease"))]

    # --- the row index -----------------------------------------------------------------------------------------------

    def forget_index(self) -> None:
        """Read the rows again for the next batch."""
        self._index = None

    def forget_index_of_other_lines(self) -> None:
        """Read the rows again for the next batch if a tab was loaded since, because the index has its old lines."""
        if self._index is not None and self._index.loads != self._loads():
            self._index = None

    def _loads(self) -> tuple[int, ...]:
        return tuple(self.spreadsheet.snapshot(name).loads for name in DATA_TABS)

    def _recent_index(self, max_age_seconds: float) -> RowIndex:
        index, now = self._index, self.spreadsheet.environment.monotonic()
        if index is None or now - index.read_at > max_age_seconds or index.layout is not self.spreadsheet.layout():
            return self.read_index()
        return index

    def read_index(self) -> RowIndex:
        """Read the token, *then* the rows."""
        token = self.spreadsheet.read_named_ranges()
        if not token.range_id:
            self.spreadsheet.forget_layout()
            token = self.spreadsheet.layout().token
        return self._read_rows(token)

    def _read_rows(self, token: Token) -> RowIndex:
        read_at = self.spreadsheet.environment.monotonic()
        imported = self._read_imported()
        numbers, slots = self.spreadsheet.control.numbers(), self.spreadsheet.control.column("Slot")
        highest = {group: self._highest_id(names, imported) for group, names in GROUPS.items()}
        return RowIndex(
            token=token,
            change=self._checked_change(),
            layout=self.spreadsheet.layout(),
            next_ids={group: max(numbers.get(f"next {group}", 1), highest[group] + 1) for group in GROUPS},
            keys={group: self._covered_keys(names, slots) | self._keys(names) for group, names in GROUPS.items()},
            slots=slots,
            numbers=numbers,
            imported=imported,
            unadopted_keys={group: self._unadopted_keys(names, imported) for group, names in GROUPS.items()},
            read_at=read_at,
            loads=self._loads(),
        )

    def _read_imported(self) -> dict[str, dict[int, ImportedCells]]:
        """Reload every tab. Read the IMPORTED_COLUMNS of rows that are not adopted yet with the same request."""
        if not self._unadopted_lines():
            self.spreadsheet.reload(if_older_than_seconds=0)
            if not self._unadopted_lines():
                return {}
        cells = self.spreadsheet.reload_with(dict.fromkeys(DATA_TABS, IMPORTED_COLUMNS))
        lines = {name: list(zip_longest(*columns, fillvalue="")) for name, columns in cells.items()}
        return {
            name: {
                position: ImportedCells.parse(*lines[name][position - 1])
                if position <= len(lines[name])
                else ImportedCells()
                for position in positions
            }
            for name, positions in self._unadopted_lines().items()
        }

    def _unadopted_lines(self) -> dict[str, list[int]]:
        """Return the lines with a URL and no lease, by tab."""
        lines = {name: snapshot.without_lease() for name, snapshot in self.spreadsheet.snapshots.items()}
        return {name: positions for name, positions in lines.items() if positions}

    def _leases(self, names: Iterable[str]) -> list[EncodedLease]:
        return [encoded for name in names for _, encoded in self.spreadsheet.snapshot(name).leases()]

    def _keys(self, names: Iterable[str]) -> dict[str, IndexEntry]:
        """Return every key with its row. Rows that are marked as duplicates are ignored."""
        return {
            encoded.key: IndexEntry(encoded.row_id, encoded.lease.nonce)
            for encoded in self._leases(names)
            if encoded.lease and not encoded.lease.detail.startswith(DUPLICATE)
        }

    def _covered_keys(self, names: Iterable[str], slots: Sequence[str]) -> dict[str, IndexEntry]:
        """Return the keys of rows whose leases a draft covers. They are treated as known like all others."""
        if not any(encoded.lease is None for encoded in self._leases(names)):
            return {}
        covered = (decode_lease(text) for text in slots if text)
        return {
            encoded.key: IndexEntry(encoded.row_id, encoded.lease.nonce)
            for encoded in covered
            if encoded and encoded.lease
        }

    def _unadopted_keys(self, names: Iterable[str], imported: Mapping[str, Mapping[int, ImportedCells]]) -> set[str]:
        keys = set()
        for name in names:
            for position in imported.get(name, ()):
                with suppress(BadUrl):
                    keys.add(self.spreadsheet.key_of(name, self.spreadsheet.snapshot(name).key_cells[position].url))
        return keys

    def _highest_id(self, names: Sequence[str], imported: Mapping[str, Mapping[int, ImportedCells]]) -> int:
        """Return the highest ID that a row has or would import.

        IDs that only a person can have written are ignored, because greater IDs would be too long for a lease.
        """
        imported_ids = [cells.row_id or 0 for name in names for cells in imported.get(name, {}).values()]
        row_ids = [encoded.row_id for encoded in self._leases(names) if encoded.row_id < FORGED_ID_MIN]
        return max(row_ids + imported_ids, default=0)
