"""Adoption of what people add to a tab: rows without a lease, copies of rows, and adoptions that another process left half done.

A row without a lease gets the next ID and a draft in a guarded batch, which also copies the old content of its Lease cell to a
slot in Control. If the slot is empty, the draft becomes a lease that follows from the row's URL, Status and RetryCount. If the
slot has a lease, a person has sorted the tab in between: the lease is put back in place of the draft. Every step is a guarded
batch, so the known keys and IDs are true at the instant of the change.

A row keeps an ID that was typed in (so that the SourceID of a video still names its source), unless another row has it. That ID
is read only when the draft is settled, from the same line and with the same request, and new IDs begin above all that were
typed in. So a sort cannot give it to another row.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.models import DUPLICATE, NO_KEY, Lease, State, VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS
from youtube_download_coordinator.reasons import UNREADABLE_LEASE
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.guarded_batch import (
    GuardedBatches,
    ImportedCells,
    IndexEntry,
    NothingToDo,
    RowIndex,
)
from youtube_download_coordinator.stores.sheets.layout import ADOPTION_SLOTS, CONTROL, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_draft,
    encode_lease,
    id_and_version_in,
)
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.snapshot import KeyCells
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, GROUPS, find_replace, group_of
from youtube_download_coordinator.text import sanitize, truncate

log = logging.getLogger(__name__)

ADOPTION_ROUNDS, ADOPTION_ROUNDS_MAX = 4, 24
"""Adopting takes two batches: one for the drafts, one to settle them. More rows take more rounds, up to a number that a worker
with claims can wait for. The rest is adopted after the next reload."""

_STATES = {"pending": State.PENDING, "in-progress": State.PENDING, "done": State.DONE, "error": State.ERROR}
"""The state of an adopted row by its Status. Nobody works on it, whatever it says."""


class _Line(NamedTuple):
    """A line with a lease."""

    tab: str
    position: int
    cells: KeyCells
    encoded: EncodedLease
    lease: Lease


class Adoption:
    """Turns what people put into a tab into rows of the queue."""

    def __init__(self, batches: GuardedBatches, projections: Projections) -> None:
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self._projections = projections

    def reconcile(self, name: str) -> None:
        """Settle drafts, separate copies and adopt rows without a lease, in a tab that was just reloaded."""
        waiting = len(self._spreadsheet.snapshot(name).without_readable_lease())
        for _ in range(min(ADOPTION_ROUNDS + 2 * (waiting // ADOPTION_SLOTS), ADOPTION_ROUNDS_MAX)):
            if not (
                self.has_drafts
                or self._spreadsheet.snapshot(name).without_readable_lease()
                or self._duplicates(group_of(name))
            ):
                return
            new: list[str] = []
            try:
                self._batches.run(partial(self._changes, new=new))
            except NothingToDo:
                return
            self._projections.schedule_now(new)
            self._spreadsheet.reload(if_older_than_seconds=0)

    @property
    def has_drafts(self) -> bool:
        """Whether any tab has a draft. If so, the slots are in use."""
        snapshots = self._spreadsheet.snapshots.values()
        return any(encoded.lease is None for snapshot in snapshots for _, encoded in snapshot.leases())

    def _changes(self, index: RowIndex, new: list[str]) -> list[Json]:
        """Return the requests of one round, and collect the leases that they write in `new`."""
        new.clear()
        has_drafts = self.has_drafts
        used_ids = {group: self._used_ids(names, index) for group, names in GROUPS.items()} if has_drafts else {}
        requests = [request for name in DATA_TABS for request in self._settle_drafts(name, index, used_ids, new)]
        requests += [request for group in GROUPS for request in self._separate_duplicates(group, index, new)]
        if not has_drafts:
            typed = ((name, self._spreadsheet.snapshot(name).without_readable_lease()) for name in DATA_TABS)
            name, positions = next(((name, positions) for name, positions in typed if positions), ("", []))
            requests += self._drafts(name, index, positions) if positions else []
        if not requests:
            raise NothingToDo
        return requests

    # --- rows without a lease ----------------------------------------------------------------------------------------

    def _drafts(self, name: str, index: RowIndex, typed: Sequence[int]) -> list[Json]:
        """Put drafts on lines without a lease, as many as there are slots."""
        tab, control = self._spreadsheet.tab(name), self._spreadsheet.tab(CONTROL)
        positions = typed[: min(ADOPTION_SLOTS, control.grid_rows - 1)]
        first, requests = self._batches.take_ids(index, group_of(name), len(positions))
        requests += self._batches.set_number(index, "adopting", first)
        for slot, position in enumerate(positions):
            areas = {"source": tab.area("Lease", position), "destination": control.area("Slot", slot + 1)}
            start = {"sheetId": tab.sheet_id, "rowIndex": position, "columnIndex": tab.column("Lease")}
            draft = {"values": [text_cell(encode_draft(first + slot, self._spreadsheet.nonce()))]}
            requests.append({"copyPaste": {**areas, "pasteType": "PASTE_VALUES"}})
            requests.append({"updateCells": {"start": start, "rows": [draft], "fields": "userEnteredValue"}})
        log.info("adopting %d rows that were typed into %s", len(positions), tab.title)
        return requests

    # --- drafts ------------------------------------------------------------------------------------------------------

    def _settle_drafts(
        self, name: str, index: RowIndex, used_ids: Mapping[str, set[int]], new: list[str]
    ) -> Iterator[Json]:
        """Replace every draft by a lease, by nothing, or by the lease that it covered."""
        area, snapshot = self._spreadsheet.tab(name).area("Lease"), self._spreadsheet.snapshot(name)
        for position, encoded in snapshot.leases():
            if encoded.lease is None:
                cells = snapshot.key_cells[position]
                imported = index.imported.get(name, {}).get(position, ImportedCells())
                new.append(self._settled(name, encoded.row_id, cells, imported, index, used_ids))
                yield find_replace(cells.lease, new[-1], area)

    def _settled(
        self,
        name: str,
        row_id: int,
        cells: KeyCells,
        imported: ImportedCells,
        index: RowIndex,
        used_ids: Mapping[str, set[int]],
    ) -> str:
        """Return the text that replaces a draft."""
        slot = row_id - index.numbers.get("adopting", 0)
        covered = index.slots[slot] if 0 <= slot < len(index.slots) else ""
        if decode_lease(covered):
            return covered
        if not cells.url.strip():
            return ""
        if covered.strip():
            return self._set_apart(name, row_id, cells, covered, used_ids[group_of(name)])
        if cells.shown:  # the other cells were written for another row: a person has sorted in between
            return self._new_lease(name, row_id, cells.url, "", 0, index)
        if imported.row_id and imported.row_id not in used_ids[group_of(name)]:
            row_id = imported.row_id
            used_ids[group_of(name)].add(row_id)
        return self._new_lease(name, row_id, cells.url, cells.status, imported.tries, index)

    def _set_apart(self, name: str, row_id: int, cells: KeyCells, covered: str, used_ids: set[int]) -> str:
        """Return an error lease for a row whose Lease cell cannot be read.

        It may be the lease of a newer version, or one that a person has edited: processed as a new row, the video might be
        processed twice. The row keeps the ID in the unreadable lease unless another row has it.
        """
        own_id, version = id_and_version_in(covered)
        version = max(version, id_and_version_in(cells.shown)[1]) + 1  # else Status would count as a person's request
        if own_id and own_id not in used_ids:
            row_id = own_id
            used_ids.add(own_id)
        log.warning("row %d in %s has a Lease cell that cannot be read, so it is set apart: %s", row_id, name, covered)
        try:
            key = self._spreadsheet.key_of(name, cells.url)
        except BadUrl:
            key = NO_KEY
        state = State.DEAD if name == DEAD_LETTERS.name else State.ERROR
        return self._encode(row_id, key, state, f"{UNREADABLE_LEASE}: {sanitize(covered)}", version)

    def _used_ids(self, names: Iterable[str], index: RowIndex) -> set[int]:
        """Return every ID of a row, of a draft, or of a row whose lease a draft covers."""
        covered = {encoded.row_id for text in index.slots if (encoded := decode_lease(text))}
        return covered | {encoded.row_id for name in names for _, encoded in self._spreadsheet.snapshot(name).leases()}

    def _new_lease(self, name: str, row_id: int, url: str, status: str, tries: int, index: RowIndex) -> str:
        """Return the first lease of a row that a person typed."""
        try:
            key = self._spreadsheet.key_of(name, url)
        except BadUrl as error:
            return self._encode(row_id, NO_KEY, State.ERROR, f"bad-url: {error}")
        known_id = index.keys[group_of(name)].setdefault(key, IndexEntry(row_id, "")).row_id
        if known_id != row_id:
            return self._encode(row_id, key, State.ERROR, f"{DUPLICATE}{known_id}")
        state = _STATES.get(status.strip().lower(), State.PENDING)
        is_dead = name == DEAD_LETTERS.name and state is State.ERROR
        return self._encode(row_id, key, State.DEAD if is_dead else state, "", tries=tries)

    def _encode(self, row_id: int, key: str, state: State, detail: str, version: int = 0, tries: int = 0) -> str:
        nonce = self._spreadsheet.nonce()
        lease = Lease(version=version, state=state, tries=tries, detail=truncate(detail), nonce=nonce)
        return encode_lease(VideoTask(id=row_id, key=key, url="", lease=lease))

    # --- copies ------------------------------------------------------------------------------------------------------

    def _duplicates(self, group: str) -> list[list[_Line]]:
        """Return groups of lines that share an ID or a key: a person has copied a row, or restored an old one."""
        lines = [
            _Line(name, position, self._spreadsheet.snapshot(name).key_cells[position], encoded, encoded.lease)
            for name in GROUPS[group]
            for position, encoded in self._spreadsheet.snapshot(name).leases()
            if encoded.lease is not None
        ]
        ids = Counter(line.encoded.row_id for line in lines)
        keys = Counter(line.encoded.key for line in lines if _owns_its_key(line))
        groups: dict[str, list[_Line]] = {}
        for line in lines:
            row_id, key = line.encoded.row_id, line.encoded.key
            if ids[row_id] > 1 or (_owns_its_key(line) and keys[key] > 1):
                groups.setdefault(key if _owns_its_key(line) else f"#{row_id}", []).append(line)
        return [duplicates for duplicates in groups.values() if len(duplicates) > 1]

    def _separate_duplicates(self, group: str, index: RowIndex, new: list[str]) -> Iterator[Json]:
        """Leave the lease to the original. Every other line becomes a row with its own ID, or is marked as a duplicate."""
        for duplicates in self._duplicates(group):
            newest = _newest_versions(duplicates)
            original, *others = sorted(duplicates, key=partial(self._rank, newest=newest))
            for line in others:
                is_in_progress = line.lease.state is State.HELD and not _is_old(line, newest)
                if line.cells.lease != original.cells.lease and is_in_progress:
                    continue  # it is separated when its attempt has ended
                same_id = line.encoded.row_id == original.encoded.row_id
                row_id, requests = self._batches.take_ids(index, group, 1) if same_id else (line.encoded.row_id, [])
                yield from requests
                version = 0 if same_id else line.lease.version + 1
                new.append(self._separated(line, original, row_id, version, index))
                log.warning("row %d was copied by hand: the copy becomes row %d", original.encoded.row_id, row_id)
                area = self._spreadsheet.tab(line.tab).area("Lease", line.position)
                yield find_replace(line.cells.lease, new[-1], area)

    def _separated(self, line: _Line, original: _Line, row_id: int, version: int, index: RowIndex) -> str:
        """Return the new lease of a line that is not the original: of a row of its own if its URL differs."""
        if not self._has_own_url(line) and row_id != line.encoded.row_id:
            return self._new_lease(line.tab, row_id, line.cells.url, "", 0, index)
        detail = f"{DUPLICATE}{original.encoded.row_id}"
        return self._encode(row_id, line.encoded.key, State.ERROR, detail, version)

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
        """Return whether the line's URL is the one of its lease."""
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
    """Return whether another line has a later version of the row: a holder of this one has lost it, or holds that one."""
    return line.lease.version < newest[line.encoded.row_id]


def _owns_its_key(line: _Line) -> bool:
    """Return whether no other row may have the line's key."""
    return line.encoded.key != NO_KEY and not line.lease.detail.startswith(DUPLICATE)
