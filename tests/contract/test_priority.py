"""Rows with a larger Priority are claimed first, on every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.rows import POLICY, make_queue, new_source, new_video
from youtube_download_coordinator.models import Done, Failure, Lease, State, Verdict
from youtube_download_coordinator.queue.offers import parse_offer, waits
from youtube_download_coordinator.queue.priority import priority_in
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Change, Store, Table, Where

NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))


def add(store: Store, *priorities: object, table: Table[Any] = VIDEO_TASKS, first: int = 1) -> None:
    """Add a row with each of these texts in its Priority, in the order of their IDs."""
    store.add_columns(table, ["Priority"])
    new: Callable[..., Any] = new_source if table is SOURCES else new_video
    texts = enumerate(map(str, priorities), start=first)
    make_queue(store).add(table, [new(number, extra={"Priority": text} if text else {}) for number, text in texts])


def due(store: Store, limit: int = 100, *, by_priority: bool = True) -> list[int]:
    where = Where(state=State.PENDING, due=store.now(), by_priority=by_priority)
    return [row.id for row in store.scan(VIDEO_TASKS, where, limit=limit)]


def add_waiting(store: Store, *rows: tuple[int, float]) -> None:
    """Add rows with a priority, that are due so many seconds from now."""
    store.add_columns(VIDEO_TASKS, ["Priority"])
    now = store.now()
    leases = [Lease(nonce="n", not_before=now + timedelta(seconds=seconds)) for _, seconds in rows]
    store.restore(
        VIDEO_TASKS,
        [
            new_video(number, id=number, extra={"Priority": str(priority)}, lease=lease)
            for number, ((priority, _), lease) in enumerate(zip(rows, leases, strict=True), start=1)
        ],
    )


@pytest.mark.parametrize("limit", [1, 3, 5, 8, 100])
def test_rows_with_a_larger_priority_come_first(store: Store, limit: int) -> None:
    add(store, 0, 5, "", -1, 5, 12, "", 3)
    rows = due(store, limit)
    expected = [6, 2, 5, 8, 1, 3, 7, 4]
    if limit < len(expected):  # a sheet begins anywhere among equal ones
        numbers = [0, 5, 0, -1, 5, 12, 0, 3]
        assert [numbers[row - 1] for row in rows] == [numbers[row - 1] for row in expected[:limit]]
    else:
        assert rows == expected


def test_of_equal_ones_those_that_are_due_longest_come_first(store: Store) -> None:
    add_waiting(store, (2, -10), (2, -20), (1, -30))
    assert due(store) == [2, 1, 3]


def test_a_large_priority_that_is_not_due_keeps_nobody_waiting(store: Store) -> None:
    add_waiting(store, *((10 - number, 3600) for number in range(1, 8)))
    add(store, -3, -4, first=8)
    assert due(store, 1) == [8]


def test_without_the_condition_the_priority_does_not_matter(store: Store) -> None:
    add_waiting(store, (1, -10), (9, -5))
    assert due(store, by_priority=False) == [1, 2]
    assert make_queue(store).next_due(VIDEO_TASKS) == store.scan(VIDEO_TASKS, Where(ids=[1]))[0].lease.not_before


@pytest.mark.parametrize("table", [VIDEO_TASKS, SOURCES], ids=["videos", "sources"])
def test_a_claim_takes_the_largest_priority_first(store: Store, table: Table[Any]) -> None:
    add(store, *([""] * 30), 7, "+7", "7.0", 8, -2, table=table)
    queue = make_queue(store)
    assert [claim.row.id for claim in queue.claim(table, 1)] == [34]
    assert [claim.row.id for claim in queue.claim(table, 3)] == [31, 32, 33]
    assert len(queue.claim(table, 100)) == 31


def test_workers_choose_among_equal_ones_at_random(store: Store) -> None:
    add(store, *([4] * 60), *([""] * 60))
    claimed = [claim.row.id for claim in make_queue(store, "host/a").claim(VIDEO_TASKS, 8)]
    assert max(claimed) <= 60
    assert claimed != list(range(1, 9))


@pytest.mark.parametrize("text", ["high", "1001", "2.5", "--3", "²", "1e3", "1,000"])
def test_what_is_no_number_counts_as_zero_and_is_logged(
    store: Store, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    priority_in.cache_clear()  # it is logged once in each process
    add(store, -1, text, 1)
    assert due(store) == [3, 2, 1]
    assert f"Priority: {text!r} is not a whole number from -1000 to 1000; using 0" in caplog.text


def test_the_letter_case_of_the_column_does_not_matter(store: Store) -> None:
    store.add_columns(VIDEO_TASKS, ["priority "])
    name = next((name for name in store.custom_columns(VIDEO_TASKS) or () if name.startswith("priority")), "priority")
    make_queue(store).add(VIDEO_TASKS, [new_video(1), new_video(2, extra={name: "5"})])
    assert due(store) == [2, 1]


def test_rows_that_youtube_refused_come_last_whatever_their_priority(store: Store) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    add(store, *([9] * 12))
    for claim in queue.claim(VIDEO_TASKS, 12):
        detail = "http-429: Too Many Requests (throttled 1 time)"
        lease = Lease(version=claim.row.lease.version + 1, nonce="x", detail=detail, not_before=store.now())
        store.swap(VIDEO_TASKS, [Change(claim.row, replace(claim.row, lease=lease))])
    add(store, "", 3, first=13)
    claims = make_queue(store, "host/b").claim(VIDEO_TASKS, 3)
    assert {13, 14} < {claim.row.id for claim in claims}


def test_what_only_this_machine_can_do_is_still_claimed_first(store: Store) -> None:
    store.add_columns(VIDEO_TASKS, ["Priority"])
    queue = make_queue(store, policy=NO_WAIT)
    queue.offer = parse_offer(["region:BR"])
    queue.renew_offer()
    queue.add(VIDEO_TASKS, [new_video(1)])
    (claim,) = make_queue(store, "other/1", policy=NO_WAIT).claim(VIDEO_TASKS, 1)
    failure = Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country", regions=("BR",))
    make_queue(store, "other/1").settle([(claim, failure)])
    assert waits(store.scan(VIDEO_TASKS, Where(ids=[1]))[0].lease)
    add(store, 5, 5, first=2)
    assert [claim.row.id for claim in queue.claim(VIDEO_TASKS, 1)] == [1]


def test_a_row_keeps_its_priority_when_it_is_retried_moved_and_copied(
    store: Store, make_empty_store: Callable[[], Store]
) -> None:
    add(store, "", 6)
    queue = make_queue(store, policy=NO_WAIT)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Failure(verdict=Verdict.PERMANENT, reason="private", message=""))])
    assert [row.id for row in store.scan(DEAD_LETTERS)] == [2]
    queue.requeue_dead_letters()
    assert store.count(VIDEO_TASKS) == {State.PENDING: 2}
    rows = store.scan(VIDEO_TASKS)
    copy = make_empty_store()
    copy.restore(VIDEO_TASKS, rows)
    assert [claim.row.id for claim in make_queue(copy).claim(VIDEO_TASKS, 1)] == [2]


def test_a_queue_with_ten_priorities_is_worked_off_in_their_order(store: Store) -> None:
    add(store, *(number % 10 for number in range(40)))
    queue, numbers = make_queue(store), []
    while claims := queue.claim(VIDEO_TASKS, 3):
        queue.settle([(claim, Done()) for claim in claims])
        numbers += [int(claim.row.extra["Priority"]) for claim in claims]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 40
