"""Retry and skip rows by ID or by filter, on every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.test_queue import NO_WAIT, PRIVATE, RETRY, claim_one, filled
from tests.support.rows import POLICY, make_queue, new_source, new_video
from youtube_download_coordinator.models import Done, State, Status, VideoTask
from youtube_download_coordinator.queue import Queue, lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment
from youtube_download_coordinator.queue.selection import ChangeResult, Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Change, Store


def settled(store: Store) -> Queue:
    """Make a queue with a video of each kind: done, waiting for a retry, held by a worker, pending, and a dead letter."""
    queue = filled(store, 5, POLICY)
    done, waiting, dead, held = (claim_one(queue) for _ in range(4))
    queue.settle([(done, Done(result="x.m4a")), (waiting, RETRY), (dead, PRIVATE)])
    assert queue.is_valid(held)
    return queue


def states(store: Store) -> dict[State, int]:
    return dict(store.count(VIDEO_TASKS))


def test_everything_is_tried_again_but_for_what_a_worker_holds_or_what_waits_for_one_already(store: Store) -> None:
    queue = settled(store)
    assert queue.retry(VIDEO_TASKS, Selection()) == {
        ChangeResult.CHANGED: 2,
        ChangeResult.HELD: 1,
        ChangeResult.ALREADY: 1,
    }
    assert queue.retry(DEAD_LETTERS, Selection()) == {ChangeResult.CHANGED: 1}
    assert states(store) == {State.PENDING: 4, State.HELD: 1}
    assert store.count(DEAD_LETTERS) == {}
    assert len(make_queue(store, "host/b").claim(VIDEO_TASKS, 10)) == 4


def test_what_is_skipped_counts_as_done_and_comes_back_from_the_dead_letters(store: Store) -> None:
    queue = settled(store)
    assert queue.skip(VIDEO_TASKS, Selection()) == {
        ChangeResult.CHANGED: 2,
        ChangeResult.HELD: 1,
        ChangeResult.ALREADY: 1,
    }
    assert queue.skip(DEAD_LETTERS, Selection()) == {ChangeResult.CHANGED: 1}
    assert states(store) == {State.DONE: 4, State.HELD: 1}
    assert make_queue(store, "host/b").claim(VIDEO_TASKS, 10) == []


def test_a_worker_keeps_what_it_holds_whatever_is_asked(store: Store) -> None:
    queue = filled(store, 1, POLICY)
    claim = claim_one(queue)
    other = make_queue(store, "host/b")
    assert other.retry(VIDEO_TASKS, Selection(ids=[claim.row.id])) == {ChangeResult.HELD: 1}
    assert other.skip(VIDEO_TASKS, Selection(ids=[claim.row.id])) == {ChangeResult.HELD: 1}
    assert queue.settle([(claim, Done())]) != [None]


def test_what_somebody_else_changes_at_that_moment_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = filled(store, 1, POLICY)
    seen = store.scan(VIDEO_TASKS)
    claim_one(queue)
    other = make_queue(store, "host/b")
    monkeypatch.setattr(Queue, "select", lambda *_: iter(seen))  # as a scan of a moment ago
    assert other.skip(VIDEO_TASKS, Selection()) == {ChangeResult.MISSED: 1}
    assert states(store) == {State.HELD: 1}


def test_a_source_is_listed_again_when_somebody_asks(store: Store) -> None:
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(1)])
    queue.settle([(claim, Done()) for claim in queue.claim(SOURCES, 1)])
    assert queue.retry(SOURCES, Selection(status=Status.DONE)) == {ChangeResult.CHANGED: 1}
    assert len(queue.claim(SOURCES, 1)) == 1


@pytest.mark.parametrize(
    ("selection", "titles"),
    [
        (Selection(), ["One", "Two", "Three"]),
        (Selection(ids=[]), []),
        (Selection(accent="PT-br"), ["One", "Two"]),
        (Selection(accent="pt-BR", type="talk"), ["Two"]),
        (Selection(source_id=7), ["Three"]),
        (Selection(status=Status.ERROR), ["One"]),
        (Selection(reason="private"), []),
        (Selection(reason="by-hand"), ["One"]),
        (Selection(text="EXAMPLE.org/video-00003"), ["Three"]),
        (Selection(text="not there"), []),
        (Selection(text=""), ["One", "Two", "Three"]),
    ],
)
def test_a_selection_finds_what_fits_in_every_way(store: Store, selection: Selection, titles: list[str]) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    rows = [
        new_video(1, title="One", accent="pt-BR"),
        new_video(2, title="Two", accent="pt-BR", type="talk"),
        new_video(3, title="Three", source_id=7),
    ]
    queue.add(VIDEO_TASKS, rows)
    keep_away(queue)
    assert [row.title for row in queue.select(VIDEO_TASKS, selection)] == titles


@pytest.mark.parametrize(
    ("wanted", "accents"),
    [
        ("SÃO PAULO", ["São Paulo", "são paulo"]),
        ("kent", ["Kent", "\N{KELVIN SIGN}ENT"]),
        ("strasse", ["Straße", "STRASSE"]),
        ("STRAßE", ["Straße", "STRASSE"]),
        ("", [""]),
        ("%", ["%"]),
        ("a'b", ["A'B"]),
        ("\udcff", []),
        ("x\0", []),
    ],
)
def test_letters_fold_as_python_folds_them(store: Store, wanted: str, accents: list[str]) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    texts = ["São Paulo", "são paulo", "Kent", "\N{KELVIN SIGN}ENT", "Straße", "STRASSE", "", "%", "A'B"]
    queue.add(VIDEO_TASKS, [new_video(number, accent=text) for number, text in enumerate(texts)])
    assert [row.accent for row in queue.select(VIDEO_TASKS, Selection(accent=wanted))] == accents
    assert [row.accent for row in queue.select(VIDEO_TASKS, Selection(accent=wanted, status=Status.PENDING))] == accents


@pytest.mark.parametrize("source_id", [0, -1, 2**63, 10**30])
def test_a_source_that_cannot_be_has_no_videos(store: Store, source_id: int) -> None:
    queue = filled(store, 1)
    assert not list(queue.select(VIDEO_TASKS, Selection(source_id=source_id)))
    assert not list(queue.select(SOURCES, Selection(source_id=source_id)))


def keep_away(queue: Queue) -> None:
    """Set the first video to error, as a person does by typing `error` into its Status."""
    first: VideoTask = next(queue.rows(VIDEO_TASKS))
    new = lifecycle.apply_request(
        replace(first, requested_status=Status.ERROR), Moment(now=queue.store.now(), nonce="k")
    )
    assert new
    queue.store.swap(VIDEO_TASKS, [Change(first, new)])
