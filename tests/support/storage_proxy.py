"""A proxy in front of an object storage: it counts the requests, and lets them fail as a test wants.

    with StorageProxy(upstream) as proxy:
        proxy.fail("slow-down", "PUT", times=2)
        proxy.url        what AWS_ENDPOINT_URL is set to
        proxy.requests   what was asked, in order

It reads signatures, but changes nothing that they sign: moto checks none, and Azurite's contain no host.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

FaultKind = Literal[
    "slow-down",
    "no-answer",
    "lost-answer",
    "broken-request",
    "broken-answer",
    "denied",
    "no-such-upload",
    "conflict",
    "request-timeout",
]
"""503 SlowDown; the connection is closed without a word, before or after the request was carried out; reset after half of the
request's or the answer's body; 403 AccessDenied; 404 NoSuchUpload; 409
ConditionalRequestConflict, S3's answer while another request for the same key is under way; 400 RequestTimeout, its answer to a
request whose body does not come."""
REFUSALS = {
    "slow-down": (503, "SlowDown"),
    "denied": (403, "AccessDenied"),
    "no-such-upload": (404, "NoSuchUpload"),
    "conflict": (409, "ConditionalRequestConflict"),
    "request-timeout": (400, "RequestTimeout"),
}
ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>The proxy of a test says so.</Message></Error>'


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """With the bucket, percent-encoded."""
    query: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}{'?' * bool(self.query)}{self.query}"


@dataclass(slots=True)
class Fault:
    """A fault of the next `times` requests that match."""

    kind: FaultKind
    pattern: re.Pattern[str]
    times: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    def applies(self, request: Request) -> bool:
        with self.lock:
            if self.times <= 0 or not self.pattern.search(str(request)):
                return False
            self.times -= 1
            return True


@dataclass(frozen=True, slots=True)
class Dialect:
    """A translation of the names of headers on the way to the storage, and back."""

    to_storage: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str, str], ...] = ()
    """Headers that are replaced as a whole: their name, and the name and value instead."""

    def request(self, name: str, value: str) -> tuple[str, str]:
        lowered = name.lower()
        for old, new, new_value in self.values:
            if lowered == old:
                return new, new_value
        for old, new in self.to_storage:
            if lowered.startswith(old):
                return new + lowered[len(old) :], value
        return name, value

    def answer(self, name: str, value: str) -> tuple[str, str]:
        for old, new in self.to_storage:
            if name.lower().startswith(new):
                return old + name[len(new) :], value
        return name, value


GOOGLE_XML = Dialect(
    to_storage=(("x-goog-meta-", "x-amz-meta-"),),
    values=(
        ("x-goog-if-generation-match", "If-None-Match", "*"),
        (
            "authorization",
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, Signature=0",
        ),
    ),
)
"""The XML API of Google Cloud Storage, which obstore speaks, in front of an S3: the same requests with other headers. The
emulators on the package index know its JSON API alone."""


class StorageProxy(ThreadingHTTPServer):
    """The proxy, from its construction on until `close`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, dialect: Dialect | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.dialect = dialect or Dialect()
        self.requests: list[Request] = []
        self.forget_conditions = False
        """Overwrite whatever is there, as a storage does that does not know the header."""
        self._faults: list[Fault] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(self, kind: FaultKind, pattern: str = "", times: float = 1) -> Fault:
        """Let the next requests fail whose `METHOD /bucket/key?query` the regular expression finds."""
        fault = Fault(kind, re.compile(pattern), times)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Let no request fail, and forget what was asked."""
        self._faults.clear()
        self.requests.clear()

    def fault_of(self, request: Request) -> FaultKind | None:
        return next((fault.kind for fault in self._faults if fault.applies(request)), None)

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StorageProxy

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, parts.path, parts.query, length)
        self.server.requests.append(request)
        fault = self.server.fault_of(request)
        if fault == "broken-request":
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if fault == "no-answer":
            self._reset()
        elif fault in REFUSALS:
            status, code = REFUSALS[fault]
            self._answer(status, [("Content-Type", "application/xml")], ERROR.format(code).encode())
        else:
            status, headers, content = self._forward(body)
            if fault == "lost-answer":
                self._reset()
            else:
                self._answer(status, headers, content, is_broken=fault == "broken-answer")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._upstream() as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                name, value = self.server.dialect.request(name, value)
                if not (self.server.forget_conditions and name.lower() == "if-none-match"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            headers = [self.server.dialect.answer(*header) for header in response.getheaders()]
            return response.status, headers, response.read()

    @contextmanager
    def _upstream(self) -> Iterator[http.client.HTTPConnection]:
        upstream = self.server.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
        try:
            yield connection
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, is_broken: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", "")
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if is_broken else content)
        if is_broken:
            self._reset()

    def _reset(self) -> None:
        """Break the connection off, as a router does that was restarted."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log requests."""
