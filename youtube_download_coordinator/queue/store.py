"""The Store contract, which every backend fulfils. These docstrings are the specification; tests/contract tests each backend.

A backend makes no decisions. Which row is next, when to try again, what is dead: lifecycle.py, queue.py and maintenance.py
decide that once, above these verbs. An `if status ==` in a backend is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import NEVER, Control, Lease, Row, Source, State, VideoTask

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """A place for rows of one type."""

    name: str
    row_type: type[R]


SOURCES = Table("sources", Source)
VIDEO_TASKS = Table("video_tasks", VideoTask)
DEAD_LETTERS = Table("dead_letters", VideoTask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The conditions of a scan, which must all hold."""

    state: State | None = None
    due: datetime | None = None
    """Rows that may be changed at this time: PENDING and DONE with no later `not_before`, HELD with `until` in the past."""
    due_from: datetime | None = None
    """With `due`: rows that might not be changed before this time."""
    by_priority: bool = False
    """With `due` and PENDING: rows with a larger priority come first (priority.py)."""
    holder: str = ""
    """Rows held by exactly this worker."""
    ids: Sequence[int] | None = None
    keys: Sequence[str] | None = None
    has_request: bool = False
    """Rows in whose Status a person has typed a request (`Row.requested_status`). None in a store that no person edits."""
    after_id: int = 0
    """Rows with a larger ID: the next page."""
    accent: str | None = None
    """Rows with this accent, in any letter case. Others may be returned too, as for `type` and `source_id`: a sheet reads all."""
    type: str | None = None
    source_id: int | None = None


EVERY_ROW = Where()


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """One row as it was read, and its successor with the same ID, key and URL and the next version."""

    seen: R
    new: R


class Swap(Enum):
    """The result of a swap. LOST is ordinary: another process was first."""

    WON = "won"
    LOST = "lost"


SetControl = Callable[[Control | None], Control | None]
"""From a line of Control (None: there is none) to its successor; None leaves it. Pure: it may be called again."""


class Tally(NamedTuple):
    """The number of rows of a table that agree in everything an overview counts by."""

    rows: int
    state: State
    reason: str = ""
    """PENDING, ERROR and DEAD: why the last attempt failed."""
    holder: str = ""
    """HELD: the worker."""
    accent: str = ""
    type: str = ""
    day: date | None = None
    """DONE videos: the day in UTC on which the last claim began. None: not known, long ago, or marked as done by hand."""
    seconds: int = 0
    """Their total playing time, as far as it is known."""
    with_length: int = 0
    """The number of those whose playing time is known."""
    waits_for: str = ""
    """PENDING: what machines have to offer for which these rows wait (offers.py)."""
    degraded: str = ""
    """DONE: why their files are worse than usual (`Lease.degraded`)."""
    skipped: str = ""
    """DONE: which filter has skipped them (`Lease.skipped`)."""
    first_claim: datetime | None = None
    """DONE videos that were processed after a recent claim: the earliest of these claims. They are counted apart from others."""


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
    """Return the error that `restore` raises for a row whose ID or URL another row has."""
    return StoreError(f"{row.url} cannot be row {row.id}: another row has that ID, or that URL")


class Store(Protocol):
    """Where the queue lives. Safe to call from several threads, processes and machines at once.

    Every verb raises StoreUnavailable when the backend does not answer now, StoreError when trying again will not help.
    `insert`, `restore`, `move` and `add_columns` raise StoreFull when there is no room, and have changed nothing then.
    """

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        """Return rows that may match.

        * A hint, possibly stale, never a decision: only a swap decides.
        * At most `limit` rows; its cost does not grow with the rows that do not match.
        * With `due`, rows due longest come first (those with no `not_before` by ID before all others); else in order of ID.
        * With `by_priority`, that order holds among rows with one priority. Each priority that pending rows have may cost a look.
        """
        ...

    def count(self, table: Table[R]) -> Mapping[State, int]:
        """Return the number of rows in each state that has any. A hint, as `scan` is."""
        ...

    def leases(self, table: Table[Any], state: State) -> Iterable[Lease]:
        """Return the leases of all rows in a state, in no order. A hint, as `scan` is; reads no rows."""
        ...

    def tally(self, tables: Sequence[Table[Any]], since: date, recent: datetime = NEVER) -> list[list[Tally]]:
        """Return the counts of an overview for each table, in no order; days only from `since` on, and claims from `recent` on.

        A hint, as `scan` is. Reads no rows: where requests are expensive it is one request for all tables.
        """
        ...

    def playing_times(self) -> list[PlayingTime]:
        """Return how much there is of each accent in `VIDEO_TASKS`, in no order. Accents are spelled as rows have them.

        A hint, as `scan` is. Reads no rows. Where requests are expensive it is as old as what a claim uses, and needs a request
        of its own only if that is older than a few minutes.
        """
        ...

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        """Replace each seen row by its successor if it still has the same lease.

        * Each change has its own result, in the same order; a lost one does not affect the others.
        * For one seen lease at most one swap is ever won, whoever tries and however often.
        * A lost swap wrote nothing.
        * A response that was lost on the way is resolved inside: WON and LOST are certain.
        * A row in another table, or deleted, is LOST; but a HELD row that a person moved to another tab may be moved back first.
        """
        ...

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        """Add rows whose key is new. Return their IDs, None for each whose key is known already.

        * Of all rows with one key, inserted by any number of machines at once or twice in `rows`, one is kept.
        * A key is known in `VIDEO_TASKS` and `DEAD_LETTERS` alike, and if it has a tombstone.
        * IDs rise in the order of insertion and are never used again.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def bury(self, tombstones: Collection[str], *, are_all: bool = False) -> None:
        """Add tombstones (tombstones.py). From then on `insert` treats the video tasks with these keys as known.

        * They are never removed, and one that exists is left as it is.
        * `are_all`: they are all that are known, so those that a person has deleted are no longer missed.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def tombstones(self) -> Collection[str]:
        """Return every tombstone. Raises StoreError if a person has deleted some; `insert` and `buried` do so too."""
        ...

    def buried(self, tombstones: Collection[str]) -> set[str]:
        """Return those of the tombstones that there are: a hint, at most 30 s old.

        Where requests are expensive it needs none of its own, but one after another process has called `bury`.
        """
        ...

    def erase(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        """Replace rows as `swap` does, by successors that may have another key and another text in every column.

        * After WON nothing that the row contained is left in it, custom columns included.
        * After an error a row may have the new lease beside old texts. Erasing that row again clears them.
        """
        ...

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        """Add rows of another store unchanged: each keeps its ID, its lease and all its columns.

        * All of them, or none when it fails; a row that exists here with the same ID and key is left as it is.
        * StoreError where another row has the ID or the key of one.
        * IDs that `insert` gives afterwards are larger than every restored one.
        * Custom columns that are missing here are added.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        """Move exactly the row that has this lease, unchanged. Return whether it moved."""
        ...

    def controls(self, *, fresh: bool = False) -> list[Control]:
        """Return every line of Control, in no order.

        * A hint, at most 30 s old; `fresh`: as of now.
        * Where requests are expensive it needs none of its own as long as any other was made within that time.
        * People's edits count. For a time that cannot be parsed `until` is None, and a warning is logged once.
        """
        ...

    def set_control(self, name: str, change: SetControl) -> Control | None:
        """Change one line from its current content. Return the new line, or None where `change` returned None.

        * When several machines change one line at once, each sees the changes before its own.
        * Other lines, and other columns, stay as they are.
        * Repeatable if calling `change` again is: after an error the change may or may not have been made.
        """
        ...

    def remove_control(self, name: str, may_remove: Callable[[Control], bool]) -> bool:
        """Remove one line, if `may_remove` of its current content. Return whether it was removed.

        * Other lines, and custom columns, stay as they are.
        * Repeatable: after an error the line may or may not be there.
        """
        ...

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        """Return the names of custom columns, which `Row.extra` may have; others are dropped. None: any name is kept."""
        ...

    def used_columns(self, table: Table[Any]) -> Collection[str]:
        """Return the names of the custom columns that rows of the table have. A hint, as `scan` is; reads no rows."""
        ...

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        """Add custom columns of these names unless they exist. Does nothing where any name is kept."""
        ...

    @property
    def clock_error_seconds(self) -> float:
        """How far `now` may lag behind the true time; it is never ahead. A worker shortens its own leases by as much."""
        ...

    @property
    def result_batch_seconds(self) -> float:
        """How long a result may wait to be written together with others: 0 where a write is cheap."""
        ...

    def now(self) -> datetime:
        """Return the store's time in UTC: the only clock that decides about a lease."""
        ...

    @property
    def name(self) -> str:
        """Return what people call the queue: the title and ID of its sheet, or its database. It contains no secret."""
        ...

    @property
    def is_new(self) -> bool:
        """Return whether it was made when this store was opened."""
        ...

    def flush(self) -> None:
        """Write what people see now: cells that would otherwise be written along with a later request."""
        ...

    def close(self) -> None:
        """Flush, and close connections. The store can be used again afterwards."""
        ...
