"""The Store contract, which every backend fulfils. These docstrings are the specification; tests/contract tests each backend.

A backend makes no decisions. lifecycle.py, queue.py and maintenance.py decide which row is next, when to retry and when to give
up. An `if status ==` in a backend is a bug.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import NEVER, Control, Lease, Row, Source, State, VideoTask
from youtube_download_coordinator.reasons import REQUEST_START
from youtube_download_coordinator.text import fold

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """A table of rows of one type."""

    name: str
    row_type: type[R]


SOURCES = Table("sources", Source)
VIDEO_TASKS = Table("video_tasks", VideoTask)
DEAD_LETTERS = Table("dead_letters", VideoTask)


@dataclass(frozen=True, slots=True)
class AccentOrder:
    """Which accents a scan returns, and which come first."""

    ranks: Mapping[str, float | None]
    """By accent, folded (text.fold); None: rows with it are not returned. Other accents have the rank LAST."""

    def rank(self, accent: str) -> float | None:
        return self.ranks.get(fold(accent), LAST)

    def rank_of(self, row: Row) -> float | None:
        return self.rank(claimed_accent(row.lease, row.accent))


LAST = math.inf


def claimed_accent(lease: Lease, accent: str) -> str:
    """Return the accent that decides whether a pending row is claimed.

    A row that was done and is asked for a further product has one of its own: no target holds it back.
    """
    return REQUEST_START if REQUEST_START in lease.detail else accent


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The conditions of a scan, which a row must all meet."""

    state: State | None = None
    due: datetime | None = None
    """Rows that may be changed at this time: PENDING and DONE with no later `not_before`, HELD with `until` in the past."""
    due_from: datetime | None = None
    """With `due`: rows that might not be changed before this time."""
    by_priority: bool = False
    """With `due` and PENDING: rows with a larger priority come first (priority.py)."""
    accents: AccentOrder | None = None
    """With `due` and PENDING: rows with the accents that it ranks. With `by_priority`, those with a smaller rank come first among
    rows with one priority."""
    holder: str = ""
    """Rows held by exactly this worker."""
    ids: Sequence[int] | None = None
    keys: Sequence[str] | None = None
    has_request: bool = False
    """Rows in whose Status a person has typed a request (`Row.requested_status`). A store that people do not edit has none."""
    after_id: int = 0
    """Rows with a larger ID: the next page."""
    accent: str | None = None
    """Rows with this accent, in any letter case. Others may be returned too, as for `type` and `source_id`: a sheet reads all."""
    type: str | None = None
    source_id: int | None = None


EVERY_ROW = Where()


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """A row as it was read, and its successor with the same ID, key and URL and the next version."""

    seen: R
    new: R


class Swap(Enum):
    """The result of a swap. LOST is ordinary: another process was first."""

    WON = "won"
    LOST = "lost"


SetControl = Callable[[Control | None], Control | None]
"""Returns the successor of a line of Control (None: there is no line), or None to leave it. Pure: it may be called again."""


class Tally(NamedTuple):
    """The number of rows of a table with the same values of all fields that an overview counts."""

    rows: int
    state: State
    reason: str = ""
    """PENDING, ERROR and DEAD: the reason of the last failed attempt."""
    holder: str = ""
    """HELD: the worker that holds them."""
    accent: str = ""
    type: str = ""
    day: date | None = None
    """DONE videos: the day in UTC on which the last claim began. None: not known, long ago, or marked as done by hand."""
    seconds: int = 0
    """Their total playing time, as far as it is known."""
    with_length: int = 0
    """The number of rows whose playing time is known."""
    waits_for: str = ""
    """PENDING: the offer that these rows wait for (offers.py)."""
    degraded: str = ""
    """DONE: the reasons for which their files are degraded (`Lease.degraded`)."""
    skipped: str = ""
    """DONE: the filter that skipped them (`Lease.skipped`)."""
    first_claim: datetime | None = None
    """DONE videos that were processed after a recent claim: the earliest of these claims. They are counted separately."""


class PlayingTime(NamedTuple):
    """The number and the playing time of the videos with one accent in one state."""

    accent: str
    state: State
    """DONE: with a file (targets.has_file), also if they are asked for a further product. PENDING and HELD: the others."""
    videos: int
    seconds: int
    """HELD and DONE: their total, as far as it is known."""


TALLIED_REASONS = frozenset({State.PENDING, State.ERROR, State.DEAD})
"""States whose rows have the reason of the last failed attempt."""


def clash(row: Row) -> StoreError:
    """Return the error of `restore` for a row whose ID or URL another row has."""
    return StoreError(f"{row.url} cannot be row {row.id}: another row has that ID, or that URL")


class Store(Protocol):
    """A backend of the queue. Safe to call from several threads, processes and machines at once.

    Every verb raises StoreUnavailable if the backend does not answer now, and StoreError if a retry will not help.
    `insert`, `restore`, `move` and `add_columns` raise StoreFull if there is no room, and then change nothing.
    """

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        """Return rows that may match.

        * A hint, possibly stale, never a decision: only a swap decides.
        * At most `limit` rows; its cost does not grow with the rows that do not match.
        * With `due`, rows without a `not_before` come first, by ID, then the others by `not_before`; else in order of ID.
        * With `by_priority`, this order applies among rows of one priority. Each priority of pending rows may cost a request.
        * With `accents`, it applies among rows of one rank. Each accent may cost a request, rows of other accents nothing.
        """
        ...

    def count(self, table: Table[R]) -> Mapping[State, int]:
        """Return the number of rows in each state that has any. A hint, like `scan`."""
        ...

    def leases(self, table: Table[Any], state: State) -> Iterable[Lease]:
        """Return the leases of all rows in a state, in any order. A hint, like `scan`; reads no rows."""
        ...

    def tally(self, tables: Sequence[Table[Any]], since: date, recent: datetime = NEVER) -> list[list[Tally]]:
        """Return the counts of an overview for each table, in any order; days only from `since` on, and claims from `recent` on.

        A hint, like `scan`. Reads no rows. Where requests are expensive, it makes one request for all tables.
        """
        ...

    def playing_times(self) -> list[PlayingTime]:
        """Return the playing times of each accent in `VIDEO_TASKS`, in any order. Accents are spelt as in the rows.

        A hint, like `scan`. Reads no rows. Where requests are expensive, it is as old as the data of claims, and makes a request
        only if they are older than a few minutes.
        """
        ...

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        """Replace each seen row by its successor if it still has the same lease.

        * Each change has its own result, in the same order. A lost change does not affect the others.
        * For one seen lease, at most one swap is ever won, by any process in any number of tries.
        * A lost swap wrote nothing.
        * If a response is lost in transit, the store finds out the result: WON and LOST are certain.
        * A row in another table, or deleted, is LOST; but a HELD row that a person moved to another tab may be moved back first.
        """
        ...

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        """Add rows whose key is new. Return their IDs, or None for each row whose key is known.

        * Of all rows with the same key, inserted by several machines at once or twice in `rows`, one is kept.
        * A key is known in `VIDEO_TASKS` and `DEAD_LETTERS` alike, and if it has a tombstone.
        * IDs rise in the order of insertion and are never used again.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def bury(self, tombstones: Collection[str], *, are_all: bool = False) -> None:
        """Add tombstones (tombstones.py). From then on `insert` treats the video tasks with these keys as known.

        * Tombstones are never removed, and an existing one is not changed.
        * `are_all`: these are all known tombstones, so that ones that a person has deleted are no longer missed.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def tombstones(self) -> Collection[str]:
        """Return every tombstone. Raises StoreError if a person has deleted some, as do `insert` and `buried`."""
        ...

    def buried(self, tombstones: Collection[str]) -> set[str]:
        """Return the given tombstones that exist: a hint, at most 30 s old.

        Where requests are expensive, it makes none of its own, except after another process has called `bury`.
        """
        ...

    def erase(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        """Replace rows like `swap`, by successors that may have another key and other text in every column.

        * After WON, no earlier content is left in the row, including custom columns.
        * After an error, a row may have the new lease and old texts. Erasing the row again clears them.
        """
        ...

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        """Add rows of another store unchanged. Each keeps its ID, its lease and all its columns.

        * All rows are added, or none if it fails. An existing row with the same ID and key is not changed.
        * Raises StoreError if another row has the ID or the key of one of the rows.
        * `insert` assigns larger IDs afterwards than every restored ID.
        * Missing custom columns are added.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        """Move the row unchanged if it still has this lease. Return whether it was moved."""
        ...

    def controls(self, *, fresh: bool = False) -> list[Control]:
        """Return every line of Control, in any order.

        * A hint, at most 30 s old; with `fresh`, the current content.
        * Where requests are expensive, it makes none of its own if another request was made within that time.
        * People's edits count. If a time cannot be parsed, `until` is None and a warning is logged once.
        """
        ...

    def set_control(self, name: str, change: SetControl) -> Control | None:
        """Change one line, given its current content. Return the new line, or None where `change` returned None.

        * If several machines change one line at once, each sees the changes made before its own.
        * Other lines and other columns are not changed.
        * Repeatable if `change` is: after an error, the change may or may not have been made.
        """
        ...

    def remove_control(self, name: str, may_remove: Callable[[Control], bool]) -> bool:
        """Remove one line if `may_remove` returns true for its current content. Return whether it was removed.

        * Other lines and custom columns are not changed.
        * Repeatable: after an error, the line may or may not exist.
        """
        ...

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        """Return the names of the custom columns of `Row.extra` that are kept; others are dropped. None: any name is kept."""
        ...

    def used_columns(self, table: Table[Any]) -> Collection[str]:
        """Return the names of the custom columns that rows of the table have. A hint, like `scan`; reads no rows."""
        ...

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        """Add custom columns of these names unless they exist. Does nothing where any name is kept."""
        ...

    @property
    def clock_error_seconds(self) -> float:
        """Return how far `now` may lag behind the true time. It is never ahead. A worker shortens its own leases by as much."""
        ...

    @property
    def result_batch_seconds(self) -> float:
        """Return how long a result may wait to be written together with others: 0 if a write is cheap."""
        ...

    def now(self) -> datetime:
        """Return the store's time in UTC, the only clock that decides about a lease."""
        ...

    @property
    def name(self) -> str:
        """Return the queue's name for people: the title and ID of its sheet, or its database. It contains no secret."""
        ...

    @property
    def is_new(self) -> bool:
        """Return whether the queue was created when this store was opened."""
        ...

    def flush(self) -> None:
        """Write the cells that people see now, instead of together with a later request."""
        ...

    def close(self) -> None:
        """Flush, and close connections. The store can be used again afterwards."""
        ...
