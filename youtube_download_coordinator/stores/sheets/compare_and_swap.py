"""Swapping words: the one way to change a row's lease.

A findReplace that finds exactly the word that was seen, wherever it stands, and puts the new one there. Google says how many
cells it changed, and no two transitions ever make the same word: so of all who saw the same word one wins.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import Change
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.lease_codec import encode_lease
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.spreadsheet import GROUPS, Spreadsheet, find_replace, group_of

log = logging.getLogger(__name__)

RESOLVE_ROUNDS = 6
"""How often it is tried to find out what became of a swap, before the store counts as unavailable."""


class CompareAndSwap:
    """Swaps words, and resolves what became of those whose answer was lost."""

    def __init__(self, book: Spreadsheet, projections: Projections, adoption: Adoption, mover: Mover) -> None:
        self._book = book
        self._projections = projections
        self._adoption = adoption
        self._mover = mover
        self._sent: dict[str, list[str]] = {}
        """Words sent in the place of a word without ever an answer: one of them may stand there, or may come to."""

    def swap(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        """How many lines each change has changed: 0 is lost, more than 1 says that somebody has copied the row.

        Of several that saw one word (a copy was read beside its row) only the first is made: without an answer each would be
        taken for the one that stands there.
        """
        counts = [0] * len(changes)
        first: dict[str, int] = {}
        for at, change in enumerate(changes):
            first.setdefault(encode_lease(change.seen), at)
        for at, count in zip(first.values(), self._swap(name, [changes[at] for at in first.values()]), strict=True):
            counts[at] = count
        return counts

    def _swap(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        try:
            counts = self._send(name, changes)
            unsure = [at for at, count in enumerate(counts) if not count and changes[at].seen.lease.state is State.HELD]
        except AnswerLost as error:
            log.warning("Google Sheets: %s; finding out whether the change was made", error)
            counts, unsure = [0] * len(changes), list(range(len(changes)))
        if unsure:
            self._resolve(name, changes, counts, unsure)
        for change in changes:
            self._sent.pop(encode_lease(change.seen), None)
        return counts

    def _send(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        """Ask once. A word that gets no answer is remembered: it may be applied, also later."""
        seen = [self._may_stand(change) for change in changes]
        try:
            answer = self._write(name, changes, seen)
        except AnswerLost:
            for change in changes:
                self._sent.setdefault(encode_lease(change.seen), []).append(encode_lease(change.new))
            raise
        replies = iter(answer.get("replies", []))
        return [sum(_occurrences(next(replies, {})) for _ in words) for words in seen]

    def _may_stand(self, change: Change[Any]) -> list[str]:
        """What stands in the row's Lease cell if it is still as it was seen: that word, or one that we sent in its place."""
        seen = encode_lease(change.seen)
        return [seen, *self._sent.get(seen, [])]

    def _requests(self, name: str, changes: Sequence[Change[Any]], seen: Sequence[Sequence[str]]) -> list[Json]:
        area = self._book.tab(name).area("Lease")
        pairs = zip(changes, seen, strict=True)
        return [find_replace(word, encode_lease(change.new), area) for change, words in pairs for word in words]

    def _write(self, name: str, changes: Sequence[Change[Any]], seen: Sequence[Sequence[str]]) -> Json:
        """Write, and show what is owed along with it."""
        showing = self._projections.next_batch(name, {change.seen.id for change in changes})
        requests = self._requests(name, changes, seen)
        try:
            answer = self._book.write([*requests, *showing.requests], show=showing.cells)
        except StoreError as error:
            self._projections.put_back(showing)
            if not isinstance(error, Refused):
                raise
        else:
            self._projections.check(showing, answer)
            return answer
        self._book.forget_layout()  # lines or columns are gone: find them again, and let people's eyes wait
        return self._book.write(self._requests(name, changes, seen))

    # --- resolving ---------------------------------------------------------------------------------------------------

    def _resolve(self, name: str, changes: Sequence[Change[Any]], counts: list[int], unsure: list[int]) -> None:
        """Where our word stands we won; where the one that we saw stands, ask the same again; else the row is lost.

        A request without an answer may still be applied later. Then it finds the old word no more, or makes a word that we
        remember: words are unique, so sending one twice does no harm.
        """
        for round_number in range(RESOLVE_ROUNDS):
            unsure = self._to_be_sent_again(name, changes, counts, unsure)
            if not unsure:
                return
            try:
                found = self._send(name, [changes[at] for at in unsure])
            except AnswerLost:
                self._book.connection.pause(2.0**round_number)
                continue
            for at, count in zip(unsure, found, strict=True):
                counts[at] = count
        if not all(counts[at] for at in unsure):
            raise StoreUnavailable("Google gives no answer that says what became of a change")

    def _to_be_sent_again(
        self, name: str, changes: Sequence[Change[Any]], counts: list[int], unsure: Iterable[int]
    ) -> list[int]:
        """Look where the words stand; a row that is held and was led astray to another tab is carried home."""
        standing = self._standing(name)
        again = []
        for at in (at for at in unsure if not counts[at]):
            change = changes[at]
            counts[at] = sum(words[encode_lease(change.new)] for words in standing.values())
            where = {tab: word for tab, words in standing.items() for word in self._may_stand(change) if words[word]}
            if counts[at] or not where:
                continue
            if name not in where and change.seen.lease.state is State.HELD:
                (tab, word), *_ = where.items()
                self._mover.move(tab, word, change.seen.id, name)
            if name in where or change.seen.lease.state is State.HELD:
                again.append(at)
        return again

    def _standing(self, name: str) -> dict[str, Counter[str]]:
        """Every word that stands now in the tabs where the row may be; what drafts cover is put back before."""
        tabs = GROUPS[group_of(name)]
        self._book.reload(tabs, if_older_than_seconds=0)
        if self._adoption.has_drafts:
            self._adoption.settle(name)
            self._book.reload(tabs, if_older_than_seconds=0)
        return {tab: Counter(mark.lease for mark in self._book.snapshot(tab).key_cells) for tab in tabs}


def _occurrences(reply: Json) -> int:
    """Google leaves out a count of zero."""
    return int(reply.get("findReplace", {}).get("occurrencesChanged", 0))
