"""Looking again: only what is new, whatever is killed or fails in between; Hypothesis writes the story."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import AttemptError, ThrottledError, TransientError
from youtube_download_coordinator.models import Source, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Change
from youtube_download_coordinator.sources.filters import Filters
from youtube_download_coordinator.sources.sources_file import new_source
from youtube_download_coordinator.workers.expansion import Expansion, expand_next, is_listed_with
from youtube_download_coordinator.youtube.list_reader import PAGE_ENTRIES
from youtube_download_coordinator.youtube.listing import Listed, ListedPage, ListedTitle, ListedVideo

CONFIG = Config()
UC = "UCsXVk37bltHxD1rDPwtNM8Q"


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, also no `except`."""


class Channel:
    """A channel's tab of videos, newest first, as the listing of yt-dlp gives it."""

    def __init__(self, count: int) -> None:
        self.videos = [str(number) for number in range(count)]
        """Oldest first: as they were uploaded."""
        self.pages_read = 0
        self.fails_at: tuple[int, BaseException] | None = None
        """At which page of a look, and how."""
        self.first: int | None = None

    def upload(self, count: int) -> None:
        self.videos += [str(number) for number in range(len(self.videos), len(self.videos) + count)]

    def listing(self, source: Source, config: Config) -> Generator[Listed, None, None]:
        filters = Filters.of(source, config.filters)
        again = is_listed_with(source, filters)
        most = None if again else filters.first_videos
        yield ListedTitle("A channel", UC, None)
        newest_first = self.videos[::-1][:most]
        for start in range(0, len(newest_first), PAGE_ENTRIES):
            self.pages_read += 1
            if self.fails_at and self.fails_at[0] == start // PAGE_ENTRIES:
                if again:
                    yield ListedPage(0, end="broken")
                raise self.fails_at[1]
            page = newest_first[start : start + PAGE_ENTRIES]
            yield from (ListedVideo(f"https://youtu.be/{name}", f"yt:v:{name}", name, 60) for name in page)
            answers: list[bool] = []
            if again:
                yield ListedPage(
                    0, asks=True, end="" if start + PAGE_ENTRIES < len(newest_first) else "whole", answer=answers.append
                )
            if answers == [False]:
                return


@pytest.fixture
def queue(store: FaultyStore) -> Queue:
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(UC)])
    return queue


def again(queue: Queue) -> None:
    """Lift the cooldown and make the source pending, as a person or the passing of time does."""
    for control in queue.store.controls(fresh=True):
        queue.store.set_control(control.name, lambda line: line and replace(line, value="clear", until=None))
    (row,) = queue.rows(SOURCES)
    if row.lease.state is not State.PENDING or row.lease.not_before:
        lease = replace(
            row.lease, state=State.PENDING, version=row.lease.version + 1, not_before=None, until=None, holder=""
        )
        queue.store.swap(SOURCES, [Change(row, replace(row, lease=lease))])


def look(queue: Queue, channel: Channel, config: Config = CONFIG) -> Expansion:
    again(queue)
    channel.pages_read = 0
    expansion = expand_next(queue, config, channel.listing)
    assert expansion is not None
    return expansion


def names(queue: Queue) -> set[str]:
    return {row.title for row in queue.rows(VIDEO_TASKS)}


def test_a_second_look_reads_down_to_a_page_that_is_known(queue: Queue) -> None:
    channel = Channel(300)
    assert look(queue, channel).new == 300
    assert channel.pages_read == 10
    channel.upload(5)
    result = look(queue, channel)
    assert (result.new, channel.pages_read) == (5, 2)
    (row,) = queue.rows(SOURCES)
    assert (row.videos, names(queue)) == (305, set(channel.videos))
    assert look(queue, channel).new == 0
    assert channel.pages_read == 1


def test_new_videos_are_inserted_in_the_order_of_their_upload(queue: Queue) -> None:
    channel = Channel(40)
    look(queue, channel)
    channel.upload(70)
    look(queue, channel)
    new_titles = [row.title for row in queue.rows(VIDEO_TASKS)][40:]
    assert new_titles == channel.videos[40:]


def test_other_filters_read_the_whole_channel_again(queue: Queue) -> None:
    channel = Channel(100)
    look(queue, channel)
    assert look(queue, channel, Config(min_duration="10")).listed == 100
    assert channel.pages_read == 4
    assert look(queue, channel, Config(min_duration="10")).listed == PAGE_ENTRIES
    (row,) = queue.rows(SOURCES)
    assert row.videos == 100


def test_a_first_look_that_failed_is_made_whole_again(queue: Queue) -> None:
    channel = Channel(100)
    channel.fails_at = (2, TransientError("HTTP Error 503"))
    result = look(queue, channel)
    assert (result.new, result.failure is not None) == (60, True)
    channel.fails_at = None
    assert look(queue, channel).new == 40


def test_a_rescan_that_fails_loses_nothing(queue: Queue) -> None:
    """Of sixty new videos thirty were seen when YouTube throttled: if they had rows, the others would be hidden below them."""
    channel = Channel(100)
    look(queue, channel)
    channel.upload(60)
    channel.fails_at = (1, ThrottledError("HTTP Error 429"))
    assert look(queue, channel).failure is not None
    channel.fails_at = None
    look(queue, channel)
    assert names(queue) == set(channel.videos)
    (row,) = queue.rows(SOURCES)
    assert row.videos == 160


def test_a_rescan_whose_claim_is_lost_inserts_nothing(queue: Queue, store: FaultyStore) -> None:
    """Half of what is new would hide the other half from the one who looks now."""
    channel = Channel(100)
    look(queue, channel)
    channel.upload(60)
    again(queue)

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        for at, item in enumerate(channel.listing(source, config)):
            yield item
            if at == PAGE_ENTRIES + 5:
                other = make_queue(store, "host/b")
                other.release_holder(queue.worker)
                other.claim(SOURCES, 1)
                queue.renew()

    result = expand_next(queue, CONFIG, listing)
    assert result is not None
    assert result.new == 0
    assert len(names(queue)) == 100


def test_a_whole_listing_that_failed_is_not_taken_for_one(queue: Queue) -> None:
    """With other filters it had come to its third page; back to the first ones, what is below is still to be found."""
    channel = Channel(100)
    look(queue, channel)
    channel.upload(80)
    channel.fails_at = (2, TransientError("HTTP Error 503"))
    look(queue, channel, Config(min_duration="10"))
    channel.fails_at = None
    look(queue, channel)
    assert names(queue) == set(channel.videos)


def test_a_channel_that_lists_nothing_any_more_is_not_done(queue: Queue) -> None:
    channel = Channel(10)
    look(queue, channel)
    channel.videos.clear()
    result = look(queue, channel)
    assert result.failure is not None
    assert str(result.failure) == "nothing-listed: the listing is empty, but 10 of its videos are known"
    (row,) = queue.rows(SOURCES)
    assert (row.lease.state, row.videos) == (State.PENDING, 10)


def test_a_playlist_that_says_that_it_is_empty_is_done(queue: Queue) -> None:
    look(queue, Channel(10))
    again(queue)

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        yield ListedTitle("Emptied by its owner", UC, 0)

    result = expand_next(queue, CONFIG, listing)
    assert result is not None
    assert result.failure is None


def test_dead_letters_are_known_and_deleted_rows_are_left_alone(queue: Queue, store: FaultyStore) -> None:
    from youtube_download_coordinator.queue.store import DEAD_LETTERS

    channel = Channel(40)
    look(queue, channel)
    for row in list(queue.rows(VIDEO_TASKS)):
        assert store.move(VIDEO_TASKS, row, DEAD_LETTERS)
    assert look(queue, channel).new == 0
    assert channel.pages_read == 1


# --- FirstVideos -----------------------------------------------------------------------------------------------------


def test_a_capped_source_gets_its_newest_videos_and_then_what_is_new(queue: Queue) -> None:
    config = Config(first_videos=10)
    channel = Channel(100)
    assert look(queue, channel, config).new == 10
    channel.upload(5)
    assert look(queue, channel, config).new == 5
    assert names(queue) == set(channel.videos[-15:])
    assert look(queue, channel, config).new == 0


def test_more_new_videos_than_the_cap_are_all_found(queue: Queue) -> None:
    config = Config(first_videos=10)
    channel = Channel(100)
    look(queue, channel, config)
    channel.upload(70)
    look(queue, channel, config)
    assert names(queue) == set(channel.videos[-80:])


# --- any story -------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.integers(0, 70), st.none() | st.integers(0, 3), st.sampled_from(["throttled", "error", "killed"])),
    max_size=5,
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(first=st.integers(1, 100), steps=STEPS)
def test_in_any_story_every_video_is_found_in_the_end(first: int, steps: list[tuple[int, int | None, str]]) -> None:
    """However often a look fails, is throttled or is killed: the first that succeeds has found everything."""
    kinds: dict[str, BaseException] = {
        "throttled": ThrottledError("429"), "error": TransientError("503"), "killed": Killed()
    }  # fmt: skip
    store = FaultyStore()
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(UC)])
    channel = Channel(first)
    for uploads, page, kind in [*steps, (3, None, "error")]:
        channel.upload(uploads)
        channel.fails_at = None if page is None else (page, kinds[kind])
        succeeded = _one_look(queue, channel)
        assert names(queue) <= set(channel.videos)
        assert not succeeded or names(queue) == set(channel.videos)
    store.close()


def _one_look(queue: Queue, channel: Channel) -> bool:
    """List once. Return whether the listing came to its end. A killed one neither cleans up nor releases its claim."""
    again(queue)
    killed = isinstance(channel.fails_at and channel.fails_at[1], Killed)
    try:
        expansion = expand_next(queue, CONFIG, channel.listing)
    except (Killed, AttemptError):
        assert killed
        return False
    return expansion is not None and expansion.failure is None
