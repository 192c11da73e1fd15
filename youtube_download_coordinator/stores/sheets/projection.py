"""Write the projection, the cells that people read. They follow the lease, which alone decides.

A change waits up to SHOW_SECONDS for the next request that is sent anyway. Its cells are written by line, and a person may have
sorted the tab since it was read. So the response shows the Lease cell of each line, and cells on another row are repaired from
the leases.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import WRITTEN_BY_SWAPS, Row, State, VideoTask, columns_of
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.stores.sheets.alarm import is_taken
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.cells import (
    blank,
    is_filled_by_workers,
    projection,
    read_row,
    shows,
    unknown_status,
    write_cells,
)
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_lease, version_text
from youtube_download_coordinator.stores.sheets.snapshot import RANGES_MAX
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, Spreadsheet, shown_rows

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

SHOW_SECONDS = 30.0
"""The time after which people see a change at the latest."""
REPAIR_SECONDS = 60.0
"""If cells have not shown their lease for this long, any process rewrites them, because their writer is gone."""
LEFTOVER_SECONDS = 90.0
"""At its start and end, a process also rewrites cells that do not show the lease of a row that was claimed this long ago."""
REPAIRS_MAX = 500
"""The maximum number of lines to repair at once."""
AT_ONCE = float("-inf")

TABLES: dict[str, Table[Row]] = {table.name: table for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)}  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class ProjectionBatch:
    """The pending rows of a tab, by line, that one request writes in addition to its own changes."""

    name: str
    placed: Mapping[int, Row]
    requests: list[Json]
    lease_cells: list[str]
    """The Lease cells of the lines, in A1 notation, for the response."""


class Projections:
    """The rows whose cells this process still must write."""

    def __init__(self, spreadsheet: Spreadsheet) -> None:
        self._spreadsheet = spreadsheet
        self._pending: dict[str, dict[int, Row]] = {name: {} for name in DATA_TABS}
        self._outdated_since: dict[str, float] = {}
        """The time since which a line does not show its lease, by the text of the Lease cell. AT_ONCE: repair it now."""
        self.unanswered: dict[str, list[str]] = {}
        """Encoded leases whose write had no response, by the lease that they replace. One of them may still be applied."""
        self._repaired: set[str] = set()
        """The tabs that this process has repaired or that needed no repair."""
        self._timer_runs = False
        self._show_at: float | None = None
        """The time at which the pending rows must be written."""

    # --- pending rows ------------------------------------------------------------------------------------------------

    def enqueue(self, name: str, row: Row) -> None:
        """Add a row whose lease has changed. It replaces an earlier pending change of the row."""
        self._pending[name][row.id] = row
        snapshot = self._spreadsheet.snapshot(name)
        position = snapshot.position_of(row.id)
        if position is not None:
            snapshot.update_line(position, snapshot.key_cells[position]._replace(lease=encode_lease(row)))
            self._note_duration(name, row, position)
        self._start_timer()

    def note_durations(self, name: str) -> None:
        """Let a snapshot that has just been loaded know the durations that are not written yet."""
        for row in self._pending[name].values():
            position = self._spreadsheet.snapshot(name).position_of(row.id)
            if position is not None:
                self._note_duration(name, row, position)

    def _note_duration(self, name: str, row: Row, position: int) -> None:
        playing = self._spreadsheet.snapshot(name).playing
        if playing is not None and isinstance(row, VideoTask):
            playing.update(position, None, row.duration_seconds or 0)

    def discard(self, name: str, seen: Row) -> None:
        """Discard a row that another process has changed since, because that process writes its cells."""
        row = self._pending[name].get(seen.id)
        if row is not None and row.lease == seen.lease:
            del self._pending[name][seen.id]

    def moved(self, row_id: int, name: str, target: str) -> None:
        """Record that a pending row was moved to another tab."""
        if row := self._pending[name].pop(row_id, None):
            self._pending[target].setdefault(row_id, row)

    def with_pending_cells(self, row: R) -> R:
        """Return a row from the sheet with the pending cells of this process."""
        for rows in self._pending.values():
            pending = rows.get(row.id)
            if pending is not None and pending.lease == row.lease and type(pending) is type(row):
                columns = columns_of(type(row)).stored.items()
                names = [name for name, column in columns if column.writer in WRITTEN_BY_SWAPS]
                filled = {name: text for name, text in pending.extra.items() if is_filled_by_workers(name)}
                return replace(row, extra={**row.extra, **filled}, **{name: getattr(pending, name) for name in names})
        return row

    def next_batch(self, name: str, except_ids: Collection[int] = ()) -> ProjectionBatch:
        """Take the pending rows of a tab whose lines are known. Pass the batch to `check` or `put_back` afterwards.

        `except_ids`: rows that change with the same request, and are enqueued after it.
        """
        tab, snapshot, pending = self._spreadsheet.tab(name), self._spreadsheet.snapshot(name), self._pending[name]
        rows = [row for row in pending.values() if row.id not in except_ids]
        placed = {position: row for row in rows if (position := snapshot.position_of(row.id)) is not None}
        for row in placed.values():
            del pending[row.id]
        if not any(self._pending.values()):
            self._show_at = None
        requests = [
            request for position, row in placed.items() for request in projection(tab, position, row, rebuilt=False)
        ]
        lease_cells = [tab.a1("Lease", position) for position in placed]
        return ProjectionBatch(name, placed, requests, lease_cells)

    def put_back(self, batch: ProjectionBatch) -> None:
        """Keep the batch for later, because it may not have been written."""
        for row in batch.placed.values():
            self._put_back(batch.name, row)

    def _put_back(self, name: str, row: Row) -> None:
        self._pending[name].setdefault(row.id, row)
        self._start_timer()

    def check(self, batch: ProjectionBatch, answer: Json) -> None:
        """Check that each row was written on its own line. Schedule the repair of all other written lines."""
        tab, snapshot = self._spreadsheet.tab(batch.name), self._spreadsheet.snapshot(batch.name)
        shown = shown_rows(answer, tab.sheet_id)
        if batch.placed and not shown:  # the response shows cells by title, and the tab was renamed
            snapshot.loaded_at = None
            self.put_back(batch)
            return
        for position, row in batch.placed.items():
            text = next(iter(shown.get(position, ())), "")
            encoded = decode_lease(text)
            if encoded is None or encoded.row_id != row.id:  # the line of another row
                snapshot.loaded_at = None
                self._outdated_since[text] = AT_ONCE
                self._put_back(batch.name, row)
            elif text == encode_lease(row):
                url = snapshot.key_cells[position].url if position < len(snapshot.key_cells) else ""
                cells = KeyCells(text, row.status.value, version_text(row.id, row.lease), url or row.url)
                snapshot.update_line(position, cells)
            else:  # another process has changed the row since
                # A write without a response may have ended the claim, so that another worker may hold it.
                is_ours = encode_lease(row) not in self.unanswered
                if is_ours and is_taken(row, encoded, self._spreadsheet.connection.now()):
                    self._spreadsheet.alarm(f"row {row.id} is claimed by this worker and by another one")
                self._outdated_since.setdefault(text, self._spreadsheet.environment.monotonic())

    # --- repairing ---------------------------------------------------------------------------------------------------

    def repair(self, name: str) -> None:
        """Rewrite the cells of lines that have not shown their lease for a while, and discard pending rows that are gone.

        The first time, use the times of the claims, because all processes may live for less than a minute.
        """
        if name not in self._repaired:
            self._repaired.add(name)
            self.schedule_leftovers(name)
        tab, snapshot = self._spreadsheet.tab(name), self._spreadsheet.snapshot(name)
        now = self._spreadsheet.environment.monotonic()
        pending = self._pending[name]
        self._pending[name] = {row_id: row for row_id, row in pending.items() if snapshot.position_of(row_id)}
        outdated = self._outdated(name)
        for cells in outdated.values():
            self._outdated_since.setdefault(cells.lease, now)
        due = {at: cells for at, cells in outdated.items() if now - self._outdated_since[cells.lease] >= REPAIR_SECONDS}
        positions = list(due)[:REPAIRS_MAX]
        if requests := [request for at in positions for request in self._rebuilt(name, at, due[at])]:
            log.info("rewriting the cells of %d rows of %s that did not show their lease", len(due), tab.title)
            self._write(requests)
            snapshot.loaded_at = None
        self._forget_repaired()

    def _forget_repaired(self) -> None:
        outdated = {
            cells.lease
            for snapshot in self._spreadsheet.snapshots.values()
            for _, cells in snapshot.key_cells.others()
            if _is_outdated(cells)
        }
        self._outdated_since = {text: since for text, since in self._outdated_since.items() if text in outdated}

    def _outdated(self, name: str) -> dict[int, KeyCells]:
        """Return the lines that do not show their lease and are not pending in this process."""
        pending = {encode_lease(row) for row in self._pending[name].values()}
        lines = self._spreadsheet.snapshot(name).key_cells.others()
        return {at: cells for at, cells in lines if at and _is_outdated(cells) and cells.lease not in pending}

    def schedule_leftovers(self, name: str) -> None:
        """Schedule the cells that other processes have left unwritten, according to the times of their claims.

        This is for a process that has just started or is about to end, which cannot observe a line for long.
        """
        tab, outdated = self._spreadsheet.tab(name), list(self._outdated(name))[:RANGES_MAX]
        lines = self._spreadsheet.read_lines(name, outdated) if outdated else {}
        rows = [row for cells in lines.values() if (row := read_row(TABLES[name], tab, cells))]
        self.schedule_now(encode_lease(row) for row in rows if self._is_leftover(row))

    def _is_leftover(self, row: Row) -> bool:
        now, lease = self._spreadsheet.connection.now(), row.lease
        if lease.state is State.HELD and lease.until is not None and lease.until > now:
            return False
        return row.claimed_at is None or (now - row.claimed_at).total_seconds() >= LEFTOVER_SECONDS

    def schedule_now(self, leases: Iterable[str]) -> None:
        """Repair the lines with these encoded leases after the next reload."""
        self._outdated_since |= dict.fromkeys(leases, AT_ONCE)

    def _write(self, requests: list[Json]) -> None:
        """Write cells that are only shown. If that fails, a later repair writes them."""
        try:
            self._spreadsheet.write(requests)
        except (Refused, AnswerLost) as error:
            log.info("the sheet does not show every lease yet: %s", error)

    def _rebuilt(self, name: str, position: int, cells: KeyCells) -> list[Json]:
        """Return the requests that make a line show its lease, from the lease alone.

        If a person has typed a Status that is ignored, LastError contains a note.
        """
        tab, encoded, row_type = self._spreadsheet.tab(name), decode_lease(cells.lease), TABLES[name].row_type
        if encoded is None or encoded.lease is None:
            return blank(tab, position, row_type)
        lease = encoded.lease
        row = row_type(id=encoded.row_id, key=encoded.key, url="", lease=lease, claimed_by=lease.holder)
        requests = projection(tab, position, row, rebuilt=True)
        if note := unknown_status(encoded, cells.status, cells.shown):
            is_failed = lease.state in {State.ERROR, State.DEAD} and lease.detail
            requests += write_cells(tab, position, {"LastError": f"{note} ({lease.detail})" if is_failed else note})
        return requests

    # --- in time -----------------------------------------------------------------------------------------------------

    @property
    def has_misplaced_cells(self) -> bool:
        """Return whether this process has written cells on another row's line, or scheduled a repair."""
        return AT_ONCE in self._outdated_since.values()

    def flush(self) -> None:
        """Write all pending rows now."""
        for name in DATA_TABS:
            snapshot = self._spreadsheet.snapshot(name)
            if self.has_misplaced_cells or any(snapshot.position_of(row_id) is None for row_id in self._pending[name]):
                self._spreadsheet.reload([name])
            batch = self.next_batch(name)
            if not batch.requests:
                continue
            try:
                self.check(batch, self._spreadsheet.write(batch.requests, show=batch.lease_cells))
            except (Refused, StoreUnavailable) as error:
                self.put_back(batch)
                self._spreadsheet.snapshot(name).forget_lines()
                log.info("the sheet does not show the last changes yet: %s", error)

    def _start_timer(self) -> None:
        """Ensure that pending rows are written in time, even without other requests."""
        environment = self._spreadsheet.environment
        if self._show_at is None:
            self._show_at = environment.monotonic() + SHOW_SECONDS
        if not self._timer_runs:
            self._timer_runs = True
            environment.later(max(0.0, self._show_at - environment.monotonic()), self._on_time)

    def _on_time(self) -> None:
        try:
            with self._spreadsheet.lock:
                self._timer_runs = False
                if self._show_at is not None and self._spreadsheet.environment.monotonic() < self._show_at:
                    self._start_timer()  # the earlier rows were shown with another request; the pending ones are newer
                elif self._show_at is not None:
                    self.flush()
        except StoreError as error:
            log.info("the sheet does not show the last changes yet: %s", error)


def _is_outdated(cells: KeyCells) -> bool:
    """Return whether a line does not show its lease, or shows a lease but has none."""
    encoded = decode_lease(cells.lease) if cells.lease else None
    return not shows(encoded, cells.status, cells.shown) if encoded else bool(cells.shown)
