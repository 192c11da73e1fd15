"""Target hours on every store: how much there is of each accent, and what is claimed because of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.rows import Clock, make_queue, new_source, new_video
from youtube_download_coordinator.models import (
    SKIPPED,
    SKIPPED_LICENSE,
    SKIPPED_TRAINING,
    Done,
    Failure,
    Lease,
    State,
    Verdict,
    VideoTask,
)
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.offers import parse_offer
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    VIDEO_TASKS,
    AccentOrder,
    PlayingTime,
    Store,
    Where,
)
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


@pytest.mark.parametrize(
    "accent", ["pt-br", " pt-BR", "PT-BR  ", "\uff50t-BR"], ids=["case", "before", "after", "wide"]
)
def test_an_accent_that_is_typed_otherwise_is_the_same(store: Store, accent: str) -> None:
    add_done(store, accent, ("a", 2))
    add(store, accent, 1, 1, first=10)
    add(store, "pt - BR", 1, first=20)
    queue = queue_with(store, pt_BR=2)
    assert [(each.hours, each.pending) for each in queue.hours_by_target()] == [(2, 2)]
    assert [claim.row.accent for claim in queue.claim(VIDEO_TASKS, 5)] == ["pt - BR"]


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


def claimed(queue: Queue, count: int) -> list[int]:
    return [claim.row.id for claim in queue.claim(VIDEO_TASKS, count)]


def work(queue: Queue, batch: int = 2) -> list[str]:
    """Claim and complete videos until none is claimed. Return their accents in that order."""
    accents = []
    while claims := queue.claim(VIDEO_TASKS, batch):
        queue.settle([(claim, Done(result="a file")) for claim in claims])
        accents += [claim.row.accent for claim in claims]
    return accents


def pending(store: Store) -> list[VideoTask]:
    return store.scan(VIDEO_TASKS, Where(state=State.PENDING), limit=1000)


def test_rows_of_an_accent_that_has_its_hours_stay_as_they_are(store: Store) -> None:
    add(store, "pt-BR", *([1] * 12))
    add(store, "en", *([1] * 3), first=20)
    queue = queue_with(store, pt_BR=5)
    accents = work(queue)
    assert accents[:5] == ["pt-BR"] * 5
    assert accents[5:] == ["en"] * 3
    left = pending(store)
    assert [row.accent for row in left] == ["pt-BR"] * 7
    assert {(row.lease.version, row.claimed_by) for row in left} == {(new_video(1).lease.version, "")}
    assert queue.next_due(VIDEO_TASKS) is None
    assert queue.held_back_by_targets() == "pt-BR has 5.0 of 5 hours: its 7 pending videos are left"


def test_the_accent_that_lacks_most_of_its_target_comes_first(store: Store) -> None:
    add_done(store, "a", ("x", 4))
    add_done(store, "b", ("x", 1), first=2)
    for number, accent in enumerate(("a", "b", "c", "", "other"), start=1):
        add(store, accent, *([1] * 6), first=10 * number)
    assert work(queue_with(store, a=10, b=10, c=4), batch=1)[:5] == ["c", "b", "b", "c", "b"]


def test_accents_without_a_target_come_after_those_behind(store: Store) -> None:
    add(store, "a", 1, 1, 1)
    add(store, "other", 1, 1, first=10)
    add(store, "b", 1, 1, 1, 1, first=20)
    accents = work(queue_with(store, b=3), batch=10)
    assert accents[:3] == ["b"] * 3
    assert sorted(accents[3:]) == ["a", "a", "a", "other", "other"]


def test_a_claim_takes_no_more_than_what_is_lacking(store: Store) -> None:
    add(store, "a", *([1.5] * 30))
    queue = queue_with(store, a=4)
    assert len(claimed(queue, 20)) == 3
    assert claimed(queue, 20) == []


def test_what_other_workers_hold_counts_until_it_fails(store: Store) -> None:
    clock = Clock()
    add(store, "a", *([1] * 6))
    other = queue_with(store, worker="other/1", a=3)
    claims = other.claim(VIDEO_TASKS, 3)
    queue = queue_with(store, clock, a=3)
    assert claimed(queue, 2) == []
    assert "0.0 of 3 hours, and 3.0 more are on their way: its 3 pending videos" in queue.held_back_by_targets()
    other.release(claims[:1])
    assert claimed(queue, 2) == []
    clock.seconds += 61
    assert len(claimed(queue, 2)) == 1


def test_what_this_process_gives_back_counts_no_more_at_once(store: Store) -> None:
    add(store, "a", *([1] * 6))
    queue = queue_with(store, a=3)
    claims = queue.claim(VIDEO_TASKS, 3)
    assert claimed(queue, 3) == []
    queue.release(claims[:2])
    assert queue.hours_by_target()[0].pending == 5
    assert len(claimed(queue, 3)) == 2


def test_a_video_of_unknown_length_counts_when_it_is_done(store: Store) -> None:
    add(store, "a", *([None] * 6))
    queue, count = queue_with(store, a=2), 0
    while claims := queue.claim(VIDEO_TASKS, 1):
        queue.settle([(claim, Done(result="a file", media_seconds=0.7 * HOUR)) for claim in claims])
        count += 1
    assert count == 3


def test_a_larger_priority_comes_first_but_not_beyond_the_target(store: Store) -> None:
    store.add_columns(VIDEO_TASKS, ["Priority"])
    add(store, "behind", 1, 1)
    add(store, "done", 1, 1, first=10, extra={"Priority": "9"})
    add(store, "ahead", 1, 1, first=20, extra={"Priority": "5"})
    add_done(store, "done", ("x", 5), first=90)
    add_done(store, "ahead", ("x", 5), first=91)
    assert work(queue_with(store, behind=2, done=5, ahead=10), batch=1) == ["ahead", "ahead", "behind", "behind"]


def test_rows_that_youtube_refused_come_last_whatever_their_accent(store: Store) -> None:
    now = store.now()
    lease = Lease(nonce="x", detail="http-429: Too Many Requests (throttled 1 time)", not_before=now)
    rows = [new_video(n, id=n, accent="a", duration_seconds=HOUR, lease=lease) for n in range(1, 13)]
    store.restore(VIDEO_TASKS, rows)
    add(store, "other", 1, 1, first=20)
    claims = queue_with(store, a=100).claim(VIDEO_TASKS, 2)
    assert [claim.row.accent for claim in claims] == ["other", "other"]


def test_a_probe_is_of_an_accent_that_is_wanted(store: Store) -> None:
    add(store, "a", *([1] * 4))
    add(store, "b", 1, first=10)
    add_done(store, "a", ("x", 5), first=90)
    where = Where(state=State.PENDING, due=store.now(), accents=AccentOrder({"a": None}))
    assert [row.accent for row in store.scan(VIDEO_TASKS, where, limit=3)] == ["b"]
    queue = queue_with(store, a=5)
    next_due = queue.next_due(VIDEO_TASKS)
    assert next_due
    assert next_due <= store.now()


def test_a_source_is_listed_although_a_video_should_be_the_probe_if_none_may_be_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_done(store, "a", ("x", 5), first=90)
    add(store, "a", 1)
    queue = queue_with(store, a=5)
    queue.add(SOURCES, [new_source(1)])
    monkeypatch.setattr(type(queue.admission), "needs_video_probe", property(lambda _: True))
    assert len(queue.claim(SOURCES, 1)) == 1
    add(store, "b", 1, first=2)
    queue.add(SOURCES, [new_source(2)])
    assert queue.claim(SOURCES, 1) == []


def test_a_further_product_is_made_although_the_accent_has_its_hours(store: Store) -> None:
    add_done(store, "a", ("media/1.m4a", 3), ("media/2.m4a", 3))
    add(store, "a", *([1] * 5), first=10)
    queue = queue_with(store, a=5)
    assert claimed(queue, 5) == []
    make_queue(store).ask_for(VIDEO_TASKS, Selection(ids=[1, 2]), ["subtitles"])
    claims = queue.claim(VIDEO_TASKS, 5)
    assert {claim.row.id for claim in claims} == {1, 2}
    queue.settle([(claim, Done(result="media/x.m4a")) for claim in claims])
    assert queue.hours_by_target()[0].hours == 6
    assert claimed(queue, 5) == []


def test_claiming_goes_on_when_a_video_that_was_done_is_tried_again(store: Store) -> None:
    clock = Clock()
    add_done(store, "a", ("media/1.m4a", 3), ("media/2.m4a", 3))
    add(store, "a", 1, first=10)
    queue = queue_with(store, clock, a=5)
    assert claimed(queue, 5) == []
    make_queue(store).retry(VIDEO_TASKS, Selection(ids=[1]))
    clock.seconds += 61
    assert len(claimed(queue, 5)) >= 1


def test_a_person_who_asks_for_one_video_gets_it(store: Store) -> None:
    add_done(store, "a", ("x", 5))
    add(store, "a", 1, first=10)
    (row,) = pending(store)
    queue = queue_with(store, a=5)
    assert claimed(queue, 1) == []
    assert queue.claim_now(VIDEO_TASKS, row.id)


def test_sources_have_no_target(store: Store) -> None:
    add_done(store, "a", ("x", 5))
    queue = queue_with(store, a=5)
    queue.add(SOURCES, [new_source(1, accent="a")])
    assert len(queue.claim(SOURCES, 1)) == 1


def test_what_waits_for_this_machine_is_held_back_too(store: Store) -> None:
    add(store, "a", 1)
    other = make_queue(store, "other/1")
    queue = queue_with(store, a=1)
    queue.offer = parse_offer(["region:BR"])
    queue.renew_offer()
    (claim,) = other.claim(VIDEO_TASKS, 1)
    failure = Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country", regions=("BR",))
    other.settle([(claim, failure)])
    add_done(store, "a", ("x", 5), first=90)
    assert queue.next_due(VIDEO_TASKS) is None
    assert claimed(queue, 1) == []
    queue.targets = Targets(hours={"a": 9})
    assert claimed(queue, 1) == [1]


def test_the_order_of_a_scan_is_that_of_the_ranks(store: Store) -> None:
    for number, accent in enumerate(("b", "A", "", "c", "d"), start=1):
        add(store, accent, 1, 1, first=10 * number)
    order = AccentOrder({"a": 0.25, "b": 0.5, "d": None, "": 0.25})
    where = Where(state=State.PENDING, due=store.now(), by_priority=True, accents=order)
    rows = store.scan(VIDEO_TASKS, where, limit=100)
    assert [row.accent for row in rows] == ["A", "A", "", "", "b", "b", "c", "c"]
    assert len(store.scan(VIDEO_TASKS, where, limit=3)) == 3


def test_a_hundred_and_fifty_accents_are_read_in_the_order_of_their_times(store: Store) -> None:
    now = store.now()
    rows = [
        new_video(
            number,
            id=number,
            accent=f"accent {number * 7 % 151}",
            lease=Lease(nonce="x", not_before=now - timedelta(seconds=number)),
        )
        for number in range(1, 151)
    ]
    store.restore(VIDEO_TASKS, rows)
    where = Where(state=State.PENDING, due=now, by_priority=True, accents=AccentOrder({}))
    assert [row.id for row in store.scan(VIDEO_TASKS, where, limit=150)] == list(range(150, 0, -1))


def test_reaching_a_target_is_logged_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    add(store, "a", *([1] * 5))
    work(queue_with(store, a=2))
    assert [text for text in caplog.messages if "hours" in text] == [
        "a has 2.0 of 2 hours: its 3 pending videos are left"
    ]


def test_a_target_for_an_accent_that_no_row_has_is_a_warning(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_with(store, ptBR=1, EN=1, de=1)
    queue.claim(VIDEO_TASKS, 1)
    assert "target_hours" not in caplog.text  # nothing is listed yet
    queue.targets._count_again_at = None
    add(store, "pt-BR", 1)
    make_queue(store).add(SOURCES, [new_source(1, accent="en")])
    queue.claim(VIDEO_TASKS, 1)
    queue.targets._count_again_at = None
    queue.claim(VIDEO_TASKS, 1)
    warnings = [text for text in caplog.messages if "target_hours" in text]
    assert warnings == ["target_hours: no row has the accent 'ptBR' or 'de': there are en, pt-BR"]
