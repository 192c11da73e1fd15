"""Lines of Control that machines no longer use: they leave after a week, and what a person has typed stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.faulty_store import ClockedStore
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

LEAVING = {
    "cooldown old": "cooling",
    "cooldown prober": "probing",
    "cooldown old subtitles": "cooling",
    "suspect old 2026.11.20": "suspect",
    "suspect seer 2026.11.20": "watching",
    "offers region:br": "offered",
}
STAYING = {
    "fleet": "paused",
    "minimum version": "0.1",
    "cooldown fleet": "cooling",
    "cooldown typed": "bitte warten",
    "offers account": "off",
    "backup of ana": "cooling",
}


def names(store: ClockedStore) -> set[str]:
    return {line.name for line in store.controls(fresh=True)}


def put(store: ClockedStore, name: str, value: str, until: timedelta | None) -> None:
    line = Control(
        name=name, value=value, until=store.now() + until if until is not None else None, reason="old/1: why"
    )
    store.set_control(name, lambda _: line)


def test_lines_of_machines_that_are_gone_leave_after_a_week(store: ClockedStore, worker: Callable[..., Queue]) -> None:
    for name, value in (LEAVING | STAYING).items():
        put(store, name, value, timedelta(0))
    store.ahead = timedelta(days=6, hours=23)
    worker().recover(VIDEO_TASKS)
    assert names(store) == {*LEAVING, *STAYING}
    store.ahead = timedelta(days=7, minutes=1)
    worker().recover(VIDEO_TASKS)
    assert names(store) == set(STAYING)


@pytest.mark.parametrize("name", ["cooldown old", "suspect old 2026.11.20"])
def test_a_line_that_is_clear_leaves_a_week_after_a_worker_has_seen_it(
    store: ClockedStore, worker: Callable[..., Queue], name: str
) -> None:
    put(store, name, "clear", None)
    for days, is_there in ((1, True), (7.9, True), (9.1, False)):
        store.ahead = timedelta(days=days)
        worker().recover(VIDEO_TASKS)
        assert (name in names(store)) == is_there


@pytest.mark.parametrize("reason", ["", "x" * 2000, "old/1: why (clear since 2026-13-45)"])
def test_a_line_that_is_clear_gets_no_end(store: ClockedStore, worker: Callable[..., Queue], reason: str) -> None:
    """It would be that of a cooldown that a person begins by typing over the Value."""
    store.set_control("cooldown old", lambda _: Control(name="cooldown old", value="clear", reason=reason))
    worker().recover(VIDEO_TASKS)
    (line,) = store.controls(fresh=True)
    assert line.until is None
    assert line.reason.endswith(f"(clear since {store.now():%Y-%m-%d})")
    worker().recover(VIDEO_TASKS)
    assert store.controls(fresh=True) == [line]


def test_a_cooldown_without_an_end_stays(store: ClockedStore, worker: Callable[..., Queue]) -> None:
    """A person typed it: its machine gives it an end when it comes back."""
    put(store, "cooldown old", "cooling", None)
    for days in (1, 30):
        store.ahead = timedelta(days=days)
        worker().recover(VIDEO_TASKS)
    assert names(store) == {"cooldown old"}


def test_a_line_that_is_used_meanwhile_stays(store: ClockedStore, worker: Callable[..., Queue]) -> None:
    put(store, "cooldown old", "clear", None)
    worker().recover(VIDEO_TASKS)
    store.ahead = timedelta(days=6)
    put(store, "cooldown old", "cooling", timedelta(minutes=15))
    store.ahead = timedelta(days=8)
    worker().recover(VIDEO_TASKS)
    assert names(store) == {"cooldown old"}
