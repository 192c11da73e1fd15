"""Compare and swap encoded leases, which is the only way to change the lease of a row on the sheet.

A findReplace finds exactly the encoded lease that was read, on any line, and replaces it by the new one. Google returns how many
cells it changed. No two transitions make the same text, so of all processes that read the same lease, one wins.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import Change
from youtube_download_coordinator.stores.sheets.adoption import Adoption
from youtube_download_coordinator.stores.sheets.alarm import is_taken
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.batch_requests import find_replace, replaced_cells
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_lease
from youtube_download_coordinator.stores.sheets.projection import Projections
from youtube_download_coordinator.stores.sheets.row_moves import Mover
from youtube_download_coordinator.stores.sheets.snapshot import ranges
from youtube_download_coordinator.stores.sheets.spreadsheet import GROUPS, Spreadsheet, group_of, shown_rows

log = logging.getLogger(__name__)

REFUSED_ROUNDS = 4
"""How often a change that Google has refused is sent again, with the current layout."""
RESOLVE_ROUNDS = 6
"""How often the outcome of a swap is looked up before the store is treated as unavailable."""


class CompareAndSwap:
    """A swapper of encoded leases. It finds out the outcome of swaps whose response was lost."""

    def __init__(self, spreadsheet: Spreadsheet, projections: Projections, adoption: Adoption, mover: Mover) -> None:
        self._spreadsheet = spreadsheet
        self._projections = projections
        self._adoption = adoption
        self._mover = mover
        self._held: set[str] = set()
        """The encoded leases of the rows that this process has claimed."""
        self._unanswered = projections.unanswered

    def swap(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        """Return how many lines each change has changed. 0 means that it has lost, more than 1 that a person has copied the row.

        Of several changes of one lease (a row was read with its copy), only the first is sent, because if the response is lost,
        each would seem to have won.
        """
        counts = [0] * len(changes)
        first: dict[str, int] = {}
        for index, change in enumerate(changes):
            first.setdefault(encode_lease(change.seen), index)
        swapped = self._swap(name, [changes[index] for index in first.values()])
        for index, count in zip(first.values(), swapped, strict=True):
            counts[index] = count
            self._held.discard(encode_lease(changes[index].seen))
            if count and changes[index].new.lease.state is State.HELD:
                self._held.add(encode_lease(changes[index].new))
        return counts

    def _swap(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        try:
            counts = self._send(name, changes)
            unknown = [
                index
                for index, count in enumerate(counts)
                if not count and changes[index].seen.lease.state is State.HELD
            ]
        except AnswerLost as error:
            log.warning("Google Sheets: %s; finding out whether the change was made", error)
            counts, unknown = [0] * len(changes), list(range(len(changes)))
        if unknown:
            self._resolve(name, changes, counts, unknown)
        for change in changes:
            self._unanswered.pop(encode_lease(change.seen), None)
        return counts

    def _send(self, name: str, changes: Sequence[Change[Any]]) -> list[int]:
        """Send the changes once. Return how many cells each has changed."""
        possible = [self._possible_leases(change) for change in changes]
        try:
            answer = self._write(name, changes, possible)
        except AnswerLost:
            for change in changes:
                self._unanswered.setdefault(encode_lease(change.seen), []).append(encode_lease(change.new))
            raise
        replies = iter(answer.get("replies", []))
        return [sum(replaced_cells(next(replies, {})) for _ in leases) for leases in possible]

    def _possible_leases(self, change: Change[Any]) -> list[str]:
        """Return the leases that the cell may contain if nobody else has changed the row: the one read, or one that we sent."""
        seen = encode_lease(change.seen)
        return [seen, *self._unanswered.get(seen, [])]

    def _requests(self, name: str, changes: Sequence[Change[Any]], possible: Sequence[Sequence[str]]) -> list[Json]:
        area = self._spreadsheet.tab(name).area("Lease")
        pairs = zip(changes, possible, strict=True)
        return [find_replace(lease, encode_lease(change.new), area) for change, leases in pairs for lease in leases]

    def _write(self, name: str, changes: Sequence[Change[Any]], possible: Sequence[Sequence[str]]) -> Json:
        """Write the changes together with pending cells. The response shows which rows for the next claim are taken."""
        batch = self._projections.next_batch(name, {change.seen.id for change in changes})
        requests = self._requests(name, changes, possible)
        tab, snapshot = self._spreadsheet.tab(name), self._spreadsheet.snapshot(name)
        kept = [tab.a1("Lease", start, end) for start, end in ranges(snapshot.prefetched_lines())]
        try:
            answer = self._spreadsheet.write([*requests, *batch.requests], show=[*batch.lease_cells, *kept])
        except StoreError as error:
            self._projections.put_back(batch)
            if not isinstance(error, Refused):
                raise
        else:
            self._projections.check(batch, answer)
            snapshot.drop_taken(row[0] for row in shown_rows(answer, tab.sheet_id).values() if row)
            return answer
        return self._write_again(name, changes, possible)

    def _write_again(self, name: str, changes: Sequence[Change[Any]], possible: Sequence[Sequence[str]]) -> Json:
        """Write only the changes, after a person has renamed, moved or deleted a tab, lines or columns. Repeat it if needed."""
        for _ in range(REFUSED_ROUNDS - 1):
            self._spreadsheet.forget_layout()
            with suppress(Refused):
                return self._spreadsheet.write(self._requests(name, changes, possible))
        self._spreadsheet.forget_layout()
        return self._spreadsheet.write(self._requests(name, changes, possible))

    # --- unknown outcomes --------------------------------------------------------------------------------------------

    def _resolve(self, name: str, changes: Sequence[Change[Any]], counts: list[int], unknown: list[int]) -> None:
        """Find out the outcome of the changes at the indexes `unknown`, and write it into `counts`.

        If the cell contains our new lease, we have won. If it contains the old one, send the same swap again. Otherwise the row
        is lost. A request without a response may still be applied later. Then it does not find the old lease, or it writes a
        lease that we remember. Encoded leases are unique, so sending one twice is harmless.
        """
        for round_number in range(RESOLVE_ROUNDS):
            unknown = self._still_unknown(name, changes, counts, unknown)
            if not unknown:
                return
            try:
                sent = self._send(name, [changes[index] for index in unknown])
            except AnswerLost:
                self._spreadsheet.connection.pause(2.0**round_number)
                continue
            for index, count in zip(unknown, sent, strict=True):
                counts[index] = count
        if not all(counts[index] for index in unknown):
            raise StoreUnavailable("Google does not answer whether a change was made")

    def _still_unknown(
        self, name: str, changes: Sequence[Change[Any]], counts: list[int], unknown: Iterable[int]
    ) -> list[int]:
        """Read the Lease cells and count the changes that have won. Return the indexes of the changes to send again.

        A claimed row that was moved to another tab is moved back first.
        """
        current = self._current_leases(name)
        again = []
        for index in (index for index in unknown if not counts[index]):
            change = changes[index]
            is_held = change.seen.lease.state is State.HELD
            counts[index] = sum(leases[encode_lease(change.new)] for leases in current.values())
            tabs = {
                tab: lease
                for tab, leases in current.items()
                for lease in self._possible_leases(change)
                if leases[lease]
            }
            seen = encode_lease(change.seen)
            # A write without a response may have ended the claim, so that another worker may hold it.
            if not counts[index] and not tabs and seen in self._held and seen not in self._unanswered:
                self._check_taken(name, change)
            if counts[index] or not tabs:
                continue
            if name not in tabs and is_held:
                (tab, lease), *_ = tabs.items()
                self._mover.move(tab, lease, change.seen.id, name)
            if name in tabs or is_held:
                again.append(index)
        return again

    def _check_taken(self, name: str, change: Change[Any]) -> None:
        """Raise the alarm if the lease that replaced this process's lease shows that Google accepted two claims."""
        for tab in GROUPS[group_of(name)]:
            snapshot = self._spreadsheet.snapshot(tab)
            position = snapshot.position_of(change.seen.id)
            encoded = decode_lease(snapshot.key_cells[position].lease) if position is not None else None
            if encoded is not None and is_taken(change.seen, encoded, self._spreadsheet.connection.now()):
                self._spreadsheet.alarm(f"row {change.seen.id} is claimed by this worker and by another one")
                return

    def _current_leases(self, name: str) -> dict[str, Counter[str]]:
        """Return the Lease cells of the tabs where the row may be. First restore leases that drafts cover."""
        tabs = GROUPS[group_of(name)]
        self._spreadsheet.reload(tabs, if_older_than_seconds=0)
        if self._adoption.has_drafts:
            self._adoption.reconcile(name)
            self._spreadsheet.reload(tabs, if_older_than_seconds=0)
        return {tab: Counter(cells.lease for cells in self._spreadsheet.snapshot(tab).key_cells) for tab in tabs}
