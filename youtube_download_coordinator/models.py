"""Define the rows of the queue, their columns and their leases, as immutable values that are independent of the storage.

A *video task* is a video to process. A *source* is a list from which video tasks are created. Only the lease of a row decides who
may act on the row. The other columns are written once, or show people the contents of the lease.

Each column is declared once, next to the attribute with its value:

    duration_seconds: Annotated[int | None, Column("Duration", place=90, writer=Writer.INSERT)] = None

The tabs of a sheet, the tables of a database, exports and sidecars are derived from these declarations.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, truncate

START_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""A `not_before` that means never. It is the first day of the year, so that no time zone of a database exceeds the year 9999."""
NEEDS_MACHINE_FROM = datetime(9990, 1, 1, tzinfo=UTC)
"""A `not_before` from here on encodes the machines for which a row waits, instead of a time (queue/offers.py)."""
IS_SOURCE = "is source "
"""Prefix of the result of a source that is an alias of another source."""
SKIPPED = "skipped by hand"
"""The result of a row that a person has set to done."""
SKIPPED_LICENSE, SKIPPED_TRAINING = "skipped, licence ", "skipped, training "
"""Prefixes of the results of videos that a filter on rights has skipped (docs/rights.md)."""
LICENSE_COLUMN, TRAINABLE_COLUMN = "License", "Trainable"
"""Optional columns. If people add them, workers fill them."""
LICENSES = (CREATIVE_COMMONS, STANDARD_LICENSE, UNKNOWN_LICENSE) = ("creative-commons", "youtube", "unknown")
"""The texts that workers write into License. A person wrote any other text."""

NO_KEY = "none"
"""The key of a typed-in row whose URL cannot be used. Any number of rows may have it; each of them is an ERROR."""
DUPLICATE = "duplicate of "
"""Prefix of the detail of a row that is an ERROR because another row has its URL."""


def is_mix(key: str) -> bool:
    """Return whether a key belongs to a mix, an endless list that YouTube generates while it is played."""
    return key.startswith("yt:p:RD") and not key.startswith("yt:p:RDCLAK5uy_")


class State(StrEnum):
    """The state of a row, as its lease records it."""

    PENDING = "pending"
    """Can be claimed, not before `not_before`."""
    HELD = "held"
    """Claimed by one worker until `until`. After that time any worker may move the row on."""
    DONE = "done"
    """The result is recorded. The row does not change again unless a person asks for it."""
    ERROR = "error"
    """Not given to workers: a source that does not exist, or a row that a person has excluded."""
    DEAD = "dead"
    """Failed for good. The row belongs in the dead letters."""


class Status(StrEnum):
    """The values of the Status column."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    DONE = "done"
    ERROR = "error"


STATUS = {
    State.PENDING: Status.PENDING,
    State.HELD: Status.IN_PROGRESS,
    State.DONE: Status.DONE,
    State.ERROR: Status.ERROR,
    State.DEAD: Status.ERROR,
}
WORDS: Mapping[State, str] = {**{state: status.value for state, status in STATUS.items()}, State.DEAD: "dead letters"}
"""The words for states that people read and type: those of the Status column, and "dead letters"."""


class Writer(Enum):
    """The writer of a column, and the time of writing."""

    PERSON = "person"
    """A person, when a source is added. The videos of the source get a copy."""
    IDENTITY = "identity"
    """The insertion. The lease contains it too, so the cell can be rebuilt from the lease."""
    INSERT = "insert"
    """The insertion. It never changes afterwards."""
    LEASE = "lease"
    """Every change of the lease. The value is derived from the lease and not stored separately."""
    CLAIM = "claim"
    """The worker that claims the row. Stored next to the lease."""
    LISTING = "listing"
    """The worker that lists a source. Stored next to the lease."""
    MEASURE = "measure"
    """The insertion, and the worker that makes a file and measures it. Stored next to the lease."""


WRITTEN_ONCE = frozenset({Writer.PERSON, Writer.IDENTITY, Writer.INSERT})
"""Their columns do not change after the insertion."""
WRITTEN_BY_SWAPS = frozenset({Writer.CLAIM, Writer.LISTING, Writer.MEASURE})
"""Their columns change together with the lease, and cannot be rebuilt from it."""
IN_THE_LEASE = frozenset({Writer.IDENTITY, Writer.LEASE})
"""Their columns can be rebuilt from the lease alone."""


class ColumnType(Enum):
    """The type of a stored column. It determines the SQL type, and how a cell of a sheet is read."""

    TEXT = "text"
    INTEGER = "integer"
    """32 bits."""
    ID = "id"
    """64 bits."""
    TIME = "time"


INTEGER_MAX = 2**31 - 1
"""The largest value of ColumnType.INTEGER."""


@dataclass(frozen=True, slots=True)
class Column:
    """The declaration of a column, in the annotation of an attribute or of a property's return value."""

    name: str
    """The name in the header of a sheet and of exports, and in `Row.columns`."""
    _: KW_ONLY
    place: int | None = None
    """The sort position in a tab. None: people do not see the column. The seed's columns have 10 to 100, in the seed's order."""
    writer: Writer
    type: ColumnType | None = None
    """None: derived from the annotation (see `columns_of`)."""


_TYPES: Mapping[object, ColumnType] = {
    str: ColumnType.TEXT,
    int | None: ColumnType.INTEGER,
    datetime | None: ColumnType.TIME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A row's lock, version and fencing token in one value.

    No two transitions, by any worker or person, make equal leases: `version` counts the changes of the row, and each change has a
    fresh `nonce`.
    """

    version: int = 0
    state: State = State.PENDING
    tries: int = 0
    """Failed attempts so far."""
    not_before: datetime | None = None
    """PENDING: not claimed earlier. DONE: a source is not listed again earlier."""
    holder: str = ""
    """HELD only: `host/run` of the worker."""
    until: datetime | None = None
    """HELD only: when the claim expires."""
    detail: str = ""
    """DONE: the result. Otherwise why the last attempt failed, as `reason: message`."""
    nonce: str

    @property
    def reason(self) -> str:
        """Return the machine-readable word at the start of a failure's detail."""
        return self.detail.partition(":")[0] if self.state is not State.DONE else ""

    @property
    def result(self) -> str:
        """Return the detail of a row that is DONE, or an empty text."""
        return self.detail if self.state is State.DONE else ""

    @property
    def degraded(self) -> str:
        """Return the reasons for which the files of a row that is DONE are degraded, separated by commas, or an empty text."""
        mark = _DEGRADED.search(self.result)
        return mark["reasons"] if mark else ""

    @property
    def skipped(self) -> str:
        """Return why a filter has skipped a row that is DONE (`licence youtube`), or an empty text."""
        is_skipped = self.result.startswith((SKIPPED_LICENSE, SKIPPED_TRAINING))
        return self.result.removeprefix("skipped, ") if is_skipped else ""

    @property
    def is_processed(self) -> bool:
        """Return whether the row is DONE, and neither a filter nor a person has skipped it."""
        return self.state is State.DONE and self.detail != SKIPPED and not self.skipped

    @property
    def throttles(self) -> int:
        """Return how often YouTube refused this row while it answered others."""
        count = _THROTTLES.search(self.detail) if self.state is not State.DONE else None
        return int(count["count"]) if count else 0

    @property
    def interruptions(self) -> int:
        """Return how many times in a row a function that the library called has ended its process instead of returning."""
        count = _INTERRUPTIONS.match(self.detail) if self.state is not State.DONE else None
        return int(count["count"]) if count else 0


_INTERRUPTIONS = re.compile(r"interrupted: (?P<count>\d{1,6}) times?, ")
DEGRADED_START, DEGRADED_END = " (degraded: ", ")"
"""The text around the reasons at the end of a result. Queries of databases also search for it."""
_DEGRADED = re.compile(rf"{re.escape(DEGRADED_START)}(?P<reasons>[\w, -]+){re.escape(DEGRADED_END)}$")
_THROTTLES = re.compile(r"(?: ?\(throttled (?P<count>\d{1,6}) times?\))+$")


def with_throttles(detail: str, count: int) -> str:
    """Return a failure's detail with the row's throttle count at its end, replacing an earlier count.

    As part of the detail, the count is kept by every store, shown to people, and readable for a worker of version 0.1.0.
    """
    suffix = f" (throttled {count} time{'' if count == 1 else 's'})" if count else ""
    text = _THROTTLES.sub("", " ".join(detail.split()))
    return truncate(text, DETAIL_MAX_CHARACTERS - len(suffix)) + suffix


def with_degraded(result: str, reasons: str) -> str:
    """Return a result that ends with the reasons for which its files are degraded, if there are any.

    As part of the result, the mark is kept by every store and shown to people.
    """
    mark = f"{DEGRADED_START}{reasons}{DEGRADED_END}" if reasons else ""
    return truncate(result, DETAIL_MAX_CHARACTERS - len(mark)) + mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row with the columns that sources and video tasks share."""

    id: Annotated[int, Column("ID", place=10, writer=Writer.IDENTITY, type=ColumnType.ID)] = 0
    """0 until a store has inserted the row."""
    url: Annotated[str, Column("URL", place=30, writer=Writer.PERSON)]
    key: Annotated[str, Column("Key", writer=Writer.IDENTITY)]
    """The canonical key of the URL (sources/urls.py). Two rows with one key are the same row."""
    accent: Annotated[str, Column("Accent", place=70, writer=Writer.PERSON)] = ""
    type: Annotated[str, Column("Type", place=80, writer=Writer.PERSON)] = ""
    title: Annotated[str, Column("Title", place=110, writer=Writer.INSERT)] = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    """The columns that people have added, by name. The videos of a source get a copy."""
    claimed_by: Annotated[str, Column("ClaimedBy", place=50, writer=Writer.CLAIM)] = ""
    claimed_at: Annotated[datetime | None, Column("ClaimedAt", place=60, writer=Writer.CLAIM)] = None
    requested_status: Status | None = None
    """The Status that a person has set and that is not applied yet. Only a sheet can have one."""
    lease: Lease

    @property
    def name(self) -> str:
        """Return the title, or the URL of a row without a title."""
        return self.title or self.url

    @property
    def status(self) -> Annotated[Status, Column("Status", place=40, writer=Writer.LEASE)]:
        return STATUS[self.lease.state]

    @property
    def retry_count(self) -> Annotated[int, Column("RetryCount", place=150, writer=Writer.LEASE)]:
        return self.lease.tries

    @property
    def not_before(self) -> Annotated[datetime | None, Column("NotBefore", place=160, writer=Writer.LEASE)]:
        when = self.lease.not_before
        return when if when and when < NEEDS_MACHINE_FROM else None

    @property
    def last_error(self) -> Annotated[str, Column("LastError", place=170, writer=Writer.LEASE)]:
        return self.lease.detail if self.lease.state is not State.DONE else ""

    @property
    def result(self) -> str:
        return self.lease.result

    def columns(self) -> dict[str, object]:
        """Return the row by column name, as people see it. Columns that people have added come last."""
        values = {column.name: getattr(self, attribute) for attribute, column in columns_of(type(self)).shown.items()}
        return values | {name: text for name, text in self.extra.items() if name not in values}

    @classmethod
    def column_names(cls) -> Collection[str]:
        """Return the names of the coordinator's columns that people see."""
        return [column.name for column in columns_of(cls).shown.values()]

    def custom_column(self, name: str) -> str:
        """Return the text in a custom column. The letter case of its name does not matter."""
        texts = (text for column, text in self.extra.items() if column.strip().casefold() == name.casefold())
        return next(texts, "").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Row):
    """A channel, a playlist or a single video from which video tasks are listed."""

    key: Annotated[str, Column("Key", place=180, writer=Writer.IDENTITY)]
    title: Annotated[str, Column("Title", place=110, writer=Writer.LISTING)] = ""
    videos: Annotated[int | None, Column("Videos", place=120, writer=Writer.LISTING)] = None
    """The number of distinct known videos of the source."""
    checked_at: Annotated[datetime | None, Column("CheckedAt", place=130, writer=Writer.LISTING)] = None
    """When the source was last listed, completely or not."""
    listed_with: Annotated[str, Column("ListedWith", place=140, writer=Writer.LISTING)] = ""
    """The filters with which the source was last listed completely. With the same filters only new videos are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTask(Row):
    """One video to process."""

    source_id: Annotated[int | None, Column("SourceID", place=20, writer=Writer.INSERT, type=ColumnType.ID)] = None
    duration_seconds: Annotated[int | None, Column("Duration", place=90, writer=Writer.MEASURE)] = None
    """The duration in the list, until a file was made; then the measured length of the file."""
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict, compare=False)
    """The existing files by the processor that made them, if several processors run."""
    info: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """yt-dlp's information about the video, if several processors run. It is read when it is first used."""

    @property
    def retry_count(self) -> Annotated[int, Column("RetryCount", place=100, writer=Writer.LEASE)]:  # as the seed has it
        return self.lease.tries

    @property
    def result(self) -> Annotated[str, Column("Result", place=180, writer=Writer.LEASE)]:
        return self.lease.result


SHEET_COLUMNS = ("Lease", "Shown")
"""The columns of a sheet to the right of the shown ones: the encoded lease, and the version that the other cells show."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a type of rows, by attribute."""

    shown: Mapping[str, Column]
    """The columns that people see, in the order of the tab."""
    stored: Mapping[str, Column]
    """The columns whose values are stored next to the lease and not derived from it. Each has a type."""


_COLUMNS: dict[type[Row], Columns] = {}


def columns_of(kind: type[Row]) -> Columns:
    """Return the columns of a type of rows.

    The annotation gives the type of a stored column: `str`, `int | None` or `datetime | None`. Numbers and times must be
    optional, because a person may empty the cell. Raises TypeError for any other annotation.
    """
    if kind not in _COLUMNS:
        annotations = get_type_hints(kind, include_extras=True) | _types_of_properties(kind)
        columns = {name: column for name, hint in annotations.items() if (column := _declared_column(name, hint))}
        placed = sorted((column.place, name) for name, column in columns.items() if column.place is not None)
        _COLUMNS[kind] = Columns(
            shown={name: columns[name] for _, name in placed},
            stored={name: column for name, column in columns.items() if column.writer is not Writer.LEASE},
        )
    return _COLUMNS[kind]


def _types_of_properties(kind: type[Row]) -> dict[str, object]:
    """Return the annotation of each property's return value."""
    members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
    getters = {name: member.fget for name, member in members.items() if isinstance(member, property)}
    return {name: get_type_hints(getter, include_extras=True)["return"] for name, getter in getters.items()}


def _declared_column(attribute: str, annotation: object) -> Column | None:
    """Return the column in an annotation, with its type if it is stored."""
    if get_origin(annotation) is not Annotated:
        return None
    value_type, *metadata = get_args(annotation)
    column = next((value for value in metadata if isinstance(value, Column)), None)
    if column is None or column.type or column.writer is Writer.LEASE:
        return column
    if value_type not in _TYPES:
        raise TypeError(f"{attribute}: a stored column is str, int | None or datetime | None, not {value_type}")
    return replace(column, type=_TYPES[value_type])


class Verdict(StrEnum):
    """The effect of a failed attempt on its row. errors.py has a class for each."""

    RETRY = "retry"
    GONE = "gone"
    PERMANENT = "permanent"
    LATER = "later"
    THROTTLED = "throttled"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt: its reason, and its effect on the row."""

    verdict: Verdict
    reason: str
    message: str = ""
    not_before: datetime | None = None
    systemic: bool = False
    """The message is known from outages and blocks, in which every video fails with it, so it says little about the row. It
    counts towards suspicion even if its reason is otherwise a fact about one video (`reasons.ABOUT_ONE_VIDEO`)."""
    regions: tuple[str, ...] = ()
    """The countries in which the video is available, as ISO codes; empty if not known."""
    from_yt_dlp: bool = False
    """Whether yt-dlp raised it, and not the user's own processor."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A successful attempt. `result` is the text that the row keeps."""

    result: str = ""
    asked_youtube: bool = True
    """False if the files existed already: YouTube was not contacted, and the attempt does not count towards the rate limit."""
    degraded: str = ""
    """Why the files are worse than usual, as reasons separated by ", "; the row's Result ends with them."""
    media_seconds: float | None = field(default=None, compare=False)
    """The measured length of the file, for the row's Duration; None keeps the Duration."""
    license: str = field(default="", compare=False)
    """`creative-commons`, `youtube` or `unknown`, for a column License; empty keeps the column."""
    trainable: str = field(default="", compare=False)
    """Who may train with the video (docs/rights.md), for a column Trainable; empty keeps the column."""


Outcome = Done | Failure


PAUSE_MAX_SECONDS = 366 * 86400
"""The longest pause of a line of Control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A line of Control. It pauses or slows the workers of a fleet or of one machine (see cooldown.py)."""

    name: str
    """In lower case, with single spaces between words."""
    value: str = ""
    until: datetime | None = None
    """Rounded to the second in a sheet."""
    reason: str = ""
    pause_seconds: int = 0
    """The length of the next pause; 0: not known."""

    @classmethod
    def read(cls, *, name: str, value: str, until: datetime | None, reason: str, pause_seconds: int) -> Control:
        """Return the line that a store contains. A person may have written any text.

        Times and pauses are limited, so that they can be added.
        """
        latest = NEVER - timedelta(seconds=PAUSE_MAX_SECONDS)
        limited_until = max(START_OF_TIME, min(until, latest)) if until else None
        limited_pause = max(0, min(pause_seconds, PAUSE_MAX_SECONDS))
        return cls(name=name, value=value, until=limited_until, reason=reason, pause_seconds=limited_pause)


def video_task_to_json(task: VideoTask) -> dict[str, Any]:
    """Return the task as JSON for another process, without files and info, which exist only during an attempt."""
    values = asdict(
        replace(task, extra=dict(task.extra), files={}, info={})
    )  # asdict cannot copy other types of mappings
    del values["files"], values["info"]
    return _times_to_text(values | {"lease": _times_to_text(values["lease"])})


def video_task_from_json(values: Mapping[str, Any]) -> VideoTask:
    """Return the task that `video_task_to_json` has converted."""
    lease = _text_to_times(Lease, values["lease"])
    return VideoTask(**_text_to_times(VideoTask, values) | {"lease": Lease(**lease | {"state": State(lease["state"])})})


def _times_to_text(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _text_to_times(kind: type[Lease | VideoTask], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a type's attributes, with times parsed from text."""
    times = [name for name, hint in get_type_hints(kind).items() if hint == datetime | None]
    return dict(values) | {name: datetime.fromisoformat(text) for name in times if (text := values.get(name))}
