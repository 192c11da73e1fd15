"""PostgreSQL's answer to a COMMIT is lost on the way, as when a connection breaks: what was committed is known all the same."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.contract.conftest import POSTGRESQL_URL
from tests.support.rows import POLICY, make_queue, new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, State, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Change, Swap
from youtube_download_coordinator.stores.sql import SqlStore, engine
from youtube_download_coordinator.stores.sql.tables import metadata, videos

pytestmark = pytest.mark.skipif(not POSTGRESQL_URL, reason="needs PostgreSQL: .ci/postgresql")
SOCKET = ".s.PGSQL.5432"


class Line(socketserver.ThreadingUnixStreamServer):
    """A line to PostgreSQL that can break before, or behind, the next COMMIT; and behind it for good."""

    def __init__(self, folder: Path) -> None:
        url = sa.make_url(POSTGRESQL_URL)
        self.there = f"{url.query['host']}/{SOCKET}"
        self.url = url.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
        self.breaks = ""
        self.is_down = False
        super().__init__(str(folder / SOCKET), _Carrier)


class _Carrier(socketserver.BaseRequestHandler):
    """Carries one connection, in a thread of its own."""

    server: Line

    def handle(self) -> None:
        if self.server.is_down:
            return
        client: socket.socket = self.request
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(self.server.there)
            other = {client: there, there: client}
            while True:
                for readable in select.select(list(other), [], [])[0]:
                    data = readable.recv(1 << 16)
                    if not data or (readable is client and self._breaks(data, there)):
                        return
                    other[readable].sendall(data)

    def _breaks(self, data: bytes, there: socket.socket) -> bool:
        """Return whether this is the COMMIT whose answer is to be lost. Apply it first, unless the server breaks before it."""
        how = self.server.breaks
        if not how or b"COMMIT" not in data:
            return False
        self.server.breaks, self.server.is_down = "", how == "for good"
        if how != "before":
            there.sendall(data)
            there.recv(1 << 16)
        return True


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    store = SqlStore(POSTGRESQL_URL)
    metadata.drop_all(store._engine)
    store.close()
    with Line(tmp_path_factory.mktemp("pg")) as there:
        thread = threading.Thread(target=there.serve_forever)
        thread.start()
        yield there
        there.shutdown()
        thread.join()


@pytest.fixture
def store(line: Line) -> Iterator[SqlStore]:
    opened = SqlStore(line.url)
    make_queue(opened).add(VIDEO_TASKS, [new_video(1), new_video(2)])
    yield opened
    opened.close()


def held(store: SqlStore, row: VideoTask) -> Change[VideoTask]:
    return Change(
        row, lifecycle.claim(row, lifecycle.Moment(now=store.now(), nonce="mine", jitter=0.5), "host/a", POLICY)
    )


def test_a_swap_whose_commit_was_applied_is_won(line: Line, store: SqlStore) -> None:
    rows = store.scan(VIDEO_TASKS)
    stale = replace(rows[1], lease=replace(rows[1].lease, nonce="old"))
    line.breaks = "behind"
    assert store.swap(VIDEO_TASKS, [held(store, rows[0]), held(store, stale)]) == [Swap.WON, Swap.LOST]
    assert [row.lease.nonce for row in store.scan(VIDEO_TASKS)] == ["mine", rows[1].lease.nonce]


def test_a_swap_whose_commit_was_not_applied_may_be_repeated(line: Line, store: SqlStore) -> None:
    (row, _) = store.scan(VIDEO_TASKS)
    line.breaks = "before"
    with pytest.raises(StoreUnavailable):
        store.swap(VIDEO_TASKS, [held(store, row)])
    assert store.scan(VIDEO_TASKS)[0].lease == row.lease
    assert store.swap(VIDEO_TASKS, [held(store, row)]) == [Swap.WON]


def test_what_was_applied_is_known_as_ones_own_when_the_database_answers_again(line: Line, store: SqlStore) -> None:
    queue = make_queue(store)
    claims = queue.claim(VIDEO_TASKS, 2)
    for ask in (queue.renew, lambda: queue.settle([(claim, Done(result="a.m4a")) for claim in claims])):
        line.breaks = "for good"
        with pytest.raises(StoreUnavailable):
            ask()
        line.is_down = False
        if ask == queue.renew:
            assert queue.renew() == []
    assert store.count(VIDEO_TASKS) == {State.DONE: 2}
    assert None not in queue.settle([(claim, Done(result="a.m4a")) for claim in claims])


def test_a_move_whose_commit_was_applied_is_known(line: Line, store: SqlStore) -> None:
    (row, _) = store.scan(VIDEO_TASKS)
    line.breaks = "behind"
    assert store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert store.scan(DEAD_LETTERS) == [row]


def test_a_claim_whose_commit_was_applied_is_held(line: Line, store: SqlStore) -> None:
    queue = make_queue(store)
    with suppress(StoreUnavailable):
        line.breaks = "behind"
        claims = queue.claim(VIDEO_TASKS, 2)
    assert sorted(claim.row.id for claim in claims) == [1, 2]


def test_a_machine_that_sleeps_in_a_transaction_keeps_nobody_waiting(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock of a row; PostgreSQL ends it, so that the others' swap of the row is won."""
    monkeypatch.setattr(engine, "IDLE_IN_TRANSACTION_SECONDS", 1)
    (row, _) = store.scan(VIDEO_TASKS)
    sleeper = SqlStore(POSTGRESQL_URL)

    def sleep() -> None:
        with sleeper._writing() as asleep:
            asleep.execute(sa.update(videos).where(videos.c.id == row.id).values(title="half done"))
            assert store.swap(VIDEO_TASKS, [held(store, row)]) == [Swap.WON]

    with pytest.raises(StoreUnavailable):
        sleep()
    sleeper.close()
    assert store.scan(VIDEO_TASKS)[0].title == row.title
