"""YouTube's API for trainability, simulated on loopback: what it permits, and what can go wrong.

The answers have the form of Google's documentation. Nobody has compared them with the real service.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Answer:
    """An answer. `hangs`: it never comes."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    trickles: bool = False
    """A byte now and then, without an end."""


def permits(*names: str) -> Answer:
    """Return the answer that permits training to these, about whatever video is asked for."""
    return Answer(
        json.dumps({"videoId": "VIDEO", "kind": "youtube#videoTrainability", "etag": "e1", "permitted": names}).encode()
    )


def garbage(content: Any) -> Answer:
    """Return an answer with any content: bytes as they are, anything else as JSON."""
    return Answer(content if isinstance(content, bytes) else json.dumps(content).encode())


class TrainabilityApi(ThreadingHTTPServer):
    """`answer` is that to every video, but for those in `answers`. `asked` has the IDs in the order of the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = permits("none")
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/youtube/v3/videoTrainability"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: TrainabilityApi

    def do_GET(self) -> None:
        (video_id,) = parse_qs(urlsplit(self.path).query)["id"]
        self.server.asked.append(video_id)
        self.server.headers.append(dict(self.headers))
        answer = self.server.answers.get(video_id, self.server.answer)
        if answer.hangs:
            self.server.closing.wait(60)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not answer.trickles:
            body = answer.body.replace(b'"VIDEO"', json.dumps(video_id).encode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.end_headers()
        while not self.server.closing.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def trainability_api() -> Iterator[TrainabilityApi]:
    """Serve the API until the end of the block."""
    with TrainabilityApi() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()
