"""The verbs of the Store contract on a spreadsheet.

The Lease cell of a row alone decides (lease_codec.py); it is swapped by findReplace. The cells that people see are written behind it,
by line, with the next request that is written anyway, and the answer shows whether they landed where they should.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from random import Random
from typing import Any, TypeVar, cast

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadUrl, StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control, Lease, Row, Source, State, VideoTask
from youtube_download_coordinator.queue.store import EVERY_ROW, Change, SetControl, Swap, Table, Tally, Where
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.api import Connection, Environment, Json
from youtube_download_coordinator.stores.sheets.cells import read_row, row_cells
from youtube_download_coordinator.stores.sheets.compare_and_swap import CompareAndSwap
from youtube_download_coordinator.stores.sheets.control_tab import Controls
from youtube_download_coordinator.stores.sheets.lease_codec import encode_lease
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.row_restore import restore
from youtube_download_coordinator.stores.sheets.snapshot import KEY_COLUMNS, KeyCells, act_at, matches
from youtube_download_coordinator.stores.sheets.spreadsheet import (
    DATA_TABS,
    FRESH_SECONDS,
    IndexEntry,
    NothingToDo,
    RowIndex,
    Spreadsheet,
    group_of,
)
from youtube_download_coordinator.stores.sheets.tab_counts import BESIDE, tallied

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

CLAIM_LOOKS = 4
"""How many places a claim looks at before it says that nothing is due; how often a page is read again that a sort tore apart."""
ENOUGH = 4
"""Rows that were read before are offered again as long as they are at least this part of what is wanted."""
READ_AHEAD_ROWS = 20
"""Lines that a claim reads at least: what it does not take is kept for the next one."""


class SheetsStore:
    """The Store contract on one spreadsheet. Raises ConfigError when the settings lead to none that can be used."""

    result_batch_seconds = 25.0

    def __init__(self, config: Config, outside: Environment | None = None) -> None:
        self._connection = Connection(config, outside)
        self._book = Spreadsheet(config, self._connection)
        self._projections = Projections(self._book)
        self._adoption = Adoption(self._book, self._projections)
        self._mover = Mover(self._book, self._projections)
        self._swaps = CompareAndSwap(self._book, self._projections, self._adoption, self._mover)
        self._controls = Controls(self._book)
        self._turn = self._book.turn
        with self._turn:
            self._book.layout()

    @property
    def clock_error_seconds(self) -> float:
        return self._connection.clock_error_seconds

    # --- looking -----------------------------------------------------------------------------------------------------

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        with self._turn:
            if where.state is State.PENDING and where.due is not None:
                return self._scan_due(table, where, where.due, limit)
            # The next page goes on from the look that the first one took, as long as a claim would.
            seconds = self._book.snapshot(table.name).stale_seconds if where.after_id else FRESH_SECONDS
            for _ in range(CLAIM_LOOKS):
                self._reload(table.name, if_older_than_seconds=seconds)
                positions = self._book.snapshot(table.name).matching(where)[:limit]
                rows = self._rows(table, where, positions)
                if len(rows) == len(positions):
                    break
                seconds = 0  # a person has sorted in between
            return rows

    def _scan_due(self, table: Table[R], where: Where, due: datetime, limit: int) -> list[R]:
        """Rows that should be due: what was read a moment ago, else a few lines, else the whole tab is looked through."""
        if due > self._connection.now():
            return self._read_due(table, where, due, limit, None)
        spare = cast("list[R]", self._book.snapshot(table.name).prefetched(due))
        if len(spare) >= max(1, limit // ENOUGH):
            return spare[:limit]
        rows = self._read_due(table, where, due, max(limit, READ_AHEAD_ROWS), self._book.random)
        self._book.snapshot(table.name).keep(rows)
        return rows[:limit]

    def _read_due(self, table: Table[R], where: Where, due: datetime, limit: int, anywhere: Random | None) -> list[R]:
        for _ in range(CLAIM_LOOKS):
            positions = self._book.snapshot(table.name).take_due(due, limit, anywhere)
            if not positions:
                if not self._book.snapshot(table.name).is_stale:
                    return []
                self._reload(table.name, if_older_than_seconds=0)
                positions = self._book.snapshot(table.name).take_due(due, limit, anywhere)
            rows = self._rows(table, where, positions)
            torn = [row for row in rows if not _is_itself(table, row)]
            self._set_aside(table, torn)
            mine = [row for row in rows if row not in torn]
            if mine or not positions:
                return sorted(mine, key=lambda row: (act_at(row.lease), row.id))
        return []

    def _set_aside(self, table: Table[R], rows: Sequence[R]) -> None:
        """Rows whose URL is not the one that their lease is for: a person has typed another, or sorted some columns only."""
        changes = []
        for row in rows:
            log.warning("row %d has the URL %s, but its Lease is for %s", row.id, row.url, row.key)
            detail = "url-changed: the Lease is for another URL; empty the Lease cell, or put the old URL back and say pending"
            lease = Lease(
                version=row.lease.version + 1,
                state=State.ERROR,
                tries=row.lease.tries,
                detail=detail,
                nonce=self._book.nonce(),
            )
            changes.append(Change(row, replace(row, lease=lease, requested_status=None)))
        self.swap(table, changes)

    def _reload(self, name: str, *, if_older_than_seconds: float) -> None:
        """Look through a tab; take in what people have added, and repair what does not show its lease."""
        self._book.reload([name], if_older_than_seconds=if_older_than_seconds)
        self._reconcile([name])

    def _reconcile(self, names: Sequence[str]) -> None:
        """What every look is followed by."""
        for name in names:
            self._adoption.settle(name)
            self._projections.repair(name)

    def _rows(self, table: Table[R], where: Where, positions: Sequence[int]) -> list[R]:
        """Read lines and keep the rows that match now, in the order of the lines that were given."""
        lines = self._book.read(table.name, positions) if positions else {}
        tab, view = self._book.tab(table.name), self._book.snapshot(table.name)
        rows = []
        for position, cells in lines.items():
            values = dict(zip(tab.header, [*cells, *[""] * len(tab.header)], strict=False))
            view.update_line(position, KeyCells(*(values[name] for name in KEY_COLUMNS)))
            row = read_row(table, tab, cells)
            if row is not None and matches(where, row.id, row.key, row.lease, row.requested_status):
                rows.append(self._projections.as_written(row))
        return rows

    def count(self, table: Table[R]) -> Mapping[State, int]:
        with self._turn:
            self._reload(table.name, if_older_than_seconds=FRESH_SECONDS)
            words = self._book.snapshot(table.name).leases()
            return Counter(word.lease.state for _, word in words if word.lease)

    def leases(self, table: Table[Any], state: State) -> list[Lease]:
        with self._turn:
            self._reload(table.name, if_older_than_seconds=FRESH_SECONDS)
            words = self._book.snapshot(table.name).leases()
            return [word.lease for _, word in words if word.lease and word.lease.state is state]

    def tally(self, tables: Sequence[Table[Any]], since: date) -> list[list[Tally]]:
        names = [table.name for table in tables]
        with self._turn:
            for _ in range(CLAIM_LOOKS):
                cells = self._book.reload_with({name: BESIDE[name] for name in names})
                found = [tallied(self._book.snapshot(name), cells[name], since) for name in names]
                looked_at = [self._book.snapshot(name).looked_at for name in names]
                self._reconcile(names)
                if looked_at == [self._book.snapshot(name).looked_at for name in names]:
                    break  # else rows that people have typed in were taken in, and count too
            return found

    # --- swapping ----------------------------------------------------------------------------------------------------

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        if not changes:
            return []
        with self._turn:
            counts = self._swaps.swap(table.name, changes)
            for change, count in zip(changes, counts, strict=True):
                if count:
                    self._projections.enqueue(table.name, change.new)
                else:
                    self._book.snapshot(table.name).invalidate(change.seen.id)
                    self._projections.discard(table.name, change.seen)
            if max(counts) > 1:
                self._separate_copies(table.name)
            return [Swap.WON if count else Swap.LOST for count in counts]

    def _separate_copies(self, name: str) -> None:
        """Before work starts; the swap is won, whether or not this succeeds: the next look does it otherwise."""
        try:
            self._reload(name, if_older_than_seconds=0)
        except StoreError as error:
            log.warning("copies of a row wait to be set apart: %s", error)

    # --- adding and moving -------------------------------------------------------------------------------------------

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        if not rows:
            return []
        with self._turn:
            given: dict[str, IndexEntry] = {}

            with suppress(NothingToDo):  # everything is known
                self._book.guarded_batch(lambda ledger: self._insertion(table, rows, ledger, given), by_line=False)
            return _ids_by_key(rows, given)

    def _insertion(
        self, table: Table[R], rows: Sequence[R], ledger: RowIndex, given: dict[str, IndexEntry]
    ) -> list[Json]:
        """The requests that append the rows whose keys are new, and raise the next ID with them.

        `given` is what an earlier round meant to add: where it stands with its nonce, that round was applied after all.
        """
        group = group_of(table.name)
        known = ledger.keys[group]
        for key in [key for key, mine in given.items() if known.get(key) != mine]:
            del given[key]
        new: dict[str, R] = {}
        for row in rows:
            if row.key not in known and row.key not in ledger.typed[group]:
                new.setdefault(row.key, row)
        if not new:
            raise NothingToDo
        return self._appending(table, list(new.values()), ledger, given)

    def _appending(self, table: Table[R], new: list[R], ledger: RowIndex, given: dict[str, IndexEntry]) -> list[Json]:
        group = group_of(table.name)
        first, raising = self._book.take_ids(ledger, group, len(new))
        numbered = [replace(row, id=first + index) for index, row in enumerate(new)]
        added = {row.key: IndexEntry(row.id, row.lease.nonce) for row in numbered}
        ledger.keys[group] |= added
        given |= added
        tab = self._book.tab(table.name)
        lines = [row_cells(tab, row) for row in numbered]
        self._book.snapshot(table.name).looked_at = None  # they stand somewhere behind what was seen
        return [{"appendCells": {"sheetId": tab.sheet_id, "rows": lines, "fields": "userEnteredValue"}}, *raising]

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        if rows:
            with self._turn:
                restore(self._book, table, rows)

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        with self._turn:
            return self._mover.move(table.name, encode_lease(seen), seen.id, to.name)

    # --- steering ----------------------------------------------------------------------------------------------------

    def controls(self, *, fresh: bool = False) -> list[Control]:
        with self._turn:
            return self._controls.controls(fresh=fresh)

    def set_control(self, name: str, change: SetControl) -> Control | None:
        with self._turn:
            return self._controls.set(name, change)

    # --- columns -----------------------------------------------------------------------------------------------------

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        with self._turn:
            return list(self._book.tab(table.name).custom_columns)

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        with self._turn:
            self._book.add_columns(table.name, names)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        now = self._connection.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as exact as a word

    def close(self) -> None:
        with self._turn:
            self._projections.flush()
            with self._connection.impatient(), suppress(StoreUnavailable):
                self._repair_before_exit()
            self._connection.close()

    def _repair_before_exit(self) -> None:
        """Before this process ends: show what others have left behind, and put right what it wrote on a stranger's line."""
        for name in DATA_TABS:
            self._projections.schedule_leftovers(name)
        if self._projections.has_misplaced_cells:
            for name in DATA_TABS:
                self._reload(name, if_older_than_seconds=FRESH_SECONDS)


def _ids_by_key(rows: Sequence[Row], given: dict[str, IndexEntry]) -> list[int | None]:
    """The ID of each row that was kept; of two with one key the first."""
    left = {key: each.row_id for key, each in given.items()}
    return [left.pop(row.key, None) for row in rows]


def _is_itself(table: Table[Any], row: Row) -> bool:
    """Whether the row's URL still is the one that its lease is for."""
    try:
        target = source_target if table.row_type is Source else video_target
        return row.key.startswith("url:") or target(row.url, allow_other_sites=True).key == row.key
    except BadUrl:
        return False
