"""A media site with one file of any size, and an S3 that throws away what is put: for files that nobody wants to keep."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 1 << 20


class Server(ThreadingHTTPServer):
    """Serves `clip` and so many zeros after it, in an atom that players skip; counts the requests of S3."""

    daemon_threads = True

    def __init__(self, clip: bytes, size: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.head = clip + (size - len(clip)).to_bytes(4, "big") + b"free"
        self.size = size
        self.requests: list[str] = []
        self.put_bytes = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report a client that hangs up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if not self.path.startswith("/video.mp4"):
            self._storage()
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(self.server.size - start))
        self.send_header("Content-Range", f"bytes {start}-{self.server.size - 1}/{self.server.size}")
        self.end_headers()
        if self.command == "GET":
            self._send_from(start)

    do_HEAD = do_GET

    def _send_from(self, start: int) -> None:
        self.wfile.write(self.server.head[start:])
        left = self.server.size - max(start, len(self.server.head))
        while left > 0:
            self.wfile.write(bytes(min(left, PIECE)))
            left -= PIECE

    def _storage(self) -> None:
        """Answer as S3 does."""
        self.server.requests.append(f"{self.command} {self.path}")
        left = int(self.headers.get("Content-Length") or 0)
        self.server.put_bytes += left
        while left > 0:
            left -= len(self.rfile.read(min(left, PIECE)))
        key = f"<Key>{re.sub(r'^/[^/]*/|[?].*', '', self.path)}</Key>"
        answers = {
            "POST ?uploads": f"<InitiateMultipartUploadResult>{key}<UploadId>u</UploadId></InitiateMultipartUploadResult>",
            "POST ?uploadId": f"<CompleteMultipartUploadResult>{key}<ETag>e</ETag></CompleteMultipartUploadResult>",
        }
        kind = f"{self.command} ?{self.path.partition('?')[2].partition('=')[0]}"
        is_there = self.command in ("PUT", "POST", "DELETE")
        body = answers.get(kind, "").encode()
        self.send_response(200 if is_there else 404)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_DELETE = _storage

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


@contextmanager
def sink(clip: bytes, size: int) -> Iterator[Server]:
    """Run the server."""
    server = Server(clip, size)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
