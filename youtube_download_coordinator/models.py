"""The rows of the queue: frozen values that know nothing of where they are kept.

A *video task* is a row, a *source* is a row that video tasks come from. The lease of a row alone decides who may act on it;
everything else is what was inserted, or shows people what the lease says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Not before this: not at all. The first day of the last year, so that no time zone of a database leads beyond."""
IS_SOURCE = "is source "
"""Begins the result of a source that is another's alias."""
SKIPPED = "skipped by hand"
"""The result of a row that a person has called done."""

NO_KEY = "none"
"""The key of a line that a person typed and whose URL is none of ours: many have it, and it is an ERROR."""
DUPLICATE = "duplicate of "
"""Begins the detail of a row that is an ERROR because another has its URL."""


def is_mix(key: str) -> bool:
    """Return whether a key is that of a mix: a list that YouTube makes up as one listens, without an end."""
    return key.startswith("yt:p:RD") and not key.startswith("yt:p:RDCLAK5uy_")


class State(StrEnum):
    """What the lease of a row says."""

    PENDING = "pending"
    """Waits to be claimed, not before `not_before`."""
    HELD = "held"
    """One worker holds it until `until`; after that anyone may move it on."""
    DONE = "done"
    """Its result is recorded. Nothing happens to it any more unless a person asks."""
    ERROR = "error"
    """Kept away from workers: a source that does not exist, a row that a person excluded."""
    DEAD = "dead"
    """Failed for good: belongs to the dead letters."""


class Status(StrEnum):
    """What people read in the Status column."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Lock, version and fencing token of a row at once.

    No two transitions, by anybody, ever make equal leases: `version` counts the row's changes and `nonce` is fresh for each.
    """

    version: int = 0
    state: State = State.PENDING
    tries: int = 0
    """Failed attempts so far."""
    not_before: datetime | None = None
    """PENDING: nobody claims it earlier. DONE: a source is not looked at again earlier."""
    holder: str = ""
    """HELD only: `host/run` of the worker."""
    until: datetime | None = None
    """HELD only: when the claim runs out."""
    detail: str = ""
    """DONE: the result. Otherwise why the last attempt failed, as `reason: message`."""
    nonce: str

    @property
    def reason(self) -> str:
        """The machine-readable word at the front of a failure's detail."""
        return self.detail.partition(":")[0] if self.state is not State.DONE else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What sources and video tasks have in common."""

    id: int = 0
    """0 until a store has inserted it."""
    url: str
    key: str
    """The canonical key of the URL (sources/urls.py): what makes two rows the same."""
    accent: str = ""
    type: str = ""
    title: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    """A person's own columns by name, copied from a source to its videos."""
    claimed_by: str = ""
    claimed_at: datetime | None = None
    requested_status: Status | None = None
    """What a person typed into Status and nobody has heeded yet; only a sheet has people in it."""
    lease: Lease

    @property
    def name(self) -> str:
        """What people call it."""
        return self.title or self.url

    @property
    def status(self) -> Status:
        return STATUS[self.lease.state]

    @property
    def result(self) -> str:
        return self.lease.detail if self.lease.state is State.DONE else ""

    @property
    def last_error(self) -> str:
        return self.lease.detail if self.lease.state is not State.DONE else ""

    def columns(self) -> dict[str, object]:
        """The row as people see it, by column name."""
        return {name: getattr(self, attribute) for name, attribute in self._COLUMNS.items()} | dict(self.extra)

    @classmethod
    def column_names(cls) -> Collection[str]:
        """The names of the coordinator's columns."""
        return cls._COLUMNS.keys()

    @property
    def retry_count(self) -> int:
        return self.lease.tries

    @property
    def not_before(self) -> datetime | None:
        return self.lease.not_before if self.lease.not_before != NEVER else None

    def custom_column(self, name: str) -> str:
        """What stands in a column of a person's own, whose name may be written in capitals or not."""
        said = (text for column, text in self.extra.items() if column.strip().casefold() == name.casefold())
        return next(said, "").strip()

    _COLUMNS: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Row):
    """A channel, a playlist or a single video that video tasks are listed from."""

    videos: int | None = None
    """Distinct videos that are known of it."""
    checked_at: datetime | None = None
    """When it was last listed, to its end or not."""
    listed_with: str = ""
    """With which filters it was last listed to its end. With the same ones only what is new is looked for."""

    _COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id", "URL": "url", "Status": "status", "ClaimedBy": "claimed_by", "ClaimedAt": "claimed_at",
        "Accent": "accent", "Type": "type", "Title": "title", "Videos": "videos", "CheckedAt": "checked_at",
        "ListedWith": "listed_with",
        "RetryCount": "retry_count", "NotBefore": "not_before", "LastError": "last_error", "Key": "key",
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTask(Row):
    """One video to process: one row."""

    source_id: int | None = None
    duration_seconds: int | None = None

    _COLUMNS: ClassVar[Mapping[str, str]] = {
        "ID": "id", "SourceID": "source_id", "URL": "url", "Status": "status", "ClaimedBy": "claimed_by",
        "ClaimedAt": "claimed_at", "Accent": "accent", "Type": "type", "Duration": "duration_seconds",
        "RetryCount": "retry_count", "Title": "title", "NotBefore": "not_before", "LastError": "last_error",
        "Result": "result",
    }  # fmt: skip


class Verdict(StrEnum):
    """What a failed attempt means for its row (errors.py has a class for each)."""

    RETRY = "retry"
    GONE = "gone"
    PERMANENT = "permanent"
    LATER = "later"
    THROTTLED = "throttled"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed, and what that means."""

    verdict: Verdict
    reason: str
    message: str = ""
    not_before: datetime | None = None
    systemic: bool = False
    """The wording is known from outages and blocks, where every video gets it: it says little about the row. Counts towards
    suspicion also where its reason is otherwise a fact about one video (`reasons.ABOUT_ONE_VIDEO`)."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An attempt succeeded; `result` is text to keep in the row."""

    result: str = ""
    asked_youtube: bool = True
    """False: everything was there already, so that this says nothing about YouTube, and used nothing of its patience."""


Outcome = Done | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A line by which people and workers steer a fleet (cooldown.py says what stands in it), or a machine its own workers."""

    name: str
    """In small letters, single spaces between its words."""
    value: str = ""
    until: datetime | None = None
    """To the second, where people see it."""
    reason: str = ""
    pause_seconds: int = 0
    """How long the next pause is; 0: not said."""


Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Section:
    """One table. What is in it may come from YouTube, or from whoever writes into the queue: data, never anything else."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    at: str
    """When the queue was looked at, in UTC."""
    sections: Sequence[Section]
    days: Section
    """Videos and hours for each of the last days, the first one first."""


_MOMENTS = ("claimed_at", "not_before", "until")


def video_task_to_json(task: VideoTask) -> dict[str, Any]:
    """The task as JSON, for a process of its own."""
    fields = asdict(replace(task, extra=dict(task.extra)))  # asdict copies no mapping of another type
    return _moments_to_text(fields | {"lease": _moments_to_text(fields["lease"])})


def video_task_from_json(fields: Mapping[str, Any]) -> VideoTask:
    """The task that `video_task_to_json` was given."""
    lease = _text_to_moments(fields["lease"])
    return VideoTask(**_text_to_moments(fields) | {"lease": Lease(**lease | {"state": State(lease["state"])})})


def _moments_to_text(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields) | {name: moment.isoformat() for name in _MOMENTS if (moment := fields.get(name))}


def _text_to_moments(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields) | {name: datetime.fromisoformat(text) for name in _MOMENTS if (text := fields.get(name))}
