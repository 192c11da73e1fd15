"""Implement the Store contract with a spreadsheet.

The Lease cell alone decides about a row (lease_codec.py), and a findReplace changes it (compare_and_swap.py). The cells that
people see are written later, together with another request (projection.py).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from random import Random
from typing import Any, TypeVar, cast

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadUrl, StoreError, StoreUnavailable
from youtube_download_coordinator.models import NEVER, NO_KEY, Control, Lease, Row, Source, State, VideoTask
from youtube_download_coordinator.queue.priority import choose, priority_in
from youtube_download_coordinator.queue.store import (
    EVERY_ROW,
    VIDEO_TASKS,
    Change,
    PlayingTime,
    SetControl,
    Swap,
    Table,
    Tally,
    Where,
)
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.alarm import doubled
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Environment, Refused
from youtube_download_coordinator.stores.sheets.batch_requests import find_replace
from youtube_download_coordinator.stores.sheets.burial import bury, clear
from youtube_download_coordinator.stores.sheets.cells import read_row, status_text, unknown_status
from youtube_download_coordinator.stores.sheets.compare_and_swap import CompareAndSwap
from youtube_download_coordinator.stores.sheets.control_tab import Controls
from youtube_download_coordinator.stores.sheets.guarantee_line import is_proof_due
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_again, encode_lease
from youtube_download_coordinator.stores.sheets.playing_cells import cells_in
from youtube_download_coordinator.stores.sheets.projection import TABLES, Projections
from youtube_download_coordinator.stores.sheets.row_insertion import insert
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.row_restore import restore
from youtube_download_coordinator.stores.sheets.snapshot import (
    KEY_COLUMNS,
    matches,
    order_of,
)
from youtube_download_coordinator.stores.sheets.spreadsheet import (
    DATA_TABS,
    FRESH_SECONDS,
    GROUPS,
    Spreadsheet,
    group_of,
)
from youtube_download_coordinator.stores.sheets.tab_counts import TALLY_COLUMNS, playing_times, tallies

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

SCAN_ROUNDS = 4
"""How many positions of a tab a claim tries before it reports nothing due, and how often a page is read again after a sort."""
ENOUGH = 4
"""Prefetched rows are returned alone if they are at least 1/ENOUGH of the limit."""
PRIORITY_SECONDS = 300.0
"""The maximum age of a snapshot for claims in order of priority, which people may edit."""
WAITING_SECONDS = 600.0
"""The maximum age of a snapshot in which to look for rows that wait for a machine."""
READ_AHEAD_ROWS = 20
"""The minimum number of lines that a claim reads. Rows that it does not take are kept for the next claim."""


class SheetsStore:
    """A store in one spreadsheet. Raises ConfigError if the settings do not name a usable spreadsheet."""

    result_batch_seconds = 25.0

    def __init__(self, config: Config, environment: Environment | None = None) -> None:
        self._connection = Connection(config, environment)
        self._spreadsheet = Spreadsheet(config, self._connection)
        self._batches = GuardedBatches(self._spreadsheet)
        self._projections = Projections(self._spreadsheet)
        self._adoption = Adoption(self._batches, self._projections)
        self._mover = Mover(self._batches, self._projections)
        self._swaps = CompareAndSwap(self._spreadsheet, self._projections, self._adoption, self._mover)
        self._controls = Controls(self._batches)
        self._lock = self._spreadsheet.lock
        with self._lock:
            self._spreadsheet.layout()

    @property
    def name(self) -> str:
        return f"sheet {self._connection.title!r} ({self._connection.spreadsheet_id})"

    @property
    def is_new(self) -> bool:
        return self._spreadsheet.is_new

    @property
    def clock_error_seconds(self) -> float:
        return self._connection.clock_error_seconds

    # --- reading -----------------------------------------------------------------------------------------------------

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        if not (where.after_id or where.due is not None or where.has_request or where.state is State.HELD):
            self._adopt_all([table.name])
        with self._lock:
            if where.state is State.PENDING and where.due is not None:
                return self._scan_due(table, where, where.due, limit)
            snapshot = self._spreadsheet.snapshot(table.name)
            # A later page uses the snapshot of the first page for as long as a claim would.
            seconds = snapshot.stale_after_seconds if where.after_id else FRESH_SECONDS
            for _ in range(SCAN_ROUNDS):
                self._reload(table.name, if_older_than_seconds=seconds)
                positions = self._spreadsheet.snapshot(table.name).matching(where)[:limit]
                rows = self._read_rows(table, where, positions)
                if len(rows) == len(positions):
                    break
                seconds = 0  # a person has sorted the tab in between
            return rows

    def _scan_due(self, table: Table[R], where: Where, due: datetime, limit: int) -> list[R]:
        """Return rows that should be due: prefetched rows, otherwise rows of a few lines, otherwise rows of the reloaded tab."""
        if due > self._connection.now():
            return self._read_due(table, where, due, limit, None)
        prefetched = _wanted(where, cast("list[R]", self._spreadsheet.snapshot(table.name).prefetched(due)))
        if len(prefetched) >= max(1, limit // ENOUGH):
            # Choose at random, because near the end of a queue, other workers have read the same lines.
            random, count = self._spreadsheet.random, min(limit, len(prefetched))
            choice = choose(prefetched, count, random, where.accents) if where.by_priority else None
            return sorted(choice or random.sample(prefetched, count), key=order_of(where))
        rows = self._read_due(table, where, due, max(limit, READ_AHEAD_ROWS), self._spreadsheet.random)
        self._spreadsheet.snapshot(table.name).keep(rows)
        return rows[:limit]

    def _read_due(self, table: Table[R], where: Where, due: datetime, limit: int, random: Random | None) -> list[R]:
        self._spreadsheet.reads_playing_cells |= where.accents is not None
        if self._may_lack_priorities(table, where) or (where.accents is not None and self._lacks_playing_cells()):
            self._reload(table.name, if_older_than_seconds=0)
        for _ in range(SCAN_ROUNDS):
            positions = self._spreadsheet.snapshot(table.name).take_due(where, due, limit, random)
            if not positions and self._is_stale(table, where):
                self._reload(table.name, if_older_than_seconds=0)
                positions = self._spreadsheet.snapshot(table.name).take_due(where, due, limit, random)
            while not positions and self._adopt_next(table.name):
                positions = self._spreadsheet.snapshot(table.name).take_due(where, due, limit, random)
            if not positions:
                return []
            rows = self._read_rows(table, where, positions)
            unclear = self._fail_unclear(table, rows)
            torn = [row for row in rows if row not in unclear and not _has_own_url(table, row)]
            self._adopt_anew(table, [row for row in torn if row.key == NO_KEY])
            self._fail_torn(table, [row for row in torn if row.key != NO_KEY])
            intact = _wanted(where, [row for row in rows if row not in torn and row not in unclear])
            if intact:
                return sorted(intact, key=order_of(where))
        return []

    def _may_lack_priorities(self, table: Table[Any], where: Where) -> bool:
        """Return whether rows with a higher priority may have been added since a tab with that column was loaded."""
        snapshot = self._spreadsheet.snapshot(table.name)
        has_priorities = where.by_priority and self._spreadsheet.tab(table.name).priority_column is not None
        return has_priorities and snapshot.age_seconds >= max(PRIORITY_SECONDS, snapshot.stale_after_seconds)

    def _is_stale(self, table: Table[Any], where: Where) -> bool:
        """Return whether to load a tab without due rows again.

        Rows that wait for a machine can wait longer, so looking for them takes a separate request only now and then.
        """
        snapshot = self._spreadsheet.snapshot(table.name)
        if where.due_from is None or snapshot.loaded_at is None:
            return snapshot.is_stale
        return snapshot.monotonic() - snapshot.loaded_at >= max(WAITING_SECONDS, snapshot.stale_after_seconds)

    def _adopt_anew(self, table: Table[R], rows: Sequence[R]) -> None:
        """Adopt rows again that had no valid address and should run, because a person has corrected their URL since."""
        if rows:
            area = self._spreadsheet.tab(table.name).area("Lease")
            with suppress(Refused, AnswerLost):
                self._spreadsheet.write(
                    [find_replace(encode_lease(row), encode_again(row.id, row.lease), area) for row in rows]
                )
            self._reload(table.name, if_older_than_seconds=0)

    def _fail_torn(self, table: Table[R], rows: Sequence[R]) -> None:
        """Set rows to error whose URL is not the URL of their lease: a person has edited it, or sorted only some columns."""
        if rows:
            self._spreadsheet.require_column_names(table.name)
        for row in rows:
            log.warning("row %d has the URL %s, but its Lease is for %s", row.id, row.url, row.key)
        problem = (
            "url-changed: the Lease is for another URL; empty the Lease cell, or put the old URL back"
            " and set Status to pending"
        )
        self.swap(table, [Change(row, self._failed(row, problem)) for row in rows])

    def _fail_unclear(self, table: Table[R], rows: Sequence[R]) -> list[R]:
        """Set pending rows to error if a person has typed an unknown word into their Status. Return these rows."""
        snapshot = self._spreadsheet.snapshot(table.name)
        problems: dict[int, str] = {}
        for row in rows:
            position = snapshot.position_of(row.id)
            cells = snapshot.key_cells[position] if position is not None else KeyCells()
            encoded = decode_lease(cells.lease)
            if row.lease.state is State.PENDING and encoded and encoded.lease == row.lease:
                problems[row.id] = unknown_status(encoded, cells.status, cells.shown)
        unclear = [row for row in rows if problems.get(row.id)]
        if unclear:
            self._spreadsheet.require_column_names(table.name)
        self.swap(table, [Change(row, self._failed(row, problems[row.id])) for row in unclear])
        return unclear

    def _failed(self, row: R, problem: str) -> R:
        lease = Lease(
            version=row.lease.version + 1,
            state=State.ERROR,
            tries=row.lease.tries,
            detail=problem,
            nonce=self._spreadsheet.nonce(),
        )
        return replace(row, lease=lease, requested_status=None)

    def _adopt_all(self, names: Sequence[str]) -> None:
        """Adopt all rows that people have added, before rows are counted or searched. Other threads may claim meanwhile."""
        for name in names:
            with self._lock:
                self._reload(name, if_older_than_seconds=FRESH_SECONDS)
            while self._adopt_next(name):
                pass

    def _adopt_next(self, name: str) -> bool:
        """Adopt the next rows without a lease. Return whether any waited."""
        with self._lock:
            return self._adoption.adopt_next(name)

    def _reload(self, name: str, *, if_older_than_seconds: float) -> None:
        """Reload a tab, adopt rows that people have added, and repair lines that do not show their lease."""
        self._spreadsheet.reload([name], if_older_than_seconds=if_older_than_seconds)
        self._reconcile([name])

    def _reconcile(self, names: Sequence[str]) -> None:
        """Adopt and repair. If guarantees are known not to hold, only read the tabs."""
        if self._spreadsheet.control.failed_guarantees():
            return
        for group in {group_of(name) for name in names}:
            leases = (encoded for name in GROUPS[group] for _, encoded in self._spreadsheet.snapshot(name).leases())
            if sign := doubled(leases):
                self._spreadsheet.alarm(sign)
                return
        for name in names:
            self._adoption.reconcile(name)
            self._reconcile_statuses(TABLES[name])
            self._projections.repair(name)

    def _reconcile_statuses(self, table: Table[Any]) -> None:
        """Set pending rows apart whose Status is an unknown word. On other rows, the repair adds a note."""
        snapshot = self._spreadsheet.snapshot(table.name)
        states = {
            position: encoded.lease.state
            for position, cells in snapshot.key_cells.others()
            if (encoded := snapshot.key_cells.leases[position])
            and encoded.lease
            and cells.status != status_text(encoded.lease.state)
            and unknown_status(encoded, cells.status, cells.shown)
        }
        if states:
            self._spreadsheet.require_column_names(table.name)
        if positions := [position for position, state in states.items() if state is State.PENDING]:
            self._fail_unclear(table, self._read_rows(table, EVERY_ROW, positions))

    def _read_rows(self, table: Table[R], where: Where, positions: Sequence[int]) -> list[R]:
        """Read lines. Return the rows that match now, in the order of `positions`."""
        lines = self._spreadsheet.read_lines(table.name, positions) if positions else {}
        tab, snapshot = self._spreadsheet.tab(table.name), self._spreadsheet.snapshot(table.name)
        rows = []
        for position, cells in lines.items():
            values = dict(zip(tab.header, [*cells, *[""] * len(tab.header)], strict=False))
            priority = priority_in(values[tab.priority_column].strip()) if tab.priority_column else 0
            snapshot.update_line(position, KeyCells(*(values[name] for name in KEY_COLUMNS)), priority)
            if snapshot.playing is not None:
                snapshot.playing.update(position, *cells_in(tab.header, cells))
            row = read_row(table, tab, cells)
            if row is not None and matches(where, row.id, row.key, row.lease, row.requested_status):
                rows.append(self._projections.with_pending_cells(row))
        return rows

    def count(self, table: Table[R]) -> Mapping[State, int]:
        self._adopt_all([table.name])
        with self._lock:
            return Counter(lease.state for lease in self._leases(table))

    def leases(self, table: Table[Any], state: State) -> list[Lease]:
        with self._lock:
            return [lease for lease in self._leases(table) if lease.state is state]

    def _leases(self, table: Table[Any]) -> list[Lease]:
        self._reload(table.name, if_older_than_seconds=FRESH_SECONDS)
        leases = self._spreadsheet.snapshot(table.name).leases()
        return [encoded.lease for _, encoded in leases if encoded.lease]

    def tally(self, tables: Sequence[Table[Any]], since: date, recent: datetime = NEVER) -> list[list[Tally]]:
        names = [table.name for table in tables]
        for _ in range(SCAN_ROUNDS):
            with self._lock:
                cells = self._spreadsheet.reload_with({name: TALLY_COLUMNS[name] for name in names})
                tables_tallies = [
                    tallies(self._spreadsheet.snapshot(name), cells[name], since, recent) for name in names
                ]
                loaded_at = self._loaded_at(names)
                self._reconcile(names)
            self._adopt_all(names)
            if loaded_at == self._loaded_at(names):
                break  # otherwise rows were adopted, which must be included
        return tables_tallies

    def playing_times(self) -> list[PlayingTime]:
        with self._lock:
            self._spreadsheet.reads_playing_cells = True
            if self._lacks_playing_cells():
                self._reload(VIDEO_TASKS.name, if_older_than_seconds=0)
            self._projections.note_durations(VIDEO_TASKS.name)
            return playing_times(self._spreadsheet.snapshot(VIDEO_TASKS.name))

    def _lacks_playing_cells(self) -> bool:
        """Return whether the videos were loaded without accents and durations, or so long ago that others have done many."""
        snapshot = self._spreadsheet.snapshot(VIDEO_TASKS.name)
        oldest_seconds = max(PRIORITY_SECONDS, snapshot.stale_after_seconds)
        return snapshot.playing is None or snapshot.loaded_at is None or snapshot.age_seconds >= oldest_seconds

    def _loaded_at(self, names: Sequence[str]) -> list[float | None]:
        return [self._spreadsheet.snapshot(name).loaded_at for name in names]

    # --- swapping ----------------------------------------------------------------------------------------------------

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        if not changes:
            return []
        with self._lock:
            if any(_is_claim(change) for change in changes):
                self._spreadsheet.require_guarantees()
            counts = self._swaps.swap(table.name, changes)
            for change, count in zip(changes, counts, strict=True):
                if count:
                    self._projections.enqueue(table.name, change.new)
                else:
                    self._spreadsheet.snapshot(table.name).invalidate(change.seen.id)
                    self._projections.discard(table.name, change.seen)
            if max(counts) > 1:
                self._separate_copies(table.name)
            return [Swap.WON if count else Swap.LOST for count in counts]

    def _separate_copies(self, name: str) -> None:
        """Separate copies before work starts. If this fails, the swap is still won, and the next reload tries again."""
        try:
            self._reload(name, if_older_than_seconds=0)
        except StoreError as error:
            log.warning("copies of a row are not separated yet: %s", error)

    # --- adding and moving -------------------------------------------------------------------------------------------

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        if not rows:
            return []
        with self._lock:
            self._spreadsheet.require_guarantees()
            return insert(self._batches, table, rows)

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        if rows:
            with self._lock:
                self._spreadsheet.require_guarantees()
                restore(self._batches, table, rows)

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        with self._lock:
            self._spreadsheet.require_guarantees()
            return self._mover.move(table.name, encode_lease(seen), seen.id, to.name)

    # --- purged videos -----------------------------------------------------------------------------------------------

    def bury(self, tombstones: Collection[str], *, are_all: bool = False) -> None:
        with self._lock:
            bury(self._batches, tombstones, are_all=are_all)

    def tombstones(self) -> Collection[str]:
        with self._lock:
            self._controls.controls(fresh=True)
            return self._batches.tombstones.known(self._spreadsheet.control.numbers())

    def buried(self, tombstones: Collection[str]) -> set[str]:
        with self._lock:
            self._controls.controls(fresh=False)
            return {*tombstones} & self._batches.tombstones.known(self._spreadsheet.control.numbers())

    def erase(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        with self._lock:
            outcomes = self.swap(table, changes)
            erased = [change.new for change, swap in zip(changes, outcomes, strict=True) if swap is Swap.WON]
            self._batches.forget_index()  # it has the old keys
            clear(self._spreadsheet, table.name, erased)
            return outcomes

    # --- Control -----------------------------------------------------------------------------------------------------

    def controls(self, *, fresh: bool = False) -> list[Control]:
        with self._lock:
            return self._controls.controls(fresh=fresh)

    def set_control(self, name: str, change: SetControl) -> Control | None:
        with self._lock:
            return self._controls.set(name, change)

    def remove_control(self, name: str, may_remove: Callable[[Control], bool]) -> bool:
        with self._lock:
            return self._controls.remove(name, may_remove)

    # --- columns -----------------------------------------------------------------------------------------------------

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        with self._lock:
            return list(self._spreadsheet.tab(table.name).custom_columns)

    def used_columns(self, table: Table[Any]) -> Collection[str]:
        with self._lock:
            return list(self._spreadsheet.tab(table.name).custom_columns)

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        with self._lock:
            self._batches.add_columns(table.name, names)

    # --- guarantees --------------------------------------------------------------------------------------------------

    @property
    def is_proof_due(self) -> bool:
        """Return whether the last test of the guarantees, as recorded in Control, is old enough to be repeated."""
        with self._lock:
            return is_proof_due(self._spreadsheet.control, self._connection.spreadsheet_id, self._connection.now())

    # --- the rest ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        now = self._connection.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # encoded leases have milliseconds

    def flush(self) -> None:
        with self._lock:
            self._projections.flush()

    def close(self) -> None:
        self._adoption.close()
        with self._lock:
            self._projections.flush()
            with self._connection.impatient(), suppress(StoreUnavailable):
                self._repair_before_exit()
            self._connection.close()

    def _repair_before_exit(self) -> None:
        """Write cells that other processes have left unwritten, and repair cells that this process wrote on other rows' lines."""
        if self._spreadsheet.control.failed_guarantees():
            return
        for name in DATA_TABS:
            self._projections.schedule_leftovers(name)
        if self._projections.has_misplaced_cells:
            for name in DATA_TABS:
                self._reload(name, if_older_than_seconds=FRESH_SECONDS)


def _wanted(where: Where, rows: list[R]) -> list[R]:
    """Return the rows whose accents are wanted, as they are spelled now."""
    accents = where.accents
    return rows if accents is None else [row for row in rows if accents.rank_of(row) is not None]


def _is_claim(change: Change[Any]) -> bool:
    return change.new.lease.state is State.HELD and change.seen.lease.holder != change.new.lease.holder


def _has_own_url(table: Table[Any], row: Row) -> bool:
    """Return whether the row's URL is still the URL of its lease."""
    try:
        target = source_target if table.row_type is Source else video_target
        return row.key.startswith("url:") or target(row.url, allow_other_sites=True).key == row.key
    except BadUrl:
        return False
