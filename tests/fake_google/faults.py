"""Faults by rule, and the quotas of the page "Usage limits"."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tests.fake_google.errors import ApiError, Json

Action = Literal["status", "reset", "apply_then_reset", "apply_late", "slow", "garbage"]
Kind = Literal["read", "write"]
T = TypeVar("T")
STATUSES = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    408: ("DEADLINE_EXCEEDED", "The request timed out."),
    429: ("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Write requests'."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
}


class Clock:
    """The server's clock: the machine's time plus an offset that can be set."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Give the seconds since 1970."""
        return time.time() + self.offset_seconds


class ManualClock(Clock):
    """A clock that stands still until it is told to go on."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        super().__init__()
        self.seconds = start

    def now(self) -> float:
        """Give the seconds since 1970."""
        return self.seconds + self.offset_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class NoAnswer(ConnectionError):
    """The caller gets no answer: the connection is reset, or left hanging until the caller gives up."""

    def __init__(self, *, hang: bool) -> None:
        super().__init__("no answer, the connection hangs" if hang else "no answer, the connection is reset")
        self.hang = hang


@dataclass
class Fault:
    """A rule for faults. It fires on matching requests, after `skip` of them, at most `times` times (None: always).

    - `status`: answer with an error, the change is not applied
    - `reset`: reset the connection, the change is not applied
    - `apply_then_reset`: apply the change, then reset the connection: the answer is lost
    - `apply_late`: no answer now (reset, or with `hang` nothing at all); the change is applied after `after_requests`
      further requests, right before the last of them, or when `release_late` is called
    - `slow`: apply the change, but answer only after `seconds`, or when `release` is set
    - `garbage`: apply the change, and answer with something that is not JSON
    """

    action: Action
    method: str = ""  # a regular expression on the HTTP method
    path: str = ""  # a regular expression on the path, decoded
    body: str = ""  # a regular expression on the body
    predicate: Callable[[str, str, bytes], bool] | None = None  # of HTTP method, path and body
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    status: int = 503
    message: str = ""
    hang: bool = False
    after_requests: int | None = None
    seconds: float | None = None
    release: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    fired: int = 0

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Say whether a request is one of those that the rule is about."""
        patterns = ((self.method, method), (self.path, path), (self.body, body.decode(errors="replace")))
        if not all(re.search(pattern, text, re.IGNORECASE) for pattern, text in patterns if pattern):
            return False
        return self.predicate is None or self.predicate(method, path, body)

    def error(self) -> ApiError:
        """Give the error of a `status` fault."""
        status, message = STATUSES.get(self.status, ("UNKNOWN", "Unknown error."))
        return ApiError(self.status, status, self.message or message)


@dataclass
class _Late:
    work: Callable[[], Any]
    requests_left: int | None


class Faults:
    """The rules in force, and the changes that still wait to be applied."""

    def __init__(self, seed: int = 0) -> None:
        self.rules: list[Fault] = []
        self.random = random.Random(seed)
        self.late_refusals: list[str] = []
        self._late: list[_Late] = []
        self._lock = threading.Lock()

    def add(self, action: Action, **options: Any) -> Fault:
        """Put a rule in force; rules are tried in the order in which they came."""
        fault = Fault(action, **options)
        with self._lock:
            self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Drop all rules and let every slow answer go; late changes stay."""
        with self._lock:
            rules, self.rules = self.rules, []
        for fault in rules:
            fault.release.set()

    def choose(self, method: str, path: str, body: bytes) -> Fault | None:
        """Give the rule that fires on this request, if any."""
        with self._lock:
            return next((fault for fault in self.rules if self._fires(fault, method, path, body)), None)

    def _fires(self, fault: Fault, method: str, path: str, body: bytes) -> bool:
        if not fault.matches(method, path, body) or (fault.times is not None and fault.fired >= fault.times):
            return False
        fault.seen += 1
        if fault.seen <= fault.skip or self.random.random() >= fault.probability:
            return False
        fault.fired += 1
        return True

    def apply(self, fault: Fault | None, work: Callable[[], T]) -> T:
        """Do the work under a fault. `garbage` is left to whoever writes the answer."""
        if fault is None or fault.action == "garbage":
            return work()
        if fault.action == "status":
            raise fault.error()
        if fault.action == "reset":
            raise NoAnswer(hang=fault.hang)
        if fault.action == "apply_late":
            with self._lock:
                self._late.append(_Late(work, fault.after_requests))
            raise NoAnswer(hang=fault.hang)
        done = work()
        if fault.action == "slow":
            fault.release.wait(fault.seconds)
            return done
        raise NoAnswer(hang=fault.hang)

    @property
    def late_count(self) -> int:
        """Return how many changes wait to be applied."""
        return len(self._late)

    def count_request(self) -> None:
        """Note that a request came in; apply the late changes whose turn it is."""
        with self._lock:
            for late in self._late:
                if late.requests_left is not None:
                    late.requests_left -= 1
            due = [late for late in self._late if late.requests_left is not None and late.requests_left <= 0]
            self._late = [late for late in self._late if late not in due]
        for late in due:
            self._finish(late)

    def release_late(self) -> int:
        """Apply every late change now, oldest first; give their number."""
        with self._lock:
            due, self._late = self._late, []
        for late in due:
            self._finish(late)
        return len(due)

    def _finish(self, late: _Late) -> None:
        """Apply a late change; a refusal has nobody left to be told to, and is noted."""
        try:
            late.work()
        except ApiError as error:
            self.late_refusals.append(error.message)


@dataclass
class Quota:
    """Requests a minute: reads and writes, of each account and of each project. None is no limit, and the default.

    "Read requests: 300 per minute per project, 60 per minute per user per project; write requests" the same. "They're
    refilled every minute"; "each batch request, including any subrequest, is counted as one API request". A request
    that is refused for the quota uses nothing of it.
    """

    per_user: int | None = None
    per_project: int | None = None
    minute_seconds: float = 60.0
    denied: int = 0
    _used: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, per_user: int | None = 60, per_project: int | None = 300, minute_seconds: float = 60.0) -> None:
        """Put limits in force and start to count anew; the defaults are Google's."""
        with self._lock:
            self.per_user, self.per_project, self.minute_seconds = per_user, per_project, minute_seconds
            self._used.clear()

    def take(self, kind: Kind, email: str, project: str, now: float) -> None:
        """Use one request of the quotas, or raise 429."""
        minute = int(now // self.minute_seconds)
        limits = ((email, self.per_user, " per user"), (project, self.per_project, ""))
        with self._lock:
            for who, limit, suffix in limits:
                if limit is not None and self._used[who, kind, minute] >= limit:
                    self.denied += 1
                    raise exhausted(kind, limit, suffix, project)
            for who, _limit, _suffix in limits:
                self._used[who, kind, minute] += 1


def exhausted(kind: Kind, limit: int, suffix: str, project: str) -> ApiError:
    """Give the 429 of an exceeded quota, worded as Google's."""
    metric = f"{kind.capitalize()} requests"
    message = (
        f"Quota exceeded for quota metric '{metric}' and limit '{metric} per minute{suffix}' of service "
        f"'sheets.googleapis.com' for consumer 'project_number:{project}'."
    )
    metadata = {
        "service": "sheets.googleapis.com",
        "consumer": f"projects/{project}",
        "quota_metric": f"sheets.googleapis.com/{kind}_requests",
        "quota_limit": f"{kind.capitalize()}RequestsPerMinutePer{'User' if suffix else 'Project'}",
        "quota_limit_value": str(limit),
    }
    info: Json = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}
    details = [info | {"domain": "googleapis.com", "metadata": metadata}]
    return ApiError(429, "RESOURCE_EXHAUSTED", message, details)
