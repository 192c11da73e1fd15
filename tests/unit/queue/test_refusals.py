"""Refusals are blamed on the row or on the machine; refused media and subtitles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.admissions import BOT_CHECK, PAUSE, PRIVATE, add, line, probe, throttle
from tests.support.faulty_store import ClockedStore
from tests.support.rows import new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS

POISONED = {3, 30}


# --- whose fault it is -----------------------------------------------------------------------------------------------


def test_the_probe_is_another_row_than_the_one_that_began_the_cooldown(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue, 30)
    throttle(queue)
    (poisoned,) = [row for row in queue.rows(VIDEO_TASKS) if row.lease.throttles]
    queue.retry(VIDEO_TASKS, Selection(ids=[poisoned.id]))  # due at once, and first in line
    store.ahead += PAUSE
    (claim,) = queue.claim(VIDEO_TASKS, 5)
    assert claim.row.id != poisoned.id


def test_refused_rows_are_claimed_after_all_others(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    add(queue, 12)
    refused: set[int] = set()
    for _ in range(3):
        (claim,) = queue.claim(VIDEO_TASKS, 1)
        refused.add(claim.row.id)
        queue.settle([(claim, BOT_CHECK)])
        queue.admission.lift("by hand")
    queue.retry(VIDEO_TASKS, Selection())
    assert sum(throttles(queue)) == 3
    claimed = [claim.row.id for _ in range(3) for claim in queue.claim(VIDEO_TASKS, 3)]
    assert not refused & set(claimed)
    assert {claim.row.id for claim in queue.claim(VIDEO_TASKS, 5)} == refused


def test_a_row_is_at_fault_only_if_something_else_was_answered_since(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue, 3)
    claims = queue.claim(VIDEO_TASKS, 2)
    queue.settle([(claim, BOT_CHECK) for claim in claims])
    assert throttles(queue) == [0, 0, 1], "they failed together: the first began the cooldown"
    for _ in range(3):
        probe(queue, store, BOT_CHECK)
    assert throttles(queue) == [0, 0, 1], "a probe says nothing against its row"
    probe(queue, store, PRIVATE)
    poisoned = next(row.id for row in queue.rows(VIDEO_TASKS) if row.lease.throttles)
    (other,) = [claim for claim in queue.claim(VIDEO_TASKS, 2) if claim.row.id == poisoned]
    queue.settle([(other, BOT_CHECK)])
    assert max(throttles(queue)) == 2


def throttles(queue: Queue) -> list[int]:
    return sorted(row.lease.throttles for row in queue.rows(VIDEO_TASKS))


def test_poisoned_rows_do_not_keep_the_others_from_being_done(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue, 40)
    for _ in range(60):
        for claim in queue.claim(VIDEO_TASKS, 4):
            queue.settle([(claim, BOT_CHECK if claim.row.id in POISONED else Done())])
        store.ahead += timedelta(minutes=10)
    assert {row.id for row in queue.rows(VIDEO_TASKS) if row.lease.state is not State.DONE} == POISONED


def test_a_row_that_is_refused_again_and_again_is_a_dead_letter(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    queue.video_policy = replace(queue.video_policy, max_throttles=5)
    add(queue, 30)
    for number in range(100, 180):  # others go on coming in, and are answered
        queue.add(VIDEO_TASKS, [new_video(number, key=f"yt:v:{number:011}")])
        for claim in queue.claim(VIDEO_TASKS, 4):
            queue.settle([(claim, BOT_CHECK if claim.row.id in POISONED else Done())])
        for row_id in POISONED:
            queue.retry(VIDEO_TASKS, Selection(ids=[row_id]))
        store.ahead += timedelta(minutes=10)
    reasons = {row.id: row.lease.reason for row in queue.rows(DEAD_LETTERS)}
    assert reasons.items() <= dict.fromkeys(POISONED, "blocked").items()
    assert reasons


def test_a_real_block_makes_no_row_a_dead_letter(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    queue.video_policy = replace(queue.video_policy, max_throttles=5)
    add(queue, 8)
    for _ in range(300):
        for claim in queue.claim(VIDEO_TASKS, 4):
            queue.settle([(claim, BOT_CHECK)])
        store.ahead += timedelta(hours=1)
    assert list(queue.rows(DEAD_LETTERS)) == []
    assert sum(throttles(queue)) == 1


def test_an_outcome_that_is_recorded_again_is_counted_once(worker: Callable[..., Queue], store: ClockedStore) -> None:
    queue = worker()
    add(queue)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    with pytest.MonkeyPatch.context() as patch:

        def swap(*_: Any) -> Any:
            raise StoreUnavailable("no answer")

        patch.setattr(store, "swap", swap)
        with pytest.raises(StoreUnavailable):
            queue.settle([(claim, BOT_CHECK)])
    (row,) = queue.settle([(claim, BOT_CHECK)])
    assert row
    assert row.lease.throttles == 1


# --- media and subtitles ---------------------------------------------------------------------------------------------

MEDIA_403 = Failure(verdict=Verdict.RETRY, reason="media-403", message="HTTP Error 403: Forbidden")
SUBTITLES_429 = Failure(verdict=Verdict.THROTTLED, reason="subtitles-429", message="HTTP Error 429")


def settle_next(queue: Queue, outcome: Outcome, *, row_id: int | None = None) -> None:
    claim = queue.claim_now(VIDEO_TASKS, row_id) if row_id else queue.claim(VIDEO_TASKS, 1)[0]
    assert claim
    queue.settle([(claim, outcome)])


def test_refused_media_of_several_rows_in_a_row_block_the_machine(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    for _ in range(2):
        settle_next(queue, MEDIA_403)
    settle_next(queue, Done())
    for _ in range(2):
        settle_next(queue, MEDIA_403)
    assert queue.admission.blocked() is None
    settle_next(queue, MEDIA_403)
    assert line(queue).reason == "host-a/1: media-403: HTTP Error 403: Forbidden"
    assert {row.retry_count for row in queue.rows(VIDEO_TASKS)} == {0, 1}, "each is a counted failure of its row"
    assert probe(queue, store, MEDIA_403).pause_seconds == 1800
    assert probe(queue, store, Done()).value == "clear"


def test_refused_media_of_one_row_are_its_own_affair(worker: Callable[..., Queue]) -> None:
    queue = worker()
    add(queue, 1)
    for _ in range(2):
        settle_next(queue, MEDIA_403, row_id=1)
    queue.admission.record_outcome(VIDEO_TASKS, next(queue.rows(VIDEO_TASKS)), MEDIA_403)
    assert queue.admission.blocked() is None


def test_a_probe_whose_media_are_refused_was_answered_by_the_player(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    throttle(queue)
    assert probe(queue, store, MEDIA_403).value == "clear"


def test_a_block_of_subtitles_holds_back_subtitles_alone(worker: Callable[..., Queue], store: ClockedStore) -> None:
    subtitles, also, audio = worker(makes_subtitles=True), worker("host-a/2", makes_subtitles=True), worker("host-a/3")
    add(subtitles)
    settle_next(subtitles, SUBTITLES_429)
    assert subtitles.claim(VIDEO_TASKS, 5) == also.claim(VIDEO_TASKS, 5) == []
    (held,) = [line for line in store.controls() if line.name == "cooldown host-a subtitles"]
    assert held.value == "cooling"
    claims = audio.claim(VIDEO_TASKS, 5)
    assert len(claims) == 5
    audio.release(claims)
    store.ahead += PAUSE
    (claim,) = also.claim(VIDEO_TASKS, 5)
    also.settle([(claim, Done())])
    assert len(subtitles.claim(VIDEO_TASKS, 5)) == 5


def test_the_machines_cooldown_holds_back_subtitles_too(worker: Callable[..., Queue]) -> None:
    subtitles, audio = worker(makes_subtitles=True), worker("host-a/2")
    add(subtitles)
    settle_next(subtitles, SUBTITLES_429)
    throttle(audio)
    assert subtitles.admission.lift("by hand")
    assert len(subtitles.claim(VIDEO_TASKS, 5)) == 5
    assert {line.value for line in audio.store.controls()} == {"clear"}
