"""Keep a snapshot of a tab, as hints about the lines of rows, so that a claim reads a few lines instead of all.

The snapshot may be stale, because a person may have sorted the tab a moment ago. Only a compare-and-swap decides: it finds a
lease by its content, on any line.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import chain, zip_longest
from random import Random
from typing import Any, NamedTuple

from youtube_download_coordinator.models import START_OF_TIME, Lease, Row, State, Status
from youtube_download_coordinator.queue.priority import priority_in, priority_of
from youtube_download_coordinator.queue.store import AccentOrder, Where, claimed_accent
from youtube_download_coordinator.stores.sheets.cells import requested_status, whole_number
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells, KeyLines
from youtube_download_coordinator.stores.sheets.layout import CONTROL, GUARANTEES, Tab, header_of
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease, decode_lease
from youtube_download_coordinator.stores.sheets.playing_cells import PlayingCells

ROWS_PER_SECOND = 400
"""A snapshot is stale if its age in seconds exceeds its rows divided by this: with 100,000 rows after four minutes."""
NEAR_ROWS = 5
"""The distance up to which lines are read as one range."""
PREFETCHED_SECONDS = 60.0
"""How long a line that was read may be claimed without reading it again. The swap decides anyway."""
SLOW_LOAD_MAX_SECONDS = 30.0
"""The maximum by which a long loading time extends a snapshot's validity. Loading 250,000 rows takes seconds."""
RANGES_MAX = 40
"""The maximum number of ranges in one request, so that its URL does not become too long."""

NUMBER_DIGITS_MAX = 12
"""The maximum length of a number in Control. The coordinator does not write longer ones, and a lease cannot contain them."""

KEY_COLUMNS = ("Lease", "Status", "Shown", "URL")
"""The columns of a snapshot."""

STEERING = ("Value", "Until", "Reason")
"""The columns of Control with which people and workers control the fleet."""


CHANGE = "change"
"""The name of the line of Control that identifies the process of the last guarded batch."""
_CHANGE = re.compile(rf"{CHANGE} (\d+)\.(\w+)")


DueLines = list[tuple[datetime, int]]
"""The times from which rows may be claimed, with their lines, in this order."""
Window = tuple[tuple[datetime, int], tuple[datetime, int]]
NO_CELLS: Sequence[Sequence[str]] = ()


@dataclass(slots=True)
class TabSnapshot:
    """A snapshot of a tab: its key cells, line by line. `key_cells[0]` belongs to the header."""

    tab: Tab
    monotonic: Callable[[], float]
    key_cells: KeyLines = field(default_factory=KeyLines)
    loaded_at: float | None = None
    load_seconds: float = 0.0
    """How long loading took."""
    loads: int = 0
    """The number of loads so far. A row may have been on another line before the last one."""
    _due: dict[int, DueLines] = field(default_factory=dict)
    """The lines of rows that may be claimed, by priority."""
    _priority: dict[int, int] = field(default_factory=dict)
    """The priorities other than 0, by line."""
    _position: dict[int, int] = field(default_factory=dict)
    _is_invalidated: bool = False
    playing: PlayingCells | None = None
    """Known only where accents have targets."""
    _prefetched: dict[int, tuple[float, Row]] = field(default_factory=dict)
    """Rows for the next claim, with the times at which they were read."""

    def load(
        self,
        columns: Sequence[Sequence[Sequence[str]]],
        priorities: Sequence[Sequence[str]] = NO_CELLS,
        playing: Sequence[Sequence[Sequence[str]]] = (),
    ) -> None:
        """Replace the snapshot by the KEY_COLUMNS, the column of priorities and the PLAYING_COLUMNS.

        The columns are in the form of values.batchGet. A signal may interrupt this, so no line is known until all are loaded.
        """
        self.forget_lines()
        self._due = {}
        self.key_cells = KeyLines()  # free the old lines before loading the new ones
        texts = ((row[0] if row else "" for row in rows) for rows in columns)
        lines = (KeyCells(*cells) for cells in zip_longest(*texts, fillvalue=""))
        self.key_cells = KeyLines(chain([KeyCells()], lines))
        self.loads += 1
        self._is_invalidated = False
        self._prefetched.clear()
        leases = [(position, encoded.row_id, encoded.lease) for position, encoded in self.leases() if encoded.lease]
        self._position = {row_id: position for position, row_id, _ in reversed(leases)}
        numbers = ((line, priority_in(row[0].strip())) for line, row in enumerate(priorities, start=1) if row)
        self._priority = {line: number for line, number in numbers if number}
        due: dict[int, DueLines] = {}
        for position, _, lease in leases:
            if lease.state is State.PENDING:
                entry = (lease.not_before or START_OF_TIME, position)
                due.setdefault(self._priority.get(position, 0), []).append(entry)
        for entries in due.values():
            entries.sort()
        self._due = due
        self.playing = PlayingCells(playing) if playing else None
        self.loaded_at = self.monotonic()

    def forget_lines(self) -> None:
        """Discard the lines, because they have moved. Nothing is written by line until the tab is loaded again."""
        self.loaded_at = None
        self._position.clear()

    @property
    def is_stale(self) -> bool:
        """Return whether to load the whole tab again."""
        return self.loaded_at is None or self.monotonic() - self.loaded_at >= self.stale_after_seconds

    @property
    def stale_after_seconds(self) -> float:
        return len(self.key_cells) / ROWS_PER_SECOND

    def is_older_than(self, seconds: float) -> bool:
        valid_seconds = max(seconds, min(self.load_seconds, SLOW_LOAD_MAX_SECONDS)) if seconds else 0.0
        return self.loaded_at is None or self._is_invalidated or self.monotonic() - self.loaded_at >= valid_seconds

    def leases(self) -> Iterator[tuple[int, EncodedLease]]:
        """Yield the lines with a lease or a draft."""
        return ((position, encoded) for position, encoded in enumerate(self.key_cells.leases) if encoded is not None)

    def without_readable_lease(self) -> list[int]:
        """Return the lines that have a URL, but neither a lease nor a draft: nobody has started to adopt them."""
        return [
            position
            for position, cells in self.key_cells.others()
            if position and self.key_cells.leases[position] is None and cells.url.strip()
        ]

    @property
    def has_strange_lines(self) -> bool:
        """Return whether a line with a URL has an invalid Lease or only Shown, or a line with a lease has no URL."""
        leases = self.key_cells.leases
        return any(
            bool(cells.lease or cells.shown)
            if leases[position] is None and cells.url
            else leases[position] is not None and not cells.url
            for position, cells in self.key_cells.others()
        )

    def without_lease(self) -> list[int]:
        """Return the lines that are not adopted yet: typed lines, and lines with a draft."""
        drafts = [position for position, encoded in self.leases() if encoded.lease is None]
        return sorted([*self.without_readable_lease(), *drafts])

    def position_of(self, row_id: int) -> int | None:
        return self._position.get(row_id)

    def update_line(self, position: int, cells: KeyCells, priority: int | None = None) -> None:
        """Record one line as it was read or written. With None, keep its known priority."""
        self.key_cells.update(position, cells)
        if priority is not None:
            self._priority.pop(position, None)
            self._priority |= {position: priority} if priority else {}
        if (encoded := self.key_cells.leases[position]) is None or encoded.lease is None:
            return
        self._position[encoded.row_id] = position
        if encoded.lease.state is State.PENDING:
            entry = (encoded.lease.not_before or START_OF_TIME, position)
            lines = self._due.setdefault(self._priority.get(position, 0), [])
            index = bisect.bisect_left(lines, entry)
            if lines[index : index + 1] != [entry]:
                lines.insert(index, entry)

    def invalidate(self, row_id: int) -> None:
        """Do not offer a row again that another process has changed. Reload the tab if somebody needs exact contents."""
        self._prefetched.pop(row_id, None)
        self._is_invalidated = True

    def take_due(self, where: Where, due: datetime, limit: int, random: Random | None) -> list[int]:
        """Return lines that may have a due row, the longest-waiting first. They are not returned again.

        With `random` the lines start at a random position, so that workers rarely try the same ones. With `by_priority` they do
        so within each priority.
        """
        window = (where.due_from or START_OF_TIME, 0), (due, len(self.key_cells) + 1)
        entries: DueLines = []
        for lines in self._due_lines(window, where):
            if len(entries) < limit:
                entries += _some(lines, limit - len(entries), random)
        for entry in entries:
            self._drop_due(entry)
        return [position for not_before, position in entries if self._is_pending(position, not_before)]

    def _due_lines(self, window: Window, where: Where) -> list[DueLines]:
        """Return the lines in a window of times: those of each priority, and of each rank, in turn; or all of them."""
        priorities = sorted(self._due, reverse=True)
        spans = [_within(self._due[priority], window) for priority in priorities]
        if where.accents is not None:
            spans = [lines for span in spans for lines in self._by_rank(span, where.accents)]
        return spans if where.by_priority or len(spans) < 2 else [list(merge(*spans))]

    def _by_rank(self, lines: DueLines, accents: AccentOrder) -> list[DueLines]:
        """Return the lines of each rank in turn, without those whose accent is not wanted."""
        ranks: dict[str, float | None] = {}
        by_rank: dict[float, DueLines] = {}
        for entry in lines:
            accent = self._claimed_accent(entry[1])
            if accent not in ranks:
                ranks[accent] = accents.rank(accent)
            if (rank := ranks[accent]) is not None:
                by_rank.setdefault(rank, []).append(entry)
        return [by_rank[rank] for rank in sorted(by_rank)]

    def _claimed_accent(self, position: int) -> str:
        accent = self.playing.accent(position) if self.playing else ""
        encoded = self.key_cells.leases[position] if position < len(self.key_cells) else None
        return claimed_accent(encoded.lease, accent) if encoded and encoded.lease else accent

    def _drop_due(self, entry: tuple[datetime, int]) -> None:
        for lines in self._due.values():
            index = bisect.bisect_left(lines, entry)
            if lines[index : index + 1] == [entry]:
                del lines[index]

    def _is_pending(self, position: int, not_before: datetime) -> bool:
        encoded = self.key_cells.leases[position] if position < len(self.key_cells) else None
        lease = encoded.lease if encoded else None
        return lease is not None and lease.state is State.PENDING and (lease.not_before or START_OF_TIME) == not_before

    def keep(self, rows: Iterable[Row]) -> None:
        """Keep rows for the next claim."""
        self._prefetched |= {row.id: (self.monotonic(), row) for row in rows}

    @property
    def age_seconds(self) -> float:
        return self.monotonic() - self.loaded_at if self.loaded_at is not None else 0.0

    def prefetched(self, due: datetime) -> list[Row]:
        """Return the rows that were kept recently and seem to be still due."""
        oldest = self.monotonic() - PREFETCHED_SECONDS
        self._prefetched = {
            row.id: (read_at, row)
            for read_at, row in self._prefetched.values()
            if read_at >= oldest and self._is_unchanged(row)
        }
        return [row for _, row in self._prefetched.values() if act_at(row.lease) <= due]

    def prefetched_lines(self) -> list[int]:
        """Return the lines of the rows that are kept for the next claim."""
        return [position for row_id in self._prefetched if (position := self._position.get(row_id)) is not None]

    def drop_taken(self, lease_cells: Iterable[str]) -> None:
        """Drop the kept rows that another process has changed, according to the current Lease cells.

        A row that is not among the cells is kept: a person has sorted the tab, and a swap finds the row on any line.
        """
        for text in lease_cells:
            encoded = decode_lease(text) if text else None
            kept = self._prefetched.get(encoded.row_id) if encoded else None
            if encoded and kept and encoded.lease != kept[1].lease:
                del self._prefetched[encoded.row_id]

    def _is_unchanged(self, row: Row) -> bool:
        position = self._position.get(row.id)
        encoded = self.key_cells.leases[position] if position is not None else None
        return encoded is not None and encoded.lease == row.lease

    def matching(self, where: Where) -> list[int]:
        """Return the lines that match the conditions, in the order of the contract."""
        lines: list[tuple[datetime, int, int]] = []
        for position, encoded in self.leases():
            if encoded.lease is None:
                continue
            cells = self.key_cells.other(position)  # a line that shows its lease contains no request
            status = requested_status(encoded, cells.status, cells.shown) if cells else None
            if matches(where, encoded.row_id, encoded.key, encoded.lease, status):
                time = START_OF_TIME if where.due is None else act_at(encoded.lease)
                lines.append((time, encoded.row_id, position))
        return [position for *_, position in sorted(lines)]


class ControlLine(NamedTuple):
    """A line of Control. Rows are counted from zero, as in Google's API."""

    row: int
    name: str
    """The name, in the form of `models.Control.name`."""
    cells: tuple[str, ...]
    """The cells of the columns STEERING."""
    lease: str

    @property
    def is_steering(self) -> bool:
        """Return whether the line is neither a number of the store nor the line that `ydc doctor` writes."""
        return bool(self.name) and self.name != GUARANTEES and self.lease.rpartition(" ")[0] != self.name


class LastChange(NamedTuple):
    """The last guarded batch, as recorded in Control with its process."""

    number: int = 0
    """The number of its token."""
    nonce: str = ""

    def __str__(self) -> str:
        return f"{CHANGE} {self.number}.{self.nonce}"


@dataclass(slots=True)
class ControlSnapshot:
    """A snapshot of the whole tab Control."""

    monotonic: Callable[[], float]
    header: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    """The rows below the header."""
    requested_at: float = float("-inf")

    def load(self, rows: Sequence[Sequence[str]], requested_at: float) -> None:
        """Replace the snapshot by the rows of the tab, with the header first. They may be as old as the request."""
        self.header = header_of(CONTROL, rows[0] if rows else [])
        self.rows = [list(row) for row in rows[1:]]
        self.requested_at = requested_at

    def is_older_than(self, seconds: float) -> bool:
        return self.monotonic() - self.requested_at >= seconds

    def column(self, name: str) -> list[str]:
        """Return the cells of a column, line by line."""
        index = self.header.index(name) if name in self.header else len(self.header)
        return [row[index] if index < len(row) else "" for row in self.rows]

    def numbers(self) -> dict[str, int]:
        """Return the numbers in the Lease cells, such as `next video_tasks 41`. If a name occurs twice, use the greater one."""
        parts = (text.rpartition(" ") for text in self.column("Lease"))
        numbers = ((name, whole_number(number, NUMBER_DIGITS_MAX)) for name, _, number in parts if name)
        return dict(sorted((name, number) for name, number in numbers if number is not None))

    def change(self) -> LastChange:
        """Return the last guarded batch, or one with the number zero if it is not recorded."""
        matches = (_CHANGE.fullmatch(text) for text in self.column("Lease"))
        return max((LastChange(int(match[1]), match[2]) for match in matches if match), default=LastChange())

    def failed_guarantees(self) -> str:
        """Return the guarantees that do not hold on this spreadsheet, or an empty text."""
        lines = zip(self.column("Name"), self.column("Value"), strict=True)
        value = next((value for name, value in lines if name == GUARANTEES), "")
        return value.removeprefix("failed: ") if value.startswith("failed") else ""

    def lines(self) -> list[ControlLine]:
        names, leases = self.column("Name"), self.column("Lease")
        steering = zip(*(self.column(name) for name in STEERING), strict=True)
        cells = zip(names, steering, leases, strict=True)
        return [
            ControlLine(row, " ".join(name.split()).casefold(), steering, lease)
            for row, (name, steering, lease) in enumerate(cells, start=1)
        ]

    def find(self, name: str) -> ControlLine | None:
        """Return the first line with this name."""
        return next((line for line in self.lines() if line.name == name and line.is_steering), None)


def matches(where: Where, row_id: int, key: str, lease: Lease, request: Status | None) -> bool:
    """Return whether a row meets the conditions of a scan."""
    return (
        row_id > where.after_id
        and (where.state is None or lease.state is where.state)
        and (where.due is None or act_at(lease) <= where.due)
        and (where.due_from is None or act_at(lease) >= where.due_from)
        and (not where.holder or lease.holder == where.holder)
        and (where.ids is None or row_id in where.ids)
        and (where.keys is None or key in where.keys)
        and (not where.has_request or request is not None)
    )


def _within(lines: DueLines, window: Window) -> DueLines:
    return lines[bisect.bisect_left(lines, window[0]) : bisect.bisect_right(lines, window[1])]


def _some(lines: DueLines, limit: int, random: Random | None) -> DueLines:
    """Return up to `limit` of the lines, with `random` starting at a random position."""
    start = random.randrange(len(lines) - limit + 1) if random and len(lines) > limit else 0
    return lines[start : start + limit]


def act_at(lease: Lease) -> datetime:
    """Return the time from which a worker may act on a row."""
    return lease.not_before or lease.until or START_OF_TIME


def waiting_order(row: Row) -> tuple[datetime, int]:
    """Return the sort key that puts the longest-waiting rows first."""
    return act_at(row.lease), row.id


def order_of(where: Where) -> Callable[[Row], Any]:
    """Return the sort key of the rows that a scan for due rows returns."""
    accents = where.accents
    if not where.by_priority:
        return waiting_order
    if accents is None:
        return lambda row: (-priority_of(row), *waiting_order(row))
    return lambda row: (-priority_of(row), accents.rank_of(row) or 0.0, *waiting_order(row))


def ranges(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Return lines as ranges (start, end) with exclusive ends. Lines that are close to each other share a range."""
    spans: list[tuple[int, int]] = []
    for position in sorted(set(positions)):
        if spans and position - spans[-1][1] < NEAR_ROWS:
            spans[-1] = (spans[-1][0], position + 1)
        else:
            spans.append((position, position + 1))
    return spans
