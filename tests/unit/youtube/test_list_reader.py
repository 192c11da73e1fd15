"""Listings: left-out entries, and where they stop, with made-up answers of yt-dlp."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yt_dlp

from tests.support.listing_answers import UC, YT, a_list, keys, tab, video
from youtube_download_coordinator.errors import TransientError
from youtube_download_coordinator.sources.filters import Filters, VideoKind
from youtube_download_coordinator.sources.urls import source_target
from youtube_download_coordinator.youtube.list_reader import PAGE_ENTRIES, candidate, is_newest_first, kind_of
from youtube_download_coordinator.youtube.listing import Listed, ListedPage, ListedVideo, list_in_child, listing
from youtube_download_coordinator.youtube.network import Network

CHANNEL = f"{YT}/channel/{UC}"
PLAYLIST = f"{YT}/playlist?list=PLx12345"
UPLOADS = f"{YT}/playlist?list=UU{UC[2:]}"


class YouTube:
    """Answers by URL, and how many entries of each were read."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, Any]] = {}
        self.read: dict[str, int] = {}
        self.opened: list[str] = []

    def add(self, url: str, entries: list[dict[str, Any]], **more: Any) -> None:
        self.lists[url] = {"entries": entries, "webpage_url": url, **more}

    def answer(self, url: str) -> dict[str, Any]:
        self.opened.append(url)
        known = dict(self.lists[url])
        return a_list(self._counted(url, known.pop("entries")), channel="Name", **known)

    def _counted(self, url: str, entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for entry in entries:
            self.read[url] = self.read.get(url, 0) + 1
            yield entry


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch) -> YouTube:
    youtube = YouTube()
    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", lambda self, url, *args, **named: youtube.answer(url))
    return youtube


def read(url: str, answers: list[bool] | None = None, **said: str) -> list[Listed]:
    """Return all items of a listing. `answers` are the replies to whether to go on."""
    replies = iter(answers or [])
    go_on = None if answers is None else lambda: next(replies)
    filters = Filters.read(said)
    return list(listing(url, network=Network(), mix_max_videos=5, filters=filters, go_on=go_on))


def left_out(items: list[Listed]) -> int:
    return sum(item.left_out for item in items if isinstance(item, ListedPage))


def titles(items: list[Listed]) -> list[str]:
    return [item.title for item in items if isinstance(item, ListedVideo)]


# --- which list it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "newest_first", "kind"),
    [
        (f"{CHANNEL}/videos", True, VideoKind.VIDEOS),
        (f"{CHANNEL}/shorts", True, VideoKind.SHORTS),
        ("@x/streams", True, VideoKind.STREAMS),
        (f"{CHANNEL}/playlists", False, None),
        (CHANNEL, False, None),
        (PLAYLIST, False, None),
        (UPLOADS, True, None),
        (UPLOADS.replace("=UU", "=UUSH"), True, VideoKind.SHORTS),
        (UPLOADS.replace("=UU", "=UUMO"), True, VideoKind.MEMBERS),
        (f"{YT}/playlist?list=UULF{'x' * 20}", True, None),
    ],
)
def test_what_a_list_holds_and_in_which_order(url: str, newest_first: bool, kind: VideoKind | None) -> None:
    where = source_target(url)
    assert (is_newest_first(where), kind_of(where)) == (newest_first, kind)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({}, VideoKind.VIDEOS),
        ({"url": f"{YT}/shorts/x"}, VideoKind.SHORTS),
        ({"live_status": "is_upcoming"}, VideoKind.STREAMS),
        ({"live_status": "not_live"}, VideoKind.VIDEOS),
        ({"availability": "subscriber_only", "live_status": "was_live"}, VideoKind.MEMBERS),
    ],
)
def test_what_an_entry_says_of_its_kind(entry: dict[str, Any], kind: VideoKind) -> None:
    assert candidate(entry, None).kind is kind


@pytest.mark.parametrize("timestamp", [None, "soon", 10**30, float("nan")])
def test_a_date_that_is_none_is_no_date(timestamp: object) -> None:
    assert candidate({"timestamp": timestamp}, None).published is None


# --- filters ---------------------------------------------------------------------------------------------------------


def test_what_a_filter_leaves_out_is_counted(youtube: YouTube) -> None:
    youtube.add(PLAYLIST, [video(n, duration=n) for n in range(100)])
    items = read(PLAYLIST, MinDuration="60")
    assert (len(titles(items)), left_out(items)) == (40, 60)


def test_a_single_video_is_taken_in_any_case(youtube: YouTube, monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"id": "00000000001", "title": "One", "duration": 12, "extractor_key": "Youtube"}
    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", lambda *args, **named: info)
    assert titles(read("00000000001", MinDuration="60", Kinds="shorts")) == ["One"]


def test_videos_for_members_are_left_out(youtube: YouTube) -> None:
    youtube.add(f"{CHANNEL}/videos", [video(1), video(2, availability="subscriber_only")])
    assert titles(read(f"{CHANNEL}/videos")) == ["Video 1"]
    assert titles(read(f"{CHANNEL}/videos", Kinds="members")) == ["Video 1", "Video 2"]
    youtube.add(
        CHANNEL, [a_list([video(1), video(2, availability="subscriber_only")], webpage_url=f"{CHANNEL}/videos")]
    )
    assert titles(read(CHANNEL, Kinds="members")) == ["Video 2"]


def test_tabs_of_other_kinds_are_not_opened(youtube: YouTube) -> None:
    youtube.add(CHANNEL, [a_list([video(1)], webpage_url=f"{CHANNEL}/videos"), tab("streams"), tab("shorts")])
    youtube.add(f"{CHANNEL}/shorts", [video(3)])
    assert titles(read(CHANNEL, Kinds="shorts")) == ["Video 3"]
    assert youtube.opened == [CHANNEL, f"{CHANNEL}/shorts"]


def test_a_channel_that_has_one_tab_is_not_read_for_another_kind(youtube: YouTube) -> None:
    youtube.add(CHANNEL, [video(n) for n in range(100)], webpage_url=f"{CHANNEL}/videos")
    assert titles(read(CHANNEL, Kinds="shorts")) == []
    assert youtube.read == {}
    assert len(titles(read(CHANNEL, Kinds="videos"))) == 100


def test_a_tab_that_is_asked_for_by_its_name_is_listed(youtube: YouTube) -> None:
    youtube.add(f"{CHANNEL}/shorts", [video(1)])
    assert titles(read(f"{CHANNEL}/shorts", Kinds="videos")) == ["Video 1"]


def test_the_newest_of_a_tab_and_the_first_of_a_playlist(youtube: YouTube) -> None:
    for url in (f"{CHANNEL}/videos", PLAYLIST):
        youtube.add(url, [video(n, duration=60 * (n % 2)) for n in range(1000)])
        assert len(titles(read(url, FirstVideos="10", MinDuration="30"))) == 10
        assert youtube.read[url] <= 21, "the rest is not asked for"


def test_a_tab_ends_where_a_whole_page_is_too_old(youtube: YouTube) -> None:
    now = datetime.now(UTC)
    entries = [video(n, timestamp=(now - timedelta(days=n)).timestamp()) for n in range(1000)]
    youtube.add(f"{CHANNEL}/videos", entries)
    youtube.add(PLAYLIST, entries)
    assert len(titles(read(f"{CHANNEL}/videos", NewerThan="40 days"))) == 40
    assert youtube.read[f"{CHANNEL}/videos"] == 3 * PAGE_ENTRIES
    assert len(titles(read(PLAYLIST, NewerThan="40 days"))) == 40
    assert youtube.read[PLAYLIST] == 1000, "a playlist stands in any order"


def test_a_list_that_says_n_and_gives_none_is_suspect(youtube: YouTube) -> None:
    youtube.add(PLAYLIST, [], playlist_count=12)
    with pytest.raises(TransientError, match="listed none of its 12 videos") as error:
        read(PLAYLIST)
    assert error.value.reason == "nothing-listed"


# --- looking again ---------------------------------------------------------------------------------------------------


def test_each_tab_is_asked_about_and_a_playlist_is_not(youtube: YouTube) -> None:
    youtube.add(
        CHANNEL,
        [a_list([video(n) for n in range(100)], webpage_url=f"{CHANNEL}/videos"), tab("streams"), tab("shorts")],
    )
    youtube.add(f"{CHANNEL}/streams", [video(n) for n in range(200, 240)])
    youtube.add(f"{CHANNEL}/shorts", [video(n) for n in range(300, 400)])
    items = read(CHANNEL, [True, False, True, True, False])
    assert len(titles(items)) == 60 + 40 + 30
    pages = [item for item in items if isinstance(item, ListedPage)]
    assert [(page.asks, page.end) for page in pages] == [
        (True, ""), (True, ""), (True, ""), (True, "whole"), (True, "")
    ]  # fmt: skip
    youtube.add(PLAYLIST, [video(n) for n in range(100)])
    items = read(PLAYLIST, [])
    assert len(keys(items)) == 100
    assert not any(item.asks for item in items if isinstance(item, ListedPage))


def test_a_child_waits_for_a_byte_after_each_page(youtube: YouTube) -> None:
    youtube.add(f"{CHANNEL}/videos", [video(n) for n in range(100)])
    sent: list[str] = []
    waited_at: list[int] = []

    def wait() -> bytes:
        waited_at.append(len(sent))
        return b"+" if len(waited_at) < 2 else b""  # nothing: the parent has gone

    payload = {"url": f"{CHANNEL}/videos", "network": Network().to_json(), "mix_max_videos": 5, "filters": {}}
    list_in_child(payload, lambda message: sent.append(message["kind"]), wait)
    assert waited_at == [1 + 31, 1 + 62]
    assert sent.count("video") == 60


def test_a_capped_source_ends_at_what_is_known_and_not_before(youtube: YouTube) -> None:
    url = f"{CHANNEL}/videos"
    youtube.add(url, [video(n) for n in range(1000)])
    assert len(titles(read(url, [True, True, False], FirstVideos="10"))) == 90
    assert len(titles(read(url, [True] * 40, FirstVideos="10"))) == 300, "nothing of it is known any more"


def test_the_first_look_asks_nothing(youtube: YouTube) -> None:
    youtube.add(f"{CHANNEL}/videos", [video(n) for n in range(100)])
    assert not any(isinstance(item, ListedPage) for item in read(f"{CHANNEL}/videos"))


@pytest.mark.parametrize(
    "bad",
    [
        {"title": 5}, {"title": ["x"]}, {"title": "x" * 2_000_000}, {"duration": float("inf")}, {"duration": "long"},
        {"id": None}, {"id": 5}, {"ie_key": "Generic", "url": "https://example.org/" + "x" * 2_000_000},
        {"ie_key": "Generic", "url": "http://[x"},
        {"live_status": []}, {"timestamp": 10**400}, {"ie_key": "Generic", "url": "", "formats": 5},
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_costs_the_others_nothing(youtube: YouTube, bad: dict[str, Any]) -> None:
    youtube.add(PLAYLIST, [video(1), {**video(2), **bad}, video(3)])
    listed = [item for item in read(PLAYLIST, TitleMatch="") if isinstance(item, ListedVideo)]
    assert {"yt:v:" + video(number)["id"] for number in (1, 3)} <= {item.key for item in listed}
    assert all(len(item.title) <= 1000 and len(item.url) < 9000 for item in listed)
