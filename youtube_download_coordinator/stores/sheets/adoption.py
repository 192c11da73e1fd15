"""Taking in what people add: rows without a lease, copies of rows, and adoptions that somebody left half done.

A row without a lease gets the next ID and a draft word in a token batch, which copies what stood in its Lease cell to a slot in
Control in the same instant. Was the cell empty, the draft becomes a row as its URL and its Status say; was there a lease, a
sort has come between, and the lease is put back in the draft's place.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.models import Lease, State, VideoTask
from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES
from youtube_download_coordinator.stores.sheets.book import Book, Known, Ledger, NotNow, find_replace, group_of
from youtube_download_coordinator.stores.sheets.connection import Json
from youtube_download_coordinator.stores.sheets.layout import ADOPTION_SLOTS, text_cell
from youtube_download_coordinator.stores.sheets.words import Word, read_word, write_draft, write_word
from youtube_download_coordinator.urls import source_target, video_target

log = logging.getLogger(__name__)

_STATES = {"pending": State.PENDING, "in-progress": State.PENDING, "done": State.DONE, "error": State.ERROR}
"""What the Status of a row that was there before us means: nobody works on it now."""


@dataclass(frozen=True, slots=True)
class _Draft:
    word: str
    row_id: int
    position: int


class Adoption:
    """Makes rows of ours out of what people put into a tab."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def settle(self, name: str) -> None:
        """After a look: settle drafts, split copies, adopt rows without a lease."""
        view = self._book.view(name)
        if any(word.lease is None for _, word in view.words()):
            self._settle_drafts(name)
        if self._copies(name):
            self.split_copies(name)
        if self._without_lease(name):
            self._adopt(name)
            self._settle_drafts(name)

    def _without_lease(self, name: str) -> list[int]:
        marks = enumerate(self._book.view(name).marks)
        return [at for at, mark in marks if at and mark.url.strip() and not read_word(mark.lease)]

    # --- adopting ----------------------------------------------------------------------------------------------------

    def _adopt(self, name: str) -> None:
        """Put drafts on lines without a lease, as many as there are slots for."""

        def build(ledger: Ledger) -> list[Json]:
            positions = self._without_lease(name)[:ADOPTION_SLOTS]
            if not positions or self._any_drafts():
                raise NotNow
            return self._drafting(name, ledger, positions)

        try:
            self._book.read_ledger()
            self._book.token_batch(build)
        except NotNow:
            return
        self._book.look([name], if_older_than_seconds=0)

    def _any_drafts(self) -> bool:
        """The slots are in use as long as a draft stands anywhere."""
        return any(word.lease is None for view in self._book.views.values() for _, word in view.words())

    def _drafting(self, name: str, ledger: Ledger, positions: Sequence[int]) -> list[Json]:
        tab, control = self._book.tab(name), self._book.tab("control")
        first, requests = self._book.take_ids(ledger, group_of(name), len(positions))
        requests += self._book.say(ledger, "adopting", first)
        for index, at in enumerate(positions):
            slot = {
                "source": tab.area("Lease", at),
                "destination": control.area("Slot", index + 1),
                "pasteType": "PASTE_VALUES",
            }
            start = {"sheetId": tab.sheet_id, "rowIndex": at, "columnIndex": tab.column("Lease")}
            word = {"values": [text_cell(write_draft(first + index, self._book.nonce()))]}
            requests.append({"copyPaste": slot})
            requests.append({"updateCells": {"start": start, "rows": [word], "fields": "userEnteredValue"}})
        log.info("taking in %d rows that were typed into %s", len(positions), tab.title)
        return requests

    # --- drafts ------------------------------------------------------------------------------------------------------

    def _settle_drafts(self, name: str) -> None:
        """Make every draft what it should be: a row, nothing, or the lease that it covered."""
        ledger = self._book.read_ledger()
        tab = self._book.tab(name)
        drafts = [
            _Draft(self._book.view(name).marks[at].lease, word.row_id, at)
            for at, word in self._book.view(name).words()
            if word.lease is None
        ]
        lines = self._book.read(name, [draft.position for draft in drafts])
        area = tab.area("Lease")
        swaps = [find_replace(draft.word, self._settled(name, draft, lines, ledger), area) for draft in drafts]
        if swaps:
            self._book.connection.write(swaps)
            self._book.look([name], if_older_than_seconds=0)

    def _settled(self, name: str, draft: _Draft, lines: dict[int, list[str]], ledger: Ledger) -> str:
        """The word that takes the draft's place."""
        slot = draft.row_id - ledger.said.get("adopting", 0)
        covered = ledger.slots[slot] if 0 <= slot < len(ledger.slots) else ""
        if read_word(covered):
            return covered
        header = self._book.tab(name).header
        values = dict(zip(header, [*lines.get(draft.position, []), *[""] * len(header)], strict=False))
        return self._new_word(name, draft.row_id, values.get("URL", ""), values.get("Status", ""), ledger)

    def _new_word(self, name: str, row_id: int, url: str, status: str, ledger: Ledger) -> str:
        """The first lease of a row that a person typed."""
        other_sites = self._book.config.allow_other_sites
        try:
            key = (source_target if name == SOURCES.name else video_target)(url, allow_other_sites=other_sites).key
        except BadUrl as error:
            return self._word(row_id, "none", State.ERROR, f"bad-url: {error}")
        known = ledger.keys[group_of(name)]
        if (twin := known.setdefault(key, Known(row_id, "")).row_id) != row_id:
            return self._word(row_id, key, State.ERROR, f"duplicate of {twin}")
        state = _STATES.get(status.strip().lower(), State.PENDING)
        return self._word(row_id, key, State.DEAD if name == DEAD_LETTERS.name else state, "")

    def _word(self, row_id: int, key: str, state: State, detail: str) -> str:
        lease = Lease(state=state, detail=" ".join(detail.split())[:300], nonce=self._book.nonce())
        return write_word(VideoTask(id=row_id, key=key, url="", lease=lease))

    # --- copies ------------------------------------------------------------------------------------------------------

    def _copies(self, name: str) -> dict[str, list[int]]:
        """Words that stand on several lines, because a person has copied a row."""
        marks = self._book.view(name).marks
        counted = Counter(mark.lease for mark in marks if mark.lease)
        return {
            word: [at for at, mark in enumerate(marks) if mark.lease == word]
            for word, count in counted.items()
            if count > 1 and read_word(word)
        }

    def split_copies(self, name: str) -> None:
        """Leave each lease with one line; the other copies get IDs of their own."""

        def build(ledger: Ledger) -> list[Json]:
            copies = self._copies(name)
            if not copies:
                raise NotNow
            return [each for word, at in copies.items() for each in self._split(name, word, at, ledger)]

        self._book.read_ledger()
        try:
            self._book.token_batch(build)
        except NotNow:
            return
        self._book.look([name], if_older_than_seconds=0)

    def _split(self, name: str, text: str, positions: Sequence[int], ledger: Ledger) -> list[Json]:
        """Every copy but the first whose URL is the lease's becomes a row of its own, checked for content and place at once."""
        word = read_word(text) or Word(0, "", None)
        marks = self._book.view(name).marks
        rightful = next((at for at in positions if self._is_for(name, word, marks[at].url)), positions[0])
        copies = [at for at in positions if at != rightful]
        first, requests = self._book.take_ids(ledger, group_of(name), len(copies))
        log.warning("row %d was copied by hand: %d copies are set apart", word.row_id, len(copies))
        for index, at in enumerate(copies):
            new = self._new_word(name, first + index, marks[at].url, "pending", ledger)
            requests.append(find_replace(text, new, self._book.tab(name).area("Lease", at)))
        return requests

    def _is_for(self, name: str, word: Word, url: str) -> bool:
        try:
            return (source_target if name == SOURCES.name else video_target)(
                url, allow_other_sites=True
            ).key == word.key
        except BadUrl:
            return False
