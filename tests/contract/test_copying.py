"""Copying a queue from each store to each other: row by row, whatever comes between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import BACKENDS, POSTGRESQL_URL
from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue, new_source, new_video
from tests.support.sheet import SheetDesk, sheet_desk
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Row, Source, State, Verdict
from youtube_download_coordinator.operations.copy_queue import NotCopied, copy_queue
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table

VIDEOS = 12
DEAD, RETRIED = Failure(verdict=Verdict.PERMANENT, reason="private"), Failure(verdict=Verdict.RETRY, reason="http-503")
WAYS = [("sheets", "sqlite-file"), ("sqlite-file", "sheets"), ("sqlite-memory", "sqlite-file")] + (
    [("sheets", "postgresql"), ("postgresql", "sheets"), ("sqlite-file", "postgresql")] if POSTGRESQL_URL else []
)


def fill(queue: Queue) -> None:
    """Add rows in every state but held."""
    queue.add(SOURCES, [new_source(n, accent="pt-BR", extra={"Notes": f"s{n}"}) for n in range(3)])
    queue.add(VIDEO_TASKS, [new_video(n, extra={"Gender": "f"} if n % 2 else {}, source_id=1) for n in range(VIDEOS)])
    (source,) = queue.claim(SOURCES, 1)
    queue.settle([(source, Done())], title="=A channel", videos=VIDEOS, checked_at=queue.store.now())
    done, dead, retried, given_back = queue.claim(VIDEO_TASKS, 4)
    queue.settle([(done, Done(result="media/x.m4a")), (dead, DEAD), (retried, RETRIED)])
    queue.release([given_back])


def everything(queue: Queue, table: Table[Any]) -> list[Any]:
    return [(row.id, row.key, row.lease.version, row.lease.nonce, row.lease.state) for row in queue.rows(table)]


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]} to {way[1]}")
def queues(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Queue, Queue]]:
    """Yield a filled queue and an empty one."""
    with ExitStack() as stack:
        opened = []
        for name in request.param:
            folder = tmp_path / name
            folder.mkdir()
            store = BACKENDS[name](folder, stack)()
            stack.callback(store.close)
            opened.append(make_queue(store, f"host/{name}"))
        fill(opened[0])
        yield opened[0], opened[1]


def test_every_row_arrives_as_it_is(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    before = {table.name: everything(source, table) for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)}
    copied = copy_queue(source, target)
    assert copied.rows == {"sources": 3, "video_tasks": VIDEOS - 1, "dead_letters": 1}
    assert copied.left_out == ()
    for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS):
        assert everything(source, table) == before[table.name]
        assert everything(target, table) == before[table.name]
    (listed,) = [row for row in target.rows(SOURCES) if row.lease.state is State.DONE]
    assert (listed.title, listed.videos) == ("=A channel", VIDEOS)
    assert [row.extra for row in target.rows(VIDEO_TASKS)] == [row.extra for row in source.rows(VIDEO_TASKS)]
    assert {row.extra.get("Gender", "") for row in target.rows(VIDEO_TASKS)} == {"f", ""}


@pytest.mark.skipif(not POSTGRESQL_URL, reason="needs YDC_TEST_POSTGRESQL_URL")
def test_a_queue_goes_from_the_sheet_to_sqlite_to_postgresql_and_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        queues = []
        for number, name in enumerate(("sheets", "sqlite-file", "postgresql", "sheets")):
            folder = tmp_path / str(number)
            folder.mkdir()
            store = BACKENDS[name](folder, stack)()
            stack.callback(store.close)
            queues.append(make_queue(store, f"host/{name}"))
        fill(queues[0])
        for source, target in pairwise(queues):
            assert copy_queue(source, target).rows == {"sources": 3, "video_tasks": VIDEOS - 1, "dead_letters": 1}
        for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS):
            before, *after = (told(queue, table) for queue in queues)
            assert after == [before] * 3


def told(queue: Queue, table: Table[Any]) -> list[Row]:
    return [in_seconds(row) for row in queue.rows(table)]


def in_seconds(row: Row) -> Row:
    """Return the row with its times cut to whole seconds, as a sheet keeps them."""
    names = ("claimed_at", "checked_at") if isinstance(row, Source) else ("claimed_at",)
    moments = {name: moment.replace(microsecond=0) for name in names if (moment := getattr(row, name))}
    return replace(row, **moments)


def test_a_fleet_that_is_paused_stays_so(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    paused = Control(name="fleet", value="paused", reason="moving to another store")
    source.store.set_control("fleet", lambda _: paused)
    copy_queue(source, target)
    assert target.store.controls(fresh=True) == [paused]


def test_the_copy_goes_on_where_the_queue_was(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    copy_queue(source, target)
    claims = target.claim(VIDEO_TASKS, VIDEOS)
    assert len(claims) == VIDEOS - 3  # one is done, one is dead, one waits
    assert target.add(VIDEO_TASKS, [new_video(1)]) == [None]
    (new,) = target.add(VIDEO_TASKS, [new_video(99)])
    assert new is not None
    assert new > VIDEOS


def test_copying_again_changes_nothing(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    assert copy_queue(source, target) == copy_queue(source, target)


def test_a_queue_that_is_worked_on_is_not_copied(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    source.claim(VIDEO_TASKS, 2)
    with pytest.raises(
        NotCopied, match=r"2 rows are held by host/\S+: stop the workers first \(their claims expire by 2"
    ):
        copy_queue(source, target)
    assert list(target.rows(SOURCES)) == []


def test_another_queue_is_not_overwritten(queues: tuple[Queue, Queue]) -> None:
    source, target = queues
    target.add(VIDEO_TASKS, [new_video(77)])
    with pytest.raises(NotCopied, match="the target contains another queue"):
        copy_queue(source, target)
    assert [row.key for row in target.rows(VIDEO_TASKS)] == [new_video(77).key]
    assert list(target.rows(SOURCES)) == []


def test_a_change_during_the_copy_is_seen(queues: tuple[Queue, Queue]) -> None:
    source, target = queues

    def interfere(said: str) -> None:
        if said.startswith("video tasks"):
            (claim,) = source.claim(VIDEO_TASKS, 1)
            source.settle([(claim, Done())])

    with pytest.raises(
        NotCopied, match=r"1 of \d+ rows of video_tasks differ, because the queue or the copy was changed"
    ):
        copy_queue(source, target, interfere)


def test_an_interrupted_copy_is_finished_by_the_next() -> None:
    source, target = make_queue(FaultyStore()), make_queue(FaultyStore())
    fill(source)
    restore = target.store.restore
    calls: list[int] = []

    def failing(table: Table[Any], rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) == 2:
            restore(table, rows[:3])  # some of them arrived
            raise StoreUnavailable("the network is gone")
        restore(table, rows)

    target.store.restore = failing  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        copy_queue(source, target)
    assert 0 < len(list(target.rows(VIDEO_TASKS))) < VIDEOS - 1
    assert copy_queue(source, target).rows["video_tasks"] == VIDEOS - 1


@pytest.fixture
def desk() -> Iterator[SheetDesk]:
    with sheet_desk() as desk:
        yield desk


def test_a_sheet_whose_answers_get_lost_has_every_row_once(desk: SheetDesk) -> None:
    source = make_queue(FaultyStore())
    fill(source)
    target = desk.queue()
    desk.simulator.faults.add("apply_then_reset", body="appendCells", times=2)
    desk.simulator.faults.add("apply_late", body="appendCells", times=1, after_requests=3)
    assert copy_queue(source, target).rows == {"sources": 3, "video_tasks": VIDEOS - 1, "dead_letters": 1}
    assert len(desk.lines()) == VIDEOS - 1


def test_lines_that_are_no_row_of_a_queue_are_left_out_and_named(desk: SheetDesk) -> None:
    source = desk.queue()
    fill(source)
    twin = new_video(1).url
    for url in ("no address", "nor this", twin):
        desk.person.insert_row("Video Tasks", 1, {"URL": url})
    desk.clock.advance(60)
    copied = copy_queue(source, make_queue(FaultyStore()))
    assert copied.rows["video_tasks"] == VIDEOS - 1
    assert {row.url for row in copied.left_out} == {"no address", "nor this", twin}


def test_what_a_dead_worker_held_and_what_people_asked_for_is_settled_before(desk: SheetDesk) -> None:
    source = desk.queue()
    fill(source)
    source.claim(VIDEO_TASKS, 1)
    desk.clock.advance(timedelta(minutes=20).total_seconds())
    desk.show()
    (done,) = [row for row in source.rows(VIDEO_TASKS) if row.lease.state is State.DONE]
    desk.type_status(done.url, "pending")
    desk.clock.advance(60)
    target = make_queue(FaultyStore())
    copy_queue(source, target)
    assert {row.lease.state for row in target.rows(VIDEO_TASKS)} == {State.PENDING}


def test_moments_are_compared_as_exactly_as_every_store_keeps_them() -> None:
    source, target = make_queue(FaultyStore()), make_queue(FaultyStore())
    fill(source)
    rows = list(source.rows(VIDEO_TASKS))
    seconds = [replace(row, claimed_at=row.claimed_at and row.claimed_at.replace(microsecond=0)) for row in rows]
    target.store.restore(VIDEO_TASKS, seconds)
    copy_queue(source, target)
