"""Tombstones and erased rows (youtube_download_coordinator/queue/store.py), and that no way leads back, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.rows import Clock, make_queue, new_source, new_video
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Done, Lease, Source, State, VideoTask
from youtube_download_coordinator.operations.copy_queue import copy_queue
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import ChangeResult, Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Change, Store, Swap, Where
from youtube_download_coordinator.queue.tombstones import is_erased, is_purged, purged, tombstone
from youtube_download_coordinator.stores.sql import SqlStore

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def described(number: int) -> VideoTask:
    return new_video(number, accent="pt-BR", type="interview", duration_seconds=131, source_id=7, extra={"Gender": "f"})


def purge(queue: Queue, *keys: str) -> list[VideoTask]:
    """Bury and erase the videos with these keys. Return their rows as they are then."""
    queue.store.bury([tombstone(key) for key in keys])
    rows = []
    for table in (VIDEO_TASKS, DEAD_LETTERS):
        found = queue.store.scan(table, Where(keys=keys), limit=100)
        rows += [change.new for change in queue.erase(table, found)]
    return rows


# --- tombstones ------------------------------------------------------------------------------------------------------


def test_tombstones_are_added_and_never_twice(open_store: Callable[[], Store]) -> None:
    store = open_store()
    assert list(store.tombstones()) == []
    store.bury([])
    store.bury([tombstone("a"), tombstone("b")])
    store.bury([tombstone("b"), tombstone("c"), tombstone("c")])
    assert sorted(store.tombstones()) == sorted(map(tombstone, "abc"))
    assert sorted(open_store().tombstones()) == sorted(map(tombstone, "abc"))
    assert store.buried([*map(tombstone, "bcd")]) == {*map(tombstone, "bc")}


def test_a_buried_key_is_known(store: Store) -> None:
    store.bury([tombstone(new_video(1).key)])
    assert store.insert(VIDEO_TASKS, [new_video(1), new_video(2)])[0] is None
    assert [row.key for row in store.scan(VIDEO_TASKS)] == [new_video(2).key]


def test_another_process_sees_a_tombstone_at_its_next_insertion(open_store: Callable[[], Store]) -> None:
    one, other = open_store(), open_store()
    one.insert(VIDEO_TASKS, [new_video(1)])
    other.bury([tombstone(new_video(2).key)])
    assert one.insert(VIDEO_TASKS, [new_video(2)]) == [None]


def test_a_source_may_have_a_buried_key(store: Store) -> None:
    store.bury([tombstone("url:both")])
    assert store.insert(SOURCES, [new_source(1, key="url:both")]) != [None]


def test_many_tombstones(store: Store) -> None:
    many = {tombstone(str(number)) for number in range(1200)}
    store.bury(many)
    assert set(store.tombstones()) == many
    assert store.buried(many) == many


# --- erasing ---------------------------------------------------------------------------------------------------------


def test_an_erased_row_keeps_nothing_but_its_id(open_store: Callable[[], Store]) -> None:
    store = open_store()
    store.insert(VIDEO_TASKS, [described(1), described(2)])
    first, second = store.scan(VIDEO_TASKS)
    done = replace(first, lease=Lease(version=1, state=State.DONE, detail="pt-BR/x.m4a", nonce="d"))
    assert store.swap(VIDEO_TASKS, [Change(first, done)]) == [Swap.WON]
    new = purged(done, NOW, "nonce")
    assert store.erase(VIDEO_TASKS, [Change(done, new)]) == [Swap.WON]
    store.flush()
    for seen in (store, open_store()):
        rows = seen.scan(VIDEO_TASKS)
        assert rows == [new, second]
        assert is_erased(rows[0])
        assert rows[0].result == "purged 2026-11-29"
        assert rows[0].source_id == 7
        assert rows[0].duration_seconds is None


def test_a_row_with_another_lease_is_not_erased(store: Store) -> None:
    store.insert(VIDEO_TASKS, [described(1)])
    (row,) = store.scan(VIDEO_TASKS)
    held = replace(row, lease=Lease(version=1, state=State.HELD, holder="host/b", until=NOW, nonce="h"))
    assert store.swap(VIDEO_TASKS, [Change(row, held)]) == [Swap.WON]
    assert store.erase(VIDEO_TASKS, [Change(row, purged(row, NOW, "x"))]) == [Swap.LOST]
    assert [found.lease for found in store.scan(VIDEO_TASKS)] == [held.lease]
    assert [found.title for found in store.scan(VIDEO_TASKS)] == [described(1).title]


def test_an_erasure_may_be_done_again(store: Store) -> None:
    store.insert(VIDEO_TASKS, [described(1)])
    queue = make_queue(store)
    (row,) = purge(queue, described(1).key)
    (again,) = queue.erase(VIDEO_TASKS, [row])
    assert again.new.key == row.key
    assert again.new.result == row.result
    assert store.scan(VIDEO_TASKS) == [again.new]


# --- no way back -----------------------------------------------------------------------------------------------------


@pytest.fixture
def queue(store: Store) -> Queue:
    return make_queue(store, clock=Clock())


def test_a_purged_video_is_not_added_again(queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(1), new_video(2)])
    purge(queue, new_video(1).key)
    assert queue.add(VIDEO_TASKS, [new_video(1), new_video(2)]) == [None, None]
    assert queue.known_videos([new_video(1).key, new_video(3).key]) == {new_video(1).key}
    with pytest.raises(UserError, match="was purged"):
        queue.find_or_add(VIDEO_TASKS, new_video(1))
    assert len(queue.store.scan(VIDEO_TASKS)) == 2


def test_a_source_that_is_a_purged_video_is_not_added_again(queue: Queue) -> None:
    queue.store.bury([tombstone(new_video(2).key)])
    buried = new_source(2, url=new_video(2).url, key=new_video(2).key)
    assert queue.add(SOURCES, [new_source(1), buried, new_source(3)])[1] is None
    with pytest.raises(UserError, match="was purged"):
        queue.find_or_add(SOURCES, buried)
    assert [row.key for row in queue.store.scan(SOURCES)] == [new_source(1).key, new_source(3).key]


def test_neither_retry_nor_skip_nor_a_claim_changes_a_purged_row(queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(1)])
    (row,) = purge(queue, new_video(1).key)
    every = Selection(ids=[row.id])
    assert queue.retry(VIDEO_TASKS, every) == {ChangeResult.ALREADY: 1}
    assert queue.skip(VIDEO_TASKS, every) == {ChangeResult.ALREADY: 1}
    assert queue.ask_for(VIDEO_TASKS, every, ["subtitles"]) == {ChangeResult.ALREADY: 1}
    assert queue.correct_results({row.id: "x.m4a"}) == set()
    assert queue.claim_now(VIDEO_TASKS, row.id) is None
    assert queue.claim(VIDEO_TASKS, 5) == []
    assert queue.store.scan(VIDEO_TASKS) == [row]


def test_a_purged_dead_letter_does_not_come_back(queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(1)])
    (row,) = queue.store.scan(VIDEO_TASKS)
    dead = replace(row, lease=Lease(version=1, state=State.DEAD, detail="private", nonce="d"))
    queue.store.swap(VIDEO_TASKS, [Change(row, dead)])
    assert queue.store.move(VIDEO_TASKS, dead, DEAD_LETTERS)
    purge(queue, row.key)
    assert queue.requeue_dead_letters() == 0
    queue.recover(VIDEO_TASKS)
    rows = [row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in queue.store.scan(table)]
    assert [(is_erased(row), row.lease.state, row.lease.reason) for row in rows] == [(True, State.DEAD, "purged")]
    assert queue.claim(VIDEO_TASKS, 5) == []


def test_the_outcome_of_a_worker_that_holds_a_purged_row_is_dropped(queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    (row,) = purge(make_queue(queue.store, "host/b"), new_video(1).key)
    assert queue.renew() == [claim]
    assert queue.settle([(claim, Done(result="x.m4a"))]) == [None]
    assert queue.store.scan(VIDEO_TASKS) == [row]


def test_a_row_that_was_brought_back_is_erased_when_it_would_be_claimed(queue: Queue) -> None:
    """An older version of the library inserts it, or an old copy of the row is put back."""
    queue.add(VIDEO_TASKS, [new_video(1)])
    purge(queue, new_video(1).key)
    queue.store.restore(VIDEO_TASKS, [replace(described(1), id=90), replace(described(2), id=91)])
    assert [claim.row.id for claim in queue.claim(VIDEO_TASKS, 5)] == [91]
    assert queue.claim_now(VIDEO_TASKS, 90) is None
    rows = {row.id: row for row in queue.store.scan(VIDEO_TASKS)}
    assert is_erased(rows[90])
    assert rows[90].lease.state is State.DONE


def test_a_copy_has_the_tombstones_and_the_purged_rows(queue: Queue) -> None:
    """From a database to this store, and from there to another database."""
    first, last = (make_queue(SqlStore("sqlite://")) for _ in range(2))
    first.add(VIDEO_TASKS, [described(1), described(2)])
    purge(first, described(1).key, "url:never-seen")
    for source, target in ((first, queue), (queue, last)):
        copy_queue(source, target)
        assert sorted(target.store.tombstones()) == sorted(map(tombstone, [described(1).key, "url:never-seen"]))
        assert target.add(VIDEO_TASKS, [new_video(1), new_video(9, key="url:never-seen")]) == [None, None]
        assert [is_purged(row) for row in target.store.scan(VIDEO_TASKS)] == [True, False]


def test_a_source_that_is_a_video_can_be_erased(queue: Queue) -> None:
    queue.add(SOURCES, [new_source(1, title="x")])
    (source,) = queue.store.scan(SOURCES)
    (change,) = queue.erase(SOURCES, [source])
    assert isinstance(change.new, Source)
    assert is_erased(change.new)
    assert queue.store.scan(SOURCES) == [change.new]
    queue.recover(SOURCES)
    assert queue.claim(SOURCES, 1) == []
    queue.store.bury([tombstone(source.key)])
    assert queue.retry(SOURCES, Selection(ids=[source.id])) == {ChangeResult.ALREADY: 1}
