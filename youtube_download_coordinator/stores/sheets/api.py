"""Send requests to the Google Sheets API, with gspread's client plus timeouts, retries, helpful errors and Google's clock.

A request that was certainly not applied is repeated for a while. If the response to a write is lost, the write may have been
applied, or may be applied later. The caller must find out (AnswerLost).
"""

from __future__ import annotations

import copy
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import gspread
import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from gspread.exceptions import APIError

from youtube_download_coordinator.config import Config, id_of_spreadsheet
from youtube_download_coordinator.errors import ConfigError, StoreError, StoreFull, StoreUnavailable
from youtube_download_coordinator.stores.clock import StoreClock, monotonic_seconds, suspended_seconds
from youtube_download_coordinator.stores.sheets.credentials import credentials
from youtube_download_coordinator.stores.sheets.one_column import OneColumn, packed
from youtube_download_coordinator.text import truncate

log = logging.getLogger(__name__)

GOOGLE = "https://sheets.googleapis.com"
TIMEOUT_SECONDS = (10.0, 60.0)
"""The timeouts of connecting, and between two parts of a response."""
PAUSE_SECONDS, PAUSE_MAX_SECONDS = 1.0, 64.0
"""The first and the longest pause after a failure. Google recommends truncated exponential backoff with jitter."""
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
MIN_CLOCK_ERROR_SECONDS = 2.0
"""The minimum error of Google's clock: responses come from many servers, whose clocks differ by an unknown time."""
DATE_SECONDS = 1.0
"""The resolution of the Date header."""
CLOCK_AGE_SECONDS = 3600.0
"""The age of the last response from which a request is sent only to get the time. Usually other requests are more recent."""

_OVER_THE_LIMIT = re.compile(r"above the limit of [\d,.]+ cells")
"""Google's message, as reported for each limit so far: 2, 5 and 10 million cells."""

Json = dict[str, Any]
Hook = Callable[[Json], Json]


_Bounds = tuple[int | None, ...]
_EDGES = (
    ("sheetId", 0),
    ("startRowIndex", 0),
    ("endRowIndex", None),
    ("startColumnIndex", 0),
    ("endColumnIndex", None),
)
"""The numbers of a GridRange, with the defaults of omitted ones. Google omits zeros."""


class Values(NamedTuple):
    """The cells of a range."""

    rows: Sequence[Sequence[str]]
    title: str = ""
    """The current title of the tab."""


_NO_VALUES = Values([])


class AnswerLost(StoreUnavailable):
    """Raised when the response to a write was lost. The write may have been applied, or may be applied later."""


class Refused(StoreError):
    """Raised when Google refused a request (400). No part of it was applied."""


class SpreadsheetFull(Refused, StoreFull):
    """Raised when Google refused a request with which the spreadsheet would have too many cells."""


def call_later(seconds: float, work: Callable[[], None]) -> None:
    """Run `work` in another thread after some seconds, unless the process has ended by then."""
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()


@dataclass(frozen=True, slots=True)
class Environment:
    """The time, the randomness and the HTTP client, which a simulation replaces."""

    monotonic: Callable[[], float] = monotonic_seconds
    clock_jumps: Callable[[], float] = suspended_seconds
    """Changes when the machine was suspended."""
    sleep: Callable[[float], object] = time.sleep
    later: Callable[[float, Callable[[], None]], None] = call_later
    randomness: random.Random = field(
        default_factory=random.SystemRandom
    )  # forks would share the state of any other generator
    client: Callable[[Any], gspread.HTTPClient] = gspread.HTTPClient


class Connection:
    """A connection to one spreadsheet by one account. Threads may share it: requests are sent one after the other.

    Raises ConfigError if a person must fix something, and StoreUnavailable if Google did not answer for `patience_seconds`.
    """

    def __init__(self, config: Config, environment: Environment | None = None) -> None:
        self.environment = environment or Environment()
        self.spreadsheet_id = id_of_spreadsheet(config.spreadsheet_id or "")
        self._config = config
        self._base = f"{config.sheets_api_url}/v4/spreadsheets/{self.spreadsheet_id}"
        self._patience_seconds = config.sheets_patience_seconds
        self._lock = threading.RLock()
        self._credentials = credentials(config)
        self._client: gspread.HTTPClient | None = None
        self._process = 0
        """The ID of the process that opened the client, because a fork must not use its parent's sockets."""
        self._clock = StoreClock(
            lambda: self.properties("spreadsheetId"),
            max_age_seconds=CLOCK_AGE_SECONDS,
            resolution_seconds=DATE_SECONDS,
            can_be_set_back=False,
            monotonic=self.environment.monotonic,
            jumps=self.environment.clock_jumps,
        )
        self.title = ""
        """The title of the spreadsheet when the layout was last read."""
        self.requests = 0
        """The number of requests so far. Each takes one unit of the quota."""
        self._worked: set[bool] = set()
        """Contains True after a successful read, and False after a successful write. Later refusals are treated as outages."""

    @property
    def account(self) -> str:
        """Return the email address with which to share the spreadsheet."""
        return getattr(self._credentials, "service_account_email", "") or "the account that is signed in"

    def now(self) -> datetime:
        """Return Google's time from its last responses: never ahead of it, and at most `clock_error_seconds` behind."""
        return self._clock.now()

    @property
    def clock_error_seconds(self) -> float:
        return max(MIN_CLOCK_ERROR_SECONDS, self._clock.error_seconds)

    def properties(self, fields: str, ranges: Sequence[str] = ()) -> Json:
        """Call spreadsheets.get with a field mask."""
        return self._read("", {"fields": fields, "ranges": list(ranges)})

    def values(self, areas: Sequence[Json]) -> list[Values]:
        """Call values.batchGetByDataFilter. Return the cells of each GridRange as text, without trailing empty ones.

        A GridRange names a tab by its sheetId. Other methods use the title, which may belong to another tab a moment later.
        """
        body = {"dataFilters": [{"gridRange": area} for area in areas], "majorDimension": "ROWS"}
        fields = {"fields": "valueRanges(valueRange(range,values),dataFilters.gridRange)"}
        answer = self._request("POST", "/values:batchGetByDataFilter", fields, body, is_read=True, hook=packed)
        values: dict[_Bounds, Values] = {}
        for matched in answer.get("valueRanges", []):  # in any order; each contains its filters
            cells = _values_of(matched.get("valueRange", {}))
            values |= {
                _bounds(data_filter.get("gridRange", {})): cells for data_filter in matched.get("dataFilters", [])
            }
        return [values.get(_bounds(area), _NO_VALUES) for area in areas]

    def cells(self, areas: Sequence[Json], fields: str) -> dict[int, dict[int, Json]]:
        """Call spreadsheets.getByDataFilter. Return the first cell of each line of GridRanges, by sheetId and line.

        A cell is Google's CellData with `fields`.
        """
        body = {"dataFilters": [{"gridRange": area} for area in areas]}
        mask = {"fields": f"sheets(properties.sheetId,data(startRow,rowData.values({fields})))"}
        answer = self._request("POST", ":getByDataFilter", mask, body, is_read=True)
        cells: dict[int, dict[int, Json]] = {}
        for sheet in answer.get("sheets", []):
            lines = cells.setdefault(sheet.get("properties", {}).get("sheetId", 0), {})
            for block in sheet.get("data", []):
                for row, line in enumerate(block.get("rowData", []), start=block.get("startRow", 0)):
                    lines[row] = (line.get("values") or [{}])[0]
        return cells

    def write(self, changes: Sequence[Json], *, show: Sequence[str] = ()) -> Json:
        """Call batchUpdate, which applies all changes or none. Return the replies and the cells of the ranges in `show`.

        Raises Refused, AnswerLost.
        """
        body: Json = {"requests": list(changes)}
        fields = "replies"
        if show:
            body |= {"includeSpreadsheetInResponse": True, "responseRanges": list(show)}
            fields += ",updatedSpreadsheet.sheets(properties.sheetId,data(startRow,startColumn,rowData.values.userEnteredValue))"
        return self._request("POST", ":batchUpdate", {"fields": fields}, body)

    def pause(self, seconds: float) -> None:
        """Wait, so that other processes can proceed."""
        self.environment.sleep(seconds)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Do not repeat requests in this block, because their responses are not worth a long wait."""
        patience_seconds, self._patience_seconds = self._patience_seconds, 0.0
        try:
            yield
        finally:
            self._patience_seconds = patience_seconds

    def another(self) -> Connection:
        """Return another connection to the spreadsheet with the same account, for concurrent requests."""
        connection = copy.copy(self)
        connection._lock, connection._client = threading.RLock(), None
        return connection

    def close(self) -> None:
        """Close the sockets. The next request opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.session.close()
                getattr(self._client.session, "_auth_request_session", self._client.session).close()
                self._client = None

    def _read(self, path: str, params: Mapping[str, Any]) -> Json:
        return self._request("GET", path, params, None, is_read=True)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        body: Json | None,
        *,
        is_read: bool = False,
        hook: Hook | None = None,
    ) -> Json:
        """Send a request until Google answers or patience ends. A write whose response was lost is not sent again.

        `hook` receives each object of the response as it is parsed, and returns its replacement.
        """
        began, pause = self.environment.monotonic(), PAUSE_SECONDS
        while True:
            try:
                return self._send(method, path, params, body, is_read=is_read, hook=hook)
            except AnswerLost:
                raise
            except StoreUnavailable as error:
                pause_now = self.environment.randomness.uniform(pause / 2, pause)
                if self.environment.monotonic() - began + pause_now > self._patience_seconds:
                    raise
                log.warning("Google Sheets: %s; trying again in %.1f s", error, pause_now)
                self.environment.sleep(pause_now)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)

    def _send(
        self, method: str, path: str, params: Mapping[str, Any], body: Json | None, *, is_read: bool, hook: Hook | None
    ) -> Json:
        with self._lock:
            self.requests += 1
            sent = self._clock.before_request()
            try:
                response = self._http().request(method, self._base + path, params=dict(params), json=body)
                answer: Json = response.json(object_hook=hook)
            except APIError as error:
                raise self._translate(error, is_read=is_read) from error
            except GoogleAuthError as error:
                raise _sign_in_problem(error, is_new=is_read not in self._worked) from error
            except (requests.RequestException, ValueError) as error:
                # A write may have been applied if the connection broke, or the body is not JSON.
                raise _lost(error, is_read=is_read) from error
            if (date := _date_of(response)) is not None:
                self._clock.record(date, sent)
            self._worked.add(is_read)
            return answer

    def _http(self) -> gspread.HTTPClient:
        if self._client is None or self._process != os.getpid():
            self._process = os.getpid()
            self._client = self.environment.client(self._credentials)
            self._client.set_timeout(TIMEOUT_SECONDS)
        return self._client

    def _translate(self, error: APIError, *, is_read: bool) -> Exception:
        status = error.response.status_code
        message = _message(error)
        if status == 400:
            return SpreadsheetFull(_full(message)) if _OVER_THE_LIMIT.search(message) else Refused(message)
        if status == 429:
            return StoreUnavailable(f"the quota is used up ({message})")
        if status in TRANSIENT:
            return StoreUnavailable(f"{status} {message}") if is_read else AnswerLost(f"{status} {message}")
        return self._problem_to_fix(error, status, message, is_new=is_read not in self._worked)

    def _problem_to_fix(self, error: APIError, status: int, message: str, *, is_new: bool) -> Exception:
        where = f"the spreadsheet {self.spreadsheet_id}"
        refused = SheetRefused if is_new else AccessLost
        if status == 404:
            not_found = SheetNotFound if is_new else SheetLost
            return not_found(f"{where} was not found: check spreadsheet_id, and share it with {self.account}", error)
        if "SERVICE_DISABLED" in str(error.error):
            return refused(f"the Google Sheets API is not enabled in the account's project: {message}", error)
        if status == 403:
            problem = f"{where} is not shared with {self.account} as an editor: share it with that address"
            return refused(f"{problem} ({message})", error)
        if status == 401:
            return refused(f"Google does not accept the credentials of {self.account}: {message}", error)
        return StoreError(f"Google Sheets answered {status}: {message}")


class SheetNotFound(ConfigError, gspread.SpreadsheetNotFound):
    """Raised when the spreadsheet does not exist, or is not shared with the account."""

    def __init__(self, message: str, error: APIError) -> None:
        Exception.__init__(self, message)
        self.response = error.response


class SheetRefused(ConfigError, APIError):
    """Raised when Google does not let the account use the spreadsheet."""

    def __init__(self, message: str, error: APIError) -> None:
        Exception.__init__(self, message)
        self.response, self.error, self.code = error.response, error.error, error.code

    __str__ = Exception.__str__


class SheetLost(SheetNotFound, StoreUnavailable):
    """Raised when the spreadsheet was deleted or is no longer shared with the account, while this process uses it."""


class AccessLost(SheetRefused, StoreUnavailable):
    """Raised when Google no longer lets the account use the spreadsheet, while this process uses it."""


class SignInLost(ConfigError, StoreUnavailable):
    """Raised when Google no longer accepts the credentials, while this process uses the spreadsheet."""


def _bounds(area: Json) -> _Bounds:
    return tuple(area.get(name, default) for name, default in _EDGES)


def _values_of(value_range: Json) -> Values:
    """Return the cells of a ValueRange, and the title before the `!` of its range."""
    title = str(value_range.get("range", "")).rpartition("!")[0]
    if title.startswith("'"):
        title = title[1:-1].replace("''", "'")
    rows = value_range.get("values", [])
    return Values(rows if isinstance(rows, OneColumn) else [[str(cell) for cell in row] for row in rows], title)


def _date_of(response: requests.Response) -> datetime | None:
    """Return the time in a response's Date header, or None if it is missing or not a date."""
    try:
        date = parsedate_to_datetime(response.headers.get("Date") or "")
    except ValueError:
        return None
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _message(error: APIError) -> str:
    body = error.error if isinstance(error.error, dict) else {}
    text = str(body.get("message") or error.response.reason)
    # Only the details explain "Request contains an invalid argument."
    details = [detail for detail in body.get("details") or [] if isinstance(detail, dict)]
    violations = [violation for detail in details for violation in detail.get("fieldViolations") or []]
    reasons = [str(violation.get("description") or "") for violation in violations]
    added = dict.fromkeys(reason for reason in reasons if reason and reason not in text)
    return truncate(" ".join(" ".join([text, *added]).split()), 600)


def _full(message: str) -> str:
    return (
        "the spreadsheet is full, and nothing was added; existing rows are still processed. Delete tabs, columns or"
        " rows that you do not need, or `ydc copy` it to a database: docs/beyond-one-sheet.md"
        f" ({message})"
    )


def _lost(error: Exception, *, is_read: bool) -> StoreUnavailable:
    text = f"no answer ({type(error).__name__})"
    return StoreUnavailable(text) if is_read else AnswerLost(text)


def _sign_in_problem(error: GoogleAuthError, *, is_new: bool) -> Exception:
    text = " ".join(str(error.args[0] if error.args else error).split())[:200]
    is_on_the_way = isinstance(error, TransportError) or getattr(error, "retryable", True)
    if is_on_the_way and "invalid_grant" not in text:
        return StoreUnavailable(f"signing in: {text}")
    problem = f"Google does not accept the credentials (or this machine's clock is wrong): {text}"
    return ConfigError(problem) if is_new else SignInLost(problem)
