"""What this process has seen of a tab: hints about which line holds which row, so that a claim reads a few lines and not all.

Everything in here may be stale. A person may have sorted the tab a moment ago; only a swap, which finds a word wherever it
stands, decides anything.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from random import Random
from typing import NamedTuple

from youtube_download_coordinator.models import Lease, Row, State, Status
from youtube_download_coordinator.queue.store import Where
from youtube_download_coordinator.stores.sheets.cells import requested_status
from youtube_download_coordinator.stores.sheets.layout import CONTROL, GUARANTEES, Tab, header_of
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease

ROWS_PER_SECOND = 400
"""A tab is looked through again when it is older than its rows divided by this: 100,000 rows every four minutes."""
NEAR_ROWS = 5
"""Lines that are this near to each other are read as one range."""
PREFETCHED_SECONDS = 60.0
"""A line that was read and not claimed may be claimed this much later without being read again: the swap decides anyway."""
HOLDS_MAX_SECONDS = 30.0
"""A look that took long holds for as long again, up to this: of 250,000 rows each takes seconds."""
RANGES_MAX = 40
"""In one request, whose address must not grow too long."""

START_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)
KEY_COLUMNS = ("Lease", "Status", "Shown", "URL")
"""The columns that a look reads."""

STEERING = ("Value", "Until", "Reason")
"""The columns of Control in which people and workers say what the fleet is to do."""


class KeyCells(NamedTuple):
    """The telling cells of a line."""

    lease: str = ""
    status: str = ""
    shown: str = ""
    url: str = ""


@dataclass(slots=True)
class TabSnapshot:
    """A tab as it was seen last, line by line. `marks[0]` is the header's."""

    tab: Tab
    monotonic: Callable[[], float]
    key_cells: list[KeyCells] = field(default_factory=list)
    looked_at: float | None = None
    took_seconds: float = 0.0
    """How long that look has taken."""
    _leases: list[EncodedLease | None] = field(default_factory=list)
    """What the marks say, read once."""
    _due: list[tuple[datetime, int]] = field(default_factory=list)
    """When and where rows may be claimed, in that order."""
    _position: dict[int, int] = field(default_factory=dict)
    _is_invalidated: bool = False
    _prefetched: dict[int, tuple[float, Row]] = field(default_factory=dict)
    """Rows that were read and when: for the next claim."""

    def load(self, columns: Sequence[Sequence[Sequence[str]]]) -> None:
        """Take in a look: the columns of LOOKED_AT, as values.batchGet gives them."""
        texts = [[row[0] if row else "" for row in rows] for rows in columns]
        self.key_cells = [KeyCells(), *(KeyCells(*cells) for cells in zip_longest(*texts, fillvalue=""))]
        self._leases = [decode_lease(mark.lease) if mark.lease else None for mark in self.key_cells]
        self.looked_at = self.monotonic()
        words = [(position, word) for position, word in self.leases() if word.lease is not None]
        self._position = {word.row_id: position for position, word in reversed(words)}
        pending = (
            (word.lease.not_before, at) for at, word in words if word.lease and word.lease.state is State.PENDING
        )
        self._is_invalidated = False
        self._prefetched.clear()
        self._due = sorted((moment or START_OF_TIME, position) for moment, position in pending)

    def forget_lines(self) -> None:
        """Lines have moved: nothing is written by line until the tab was looked through again."""
        self.looked_at = None
        self._position.clear()

    @property
    def is_stale(self) -> bool:
        """Whether it is time to look through the whole tab again."""
        return self.looked_at is None or self.monotonic() - self.looked_at >= self.stale_seconds

    @property
    def stale_seconds(self) -> float:
        return len(self.key_cells) / ROWS_PER_SECOND

    def is_older_than(self, seconds: float) -> bool:
        holds = max(seconds, min(self.took_seconds, HOLDS_MAX_SECONDS)) if seconds else 0.0
        return self.looked_at is None or self._is_invalidated or self.monotonic() - self.looked_at >= holds

    def leases(self) -> Iterator[tuple[int, EncodedLease]]:
        """Every word with its line; also drafts."""
        return ((at, word) for at, word in enumerate(self._leases) if word is not None)

    def without_readable_lease(self) -> list[int]:
        """Lines that a person has typed and nobody has begun to take in: a URL, and no word of ours."""
        return [at for at, mark in enumerate(self.key_cells) if at and self._leases[at] is None and mark.url.strip()]

    def without_lease(self) -> list[int]:
        """Those, and the lines whose word is a draft."""
        return sorted([*self.without_readable_lease(), *(at for at, word in self.leases() if word.lease is None)])

    def position_of(self, row_id: int) -> int | None:
        return self._position.get(row_id)

    def update_line(self, position: int, mark: KeyCells) -> None:
        """Remember one line as it was read or written."""
        missing = position + 1 - len(self.key_cells)
        self.key_cells.extend([KeyCells()] * missing)
        self._leases.extend([None] * missing)
        self.key_cells[position], self._leases[position] = mark, decode_lease(mark.lease)
        if (word := self._leases[position]) is None or word.lease is None:
            return
        self._position[word.row_id] = position
        if word.lease.state is State.PENDING:
            entry = (word.lease.not_before or START_OF_TIME, position)
            at = bisect.bisect_left(self._due, entry)
            if self._due[at : at + 1] != [entry]:
                self._due.insert(at, entry)

    def invalidate(self, row_id: int) -> None:
        """Somebody else has changed a row: it is not offered again, and whoever asks for more than a hint looks anew."""
        self._prefetched.pop(row_id, None)
        self._is_invalidated = True

    def take_due(self, due: datetime, limit: int, random: Random | None) -> list[int]:
        """Lines that may hold a row that is due, those that waited longest first, and forget that they do.

        Given randomness, from a place chosen by it, so that workers rarely meet.
        """
        end = bisect.bisect_right(self._due, (due, len(self.key_cells) + 1))
        start = random.randrange(end - limit + 1) if random and end > limit else 0
        chosen = self._due[start : min(start + limit, end)]
        del self._due[start : start + len(chosen)]
        return [position for moment, position in chosen if self._waits(position, moment)]

    def _waits(self, position: int, moment: datetime) -> bool:
        word = self._leases[position] if position < len(self._leases) else None
        lease = word.lease if word else None
        return lease is not None and lease.state is State.PENDING and (lease.not_before or START_OF_TIME) == moment

    def keep(self, rows: Iterable[Row]) -> None:
        """Remember rows that were read for a claim."""
        self._prefetched |= {row.id: (self.monotonic(), row) for row in rows}

    def prefetched(self, due: datetime) -> list[Row]:
        """Rows that were read a moment ago and are, as far as is known, still due."""
        oldest = self.monotonic() - PREFETCHED_SECONDS
        self._prefetched = {
            row.id: (at, row) for at, row in self._prefetched.values() if at >= oldest and self._still(row)
        }
        return [row for _, row in self._prefetched.values() if act_at(row.lease) <= due]

    def _still(self, row: Row) -> bool:
        position = self._position.get(row.id)
        word = self._leases[position] if position is not None else None
        return word is not None and word.lease == row.lease

    def matching(self, where: Where) -> list[int]:
        """Lines that match the conditions, in the order of the contract."""
        found = [(_order(where, word), at) for at, word in self.leases() if self._matches(where, word, at)]
        return [position for _, position in sorted(found)]

    def _matches(self, where: Where, word: EncodedLease, position: int) -> bool:
        mark = self.key_cells[position]
        return word.lease is not None and matches(
            where, word.row_id, word.key, word.lease, requested_status(word, mark.status, mark.shown)
        )


class ControlLine(NamedTuple):
    """A line of Control as it stands; rows are counted as Google's API counts them."""

    row: int
    name: str
    """As `models.Control.name` has it."""
    cells: tuple[str, ...]
    """Those of STEERING."""
    lease: str

    @property
    def is_steering(self) -> bool:
        """Whether it is more than a number of the store's own, or what doctor keeps there."""
        return bool(self.name) and self.name != GUARANTEES and self.lease.rpartition(" ")[0] != self.name


@dataclass(slots=True)
class ControlSnapshot:
    """The whole tab Control as it was seen last."""

    monotonic: Callable[[], float]
    header: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    """Those below the header."""
    seen_at: float = float("-inf")

    def load(self, rows: Sequence[Sequence[str]], asked_at: float) -> None:
        """Take in the tab, its header first; it may be as old as when it was asked for."""
        self.header = header_of(CONTROL, rows[0] if rows else [])
        self.rows = [list(row) for row in rows[1:]]
        self.seen_at = asked_at

    def is_older_than(self, seconds: float) -> bool:
        return self.monotonic() - self.seen_at >= seconds

    def column(self, name: str) -> list[str]:
        """The cells of a column, line by line."""
        at = self.header.index(name) if name in self.header else len(self.header)
        return [row[at] if at < len(row) else "" for row in self.rows]

    def values(self) -> dict[str, int]:
        """The numbers in the Lease cells, `next video_tasks 41`; of one that stands there twice the greater."""
        parts = (text.rpartition(" ") for text in self.column("Lease"))
        return dict(sorted((what, int(number)) for what, _, number in parts if what and number.isdecimal()))

    def lines(self) -> list[ControlLine]:
        names, leases = self.column("Name"), self.column("Lease")
        steering = zip(*(self.column(name) for name in STEERING), strict=True)
        cells = zip(names, steering, leases, strict=True)
        return [
            ControlLine(row, " ".join(name.split()).casefold(), steering, lease)
            for row, (name, steering, lease) in enumerate(cells, start=1)
        ]

    def find(self, name: str) -> ControlLine | None:
        """The first line of that name."""
        return next((line for line in self.lines() if line.name == name and line.is_steering), None)


def matches(where: Where, row_id: int, key: str, lease: Lease, said: Status | None) -> bool:
    """Whether a row is one of those that a scan looks for."""
    return (
        row_id > where.after_id
        and (where.state is None or lease.state is where.state)
        and (where.due is None or act_at(lease) <= where.due)
        and (not where.holder or lease.holder == where.holder)
        and (where.ids is None or row_id in where.ids)
        and (where.keys is None or key in where.keys)
        and (not where.has_request or said is not None)
    )


def act_at(lease: Lease) -> datetime:
    """When somebody may act on a row."""
    return lease.not_before or lease.until or START_OF_TIME


def _order(where: Where, word: EncodedLease) -> tuple[datetime, int]:
    return (START_OF_TIME if where.due is None or word.lease is None else act_at(word.lease), word.row_id)


def ranges(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Lines as ranges (from, up to and without), near ones together."""
    found: list[tuple[int, int]] = []
    for position in sorted(set(positions)):
        if found and position - found[-1][1] < NEAR_ROWS:
            found[-1] = (found[-1][0], position + 1)
        else:
            found.append((position, position + 1))
    return found
