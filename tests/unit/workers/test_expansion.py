"""Expanding a source: its videos can be claimed while the rest is listed, and what fails costs nothing that was listed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from examples.media_site import serving
from tests.support.expanding import CONFIG, LISTED, add, expand, lists, video
from tests.support.faulty_store import ClockedStore, FaultyStore
from tests.support.rows import Clock, make_queue, new_source, new_video
from tests.support.sheet import SOURCE_TAB, VIDEOS, sheet_desk
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import (
    AttemptError,
    BadUrl,
    PermanentError,
    StoreUnavailable,
    ThrottledError,
    TransientError,
    UnfitError,
)
from youtube_download_coordinator.models import Source, State, Status, Verdict, with_throttles
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.sources_file import NO_LEASE
from youtube_download_coordinator.workers import attempts as attempts_module
from youtube_download_coordinator.workers import expansion as expansion_module
from youtube_download_coordinator.workers.expansion import (
    FIRST_BATCH_VIDEOS,
    expand_next,
    expand_sources,
)
from youtube_download_coordinator.workers.expansion import expand as expand_claimed
from youtube_download_coordinator.youtube.listing import ListedSource, ListedTitle, ListedVideo


@pytest.fixture
def store() -> Iterator[ClockedStore]:
    store = ClockedStore()
    yield store
    store.close()


def source_of(queue: Queue) -> Source:
    return next(queue.rows(SOURCES))


def test_videos_carry_what_a_person_said_about_their_source(queue: Queue) -> None:
    add(queue, accent="pt-BR", type="interview", extra={"Gender": "f"})
    result = expand(queue, lists(ListedTitle("A channel", "UC1", 2), video(1), video(2)))
    assert (result.listed, result.new, result.failure) == (2, 2, None)
    rows = list(queue.rows(VIDEO_TASKS))
    assert [(row.url, row.key, row.title, row.duration_seconds) for row in rows] == [
        (item.url, item.key, item.title, 60) for item in (video(1), video(2))
    ]
    assert {(row.accent, row.type, row.extra["Gender"], row.source_id) for row in rows} == {
        ("pt-BR", "interview", "f", 1)
    }


def test_filters_are_no_columns_of_the_videos(queue: Queue) -> None:
    add(queue, extra={"Gender": "f", "kinds": "videos", "RefreshHours": "6"})
    expand(queue, lists(video(1)))
    (row,) = queue.rows(VIDEO_TASKS)
    assert row.extra == {"Gender": "f"}


def test_the_priority_of_a_source_is_that_of_its_videos(queue: Queue) -> None:
    add(queue, "a")
    add(queue, "b", extra={"priority": "7", "Kinds": "videos"})
    assert expand(queue, lists(video(1))).source.url == "https://example.org/b"
    expand(queue, lists(video(2)))
    assert [row.extra for row in queue.rows(VIDEO_TASKS)] == [{"priority": "7"}, {}]
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(9)])
    assert [claim.row.url for claim in queue.claim(VIDEO_TASKS, 1)] == [video(1).url]


@pytest.mark.parametrize("spelled", ["", "priority"])
def test_a_sheet_gets_the_column_that_gives_a_priority_its_effect(spelled: str) -> None:
    with sheet_desk() as desk:
        queue = desk.queue()
        desk.person.insert_column(SOURCE_TAB, 3, "Priority")
        if spelled:
            desk.person.insert_column(VIDEOS, 3, spelled)
        queue.store.flush()
        add(queue, extra={"Priority": "7"})
        add(queue, "plain")
        expand(queue, lists(video(1)))
        expand(queue, lists(video(2)))
        assert [line[spelled or "Priority"] for line in desk.lines(VIDEOS) if line["URL"]] == ["7", ""]


def test_a_priority_that_is_no_number_is_shown_at_the_source(queue: Queue) -> None:
    add(queue, extra={"Priority": "high"})
    expand(queue, lists(video(1)))
    problem = "bad-filter: Priority: 'high' is not a whole number from -1000 to 1000"
    assert (source_of(queue).status, source_of(queue).last_error) == (Status.ERROR, problem)


def test_what_was_learned_about_the_source_is_recorded(queue: Queue) -> None:
    add(queue)
    expand(queue, lists(ListedTitle("A channel", "UC1", 5), video(1)))
    row = source_of(queue)
    assert (row.status, row.title, row.videos) == (Status.DONE, "A channel", 1)
    assert row.checked_at is not None
    assert expand_next(queue, CONFIG, lists()) is None


def test_a_source_without_a_title_keeps_its_own(queue: Queue) -> None:
    add(queue, title="as it was")
    expand(queue, lists(video(1)))
    assert source_of(queue).title == "as it was"


def test_the_first_videos_can_be_claimed_while_the_rest_is_listed(queue: Queue, store: FaultyStore) -> None:
    add(queue)
    other = make_queue(store, "host/b")
    claimed: list[int] = []

    def listing(source: Source, config: Config) -> LISTED:
        yield from map(video, range(FIRST_BATCH_VIDEOS))
        claimed.append(len(other.claim(VIDEO_TASKS, 100)))
        yield from map(video, range(FIRST_BATCH_VIDEOS, 1500))
        claimed.append(len(other.claim(VIDEO_TASKS, 2000)))

    assert expand(queue, listing).listed == 1500
    assert claimed[0] == FIRST_BATCH_VIDEOS
    assert 500 <= claimed[1] < 1500 - FIRST_BATCH_VIDEOS


def test_a_slow_listing_inserts_what_it_has(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion_module, "BATCH_SECONDS", 0)
    add(queue)
    counts: list[int] = []

    def listing(source: Source, config: Config) -> LISTED:
        for number in range(3):
            yield video(number)
            counts.append(sum(queue.counts(VIDEO_TASKS).values()))

    expand(queue, listing)
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "tries", "reason"),
    [
        (TransientError("HTTP Error 503", reason="http-503"), 1, "http-503: HTTP Error 503"),
        (ThrottledError("HTTP Error 429", reason="http-429"), 0, "http-429: HTTP Error 429"),
        (UnfitError("no network", reason="offline"), 0, "offline: no network"),
    ],
)
def test_an_error_keeps_what_was_listed_and_the_source_pending(
    queue: Queue, error: AttemptError, tries: int, reason: str
) -> None:
    add(queue)
    result = expand(queue, lists(ListedTitle("A channel", "UC1", 99), video(1), video(2), then=error))
    assert (result.listed, result.new, str(result.failure)) == (2, 2, reason)
    row = source_of(queue)
    last_error = with_throttles(row.last_error, 0).partition(" → ")[0]
    assert (row.status, row.retry_count, last_error) == (Status.PENDING, tries, reason)
    assert (row.title, row.videos) == ("A channel", 2)
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 2}


def test_a_listing_that_came_to_nothing_forgets_nothing(queue: Queue) -> None:
    add(queue)
    expand(queue, lists(video(1), video(2), then=ThrottledError("HTTP Error 429")))
    queue.admission.lift("by a test")
    queue.retry(SOURCES, Selection())
    expand(queue, lists(then=ThrottledError("HTTP Error 429")))
    assert source_of(queue).videos == 2


def test_a_source_that_failed_is_listed_on_later_and_nothing_twice(queue: Queue) -> None:
    add(queue)
    expand(queue, lists(video(1), video(2), then=ThrottledError("HTTP Error 429")))
    queue.admission.lift("by a test")
    queue.retry(SOURCES, Selection())
    result = expand(queue, lists(*map(video, range(1, 6))))
    assert (result.listed, result.new) == (5, 3)
    assert (source_of(queue).status, source_of(queue).videos) == (Status.DONE, 5)


@pytest.mark.parametrize(
    "error", [PermanentError("This channel does not exist", reason="no-such-source"), BadUrl("no URL")]
)
def test_a_source_that_does_not_exist_is_an_error(queue: Queue, error: Exception) -> None:
    add(queue)
    expand(queue, lists(then=error))
    assert source_of(queue).status is Status.ERROR
    assert str(error) in source_of(queue).last_error


def test_playlists_inside_become_sources_with_the_same_columns(queue: Queue) -> None:
    add(queue, accent="pt-BR", type="interview", extra={"Gender": "f"})
    inside = ListedSource("https://www.youtube.com/playlist?list=PL1", "yt:p:PL1", "Inside")
    result = expand(queue, lists(inside, video(1), inside))
    assert (result.new_sources, result.new) == (1, 1)
    row = list(queue.rows(SOURCES))[1]
    assert (row.url, row.key, row.title, row.status) == (inside.url, inside.key, "Inside", Status.PENDING)
    assert (row.accent, row.type, row.extra) == ("pt-BR", "interview", {"Gender": "f"})


def test_a_source_inside_itself_is_no_second_one(queue: Queue) -> None:
    source = add(queue)
    assert expand(queue, lists(ListedSource(source.url, source.key, "again"))).new_sources == 0


def test_what_a_database_refuses_is_left_out(queue: Queue) -> None:
    add(queue)
    odd = "half \ud83d a\0title"
    endless = ListedVideo("https://example.org/v", "url:v", odd, 10**30)
    result = expand(queue, lists(ListedTitle(odd, "", None), endless, ListedSource("https://a.b/c", "url:c", odd)))
    (row,) = queue.rows(VIDEO_TASKS)
    assert (result.failure, row.title, row.duration_seconds) == (None, "half ? atitle", 2**31 - 1)
    assert {source.title for source in queue.rows(SOURCES)} == {"half ? atitle"}


def test_a_claim_that_is_lost_ends_the_listing(queue: Queue, store: FaultyStore) -> None:
    add(queue)
    other = make_queue(store, "host/b")

    def listing(source: Source, config: Config) -> LISTED:
        yield video(1)
        other.release_holder(queue.worker)
        other.claim(SOURCES, 1)
        queue.renew()
        yield video(2)
        raise AssertionError("nobody asks for more")

    result = expand(queue, listing)
    assert result.failure is not None
    assert result.failure.reason == "lost"
    assert source_of(queue).claimed_by == "host/b"
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 2}, "videos are videos, whoever lists them"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupted_listing_is_closed_and_the_source_given_back(queue: Queue, error: BaseException) -> None:
    add(queue)
    closed: list[bool] = []

    def listing(source: Source, config: Config) -> LISTED:
        try:
            yield from map(video, range(FIRST_BATCH_VIDEOS))
            raise error
        finally:
            closed.append(True)

    with pytest.raises(type(error)):
        expand_next(queue, CONFIG, listing)
    assert closed == [True]
    assert (source_of(queue).status, source_of(queue).retry_count) == (Status.PENDING, 0)
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: FIRST_BATCH_VIDEOS}


def test_a_store_that_fails_ends_the_listing_and_the_child(queue: Queue, store: FaultyStore) -> None:
    add(queue)
    closed: list[bool] = []

    def listing(source: Source, config: Config) -> LISTED:
        try:
            store.fails = lambda verb: verb == "insert"
            yield from map(video, range(100))
        finally:
            closed.append(True)

    with pytest.raises(StoreUnavailable, match="no insert now"):
        expand_next(queue, CONFIG, listing)
    assert closed == [True]
    assert source_of(queue).status is Status.PENDING


def test_an_interruption_is_told_also_when_the_source_cannot_be_given_back(
    queue: Queue, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    add(queue)

    def listing(source: Source, config: Config) -> LISTED:
        store.fails = lambda verb: verb == "swap"
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        expand_next(queue, CONFIG, listing)
    assert "could not be released" in caplog.text


def test_every_source_that_is_due_is_expanded(queue: Queue) -> None:
    for name in "abc":
        add(queue, name)
    assert len(list(expand_sources(queue, CONFIG, lists(video(1))))) == 3
    assert queue.counts(SOURCES) == {State.DONE: 3}


def test_sources_that_are_due_again_at_once_are_looked_at_once_in_a_run(queue: Queue) -> None:
    for name in "abc":
        add(queue, name)
    queue.source_policy = replace(queue.source_policy, refresh=timedelta(microseconds=1))
    for _ in range(2):
        assert len(list(expand_sources(queue, CONFIG, lists(video(1))))) == 3


def test_when_youtube_throttles_no_other_source_is_asked_for(queue: Queue) -> None:
    for name in "abc":
        add(queue, name)
    expansions = list(expand_sources(queue, CONFIG, lists(then=ThrottledError("HTTP Error 429"))))
    assert len(expansions) == 1
    assert expansions[0].stops
    assert queue.counts(SOURCES) == {State.PENDING: 3}


@pytest.mark.parametrize("reason", ["offline", "no-process", "cookies", "yt-dlp-options"])
def test_a_machine_that_can_list_nothing_asks_once_and_holds_no_source_back(queue: Queue, reason: str) -> None:
    for name in "abcdefg":
        add(queue, name)
    listed: list[str] = []

    def listing(source: Source, config: Config) -> LISTED:
        listed.append(source.url)
        raise UnfitError("not here", reason=reason)
        yield

    (expansion,) = expand_sources(queue, CONFIG, listing)
    assert expansion.stops
    assert len(listed) == 1
    rows = list(queue.rows(SOURCES))
    assert {(row.status, row.lease.tries, row.not_before) for row in rows} == {(Status.PENDING, 0, None)}
    assert [row.last_error.partition(" → ")[0] for row in rows if row.last_error] == [f"{reason}: not here"]


def test_a_source_that_only_this_machine_cannot_list_waits_alone(store: ClockedStore) -> None:
    """Each round lists the good ones, though they are due again at once; the bad one is listed once an hour."""
    queue = make_queue(store)
    queue.source_policy = replace(queue.source_policy, refresh=timedelta(microseconds=1))
    for name in ("bad", "a", "b", "c"):
        add(queue, name)
    listed: Counter[str] = Counter()

    def listing(source: Source, config: Config) -> LISTED:
        listed[source.url.rpartition("/")[2]] += 1
        if source.url.endswith("bad"):
            raise UnfitError("log in again", reason="stale-cookies")
        yield video(1)

    rounds = [len(list(expand_sources(queue, CONFIG, listing))) for _ in range(3)]
    assert rounds == [4, 3, 3]
    assert listed == {"bad": 1, "a": 3, "b": 3, "c": 3}
    bad = source_of(queue)
    assert (bad.status, bad.lease.tries, bad.not_before is not None) == (Status.PENDING, 0, True)
    assert bad.last_error.startswith("stale-cookies: log in again")

    store.ahead = timedelta(seconds=3601)
    assert len(list(expand_sources(queue, CONFIG, listing))) == 4
    assert listed["bad"] == 2


def test_a_pause_that_begins_after_the_claim_gives_the_source_back(queue: Queue) -> None:
    add(queue)
    (claim,) = queue.claim(SOURCES, 1)
    queue.admission.pause(None, "by hand")
    result = expand_claimed(queue, CONFIG, claim, lists(video(1)))
    assert str(result.failure) == "closed: the fleet is paused: by hand"
    assert (source_of(queue).status, source_of(queue).retry_count) == (Status.PENDING, 0)
    assert queue.counts(VIDEO_TASKS) == {}


def test_a_claim_that_ran_out_before_the_listing_is_not_listed(store: FaultyStore, clock: Clock) -> None:
    queue = make_queue(store, clock=clock)
    add(queue)
    (claim,) = queue.claim(SOURCES, 1)
    clock.seconds += 601  # the machine was suspended
    result = expand_claimed(queue, CONFIG, claim, lists(video(1)))
    assert result.failure is not None
    assert result.failure.reason == "lost"
    assert queue.counts(VIDEO_TASKS) == {}
    assert source_of(queue).retry_count == 0


def test_a_listing_that_cannot_be_recorded_is_recorded_later(
    queue: Queue, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "RECORD_AGAIN_SECONDS", 0)
    add(queue)
    refused = iter(range(3))

    def listing(source: Source, config: Config) -> LISTED:
        yield video(1)
        store.fails = lambda verb: verb == "swap" and next(refused, None) is not None

    assert expand(queue, listing).failure is None
    assert source_of(queue).status is Status.DONE
    assert next(refused, None) is None


def test_it_says_what_came_of_it(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    add(queue)
    assert str(expand(queue, lists(ListedTitle("Name", "", 1), video(1)))) == "Name: 1 video listed, 1 new"
    assert "Name: 1 video listed, 1 new" in caplog.text


# --- through the real child ------------------------------------------------------------------------------------------


def test_a_feed_on_loopback_is_listed_by_yt_dlp_in_a_child(queue: Queue, tmp_path: Path) -> None:
    titles = [f"Clip {number} & more" for number in range(1, 31)]
    with serving(tmp_path, titles) as address:
        queue.add(SOURCES, [Source(url=f"{address}/feed.xml", key="url:feed", accent="demo", lease=NO_LEASE)])
        result = expand_next(queue, CONFIG)
    assert result is not None
    assert (result.failure, result.listed, result.new) == (None, 30, 30)
    assert source_of(queue).title == "A small media site"
    rows = list(queue.rows(VIDEO_TASKS))
    assert [row.title for row in rows] == titles
    assert {row.accent for row in rows} == {"demo"}


@pytest.mark.parametrize("pattern", ["(((((a{100}){100}){100}){100}){100})", "(a)\\1", "(" * 49_000])
def test_an_expression_that_cannot_be_searched_is_an_error_of_its_source_alone(queue: Queue, pattern: str) -> None:
    bad, good = new_source(1, extra={"TitleMatch": pattern}), new_source(2, extra={"TitleMatch": "(a+)+$"})
    queue.add(SOURCES, [bad, good])
    expansions = expand_sources(queue, CONFIG, lists(video(1)))
    failures = {expansion.source.id: expansion.failure for expansion in expansions}
    assert failures[1]
    assert (failures[1].verdict, str(failures[1])[:24]) == (Verdict.PERMANENT, "bad-filter: TitleMatch: ")
    assert failures[2] is None
    assert [row.status for row in queue.rows(SOURCES)] == [Status.ERROR, Status.DONE]


def test_whatever_one_source_raises_the_others_are_listed(queue: Queue) -> None:
    queue.add(SOURCES, [new_source(1), new_source(2)])

    def listing(source: Source, config: Config) -> LISTED:
        yield video(source.id)
        if source.id == 1:
            raise RuntimeError("a bug")

    failures = {expansion.source.id: str(expansion.failure) for expansion in expand_sources(queue, CONFIG, listing)}
    assert failures == {1: "error: RuntimeError: a bug", 2: "None"}
    assert [(row.status, row.retry_count) for row in queue.rows(SOURCES)] == [(Status.PENDING, 1), (Status.DONE, 0)]


def test_an_entry_with_a_title_of_two_megabytes_costs_the_others_nothing(queue: Queue, tmp_path: Path) -> None:
    with serving(tmp_path, ["one", "x" * 2_000_000, "three"]) as address:
        queue.add(SOURCES, [Source(url=f"{address}/feed.xml", key="url:feed", lease=NO_LEASE)])
        result = expand_next(queue, CONFIG)
    assert result
    assert result.failure is None
    assert [row.title for row in queue.rows(VIDEO_TASKS)] == ["one", "x" * 1000, "three"]


def test_a_source_that_does_not_answer_is_tried_again_later(queue: Queue, tmp_path: Path) -> None:
    with serving(tmp_path, []) as address:
        gone = address
    queue.add(SOURCES, [Source(url=f"{gone}/feed.xml", key="url:feed", lease=NO_LEASE)])
    result = expand_next(queue, CONFIG)
    assert result is not None
    assert result.failure is not None
    row = source_of(queue)
    assert (row.status, row.retry_count) == (Status.PENDING, 1)
    assert row.not_before is not None
