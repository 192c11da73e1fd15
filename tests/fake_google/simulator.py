"""The simulated API without sockets: `handle` takes a request and gives the answer."""

from __future__ import annotations

import email.utils
import json
import threading
import traceback
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.fake_google.accounts import Account, Accounts
from tests.fake_google.discovery import methods as documented
from tests.fake_google.discovery import problems
from tests.fake_google.errors import ApiError, Json, NotSimulatedError, invalid
from tests.fake_google.faults import Clock, Faults, Kind, NoAnswer, Quota
from tests.fake_google.grid import Spreadsheet
from tests.fake_google.methods import METHODS, PREFIX, Arguments, Route, masked, read_arguments, route_of
from tests.fake_google.resource import spreadsheet_resource
from tests.fake_google.weaknesses import Stale, Weaknesses

LOG_LIMIT = 100_000
GARBAGE = b"<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>"
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Entry:
    """A request in the log. Status 0 is a request that got no answer; sizes are those of the bodies, in bytes."""

    number: int
    time: float
    account: str
    method: str
    kind: Kind | None
    path: str
    query: str
    status: int
    bytes_in: int
    bytes_out: int
    fault: str
    body: bytes

    def as_json(self) -> Json:
        """Give the entry for the control plane."""
        return {**self.__dict__, "body": self.body.decode(errors="replace")}


@dataclass
class _Request:
    http_method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    account: str = ""
    route: Route | None = None
    fault: str = ""


class Simulator:
    """Google's Sheets API for tests: accounts, spreadsheets, quotas, faults and the log of all requests."""

    def __init__(self, clock: Clock | None = None, seed: int = 0) -> None:
        self.clock = clock or Clock()
        self.seed = seed
        self.accounts = Accounts()
        self.quota = Quota()
        self.faults = Faults(seed)
        self.token_faults = Faults(seed)
        """Of the endpoint for access tokens, which the other rules do not concern."""
        self.weaknesses = Weaknesses()
        self.spreadsheets: dict[str, Spreadsheet] = {}
        self.enabled = True
        self.check_answers = True
        self.address = "http://sheets.simulated"
        self.between_requests: Callable[[Simulator, str, Spreadsheet], None] | None = None
        self.misses: list[str] = []
        self.answer_problems: list[str] = []
        self.log: deque[Entry] = deque(maxlen=LOG_LIMIT)
        self._requests = 0
        self._lock = threading.Lock()

    @property
    def token_uri(self) -> str:
        """The address of the token endpoint, for service-account files."""
        return f"{self.address}/token"

    def create_spreadsheet(
        self,
        tabs: Mapping[str, list[list[Any]]] | None = None,
        share_with: tuple[Account | str, ...] = (),
        title: str = "Untitled spreadsheet",
        rows: int = 1000,
        columns: int = 26,
    ) -> Spreadsheet:
        """Create a spreadsheet with tabs of RAW values, and share it with accounts as writers."""
        with self._lock:
            number = len(self.spreadsheets)
            book = Spreadsheet(f"1sim{number:040d}", title, self.seed)
            self.spreadsheets[book.spreadsheet_id] = book
        for name, values in (tabs or {"Sheet1": []}).items():
            book.add_sheet(name, values, rows, columns)
        for account in share_with:
            book.share(account if isinstance(account, str) else account.email)
        return book

    def handle(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; `path` and `query` are as in the request line, percent-encoded.

        Raises:
            NoAnswer: a fault wants the caller to get none.
        """
        request = _Request(method, path, query, {name.lower(): text for name, text in headers.items()}, body)
        if path == "/token":
            return self._finish(request, *self._grant(request))
        self.faults.count_request()
        try:
            status, payload = self._answer(request)
        except NoAnswer:
            self._finish(request, 0, b"")
            raise
        return self._finish(request, status, payload)

    def _grant(self, request: _Request) -> tuple[int, bytes]:
        """Answer a request for an access token. Raises NoAnswer."""
        fault = self.token_faults.choose(request.http_method, request.path, request.body)
        try:
            status, content = self.token_faults.apply(
                fault, lambda: self.accounts.grant(request.body, self.clock.now())
            )
        except ApiError as error:
            return error.code, _encoded(error.body())
        return status, _encoded(content)

    def _answer(self, request: _Request) -> tuple[int, bytes]:
        try:
            account, route = self._admit(request)
            path = urllib.parse.unquote(request.path)
            fault = self.faults.choose(request.http_method, path, request.body)
            request.fault = fault.action if fault else ""
            content = self.faults.apply(fault, lambda: self._perform(account, route, request))
        except ApiError as error:
            if isinstance(error, NotSimulatedError):
                self.misses.append(error.what)
            return error.code, _encoded(error.body())
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.answer_problems.append(f"mistake in the simulator: {traceback.format_exc()}")
            return 500, _encoded(ApiError(500, "INTERNAL", f"mistake in the simulator: {error!r}").body())
        if fault is not None and fault.action == "garbage":
            return 200, GARBAGE
        return 200, content

    def _admit(self, request: _Request) -> tuple[Account, Route]:
        account = self.accounts.authenticate(request.headers.get("authorization", ""), self.clock.now())
        request.account = account.email
        request.route = route_of(request.http_method, request.path)
        self.quota.take(request.route.kind, account.email, account.project, self.clock.now())
        return account, request.route

    def _perform(self, account: Account, route: Route, request: _Request) -> bytes:
        if not self.enabled:
            raise _disabled(account)
        if route.method == f"{PREFIX}create":
            return self._encode(route, self._create(account, read_arguments(route, request.query, request.body, _json)))
        book = self.spreadsheets.get(route.path["spreadsheetId"])
        if book is None:
            raise ApiError(404, "NOT_FOUND", "Requested entity was not found.")
        stale = self._arrive(book, route, request.body)
        with book.lock:
            if self.between_requests is not None:
                self.between_requests(self, route.method, book)
            _check_role(book, account, route.kind)
            call = read_arguments(route, request.query, request.body, _json, account.email)
            if stale is not None:
                call = replace(call, stale=self.weaknesses.settle(book, stale))
            if route.method not in METHODS:
                raise NotSimulatedError(route.method)
            content = METHODS[route.method](book, call)
        return self._encode(route, masked(content, call.mask), partial=call.mask is not None)

    def _arrive(self, book: Spreadsheet, route: Route, body: bytes) -> Stale | None:
        if route.method != f"{PREFIX}batchUpdate" or not self.weaknesses.are_on:
            return None
        return self.weaknesses.arrive(book, _json(body).get("requests", []))

    def _encode(self, route: Route, content: Json, *, partial: bool = False) -> bytes:
        if self.check_answers and not partial:
            schema = documented()[route.method]["response"]["$ref"]
            self.answer_problems.extend(text for _field, text in problems(schema, content))
        return _encoded(content)

    def _create(self, account: Account, call: Arguments) -> Json:
        properties = call.body.get("properties", {})
        titles = [sheet.get("properties", {}).get("title", "Sheet1") for sheet in call.body.get("sheets", [{}])]
        if len(set(titles)) < len(titles):
            raise invalid("Sheet titles must be unique.")
        book = self.create_spreadsheet({title: [] for title in titles}, (account,), properties.get("title", "Untitled"))
        return spreadsheet_resource(book, book.contents, [], None)

    def _finish(self, request: _Request, status: int, payload: bytes) -> Answer:
        now = self.clock.now()
        route = request.route
        with self._lock:
            self._requests += 1
            self.log.append(
                Entry(
                    number=self._requests,
                    time=now,
                    account=request.account,
                    method=route.method.removeprefix("sheets.") if route else request.path,
                    kind=route.kind if route else None,
                    path=request.path,
                    query=request.query,
                    status=status,
                    bytes_in=len(request.body),
                    bytes_out=len(payload),
                    fault=request.fault,
                    body=request.body,
                )
            )
        headers = {"Date": email.utils.formatdate(now, usegmt=True), "Content-Type": "application/json; charset=UTF-8"}
        return status, headers, payload

    def stats(self, since: int = 0) -> Json:
        """Count the requests after number `since`, tokens apart: by account, kind, method and status, and the bytes."""
        entries = [entry for entry in list(self.log) if entry.number > since and entry.kind is not None]
        return {
            "last": self._requests,
            "requests": len(entries),
            "reads": sum(entry.kind == "read" for entry in entries),
            "writes": sum(entry.kind == "write" for entry in entries),
            "by_account": _counted(f"{entry.account} {entry.kind}" for entry in entries),
            "by_method": _counted(entry.method for entry in entries),
            "by_status": _counted(str(entry.status) for entry in entries),
            "bytes_in": sum(entry.bytes_in for entry in entries),
            "bytes_out": sum(entry.bytes_out for entry in entries),
            "quota_denied": self.quota.denied,
            "misses": list(self.misses),
        }


def _counted(names: Any) -> dict[str, int]:
    return dict(Counter(names))


def _json(body: bytes) -> Any:
    return json.loads(body)


def _encoded(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _check_role(book: Spreadsheet, account: Account, kind: Kind) -> None:
    role = book.roles.get(account.email)
    if role is None or (kind == "write" and role != "writer"):
        raise ApiError(403, "PERMISSION_DENIED", "The caller does not have permission")


def _disabled(account: Account) -> ApiError:
    url = f"https://console.developers.google.com/apis/api/sheets.googleapis.com/overview?project={account.project}"
    message = (
        f"Google Sheets API has not been used in project {account.project} before or it is disabled. Enable it by "
        f"visiting {url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate "
        "to our systems and retry."
    )
    metadata = {"service": "sheets.googleapis.com", "consumer": f"projects/{account.project}", "activationUrl": url}
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    return ApiError(403, "PERMISSION_DENIED", message, [info | {"domain": "googleapis.com", "metadata": metadata}])
