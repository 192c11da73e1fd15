"""Target hours: how much there is of each accent, on every store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.support.rows import Clock, make_queue, new_video
from youtube_download_coordinator.models import SKIPPED, SKIPPED_LICENSE, SKIPPED_TRAINING, Done, Lease, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, PlayingTime, Store
from youtube_download_coordinator.queue.targets import Targets

HOUR = 3600


def add(store: Store, accent: str, *hours: float | None, first: int = 1, **fields: Any) -> None:
    """Add a video of each of these durations; None: it is not known."""
    rows = [
        new_video(number, accent=accent, duration_seconds=None if each is None else round(each * HOUR), **fields)
        for number, each in enumerate(hours, start=first)
    ]
    make_queue(store).add(VIDEO_TASKS, rows)


def add_done(store: Store, accent: str, *results: tuple[str, float], first: int = 1) -> None:
    """Add videos that are done with these results."""
    leases = [Lease(nonce=f"d{number}", state=State.DONE, detail=detail) for number, (detail, _) in enumerate(results)]
    rows = [
        new_video(number, id=number, accent=accent, duration_seconds=round(hours * HOUR), lease=lease)
        for number, ((_, hours), lease) in enumerate(zip(results, leases, strict=True), start=first)
    ]
    store.restore(VIDEO_TASKS, rows)


def queue_with(store: Store, clock: Clock | None = None, worker: str = "host/a", **hours: float) -> Queue:
    clock = clock or Clock()
    queue = make_queue(store, worker, clock=clock)
    queue.targets = Targets(hours={name.replace("_", "-"): number for name, number in hours.items()}, monotonic=clock)
    return queue


def times(store: Store) -> dict[tuple[str, State], tuple[int, int]]:
    return {(each.accent, each.state): (each.videos, each.seconds) for each in store.playing_times()}


def test_an_empty_queue_has_no_playing_time(store: Store) -> None:
    assert store.playing_times() == []


def test_the_playing_time_is_counted_by_accent_and_state(store: Store) -> None:
    add(store, "pt-BR", 1, 2, None)
    add(store, "en", 4, first=4)
    queue = make_queue(store)
    claims = queue.claim(VIDEO_TASKS, 4)
    assert sum(seconds for _, seconds in times(store).values()) == 7 * HOUR
    assert {state for _, state in times(store)} == {State.HELD}
    queue.settle([(claim, Done(result="a file")) for claim in claims if claim.row.accent == "en"])
    found = times(store)
    assert found["pt-BR", State.HELD] == (3, 3 * HOUR)
    assert found["en", State.DONE] == (1, 4 * HOUR)
    queue.release([claim for claim in claims if claim.row.accent == "pt-BR"])
    assert times(store)["pt-BR", State.PENDING][0] == 3


def test_a_measured_duration_takes_the_place_of_the_listed_one(store: Store) -> None:
    add(store, "pt-BR", None)
    queue = queue_with(store, pt_BR=1)
    queue.settle([(claim, Done(result="a file", media_seconds=1800.4)) for claim in queue.claim(VIDEO_TASKS, 1)])
    assert times(store) == {("pt-BR", State.DONE): (1, 1800)}


def test_what_was_skipped_does_not_count(store: Store) -> None:
    results = (SKIPPED, f"{SKIPPED_LICENSE}youtube", f"{SKIPPED_TRAINING}not permitted", "en/skipped, licence .m4a", "")
    add_done(store, "en", *((result, 1) for result in results))
    assert times(store) == {("en", State.DONE): (2, 2 * HOUR)}


def test_dead_letters_and_errors_do_not_count(store: Store) -> None:
    leases = [Lease(nonce="x", state=state, detail="private: gone") for state in (State.ERROR, State.DEAD)]
    rows = [new_video(n, id=n, accent="en", duration_seconds=HOUR, lease=lease) for n, lease in enumerate(leases, 1)]
    store.restore(VIDEO_TASKS, rows)
    store.restore(DEAD_LETTERS, [replace(new_video(7), id=7, accent="en", lease=leases[1])])
    assert times(store) == {}


def test_a_video_that_is_asked_for_a_further_product_still_counts(store: Store) -> None:
    add_done(store, "en", ("media/en/1.m4a", 1), ("media/en/2.m4a", 2), (f"{SKIPPED_LICENSE}youtube", 4))
    queue = make_queue(store)
    queue.ask_for(VIDEO_TASKS, Selection(), ["subtitles"])
    assert times(store) == {("en", State.DONE): (2, 3 * HOUR)}
    queue.claim(VIDEO_TASKS, 3)
    assert times(store) == {("en", State.DONE): (2, 3 * HOUR), ("en", State.HELD): (1, 4 * HOUR)}


def test_the_progress_is_that_of_the_setting_in_any_letter_case(store: Store) -> None:
    add_done(store, "PT-br", ("a", 2.5))
    add_done(store, "pt-BR", ("b", 1), first=2)
    add(store, "pt-BR", 3, 3, first=10)
    add(store, "en", 1, first=20)
    queue = queue_with(store, pt_BR=4, de=10)
    portuguese, german = queue.hours_by_target()
    assert (portuguese.accent, portuguese.target_hours, portuguese.hours, portuguese.pending) == ("pt-BR", 4, 3.5, 2)
    assert (german.accent, german.target_hours, german.hours, german.pending) == ("de", 10, 0, 0)
    assert (portuguese.is_reached, german.is_reached) == (False, False)


def test_without_targets_nothing_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Sequence[PlayingTime]:
        raise AssertionError("counted")

    monkeypatch.setattr(type(store), "playing_times", fail)
    assert queue_with(store).hours_by_target() == []


def test_hours_are_counted_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    clock, count = Clock(), type(store).playing_times
    duration_seconds = 0.1

    def counting(self: Any) -> Sequence[PlayingTime]:
        counted.append(clock.seconds)
        clock.seconds += duration_seconds
        return count(self)

    monkeypatch.setattr(type(store), "playing_times", counting)
    queue = queue_with(store, clock, en=1)

    def ask_for_seconds(seconds: int) -> int:
        before = len(counted)
        for _ in range(seconds):
            clock.seconds += 1
            queue.hours_by_target()
        return len(counted) - before

    assert ask_for_seconds(1) == 1
    assert ask_for_seconds(59) == 0
    assert ask_for_seconds(2) == 1
    duration_seconds = 6  # from the next one on
    assert ask_for_seconds(61) == 1
    assert ask_for_seconds(290) == 0
    assert ask_for_seconds(20) == 1
