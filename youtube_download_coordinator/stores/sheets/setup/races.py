"""Send batches from several connections at the same time. Google must apply them one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from youtube_download_coordinator.stores.sheets.api import Connection, Json, Refused

RIVALS = 8


@contextmanager
def rivals(connection: Connection) -> Iterator[Rivals]:
    """Open the connections of the rivals, and close them at the end."""
    connections = [connection.another() for _ in range(RIVALS)]
    try:
        with ThreadPoolExecutor(RIVALS) as threads:
            # Sign in and complete the TLS handshake first, because they take longer than the race.
            list(threads.map(lambda rival: rival.properties("spreadsheetId"), connections))
            yield Rivals(connections, threads)
    finally:
        for rival in connections:
            rival.close()


class Rivals:
    """Open connections, each with a thread."""

    def __init__(self, connections: Sequence[Connection], threads: ThreadPoolExecutor) -> None:
        self._connections = connections
        self._threads = threads

    def race(self, batches: Sequence[Sequence[Json]]) -> list[Json | None]:
        """Send a batch from each rival at the same time. Return the responses, with None for a refused batch."""
        start = threading.Barrier(len(batches))

        def send(connection: Connection, batch: Sequence[Json]) -> Json | None:
            start.wait()
            try:
                return connection.write(batch)
            except Refused:
                return None

        return list(self._threads.map(send, self._connections[: len(batches)], batches))
