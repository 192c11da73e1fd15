"""The Store contract, bullet by bullet (youtube_download_coordinator/queue/store.py), on every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.rows import new_source, new_video
from youtube_download_coordinator.models import NEVER, SKIPPED, Lease, State, VideoTask
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    VIDEO_TASKS,
    Change,
    Store,
    Swap,
    Tally,
    Where,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def insert(store: Store, count: int, start: int = 1) -> list[VideoTask]:
    store.insert(VIDEO_TASKS, [new_video(number) for number in range(start, start + count)])
    return store.scan(VIDEO_TASKS, limit=1000)[-count:]


def to(row: VideoTask, state: State, nonce: str = "next", **lease: Any) -> Change[VideoTask]:
    version = row.lease.version + 1
    return Change(row, replace(row, lease=Lease(version=version, state=state, nonce=nonce, **lease)))


# --- insert ----------------------------------------------------------------------------------------------------------


def test_what_is_inserted_is_found_as_it_was(store: Store) -> None:
    title = "=IMPORTXML(1) 'quoted' \"line\"\nbreak 🎥 \u202e" + "x" * 5000
    video = new_video(
        1, accent="pt-BR", type="interview", title=title, source_id=7, duration_seconds=131, extra={"Gender": "f"}
    )
    ids = store.insert(VIDEO_TASKS, [video])
    (found,) = store.scan(VIDEO_TASKS)
    assert ids == [found.id]
    assert found == replace(video, id=found.id)


def test_a_source_is_found_as_it_was(store: Store) -> None:
    source = new_source(1, title="A channel", videos=12, checked_at=NOW, listed_with="Kinds=videos")
    ids = store.insert(SOURCES, [source])
    (found,) = store.scan(SOURCES)
    assert ids == [found.id]
    assert found == replace(source, id=found.id)


def test_ids_rise_in_the_order_of_insertion(store: Store) -> None:
    first = store.insert(VIDEO_TASKS, [new_video(n) for n in (5, 3, 4)])
    second = store.insert(VIDEO_TASKS, [new_video(n) for n in (1, 2)])
    ids = [row_id for row_id in first + second if row_id is not None]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5


def test_a_known_key_is_not_inserted_again(store: Store) -> None:
    (row_id,) = store.insert(VIDEO_TASKS, [new_video(1)])
    assert store.insert(VIDEO_TASKS, [new_video(1, title="other"), new_video(2)])[0] is None
    assert [row.title for row in store.scan(VIDEO_TASKS)] == ["video-00001", "video-00002"]
    assert row_id is not None


def test_of_one_key_twice_in_a_call_the_first_is_kept(store: Store) -> None:
    ids = store.insert(VIDEO_TASKS, [new_video(1), new_video(2), new_video(1, title="second")])
    assert ids[2] is None
    assert [row.title for row in store.scan(VIDEO_TASKS)] == ["video-00001", "video-00002"]


def test_a_key_in_the_dead_letters_is_known(store: Store) -> None:
    (row,) = insert(store, 1)
    assert store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert store.insert(VIDEO_TASKS, [new_video(1)]) == [None]


def test_a_source_and_a_video_may_have_one_key(store: Store) -> None:
    assert store.insert(SOURCES, [new_source(1, key="url:same")]) != [None]
    assert store.insert(VIDEO_TASKS, [new_video(1, key="url:same")]) != [None]


def test_inserting_nothing_is_fine(store: Store) -> None:
    assert store.insert(VIDEO_TASKS, []) == []


def test_ids_are_never_used_again(store: Store) -> None:
    (last,) = insert(store, 3)[-1:]
    assert store.insert(VIDEO_TASKS, [new_video(2), new_video(9)])[1] > last.id  # type: ignore[operator]


def test_many_rows_in_one_call(store: Store) -> None:
    assert None not in store.insert(VIDEO_TASKS, [new_video(number) for number in range(3000)])
    assert store.count(VIDEO_TASKS) == {State.PENDING: 3000}


# --- swap ------------------------------------------------------------------------------------------------------------


def test_a_swap_puts_the_new_row_in_place(store: Store) -> None:
    (row,) = insert(store, 1)
    change = to(row, State.HELD, holder="host/a", until=NOW + timedelta(milliseconds=250), tries=2, detail="why")
    change = Change(row, replace(change.new, claimed_by="host/a", claimed_at=NOW))
    assert store.swap(VIDEO_TASKS, [change]) == [Swap.WON]
    assert store.scan(VIDEO_TASKS) == [change.new]


@pytest.mark.parametrize("state", State)
def test_every_state_survives_the_way_to_the_store_and_back(store: Store, state: State) -> None:
    (row,) = insert(store, 1)
    fields: dict[State, dict[str, Any]] = {
        State.PENDING: {"not_before": NOW},
        State.DONE: {"not_before": NEVER},
        State.HELD: {"until": NOW, "holder": "host/a"},
    }
    change = to(row, state, detail="a detail", **fields.get(state, {}))
    store.swap(VIDEO_TASKS, [change])
    assert store.scan(VIDEO_TASKS) == [change.new]


def test_what_a_source_learned_is_written_with_its_lease(store: Store) -> None:
    store.insert(SOURCES, [new_source(1)])
    (row,) = store.scan(SOURCES)
    new = replace(
        row,
        title="Named",
        videos=3,
        checked_at=NOW,
        listed_with="Kinds=shorts",
        lease=Lease(version=1, state=State.DONE, nonce="x"),
    )
    assert store.swap(SOURCES, [Change(row, new)]) == [Swap.WON]
    assert store.scan(SOURCES) == [new]


def test_a_lease_that_was_seen_is_won_once(store: Store) -> None:
    (row,) = insert(store, 1)
    assert store.swap(VIDEO_TASKS, [to(row, State.HELD, "a", holder="a")]) == [Swap.WON]
    assert store.swap(VIDEO_TASKS, [to(row, State.HELD, "b", holder="b")]) == [Swap.LOST]
    assert store.scan(VIDEO_TASKS)[0].lease.holder == "a"


def test_a_lost_swap_writes_nothing(store: Store) -> None:
    (row,) = insert(store, 1)
    won = to(row, State.DONE, detail="result")
    store.swap(VIDEO_TASKS, [won])
    store.swap(VIDEO_TASKS, [to(row, State.PENDING, "late", detail="lost")])
    assert store.scan(VIDEO_TASKS) == [won.new]


def test_each_change_has_its_own_answer_in_the_same_order(store: Store) -> None:
    rows = insert(store, 5)
    store.swap(VIDEO_TASKS, [to(rows[1], State.DONE), to(rows[3], State.DONE)])
    changes = [to(row, State.HELD, "mine") for row in reversed(rows)]
    assert store.swap(VIDEO_TASKS, changes) == [Swap.WON, Swap.LOST, Swap.WON, Swap.LOST, Swap.WON]


def test_two_changes_of_one_row_in_a_call_are_won_once(store: Store) -> None:
    (row,) = insert(store, 1)
    outcomes = store.swap(VIDEO_TASKS, [to(row, State.HELD, "a"), to(row, State.HELD, "b")])
    assert sorted(outcome.value for outcome in outcomes) == ["lost", "won"]


def test_a_lease_of_the_same_version_but_another_nonce_is_another(store: Store) -> None:
    (row,) = insert(store, 1)
    forged = replace(row, lease=replace(row.lease, nonce="forged"))
    assert store.swap(VIDEO_TASKS, [to(forged, State.DONE)]) == [Swap.LOST]


def test_a_row_in_another_table_is_lost(store: Store) -> None:
    (row,) = insert(store, 1)
    store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert store.swap(VIDEO_TASKS, [to(row, State.HELD)]) == [Swap.LOST]
    assert store.swap(DEAD_LETTERS, [to(row, State.PENDING)]) == [Swap.WON]


def test_swapping_nothing_is_fine(store: Store) -> None:
    assert store.swap(VIDEO_TASKS, []) == []


def test_of_concurrent_swaps_one_is_won(open_store: Callable[[], Store]) -> None:
    rows = insert(open_store(), 20)
    won: list[int] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        store = open_store()
        start.wait()
        outcomes = store.swap(VIDEO_TASKS, [to(row, State.HELD, f"n{number}", holder=f"w{number}") for row in rows])
        won.extend(row.id for row, outcome in zip(rows, outcomes, strict=True) if outcome is Swap.WON)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [row.id for row in rows]


def test_of_concurrent_inserts_one_row_is_kept_for_each_key(open_store: Callable[[], Store]) -> None:
    open_store()
    ids: list[int] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        store = open_store()
        start.wait()
        rows = [new_video(n, lease=Lease(nonce=f"by-{number}-{n}")) for n in range(50)]
        kept = store.insert(VIDEO_TASKS, rows)
        ids.extend(row_id for row_id in kept if row_id is not None)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == len(set(ids)) == 50
    assert sorted(row.id for row in open_store().scan(VIDEO_TASKS)) == sorted(ids)


# --- scan and count --------------------------------------------------------------------------------------------------


def test_scan_gives_at_most_limit_rows_in_order_of_id(store: Store) -> None:
    rows = insert(store, 10)
    assert store.scan(VIDEO_TASKS, limit=4) == rows[:4]


def test_scan_gives_the_next_page(store: Store) -> None:
    rows = insert(store, 10)
    assert store.scan(VIDEO_TASKS, Where(after_id=rows[3].id), limit=4) == rows[4:8]


def test_scan_by_state_ids_and_keys(store: Store) -> None:
    rows = insert(store, 4)
    store.swap(VIDEO_TASKS, [to(rows[2], State.DONE)])
    assert [row.id for row in store.scan(VIDEO_TASKS, Where(state=State.DONE))] == [rows[2].id]
    assert store.scan(VIDEO_TASKS, Where(ids=[rows[3].id, rows[0].id, 999])) == [rows[0], rows[3]]
    assert store.scan(VIDEO_TASKS, Where(keys=[rows[1].key, "url:unknown"])) == [rows[1]]
    assert store.scan(VIDEO_TASKS, Where(ids=[])) == []


def test_scan_by_holder(store: Store) -> None:
    rows = insert(store, 3)
    store.swap(VIDEO_TASKS, [to(rows[0], State.HELD, holder="a"), to(rows[1], State.HELD, holder="ab")])
    assert [row.id for row in store.scan(VIDEO_TASKS, Where(holder="a"))] == [rows[0].id]


def test_due_rows_come_in_the_order_in_which_they_became_due(store: Store) -> None:
    rows = insert(store, 4)
    waits = {0: 30, 1: 10, 3: 90}
    store.swap(
        VIDEO_TASKS, [to(rows[n], State.PENDING, not_before=NOW + timedelta(seconds=s)) for n, s in waits.items()]
    )
    due = Where(state=State.PENDING, due=NOW + timedelta(seconds=30))
    assert [row.id for row in store.scan(VIDEO_TASKS, due)] == [rows[2].id, rows[1].id, rows[0].id]


def test_held_rows_are_due_when_their_claim_has_run_out(store: Store) -> None:
    rows = insert(store, 2)
    ends = [NOW, NOW + timedelta(milliseconds=1)]
    store.swap(VIDEO_TASKS, [to(row, State.HELD, until=end) for row, end in zip(rows, ends, strict=True)])
    assert [row.id for row in store.scan(VIDEO_TASKS, Where(state=State.HELD, due=NOW))] == [rows[0].id]


def test_done_rows_are_due_when_their_time_has_come_or_they_have_none(store: Store) -> None:
    rows = insert(store, 5)
    waits = {0: 30, 1: 10, 3: 90}
    store.swap(VIDEO_TASKS, [to(rows[n], State.DONE, not_before=NOW + timedelta(seconds=s)) for n, s in waits.items()])
    store.swap(VIDEO_TASKS, [to(rows[2], State.DONE), to(rows[4], State.DONE, not_before=NEVER)])
    due = Where(state=State.DONE, due=NOW + timedelta(seconds=30))
    assert [row.id for row in store.scan(VIDEO_TASKS, due)] == [rows[2].id, rows[1].id, rows[0].id]


def test_count_by_state(store: Store) -> None:
    rows = insert(store, 5)
    store.swap(VIDEO_TASKS, [to(rows[0], State.DONE), to(rows[1], State.DONE), to(rows[2], State.DEAD)])
    store.move(VIDEO_TASKS, store.scan(VIDEO_TASKS, Where(state=State.DEAD))[0], DEAD_LETTERS)
    assert store.count(VIDEO_TASKS) == {State.PENDING: 2, State.DONE: 2}
    assert store.count(DEAD_LETTERS) == {State.DEAD: 1}
    assert store.count(SOURCES) == {}


def test_leases_of_a_state(store: Store) -> None:
    rows = insert(store, 4)
    later = NOW + timedelta(hours=1)
    store.swap(
        VIDEO_TASKS,
        [
            to(rows[0], State.HELD, holder="host/a", until=later),
            to(rows[1], State.PENDING, tries=2, not_before=later, detail="http-503: Service Unavailable"),
            to(rows[2], State.DEAD, detail="private: x"),
        ],
    )
    store.move(VIDEO_TASKS, store.scan(VIDEO_TASKS, Where(state=State.DEAD))[0], DEAD_LETTERS)
    for state in State:
        for table in (VIDEO_TASKS, DEAD_LETTERS):
            expected = {row.lease for row in store.scan(table, Where(state=state))}
            assert set(store.leases(table, state)) == expected
    assert {lease.tries for lease in store.leases(VIDEO_TASKS, State.PENDING)} == {0, 2}


def test_rows_that_are_alike_are_counted_together(store: Store) -> None:
    """Three were done: one today, one long ago, one by hand; of two that failed for one reason one waits."""
    later, long_ago = NOW + timedelta(hours=1), NOW - timedelta(days=99)
    alike: dict[str, Any] = {"accent": "Recife", "type": "talk", "claimed_at": NOW, "duration_seconds": 90}
    others: list[dict[str, Any]] = [
        {**alike, "claimed_at": long_ago},
        {"claimed_at": NOW},
        {"accent": "Cork"},
        {"accent": "Cork"},
        {},
    ]
    fields = enumerate([alike, alike, *others], start=1)
    store.insert(VIDEO_TASKS, [new_video(number, **each) for number, each in fields])
    rows = store.scan(VIDEO_TASKS)
    failed = "http-503: Service Unavailable"
    ends = [
        *[to(row, State.DONE, detail="x.m4a") for row in rows[:3]],
        to(rows[3], State.DONE, detail=SKIPPED),
        *[to(row, State.PENDING, tries=1, not_before=later, detail=failed) for row in rows[4:6]],
        to(rows[6], State.HELD, holder="host/a", until=later, detail=failed),
    ]
    store.swap(VIDEO_TASKS, ends)
    found, none = store.tally([VIDEO_TASKS, DEAD_LETTERS], NOW.date())
    assert none == []
    assert sorted(found, key=str) == sorted(
        [
            Tally(2, State.DONE, accent="Recife", type="talk", day=NOW.date(), seconds=180, with_length=2),
            Tally(1, State.DONE, accent="Recife", type="talk", seconds=90, with_length=1),
            Tally(1, State.DONE),
            Tally(2, State.PENDING, reason="http-503", accent="Cork"),
            Tally(1, State.HELD, holder="host/a"),
        ],
        key=str,
    )


def test_videos_of_recent_claims_are_counted_apart_with_the_first_claim(store: Store) -> None:
    """Videos that a person or a filter has skipped do not count, and neither do those in progress."""
    ages = [timedelta(minutes=minutes) for minutes in (61, 60, 5, 1, 1, 1, 1)]
    lengths = [10, 20, None, 40, 50, 60, 70]
    fields = [
        {"claimed_at": NOW - age, "duration_seconds": length, "accent": "Cork" if length == 40 else ""}
        for age, length in zip(ages, lengths, strict=True)
    ]
    store.insert(VIDEO_TASKS, [new_video(number, **each) for number, each in enumerate(fields)])
    rows = store.scan(VIDEO_TASKS)
    done = [to(row, State.DONE, detail="x.m4a") for row in rows[:4]]
    skipped = [to(rows[4], State.DONE, detail=SKIPPED), to(rows[5], State.DONE, detail="skipped, licence youtube")]
    store.swap(VIDEO_TASKS, [*done, *skipped, to(rows[6], State.HELD, holder="host/a", until=NOW)])
    store.flush()
    (found,) = store.tally([VIDEO_TASKS], NOW.date() - timedelta(days=1), NOW - timedelta(hours=1))
    recent = {
        (tally.accent, tally.first_claim, tally.rows, tally.with_length, tally.seconds)
        for tally in found
        if tally.first_claim
    }
    assert recent == {("", NOW - timedelta(hours=1), 2, 1, 20), ("Cork", NOW - timedelta(minutes=1), 1, 1, 40)}
    assert sum(tally.rows for tally in found) == 7
    assert not any(tally.first_claim for tally in store.tally([VIDEO_TASKS], NOW.date())[0])


def test_degraded_files_are_counted_by_their_reasons(store: Store) -> None:
    store.insert(VIDEO_TASKS, [new_video(number) for number in range(5)])
    rows = store.scan(VIDEO_TASKS)
    details = ["a (degraded: format-18, low-bit-rate)", "b (degraded: low-bit-rate)", "c (degraded: x) y", "d"]
    ends = [to(row, State.DONE, detail=detail) for row, detail in zip(rows, details, strict=False)]
    store.swap(VIDEO_TASKS, [*ends, to(rows[4], State.PENDING, tries=1, detail="why: (degraded: low-bit-rate)")])
    (tallies,) = store.tally([VIDEO_TASKS], NOW.date())
    counts = {tally.degraded: tally.rows for tally in tallies if tally.state is State.DONE}
    assert counts == {"format-18, low-bit-rate": 1, "low-bit-rate": 1, "": 2}
    assert [tally.degraded for tally in tallies if tally.state is State.PENDING] == [""]


def test_skipped_videos_are_counted_by_their_filter_and_on_no_day(store: Store) -> None:
    store.insert(VIDEO_TASKS, [new_video(number, duration_seconds=60) for number in range(5)])
    details = [
        "skipped, licence youtube", "skipped, licence youtube", "skipped, training not permitted", "skipped, 3 s", "x.m4a"
    ]  # fmt: skip
    store.swap(
        VIDEO_TASKS,
        [
            replace(change, new=replace(change.new, claimed_at=NOW))
            for change in (
                to(row, State.DONE, detail=detail) for row, detail in zip(store.scan(VIDEO_TASKS), details, strict=True)
            )
        ],
    )
    store.flush()
    (tallies,) = store.tally([VIDEO_TASKS], NOW.date())
    assert {(tally.skipped, tally.day, tally.rows) for tally in tallies} == {
        ("licence youtube", None, 2),
        ("training not permitted", None, 1),
        ("", NOW.date(), 2),
    }


def test_a_swap_records_the_measured_length(store: Store) -> None:
    store.insert(VIDEO_TASKS, [new_video(1, duration_seconds=3600), new_video(2, duration_seconds=3600)])
    first, second = store.scan(VIDEO_TASKS)
    changes = [to(first, State.DONE, detail="x.m4a"), to(second, State.DONE, detail="y")]
    lengths = [59, 3600]
    store.swap(
        VIDEO_TASKS,
        [
            replace(change, new=replace(change.new, duration_seconds=seconds, claimed_at=NOW))
            for change, seconds in zip(changes, lengths, strict=True)
        ],
    )
    assert [row.duration_seconds for row in store.scan(VIDEO_TASKS)] == [59, 3600]
    store.flush()
    (tallies,) = store.tally([VIDEO_TASKS], NOW.date())
    assert sum(tally.seconds for tally in tallies) == 3659


# --- move ------------------------------------------------------------------------------------------------------------


def test_a_moved_row_stands_in_one_table_and_is_the_same(store: Store) -> None:
    (row, other) = insert(store, 2)
    assert store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert store.scan(DEAD_LETTERS) == [row]
    assert store.scan(VIDEO_TASKS) == [other]
    assert store.move(DEAD_LETTERS, row, VIDEO_TASKS)
    assert store.scan(VIDEO_TASKS) == [row, other]


def test_a_row_with_another_lease_is_not_moved(store: Store) -> None:
    (row,) = insert(store, 1)
    store.swap(VIDEO_TASKS, [to(row, State.HELD)])
    assert not store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert store.scan(DEAD_LETTERS) == []


def test_a_row_is_moved_once(store: Store) -> None:
    (row,) = insert(store, 1)
    assert [store.move(VIDEO_TASKS, row, DEAD_LETTERS) for _ in range(2)] == [True, False]


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_column_that_was_added_keeps_what_is_in_it(store: Store) -> None:
    store.add_columns(SOURCES, ["Kinds", "RefreshHours"])
    store.add_columns(SOURCES, ["RefreshHours"])
    columns = store.custom_columns(SOURCES)
    assert columns is None or sorted(columns) == ["Kinds", "RefreshHours"]
    store.insert(SOURCES, [new_source(1, extra={"Kinds": "shorts", "RefreshHours": "6"})])
    assert store.scan(SOURCES)[0].extra == {"Kinds": "shorts", "RefreshHours": "6"}


def test_the_columns_that_rows_have_are_known_without_reading_rows(store: Store) -> None:
    assert "Region" not in store.used_columns(SOURCES)
    store.add_columns(SOURCES, ["Region"])
    store.insert(SOURCES, [new_source(1), new_source(2, extra={"Region": "BR"}), new_source(3, extra={"Region": "PT"})])
    assert "Region" in store.used_columns(SOURCES)
    assert "Region" not in store.used_columns(VIDEO_TASKS)


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_clock_is_utc_and_does_not_go_back(store: Store) -> None:
    first, second = store.now(), store.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second


def test_another_process_sees_what_was_written(open_store: Callable[[], Store]) -> None:
    (row,) = insert(open_store(), 1)
    assert open_store().scan(VIDEO_TASKS) == [row]
