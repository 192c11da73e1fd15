"""The rows of the queue: frozen values that know nothing of where they are kept.

A *video task* is a row, a *source* is a row that video tasks come from. The lease of a row alone decides who may act on it;
everything else is what was inserted, or shows people what the lease says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

DETAIL_MAX_CHARACTERS = 300
"""A result or a reason is cut to this length: a spreadsheet's cell is no place for a traceback."""


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
    """The canonical key of the URL (urls.py): what makes two rows the same."""
    accent: str = ""
    type: str = ""
    title: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    """A person's own columns by name, copied from a source to its videos."""
    claimed_by: str = ""
    claimed_at: datetime | None = None
    asked: Status | None = None
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

    def own(self, name: str) -> str:
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


def cut(text: str, max_characters: int = DETAIL_MAX_CHARACTERS) -> str:
    """One line of at most that many characters, an ellipsis showing that some are missing."""
    line = " ".join(text.split())
    return line if len(line) <= max_characters else line[: max_characters - 1] + "…"


def storable(text: str) -> str:
    """Without what a database refuses, NUL and halves of characters (a file name that is no UTF-8 has them), and without what
    some terminal or log viewer may obey: control characters but for tabs and ends of lines."""
    return _CONTROLS.sub("", text.encode("utf-8", "replace").decode())


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def utc_text(moment: datetime | None) -> str:
    """ISO-8601 in UTC with a Z, to the second; nothing for no moment."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


_WRITTEN_MOMENT = re.compile(
    r"(?P<first>\d{1,4})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<third>\d{1,4})"
    r"(?:(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:\.\d+)?)? ?(?P<half>[AP]M)?)?"
    r" ?(?P<zone>Z|UTC|GMT)?"
)


def moment_of(text: str) -> datetime | None:
    """A moment that a person wrote, or a spreadsheet in its own way: `2026-11-25 8:30`, `25.11.2026`, `11/25/2026 8:30 PM`.

    Without a zone it means UTC. None when it is no moment, or could be two (`5/6/2026`).
    """
    written = " ".join(text.split()).upper()
    found = _WRITTEN_MOMENT.fullmatch(written)
    try:
        moment = _moment_in_parts(found) if found else datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment_in_parts(found: re.Match[str]) -> datetime:
    first, second, third = (int(found[part]) for part in ("first", "second", "third"))
    orders = [(first, second, third)] if first > 31 else [(third, second, first), (third, first, second)]
    if found["sign"] == ".":
        orders = orders[:1]
    possible = {order for order in orders if 1 <= order[1] <= 12 and 1 <= order[2] <= 31 and order[0] > 31}
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] == "PM" else 0)
    (date,) = possible  # ValueError, as what else is no date
    return datetime(*date, hour, int(found["minute"] or 0), int(found["seconds"] or 0), tzinfo=UTC)


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
