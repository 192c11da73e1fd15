"""Taking in what people add: rows without a lease, copies of rows, and adoptions that somebody left half done.

A row without a lease gets the next ID and a draft word in a token batch, which copies what stood in its Lease cell to a slot in
Control in the same instant. Was the cell empty, the draft becomes a row as its URL, its Status and its RetryCount say; was there
a lease, a sort has come between, and the lease is put back in the draft's place. Everything in here is a token batch, so that
which keys and IDs are known is true at the instant of the change.

A row keeps the ID that it brings along, so that the SourceID of a video still names its source, unless another row has it. It is
only believed when the draft is settled, from the same look at the same line, and new IDs begin above all that are brought: no
sort can give it to another row, and nobody can be first.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.models import DUPLICATE, NO_KEY, Lease, State, VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.layout import ADOPTION_SLOTS, CONTROL, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_draft,
    encode_lease,
)
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.snapshot import KeyCells
from youtube_download_coordinator.stores.sheets.spreadsheet import (
    DATA_TABS,
    GROUPS,
    ImportedCells,
    IndexEntry,
    NothingToDo,
    RowIndex,
    Spreadsheet,
    find_replace,
    group_of,
)
from youtube_download_coordinator.text import truncate

log = logging.getLogger(__name__)

SETTLE_ROUNDS, SETTLE_ROUNDS_MAX = 4, 24
"""Adopting takes two batches: the drafts, and what becomes of them. Where more rows wait, they are taken in with the same look,
as long as a worker that holds claims can wait for it; the rest with the next one."""

_STATES = {"pending": State.PENDING, "in-progress": State.PENDING, "done": State.DONE, "error": State.ERROR}
"""What the Status of a row that was there before us means: nobody works on it now."""


class _Line(NamedTuple):
    """A line with a word of ours."""

    tab: str
    position: int
    mark: KeyCells
    word: EncodedLease


class Adoption:
    """Makes rows of ours out of what people put into a tab."""

    def __init__(self, book: Spreadsheet, projections: Projections) -> None:
        self._book = book
        self._projections = projections

    def settle(self, name: str) -> None:
        """After a look at a tab: settle drafts, set copies apart, adopt rows without a lease."""
        waiting = len(self._book.snapshot(name).without_readable_lease())
        for _ in range(min(SETTLE_ROUNDS + 2 * (waiting // ADOPTION_SLOTS), SETTLE_ROUNDS_MAX)):
            if not (
                self.has_drafts
                or self._book.snapshot(name).without_readable_lease()
                or self._duplicates(group_of(name))
            ):
                return
            new: list[str] = []
            try:
                self._book.guarded_batch(partial(self._changes, new=new))
            except NothingToDo:
                return
            self._projections.schedule_now(new)
            self._book.reload(if_older_than_seconds=0)

    @property
    def has_drafts(self) -> bool:
        """The slots are in use as long as a draft stands anywhere."""
        return any(word.lease is None for view in self._book.views.values() for _, word in view.leases())

    def _changes(self, ledger: RowIndex, new: list[str]) -> list[Json]:
        """Everything that is to be set right. `new`: the words that come of it."""
        new.clear()
        drafts = self.has_drafts
        taken = {group: self._ids(names, ledger) for group, names in GROUPS.items()} if drafts else {}
        requests = [each for name in DATA_TABS for each in self._settled_drafts(name, ledger, taken, new)]
        requests += [each for group in GROUPS for each in self._separate_duplicates(group, ledger, new)]
        if not drafts:
            requests += next(
                (
                    self._drafts(name, ledger, at)
                    for name in DATA_TABS
                    if (at := self._book.snapshot(name).without_readable_lease())
                ),
                [],
            )
        if not requests:
            raise NothingToDo
        return requests

    # --- adopting ----------------------------------------------------------------------------------------------------

    def _drafts(self, name: str, ledger: RowIndex, without_word: Sequence[int]) -> list[Json]:
        """Put drafts on lines without a lease, as many as there are slots for."""
        tab, control = self._book.tab(name), self._book.tab(CONTROL)
        positions = without_word[: min(ADOPTION_SLOTS, control.grid_rows - 1)]
        first, requests = self._book.take_ids(ledger, group_of(name), len(positions))
        requests += self._book.say(ledger, "adopting", first)
        for index, at in enumerate(positions):
            areas = {"source": tab.area("Lease", at), "destination": control.area("Slot", index + 1)}
            start = {"sheetId": tab.sheet_id, "rowIndex": at, "columnIndex": tab.column("Lease")}
            word = {"values": [text_cell(encode_draft(first + index, self._book.nonce()))]}
            requests.append({"copyPaste": {**areas, "pasteType": "PASTE_VALUES"}})
            requests.append({"updateCells": {"start": start, "rows": [word], "fields": "userEnteredValue"}})
        log.info("taking in %d rows that were typed into %s", len(positions), tab.title)
        return requests

    # --- drafts ------------------------------------------------------------------------------------------------------

    def _settled_drafts(
        self, name: str, ledger: RowIndex, taken: Mapping[str, set[int]], new: list[str]
    ) -> Iterator[Json]:
        """Make every draft what it should be: a row, nothing, or the lease that it covered."""
        area, view = self._book.tab(name).area("Lease"), self._book.snapshot(name)
        for at, word in view.leases():
            if word.lease is None:
                brought = ledger.imported.get(name, {}).get(at, ImportedCells())
                new.append(self._settled(name, word.row_id, view.key_cells[at], brought, ledger, taken))
                yield find_replace(view.key_cells[at].lease, new[-1], area)

    def _settled(
        self,
        name: str,
        row_id: int,
        mark: KeyCells,
        brought: ImportedCells,
        ledger: RowIndex,
        taken: Mapping[str, set[int]],
    ) -> str:
        """What takes the draft's place."""
        slot = row_id - ledger.said.get("adopting", 0)
        covered = ledger.slots[slot] if 0 <= slot < len(ledger.slots) else ""
        if decode_lease(covered):
            return covered
        if not mark.url.strip():
            return ""
        if mark.shown:  # what stands beside a Shown of ours was written there by mistake, when a sort came between
            return self._new_lease(name, row_id, mark.url, "", 0, ledger)
        if brought.row_id and brought.row_id not in taken[group_of(name)]:
            row_id = brought.row_id
            taken[group_of(name)].add(row_id)
        return self._new_lease(name, row_id, mark.url, mark.status, brought.tries, ledger)

    def _ids(self, names: Iterable[str], ledger: RowIndex) -> set[int]:
        """Every ID that a row has, or a draft, or a row whose word a draft covers."""
        words = chain(
            (word for name in names for _, word in self._book.snapshot(name).leases()),
            (word for text in ledger.slots if (word := decode_lease(text))),
        )
        return {word.row_id for word in words}

    def _new_lease(self, name: str, row_id: int, url: str, status: str, tries: int, ledger: RowIndex) -> str:
        """The first lease of a row that a person typed."""
        try:
            key = self._book.key(name, url)
        except BadUrl as error:
            return self._encode(row_id, NO_KEY, State.ERROR, f"bad-url: {error}")
        twin = ledger.keys[group_of(name)].setdefault(key, IndexEntry(row_id, "")).row_id
        if twin != row_id:
            return self._encode(row_id, key, State.ERROR, f"{DUPLICATE}{twin}")
        state = _STATES.get(status.strip().lower(), State.PENDING)
        dead = name == DEAD_LETTERS.name and state is State.ERROR
        return self._encode(row_id, key, State.DEAD if dead else state, "", tries=tries)

    def _encode(self, row_id: int, key: str, state: State, detail: str, version: int = 0, tries: int = 0) -> str:
        lease = Lease(version=version, state=state, tries=tries, detail=truncate(detail), nonce=self._book.nonce())
        return encode_lease(VideoTask(id=row_id, key=key, url="", lease=lease))

    # --- copies ------------------------------------------------------------------------------------------------------

    def _duplicates(self, group: str) -> list[list[_Line]]:
        """Lines that share an ID or a key, because a person has copied a row or brought an old one back."""
        lines = [
            _Line(name, at, self._book.snapshot(name).key_cells[at], word)
            for name in GROUPS[group]
            for at, word in self._book.snapshot(name).leases()
            if word.lease is not None
        ]
        ids = Counter(line.word.row_id for line in lines)
        keys = Counter(line.word.key for line in lines if _counts(line.word))
        found: dict[str, list[_Line]] = {}
        for line in lines:
            if ids[line.word.row_id] > 1 or (_counts(line.word) and keys[line.word.key] > 1):
                name = line.word.key if _counts(line.word) else f"#{line.word.row_id}"
                found.setdefault(name, []).append(line)
        return [twins for twins in found.values() if len(twins) > 1]

    def _separate_duplicates(self, group: str, ledger: RowIndex, new: list[str]) -> Iterator[Json]:
        """Leave the lease to the line whose URL it is for; each other becomes a row of its own, or a duplicate."""
        for twins in self._duplicates(group):
            newest = _newest(twins)
            rightful, *others = sorted(twins, key=partial(self._rank, newest=newest))
            for line in others:
                if line.mark.lease != rightful.mark.lease and _is_worked_on(line, newest):
                    continue  # it is set apart when that has ended
                same_id = line.word.row_id == rightful.word.row_id
                row_id, requests = self._book.take_ids(ledger, group, 1) if same_id else (line.word.row_id, [])
                yield from requests
                version = 0 if same_id else _version(line) + 1
                new.append(self._apart(line, rightful, row_id, version, ledger))
                log.warning("row %d was copied by hand: a copy is set apart as row %d", rightful.word.row_id, row_id)
                yield find_replace(line.mark.lease, new[-1], self._book.tab(line.tab).area("Lease", line.position))

    def _apart(self, line: _Line, rightful: _Line, row_id: int, version: int, ledger: RowIndex) -> str:
        """The word of a line that is not the rightful one: a row of its own if its URL is another."""
        if not self._is_for(line) and row_id != line.word.row_id:
            return self._new_lease(line.tab, row_id, line.mark.url, "", 0, ledger)
        return self._encode(row_id, line.word.key, State.ERROR, f"{DUPLICATE}{rightful.word.row_id}", version)

    def _rank(self, line: _Line, newest: Mapping[int, int]) -> tuple[bool, bool, bool, bool, int, int, bool, int]:
        """The rightful one first."""
        lease = line.word.lease or Lease(nonce="")
        astray = (line.tab == DEAD_LETTERS.name) != (lease.state is State.DEAD)
        held, done, old = lease.state is not State.HELD, lease.state is not State.DONE, _is_old(line, newest)
        return not self._is_for(line), old, held, done, line.word.row_id, -lease.version, astray, line.position

    def _is_for(self, line: _Line) -> bool:
        """Whether the line's URL is the one that its lease is for."""
        if line.word.key.startswith("url:"):
            return True
        try:
            return self._book.key(line.tab, line.mark.url) == line.word.key
        except BadUrl:
            return line.word.key == NO_KEY


def _newest(lines: Iterable[_Line]) -> dict[int, int]:
    """The highest version of each row."""
    newest: dict[int, int] = {}
    for line in lines:
        newest[line.word.row_id] = max(newest.get(line.word.row_id, 0), _version(line))
    return newest


def _is_old(line: _Line, newest: Mapping[int, int]) -> bool:
    """Whether the row went on on another line: whoever held it here holds it there, or no more."""
    return _version(line) < newest[line.word.row_id]


def _is_worked_on(line: _Line, newest: Mapping[int, int]) -> bool:
    return line.word.lease is not None and line.word.lease.state is State.HELD and not _is_old(line, newest)


def _version(line: _Line) -> int:
    return line.word.lease.version if line.word.lease else 0


def _counts(word: EncodedLease) -> bool:
    """Whether nothing else may have the word's key."""
    lease = word.lease
    return lease is not None and word.key != NO_KEY and not lease.detail.startswith(DUPLICATE)
