"""The simulated API over real HTTP on the loopback: keep-alive HTTP/1.1, one thread a connection."""

from __future__ import annotations

import os
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from tests.fake_google.control import CONTROL_PREFIX, control
from tests.fake_google.faults import Clock, NoAnswer
from tests.fake_google.simulator import Answer, Simulator


class SheetsServer:
    """A simulator that listens on 127.0.0.1. Use it as a context manager, or call `start` and `close`."""

    def __init__(self, port: int = 0, clock: Clock | None = None, seed: int = 0) -> None:
        self.simulator = Simulator(clock, seed)
        self._http = _HttpServer(("127.0.0.1", port), self.simulator)
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.simulator.address = self.address
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="sheets-api", daemon=True)

    def start(self) -> SheetsServer:
        """Begin to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop: let slow answers go, cut every connection and wait for the threads."""
        self.simulator.faults.clear()
        self._http.shutdown()
        self._http.cut_connections()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> SheetsServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def cut_connections(self) -> None:
        """End the connections that clients keep alive."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def _serve(self) -> None:
        path, _mark, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._write(self._answer(path, query, body))
        except NoAnswer as fault:
            self._leave_unanswered(hang=fault.hang)

    def _answer(self, path: str, query: str, body: bytes) -> Answer:
        simulator = self.server.simulator
        if path.startswith(CONTROL_PREFIX):
            return control(simulator, self.command, path, query, body)
        return simulator.handle(self.command, path, query, dict(self.headers.items()), body)

    def _write(self, answer: Answer) -> None:
        status, headers, payload = answer
        self.send_response_only(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def _leave_unanswered(self, *, hang: bool) -> None:
        """Reset the connection; before that, if it is to hang, wait until the client gives up or the server closes."""
        self.close_connection = True
        if hang:
            self.rfile.read(1)
        self.server.connections.discard(self.connection)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the log of the simulator has it."""

    def handle(self) -> None:
        """Serve the requests of one connection; a client that goes away in the middle is no error here."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True
