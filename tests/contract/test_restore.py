"""`restore`, bullet by bullet (youtube_download_coordinator/queue/store.py), on every backend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.support.rows import new_source, new_video
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Lease, State, VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Change, Store, Swap

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


def video(number: int, row_id: int) -> VideoTask:
    lease = Lease(version=7, state=State.PENDING, tries=2, not_before=NOW, detail="http-503: busy", nonce=f"n{number}")
    return new_video(number, id=row_id, lease=lease, claimed_by="host/a", extra={"Gender": "f"}, source_id=3)


def test_a_row_keeps_its_id_its_lease_and_everything(store: Store) -> None:
    rows = [video(1, 40), video(2, 52)]
    store.restore(VIDEO_TASKS, rows)
    assert store.scan(VIDEO_TASKS) == rows


def test_sources_and_dead_letters_are_restored_too(store: Store) -> None:
    source = new_source(1, id=9, videos=12, lease=Lease(version=3, state=State.DONE, nonce="s"))
    dead = new_video(5, id=4, lease=Lease(version=9, state=State.DEAD, tries=3, detail="private", nonce="d"))
    store.restore(SOURCES, [source])
    store.restore(VIDEO_TASKS, [video(1, 40)])
    store.restore(DEAD_LETTERS, [dead])
    assert store.scan(SOURCES) == [source]
    assert store.scan(DEAD_LETTERS) == [dead]


def test_a_restored_row_can_be_swapped_and_moved(store: Store) -> None:
    row = video(1, 40)
    store.restore(VIDEO_TASKS, [row])
    dead = new_video(1, id=40, lease=Lease(version=8, state=State.DEAD, detail="gone", nonce="x"))
    assert store.swap(VIDEO_TASKS, [Change(row, dead)]) == [Swap.WON]
    assert store.move(VIDEO_TASKS, dead, DEAD_LETTERS)


def test_it_may_be_done_again(store: Store) -> None:
    store.restore(VIDEO_TASKS, [video(1, 40)])
    store.restore(VIDEO_TASKS, [video(1, 40), video(2, 41)])
    assert store.scan(VIDEO_TASKS) == [video(1, 40), video(2, 41)]


def test_a_row_that_has_changed_since_is_left_as_it_is(store: Store) -> None:
    row = video(1, 40)
    store.restore(VIDEO_TASKS, [row])
    done = new_video(1, id=40, lease=Lease(version=8, state=State.DONE, nonce="x"))
    store.swap(VIDEO_TASKS, [Change(row, done)])
    store.restore(VIDEO_TASKS, [row])
    assert [each.lease for each in store.scan(VIDEO_TASKS)] == [done.lease]


def test_new_ids_go_on_behind_every_restored_one(open_store: Callable[[], Store]) -> None:
    store = open_store()
    store.restore(VIDEO_TASKS, [video(1, 40)])
    store.restore(DEAD_LETTERS, [video(2, 90)])
    store.restore(DEAD_LETTERS, [video(3, 12)])
    (first,) = store.insert(VIDEO_TASKS, [new_video(7)])
    (second,) = open_store().insert(VIDEO_TASKS, [new_video(8)])
    assert first is not None
    assert second is not None
    assert 90 < first < second


@pytest.mark.parametrize("conflicting", [video(9, 40), video(1, 77)], ids=["the ID", "the key"])
def test_what_another_row_has_is_refused_and_nothing_is_written(store: Store, conflicting: VideoTask) -> None:
    store.restore(VIDEO_TASKS, [video(1, 40)])
    with pytest.raises(StoreError, match="another row has that ID, or that URL"):
        store.restore(VIDEO_TASKS, [video(5, 30), conflicting])
    assert store.scan(VIDEO_TASKS) == [video(1, 40)]


def test_a_column_of_a_persons_own_that_is_missing_is_made(store: Store) -> None:
    row = new_video(1, id=1, extra={"Notes": "a note", "Gender": "f"})
    store.restore(VIDEO_TASKS, [row])
    assert store.scan(VIDEO_TASKS) == [row]


def test_restoring_nothing_is_fine(store: Store) -> None:
    store.restore(VIDEO_TASKS, [])
    assert store.scan(VIDEO_TASKS) == []
