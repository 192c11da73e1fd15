"""Adopt what people add to a tab: rows without a lease, copies of rows, and rows that another process has half adopted.

A full tab is adopted batch by batch (new_rows.py), in the background once the first rows can be claimed. Every step is a guarded
batch, so the known keys and IDs are valid at the moment of the change.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from youtube_download_coordinator.errors import BadUrl, ConfigError, StoreError
from youtube_download_coordinator.models import DUPLICATE, NO_KEY, Lease, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.batch_requests import find_replace, replaced_cells
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, NothingToDo, RowIndex
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, id_and_version_in
from youtube_download_coordinator.stores.sheets.new_rows import NewRows, Settlement
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, GROUPS, group_of

log = logging.getLogger(__name__)

ADOPTION_ROUNDS = 4
"""The number of rounds, after one reload, to settle drafts and copies that others have left."""
INDEX_SECONDS = 300.0
"""How long a row index may be used while a full tab is adopted, if nobody takes the token."""
PROGRESS_SECONDS = 5.0
"""How often progress is logged."""
GIVE_WAY_SECONDS = (2.0, 6.0)
"""How long a process stops adopting if another one was faster."""


class _Line(NamedTuple):
    """A line with a lease."""

    tab: str
    position: int
    cells: KeyCells
    encoded: EncodedLease
    lease: Lease


class Adoption:
    """The adoption of a spreadsheet's new lines as rows of the queue."""

    def __init__(self, batches: GuardedBatches, projections: Projections) -> None:
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self._projections = projections
        self._new_rows = NewRows(batches)
        self._resume_at = 0.0
        """The time at which adopting may continue after another process was faster."""
        self._progress_at = float("-inf")
        self._adopted: Counter[str] = Counter()
        """The number of rows of each tab that were adopted since the last time that no row waited."""
        self._timer_runs = self._is_closed = False

    def reconcile(self, name: str) -> None:
        """Settle drafts, separate copies and adopt rows without a lease, in a tab that was just reloaded.

        If there are many rows, some are adopted now and the others in the background.
        """
        for _ in range(ADOPTION_ROUNDS):
            if not (self._new_rows.has_drafts or self._duplicates(group_of(name))):
                break
            new: list[str] = []
            settlement = Settlement()
            try:
                self._batches.run(partial(self._repairs, settlement=settlement, new=new))
            except NothingToDo:
                break
            self._projections.schedule_now([*new, *settlement.others])
            self._spreadsheet.reload(if_older_than_seconds=0)
            settlement.addresses.correct(self._spreadsheet)
        if self.is_waiting(name) and self._spreadsheet.environment.monotonic() >= self._resume_at:
            self.adopt_next(name)
        if self.is_waiting(name):
            self._go_on_later()

    @property
    def has_drafts(self) -> bool:
        """Return whether any tab has a draft, which may cover the lease of another row."""
        return self._new_rows.has_drafts

    def _repairs(self, index: RowIndex, settlement: Settlement, new: list[str]) -> list[Json]:
        """Return the requests of one round. Append the leases that they write to `new`."""
        new.clear()
        requests = [request for group in GROUPS for request in self._separate_duplicates(group, index, new)]
        with suppress(NothingToDo):
            requests += self._new_rows.settlement(index, settlement)
        if not requests:
            raise NothingToDo
        return requests

    # --- rows without a lease ----------------------------------------------------------------------------------------

    def is_waiting(self, name: str) -> bool:
        """Return whether a tab has rows that are not adopted yet."""
        return bool(self._spreadsheet.snapshot(name).without_readable_lease())

    def adopt_next(self, name: str) -> bool:
        """Adopt the next rows of a tab. Return whether any waited. Call it again to adopt all rows.

        If another process is adopting faster, wait a moment.
        """
        if not self.is_waiting(name):
            return False
        environment = self._spreadsheet.environment
        if (seconds := self._resume_at - environment.monotonic()) > 0:
            environment.sleep(seconds)
            self._spreadsheet.reload([name], if_older_than_seconds=0)
        elif self._place_drafts(name) or self._new_rows.has_drafts:
            self._settle_drafts()
            self._log_progress(name)
        return True

    def _place_drafts(self, name: str) -> bool:
        """Write drafts on the next lines. Return False if another process was faster."""
        self._batches.forget_index_of_other_lines()
        first_token: list[object] = []

        def build(index: RowIndex) -> list[Json]:
            first_token.append(index.token)
            if index.token != first_token[0]:
                self._resume_at = self._spreadsheet.environment.monotonic() + self._spreadsheet.random.uniform(
                    *GIVE_WAY_SECONDS
                )
                raise NothingToDo
            return self._new_rows.drafts(index, name)

        try:
            answer = self._batches.run(build, by_line=False, max_age_seconds=INDEX_SECONDS)
        except NothingToDo:
            return False
        self._new_rows.confirm()
        snapshot = self._spreadsheet.snapshot(name)
        if answer:  # otherwise it was lost, and the tab was reloaded
            for position, text in self._new_rows.placed.items():
                snapshot.update_line(position, snapshot.key_cells[position]._replace(lease=text))
        return True

    def _settle_drafts(self) -> None:
        """Replace the drafts by leases. The next reload detects failures."""
        result = Settlement()
        try:
            answer = self._batches.run(
                partial(self._new_rows.settlement, result=result), by_line=False, max_age_seconds=INDEX_SECONDS
            )
        except NothingToDo:
            return
        self._adopted.update({name: len(lines) for name, lines in result.lines.items()})
        replaced = sum(map(replaced_cells, answer.get("replies", [])))
        is_as_expected = answer and not result.others and not result.addresses.wanted and replaced >= result.size
        for name, lines in result.lines.items():
            snapshot = self._spreadsheet.snapshot(name)
            for position, cells in lines.items():
                snapshot.update_line(position, cells)
            if not is_as_expected:
                snapshot.loaded_at = None
        if not is_as_expected:
            self._projections.schedule_now(result.others)
            self._batches.forget_index()
            self._spreadsheet.reload(if_older_than_seconds=0)
            result.addresses.correct(self._spreadsheet)

    def _log_progress(self, name: str) -> None:
        now = self._spreadsheet.environment.monotonic()
        waiting = len(self._spreadsheet.snapshot(name).without_readable_lease())
        if not waiting or now - self._progress_at >= PROGRESS_SECONDS:
            title, self._progress_at = self._spreadsheet.tab(name).title, now
            log.info("adopted %d rows that were typed into %s, %d remain", self._adopted[name], title, waiting)
        if not waiting:
            del self._adopted[name]

    def _go_on_later(self) -> None:
        """Adopt the next rows in another thread, so that adopted rows can be claimed meanwhile."""
        if not (self._timer_runs or self._is_closed):
            self._timer_runs = True
            environment = self._spreadsheet.environment
            environment.later(max(0.0, self._resume_at - environment.monotonic()), self._on_time)

    def _on_time(self) -> None:
        try:
            with self._spreadsheet.lock:
                self._timer_runs = False
                name = next((name for name in DATA_TABS if not self._is_closed and self.is_waiting(name)), "")
                if name:
                    self.adopt_next(name)
                    self._go_on_later()
        except (StoreError, ConfigError) as error:
            log.info("typed-in rows will be adopted later: %s", error)

    def close(self) -> None:
        """Stop adopting in the background."""
        self._is_closed = True

    # --- copies ------------------------------------------------------------------------------------------------------

    def _duplicates(self, group: str) -> list[list[_Line]]:
        """Return groups of lines that share an ID or a key, because a person has copied a row or restored an old one."""
        lines = [
            (name, position, encoded)
            for name in GROUPS[group]
            for position, encoded in self._spreadsheet.snapshot(name).leases()
            if encoded.lease is not None
        ]
        ids = Counter(encoded.row_id for *_, encoded in lines)
        keys = Counter(encoded.key for *_, encoded in lines if _owns_its_key(encoded))
        groups: dict[str, list[_Line]] = {}
        for name, position, encoded in lines:
            row_id, key, owns_key = encoded.row_id, encoded.key, _owns_its_key(encoded)
            if encoded.lease and (ids[row_id] > 1 or (owns_key and keys[key] > 1)):
                cells = self._spreadsheet.snapshot(name).key_cells[position]
                line = _Line(name, position, cells, encoded, encoded.lease)
                groups.setdefault(key if owns_key else f"#{row_id}", []).append(line)
        return [duplicates for duplicates in groups.values() if len(duplicates) > 1]

    def _separate_duplicates(self, group: str, index: RowIndex, new: list[str]) -> Iterator[Json]:
        """Keep the original's lease. Turn every other line into a row with its own ID, or mark it as a duplicate."""
        for duplicates in self._duplicates(group):
            newest = _newest_versions(duplicates)
            original, *others = sorted(duplicates, key=partial(self._rank, newest=newest))
            for line in others:
                is_in_progress = line.lease.state is State.HELD and not _is_old(line, newest)
                if line.cells.lease != original.cells.lease and is_in_progress:
                    continue  # it is separated when its attempt has ended
                area = self._spreadsheet.tab(line.tab).area("Lease", line.position)
                if self._has_lost_its_own(line):
                    shown_id, _ = id_and_version_in(line.cells.shown)
                    log.warning("the Lease of row %d was pasted over that of row %d", original.encoded.row_id, shown_id)
                    yield find_replace(line.cells.lease, "", area)  # then it is adopted with its own visible values
                    continue
                same_id = line.encoded.row_id == original.encoded.row_id
                row_id, requests = self._batches.take_ids(index, group, 1) if same_id else (line.encoded.row_id, [])
                yield from requests
                version = 0 if same_id else line.lease.version + 1
                new.append(self._separated(line, original, row_id, version, index))
                log.warning("row %d was copied by hand: the copy becomes row %d", original.encoded.row_id, row_id)
                yield find_replace(line.cells.lease, new[-1], area)

    def _has_lost_its_own(self, line: _Line) -> bool:
        """Return whether a paste or a fill has put another row's lease on a line that still shows its own values."""
        shown_id = id_and_version_in(line.cells.shown)[0]
        return shown_id not in (0, line.encoded.row_id) and not self._has_own_url(line)

    def _separated(self, line: _Line, original: _Line, row_id: int, version: int, index: RowIndex) -> str:
        """Return the new lease of a line that is not the original. If its URL differs, it becomes another row."""
        if not self._has_own_url(line) and row_id != line.encoded.row_id:
            return self._new_rows.first_lease(line.tab, row_id, line.cells.url, "", index)
        detail = f"{DUPLICATE}{original.encoded.row_id}"
        return self._new_rows.encode(row_id, line.encoded.key, State.ERROR, detail, version)

    def _rank(self, line: _Line, newest: Mapping[int, int]) -> tuple[bool, bool, bool, bool, int, int, bool, int]:
        """Return a sort key by which the original comes first."""
        state = line.lease.state
        return (
            not self._has_own_url(line),
            _is_old(line, newest),
            state is not State.HELD,
            state is not State.DONE,
            line.encoded.row_id,
            -line.lease.version,
            (line.tab == DEAD_LETTERS.name) != (state is State.DEAD),  # misplaced
            line.position,
        )

    def _has_own_url(self, line: _Line) -> bool:
        """Return whether the line's URL is the URL of its lease."""
        if line.encoded.key.startswith("url:"):
            return True
        try:
            return self._spreadsheet.key_of(line.tab, line.cells.url) == line.encoded.key
        except BadUrl:
            return line.encoded.key == NO_KEY


def _newest_versions(lines: Iterable[_Line]) -> dict[int, int]:
    """Return the highest version by row ID."""
    newest: dict[int, int] = {}
    for line in lines:
        newest[line.encoded.row_id] = max(newest.get(line.encoded.row_id, 0), line.lease.version)
    return newest


def _is_old(line: _Line, newest: Mapping[int, int]) -> bool:
    """Return whether another line has a later version of the row. A holder of this version has lost it or has moved on."""
    return line.lease.version < newest[line.encoded.row_id]


def _owns_its_key(encoded: EncodedLease) -> bool:
    """Return whether the row reserves its key, so that no other row may have it."""
    return encoded.key != NO_KEY and encoded.lease is not None and not encoded.lease.detail.startswith(DUPLICATE)
