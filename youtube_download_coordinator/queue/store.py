"""The Store contract: what a backend promises. These docstrings are the specification; tests/contract runs it on every backend.

A backend decides nothing. Which row is next, when to try again, what is dead: that is written once, in lifecycle.py and
queue.py, above these verbs. An `if status ==` in a backend is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Control, Lease, Row, Source, State, VideoTask

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
    """Which rows a scan looks for; every condition that is given must hold."""

    state: State | None = None
    due: datetime | None = None
    """Rows that somebody may act on at this time: PENDING and DONE with no later `not_before`, HELD with `until` in the past."""
    holder: str = ""
    """Rows held by exactly this worker."""
    ids: Sequence[int] | None = None
    keys: Sequence[str] | None = None
    has_request: bool = False
    """Rows in whose Status a person has typed something: `Row.asked`. None in a store that no person edits."""
    after_id: int = 0
    """Rows with a larger ID: the next page."""


EVERY_ROW = Where()


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """One row as it was seen, and as it should become. The new row has the same ID, key and URL, and the next version."""

    seen: R
    new: R


class Swap(Enum):
    """How a swap ended. Losing is ordinary: somebody else was first."""

    WON = "won"
    LOST = "lost"


SetControl = Callable[[Control | None], Control | None]
"""From a line of control as it stands (None: there is none) to what it becomes; None leaves it. Pure: it may be asked again."""


class Tally(NamedTuple):
    """How many rows of a table are alike in everything that an overview counts by."""

    rows: int
    state: State
    reason: str = ""
    """PENDING, ERROR and DEAD: why the last attempt failed."""
    holder: str = ""
    """HELD: the worker."""
    accent: str = ""
    type: str = ""
    day: date | None = None
    """DONE videos: the day in UTC on which the claim that ended so began. None: not known, long ago, or called done by hand."""
    seconds: int = 0
    """How long all of them play together, as far as that is known."""


TALLIED_REASONS = frozenset({State.PENDING, State.ERROR, State.DEAD})
"""Where a reason says why the last attempt failed."""


def clash(row: Row) -> StoreError:
    """What `restore` raises."""
    return StoreError(f"{row.url} cannot be row {row.id}: another row has that ID, or that URL")


class Store(Protocol):
    """Where the queue lives. Safe to call from several threads, processes and machines at once.

    Every verb raises StoreUnavailable when the backend does not answer now, StoreError when trying again will not help;
    `insert`, `restore`, `move` and `add_columns` raise StoreFull when there is no room. What raised has changed nothing then.
    """

    def scan(self, table: Table[R], where: Where = EVERY_ROW, *, limit: int = 100) -> list[R]:
        """Rows that may match.

        * A hint, possibly stale, never a decision: only a swap decides.
        * At most `limit` rows; its cost does not grow with the rows that do not match.
        * With `due`, those that have been due longest come first (not before: none, in order of their ID); else in order of ID.
        """
        ...

    def count(self, table: Table[R]) -> Mapping[State, int]:
        """How many rows there are in each state that has any. A hint, as `scan` is."""
        ...

    def leases(self, table: Table[Any], state: State) -> Iterable[Lease]:
        """The leases of all rows in a state, in no order. A hint, as `scan` is; reads no rows."""
        ...

    def tally(self, tables: Sequence[Table[Any]], since: date) -> list[list[Tally]]:
        """What an overview is made of: for each table how many rows are alike, in no order; days only from `since` on.

        A hint, as `scan` is. Reads no rows: where asking is dear it is one request for all tables.
        """
        ...

    def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
        """Put each new row in the place of the row that was seen, if that has still the same lease.

        * Each change has its own answer, in the same order; one that is lost takes no other along.
        * For one lease that was seen, at most one swap is ever won, whoever asks and however often.
        * A lost swap wrote nothing.
        * An answer that was lost on the way is resolved inside: WON and LOST are the truth.
        * A row in another table, or deleted, is LOST; but a HELD one that a person led astray may be carried home first.
        """
        ...

    def insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        """Add rows whose key is new, and return their IDs; None for each that is known already.

        * Of all rows with one key, inserted by any number of machines at once or twice in `rows`, one is kept.
        * A key is known in `VIDEO_TASKS` and `DEAD_LETTERS` alike.
        * IDs rise in the order of insertion and are never used again.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def restore(self, table: Table[R], rows: Sequence[R]) -> None:
        """Put rows of another store into this one as they are: each keeps its ID, its lease and everything that it says.

        * All of them, or none when it fails; a row that stands here with the same ID and key is left as it is.
        * StoreError where another row has the ID or the key of one.
        * IDs that `insert` gives afterwards are larger than each that was ever restored.
        * Columns of people's own that are missing here are made.
        * Repeatable: after an error the same call may be made again.
        """
        ...

    def move(self, table: Table[VideoTask], seen: VideoTask, to: Table[VideoTask]) -> bool:
        """Move exactly the row that has this lease, or nothing; whether it moved. The row itself does not change."""
        ...

    def controls(self, *, fresh: bool = False) -> list[Control]:
        """Every line of control, in no order.

        * A hint, at most 30 s old; `fresh`: as of now.
        * Where asking is dear it costs nothing of its own as long as anything else was asked within that time.
        * What a person wrote there counts; of a moment that cannot be understood `until` is None, and the log says so once.
        """
        ...

    def set_control(self, name: str, change: SetControl) -> Control | None:
        """Change one line from what it is at that instant; what it became, or None where `change` left it.

        * Of several machines that change one line at once, each sees what those before it made.
        * Other lines, and other columns, stay as they are.
        * Repeatable, where asking `change` again is: after an error the change may or may not have been made.
        """
        ...

    def custom_columns(self, table: Table[R]) -> Collection[str] | None:
        """The names of a person's own columns, which `Row.extra` may have; what it has beside them is dropped. None: any name."""
        ...

    def add_columns(self, table: Table[R], names: Sequence[str]) -> None:
        """Add columns of these names for a person, unless they are there; none where a row may have any."""
        ...

    @property
    def clock_error_seconds(self) -> float:
        """How much earlier than the true time `now` may be; it never is later. A worker counts its own leases so much shorter."""
        ...

    @property
    def result_batch_seconds(self) -> float:
        """How long a result may wait for others to be written with it: 0 where a write costs little."""
        ...

    def now(self) -> datetime:
        """The store's clock, in UTC: the only one that decides about a lease."""
        ...

    def close(self) -> None:
        """Let go of connections. The store can be used again afterwards."""
        ...
