"""Aliases (@handle, /c/, /user/) are resolved once and remembered: a channel that was added in two ways is one source."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import GoneError, StoreUnavailable
from youtube_download_coordinator.models import Source, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.sources.sources_file import new_source
from youtube_download_coordinator.workers.expansion import Expansion, expand_next, expand_sources
from youtube_download_coordinator.youtube.listing import Listed, ListedChannel, ListedTitle, ListedVideo

UC = "UCsXVk37bltHxD1rDPwtNM8Q"
CHANNEL = f"https://www.youtube.com/channel/{UC}"
CONFIG = Config()


def youtube(source: Source, config: Config) -> Generator[Listed, None, None]:
    """List a channel of two videos that has several names."""
    if source.key.startswith("yt:a:"):
        yield ListedChannel(CHANNEL, f"yt:c:{UC}", "Kurzgesagt")
        return
    yield ListedTitle("Kurzgesagt", UC, None)
    for name in ("D0WQK7cMJn8", "pHJIhxZEoxg"):
        yield ListedVideo(f"https://www.youtube.com/watch?v={name}", f"yt:v:{name}", name, 60)


def add(queue: Queue, *urls: str, accent: str = "") -> list[int | None]:
    return queue.add(SOURCES, [new_source(url, accent) for url in urls])


def expand_all(queue: Queue) -> list[Expansion]:
    return list(expand_sources(queue, CONFIG, youtube))


def by_key(queue: Queue) -> dict[str, Source]:
    return {row.key: row for row in queue.rows(SOURCES)}


def test_an_alias_becomes_the_channel_it_stands_for_and_that_is_listed_in_the_same_run(queue: Queue) -> None:
    queue.add(SOURCES, [replace(new_source("@kurzgesagt", "de", "science"), extra={"Gender": "f"})])
    first, second = expand_all(queue)
    assert str(first) == "Kurzgesagt: is source 2"
    assert (second.listed, second.new) == (2, 2)
    channel = by_key(queue)[f"yt:c:{UC}"]
    assert (channel.id, channel.url, channel.accent, channel.type) == (2, CHANNEL, "de", "science")
    assert channel.extra == {"Gender": "f"}
    alias = by_key(queue)["yt:a:@kurzgesagt"]
    assert (alias.lease.state, alias.result, alias.videos) == (State.DONE, "is source 2", None)
    assert {row.source_id for row in queue.rows(VIDEO_TASKS)} == {2}


def test_a_channel_that_was_added_in_several_ways_is_one_source(queue: Queue) -> None:
    add(queue, CHANNEL, accent="its own")
    add(queue, "@Kurzgesagt", "https://www.youtube.com/c/inanutshell", "https://www.youtube.com/user/Kurzgesagt")
    expansions = expand_all(queue)
    assert [expansion.is_source for expansion in expansions].count(1) == 3
    assert sum(expansion.listed for expansion in expansions) == 2, "it is listed once"
    assert len(by_key(queue)) == 4
    assert by_key(queue)[f"yt:c:{UC}"].accent == "its own"


def test_a_handle_is_the_same_in_capitals_and_known_when_it_comes_again(queue: Queue) -> None:
    assert None not in add(queue, "@kurzgesagt")
    expand_all(queue)
    assert add(queue, "https://youtube.com/@KurzGesagt", "@KURZGESAGT") == [None, None]
    assert expand_all(queue) == []


def test_an_alias_that_does_not_exist_says_so(queue: Queue) -> None:
    add(queue, "@nobody")

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        raise GoneError("HTTP Error 404", reason="gone")
        yield

    result = expand_next(queue, CONFIG, listing)
    assert result is not None
    assert result.is_source is None
    assert by_key(queue)["yt:a:@nobody"].last_error == "gone: HTTP Error 404"


def test_an_alias_whose_channel_could_not_be_recorded_is_tried_again(queue: Queue, store: FaultyStore) -> None:
    add(queue, "@kurzgesagt")

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        store.fails = lambda verb: verb == "insert"
        yield from youtube(source, config)

    with pytest.raises(StoreUnavailable):
        expand_next(queue, CONFIG, listing)
    store.fails = lambda verb: False
    assert by_key(queue)["yt:a:@kurzgesagt"].lease.state is State.PENDING
    assert [expansion.is_source for expansion in expand_all(queue)] == [2, None]


def test_machines_that_resolve_two_aliases_at_once_make_one_source(queue: Queue, store: FaultyStore) -> None:
    add(queue, *(f"@name{number}" for number in range(8)))
    workers = [make_queue(store, f"host/{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        expansions = [each for found in threads.map(expand_all, workers) for each in found]
    assert len({expansion.is_source for expansion in expansions if expansion.is_source}) == 1
    assert queue.counts(SOURCES) == {State.DONE: 9}
    assert len(queue.store.scan(SOURCES, Where(keys=[f"yt:c:{UC}"]))) == 1
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 2}
