"""A site on loopback whose answers never end, inflate, or take all there is."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MEGABYTE = 1 << 20
INFLATED_BYTES = 3 << 30
PAGE = b"<!doctype html><html><title>page</title>"
_TYPES = {"mp4": "video/mp4", "html": "text/html"}


def bomb() -> bytes:
    """Return 3 MB of gzip that inflate to a page of 3 GB, in many members."""
    one = io.BytesIO()
    with gzip.GzipFile(fileobj=one, mode="wb", compresslevel=9) as out:
        out.write(b" " * (64 * MEGABYTE))
    return gzip.compress(PAGE) + one.getvalue() * (INFLATED_BYTES // (64 * MEGABYTE))


class GreedySite(ThreadingHTTPServer):
    """`/endless.mp4` and `/endless.html` never end; `/huge.mp4` has a length of a terabyte; `/bomb.html` inflates."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.bomb = bomb()
        self.sent_bytes = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report a client that hangs up."""


@contextmanager
def greedy_site() -> Iterator[GreedySite]:
    """Serve it in a thread."""
    with GreedySite() as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()


class _Answer(BaseHTTPRequestHandler):
    server: GreedySite

    def do_GET(self) -> None:
        name, _, extension = self.path.strip("/").partition(".")
        self.send_response(200)
        self.send_header("Content-Type", _TYPES[extension])
        if name == "huge":
            self.send_header("Content-Length", str(10**12))
        if name == "bomb":
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(self.server.bomb)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if name == "bomb":
            self.wfile.write(self.server.bomb)
            return
        self.wfile.write(PAGE if extension == "html" else b"")
        while True:
            self.wfile.write(b" " * MEGABYTE)
            with self.server.lock:
                self.server.sent_bytes += MEGABYTE

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
