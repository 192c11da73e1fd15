"""Find the rows that wait for a machine (offers.py), without reading the rows that wait for other machines each time.

Rows that wait for the same machines have the same `not_before`, so a store finds them in its order of times. The need that each
time encodes is read once and cached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from youtube_download_coordinator.models import NEEDS_MACHINE_FROM, NEVER, Row, State
from youtube_download_coordinator.queue.offers import Need, Offer, need_of
from youtube_download_coordinator.queue.store import AccentOrder, Store, Table, Where

R = TypeVar("R", bound=Row)

STEP = timedelta(milliseconds=1)
"""The smallest difference between two times of a lease."""
END = NEVER - STEP


@dataclass(slots=True)
class WaitingRows:
    """One process's view of the rows that wait for a machine. All of it is a hint, like a scan."""

    store: Store
    _needs: dict[str, dict[datetime, Need]] = field(default_factory=dict)
    """The need that each `not_before` encodes, by the table's name. Some may have no rows left."""
    _of_others: set[tuple[str, datetime]] = field(default_factory=set)
    """Times at which this machine found no row that it may claim."""

    def matching(self, table: Table[R], offer: Offer, limit: int, accents: AccentOrder | None = None) -> list[R]:
        """Return about `limit` rows that wait for a machine with this offer and whose accents are wanted."""
        rows: list[R] = []
        for not_before, need in self._known_needs(table):
            if len(rows) >= limit:
                break
            if (table.name, not_before) in self._of_others and not _is_awaited(need, [offer]):
                continue
            page = self._page(table, not_before, limit)
            matches = [row for row in page if need_of(row.lease).is_met_by(offer)]
            if page and not matches:
                self._of_others.add((table.name, not_before))
            if matches and accents:
                where = Where(state=State.PENDING, due=not_before, due_from=not_before, accents=accents)
                wanted = self.store.scan(table, where, limit=limit)
                matches = [row for row in wanted if need_of(row.lease).is_met_by(offer)]
            rows += matches
        return rows

    def unoffered(self, table: Table[R], read_offers: Callable[[], Collection[Offer]], limit: int) -> Iterator[list[R]]:
        """Yield pages of rows that wait for machines none of which has an offer now. The caller changes the rows.

        The offers are read only if rows wait.
        """
        needs = self._known_needs(table)
        offers = read_offers() if needs else ()
        for not_before, need in needs:
            seen_ids: set[int] = set()
            while not _is_awaited(need, offers):
                page = [row for row in self._page(table, not_before, limit) if row.id not in seen_ids]
                if not page:
                    break
                yield page
                seen_ids |= {row.id for row in page}

    def _page(self, table: Table[R], not_before: datetime, limit: int) -> list[R]:
        """Return rows that wait for the same machines. If there are none, forget the time."""
        where = Where(state=State.PENDING, due=not_before, due_from=not_before)
        page = self.store.scan(table, where, limit=limit)
        if not page:
            self._needs[table.name].pop(not_before, None)
            self._of_others.discard((table.name, not_before))
        return page

    def _known_needs(self, table: Table[Any]) -> list[tuple[datetime, Need]]:
        """Return the needs of waiting rows, by their `not_before`. Scan only for times that are not known yet."""
        needs = self._needs.setdefault(table.name, {})
        first = NEEDS_MACHINE_FROM
        for known in [*sorted(needs), END + STEP]:
            while first < known and (row := self._first(table, first, known - STEP)):
                not_before = row.lease.not_before or END
                needs[not_before] = need_of(row.lease)
                first = not_before + STEP
            first = known + STEP
        return sorted(needs.items(), key=lambda item: item[0])

    def _first(self, table: Table[R], first: datetime, last: datetime) -> R | None:
        rows = self.store.scan(table, Where(state=State.PENDING, due=last, due_from=first), limit=1)
        return next((row for row in rows if row.lease.not_before and row.lease.not_before >= first), None)


def _is_awaited(need: Need, offers: Collection[Offer]) -> bool:
    """Return whether one of the offers is awaited by rows with this need. A row without a need waits for no offer."""
    if not need:
        return True
    return any(
        (offer.account or not need.account) and (not need.waits_for or not offer.regions.isdisjoint(need.waits_for))
        for offer in offers
    )
