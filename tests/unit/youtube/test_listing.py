"""Listing, against a small site on loopback (yt-dlp's generic extractor) and against made-up answers of yt-dlp's."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yt_dlp
from yt_dlp.utils import ExtractorError

from tests.support.listing_answers import PLAYLIST, UC, YT, Answers, a_list, failing_after, keys, read, tab, video
from youtube_download_coordinator.errors import (
    AttemptError,
    BadUrl,
    GoneError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from youtube_download_coordinator.youtube.listing import (
    ListedChannel,
    ListedSource,
    ListedTitle,
    ListedVideo,
    list_in_child,
    listing,
    parse_item,
)
from youtube_download_coordinator.youtube.network import Network

# -- a small site

FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>My feed</title>{items}</channel></rss>"""
ITEM = (
    "<item><title>Talk {n}</title><guid>talk-{n}</guid>"
    '<enclosure url="{at}/talk{n}.mp3" type="audio/mpeg" length="9"/></item>'
)
PAGE = '<html><head><title>A page</title></head><body><video src="/film.mp4"></video></body></html>'


class Site(ThreadingHTTPServer):
    """Answers by path; `/hang` answers nothing until the site is closed."""

    daemon_threads = True

    def __init__(self) -> None:
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of `/hang` go away."""

    def answer(self, path: str) -> tuple[int, str, str]:
        if path == "/feed.xml":
            items = "".join(ITEM.format(n=n, at=self.url) for n in (1, 2, 1, 3))
            return 200, "application/rss+xml", FEED.format(items=items)
        if path == "/empty.xml":
            return 200, "application/rss+xml", FEED.format(items="").replace("<title>My feed</title>", "")
        if path == "/page.html":
            return 200, "text/html", PAGE
        if path == "/hang":
            self.closing.wait(30)
        return int(path[1:]) if path[1:].isdigit() else 404, "text/plain", "no"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        status, content_type, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def test_a_feed_is_a_list_of_its_enclosures(site: Site) -> None:
    items, error = read(f"{site.url}/feed.xml", allow_other_sites=True)
    assert error is None
    title, *videos = items
    assert isinstance(title, ListedTitle)
    assert title.title == "My feed"
    assert [(video.title, video.key) for video in videos if isinstance(video, ListedVideo)] == [
        (f"Talk {n}", f"url:{site.url}/talk{n}.mp3") for n in (1, 2, 3)
    ]


def test_what_yt_dlp_smuggles_stays_in_the_address(site: Site) -> None:
    items, _ = read(f"{site.url}/feed.xml", allow_other_sites=True)
    videos = [item for item in items if isinstance(item, ListedVideo)]
    assert all("#__youtubedl_smuggle=" in video.url for video in videos)
    assert not any("smuggle" in video.key for video in videos)


def test_a_page_with_one_video_is_one_video(site: Site) -> None:
    items, error = read(f"{site.url}/page.html", allow_other_sites=True)
    assert error is None
    assert [type(item) for item in items] == [ListedVideo]
    assert items[0] == ListedVideo(f"{site.url}/page.html", f"url:{site.url}/page.html", "A page (1)", None)


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("/503", TransientError, "http-503"),
        ("/404", GoneError, "gone"),
        ("/429", ThrottledError, "http-429"),
        ("/403", TransientError, "http-403"),
        ("/hang", TransientError, "timeout"),
        ("/empty.xml", TransientError, "nothing-listed"),
    ],
)
def test_what_fails_says_why(site: Site, path: str, kind: type[AttemptError], reason: str) -> None:
    _, error = read(site.url + path, allow_other_sites=True, socket_timeout_seconds=0.3)
    assert (type(error), error and error.reason) == (kind, reason)


def test_other_sites_are_not_reached_unless_they_are_allowed(site: Site) -> None:
    with pytest.raises(BadUrl):
        read(f"{site.url}/feed.xml")


def test_no_answer_of_youtube_leads_to_another_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of extractors that may work is short: a redirect, or a forged list, does not open it."""
    answer = {"_type": "url", "url": f"{site.url}/feed.xml", "ie_key": "Generic"}
    real = yt_dlp.YoutubeDL.extract_info
    first = iter([answer])
    monkeypatch.setattr(
        yt_dlp.YoutubeDL, "extract_info", lambda *args, **named: next(first, None) or real(*args, **named)
    )
    items, error = read(f"{YT}/playlist?list=PLx12345")
    assert items == []
    assert (type(error), error and error.reason) == (PermanentError, "unsupported-url")


# -- made-up answers


def test_repeats_and_unavailable_entries_are_left_out(answers: Answers) -> None:
    entries = [
        video(1),
        video(2, title="[Private video]"),
        video(1),
        None,
        video(3, title="[Deleted video]"),
        video(4, title=None),
    ]
    answers[PLAYLIST] = a_list(entries, playlist_count=6, channel_id=UC)
    items, error = read(PLAYLIST)
    assert error is None
    assert items == [
        ListedTitle("My list", UC, 6),
        ListedVideo(f"{YT}/watch?v=00000000001", "yt:v:00000000001", "Video 1", None),
        ListedVideo(f"{YT}/watch?v=00000000004", "yt:v:00000000004", "", None),
    ]


@pytest.mark.parametrize(("duration", "seconds"), [(61, 61), (61.9, 61), (None, None), (-1, None)])
def test_durations_are_whole_seconds(answers: Answers, duration: float | None, seconds: int | None) -> None:
    answers[PLAYLIST] = a_list([video(1, duration=duration)])
    items, _ = read(PLAYLIST)
    assert [item.duration_seconds for item in items if isinstance(item, ListedVideo)] == [seconds]


def test_live_and_upcoming_entries_stay(answers: Answers) -> None:
    answers[PLAYLIST] = a_list([video(1, live_status="is_live"), video(2, live_status="is_upcoming")])
    assert len(keys(read(PLAYLIST)[0])) == 2


def test_playlists_inside_are_sources_of_their_own(answers: Answers) -> None:
    inner = {"_type": "url", "ie_key": "YoutubeTab", "url": f"{YT}/playlist?list=PLinner", "title": "Inner"}
    answers[f"{YT}/channel/{UC}/playlists"] = a_list([inner, inner])
    items, _ = read(f"{YT}/channel/{UC}/playlists")
    assert items[1:] == [ListedSource(f"{YT}/playlist?list=PLinner", "yt:p:PLinner", "Inner")]


def test_entries_that_lead_elsewhere_are_left_out(answers: Answers) -> None:
    strange = [{"_type": "url", "url": "https://example.com/x"}, {"_type": "url"}, video("short"), video(1)]
    answers[PLAYLIST] = a_list(strange)
    assert keys(read(PLAYLIST)[0]) == ["yt:v:00000000001"]


def test_a_mix_ends_at_its_limit(answers: Answers) -> None:
    mix = f"{YT}/watch?v=00000000001&list=RD00000000001"
    answers[mix] = a_list(video(n // 2) for n in itertools.count())
    items, error = read(mix, mix_max_videos=7)
    assert error is None
    assert len(keys(items)) == 7


def test_a_mix_that_only_repeats_itself_ends_too(answers: Answers) -> None:
    mix = f"{YT}/watch?v=00000000001&list=RD00000000001"
    answers[mix] = a_list(video(n % 3) for n in itertools.count())
    assert len(keys(read(mix, mix_max_videos=7)[0])) == 3


def test_a_list_is_streamed(answers: Answers) -> None:
    answers[PLAYLIST] = a_list(video(n) for n in itertools.count())
    stream = listing(PLAYLIST, network=Network(), mix_max_videos=1)
    assert len(list(itertools.islice(stream, 1000))) == 1000


def test_what_was_listed_before_an_error_is_kept(answers: Answers) -> None:
    error = ExtractorError("Unable to download API page: HTTP Error 500: Oops", expected=True)
    answers[PLAYLIST] = a_list(failing_after([video(1), video(2)], error))
    items, failure = read(PLAYLIST)
    assert len(keys(items)) == 2
    assert (type(failure), failure and failure.reason) == (TransientError, "http-500")
    assert failure is not None
    assert failure.__cause__ is error


def test_a_later_page_that_is_missing_does_not_mean_that_the_source_is_gone(answers: Answers) -> None:
    error = ExtractorError("Unable to download API page: HTTP Error 404: Not Found", expected=True)
    answers[PLAYLIST] = a_list(failing_after([video(1)], error))
    assert type(read(PLAYLIST)[1]) is TransientError
    answers[PLAYLIST] = a_list(failing_after([], error))
    assert type(read(PLAYLIST)[1]) is GoneError


def test_a_channel_is_called_as_the_channel_and_listed_tab_by_tab(answers: Answers) -> None:
    first = a_list([video(1)], title="Name - Videos")
    answers[f"{YT}/channel/{UC}"] = a_list(
        [first, tab("streams"), tab("shorts")], title="Name", channel="Name", channel_id=UC
    )
    answers[f"{YT}/channel/{UC}/streams"] = a_list([video(2), video(1)])
    answers[f"{YT}/channel/{UC}/shorts"] = a_list([video(3)])
    items, error = read(f"{YT}/channel/{UC}")
    assert error is None
    assert items[0] == ListedTitle("Name", UC, None)
    assert keys(items) == ["yt:v:00000000001", "yt:v:00000000002", "yt:v:00000000003"]


def test_a_tab_that_fails_does_not_take_the_others_along(answers: Answers) -> None:
    oops = ExtractorError("HTTP Error 502: Oops", expected=True)
    answers[f"{YT}/channel/{UC}"] = a_list(
        [a_list(failing_after([video(1)], oops)), tab("streams"), tab("shorts")], channel="Name"
    )
    answers[f"{YT}/channel/{UC}/streams"] = ExtractorError("HTTP Error 503: Oops", expected=True)
    answers[f"{YT}/channel/{UC}/shorts"] = a_list([video(3)])
    items, failure = read(f"{YT}/channel/{UC}")
    assert keys(items) == ["yt:v:00000000001", "yt:v:00000000003"]
    assert failure is not None
    assert failure.reason == "http-502", "the first failure counts"
    assert failure.__cause__ is oops


def test_a_tab_that_is_not_there_is_no_failure(answers: Answers) -> None:
    answers[f"{YT}/channel/{UC}"] = a_list([a_list([video(1)]), tab("streams")], channel="Name")
    answers[f"{YT}/channel/{UC}/streams"] = ExtractorError("This channel does not have a streams tab", expected=True)
    items, failure = read(f"{YT}/channel/{UC}")
    assert keys(items) == ["yt:v:00000000001"]
    assert failure is None


def test_being_throttled_stops_everything_at_once(answers: Answers) -> None:
    answers[f"{YT}/channel/{UC}"] = a_list([a_list([video(1)]), tab("streams"), tab("shorts")], channel="Name")
    answers[f"{YT}/channel/{UC}/streams"] = ExtractorError("HTTP Error 429: Too Many Requests", expected=True)
    answers[f"{YT}/channel/{UC}/shorts"] = lambda: pytest.fail("asked again after a block")
    items, failure = read(f"{YT}/channel/{UC}")
    assert keys(items) == ["yt:v:00000000001"]
    assert isinstance(failure, ThrottledError)


def test_a_channel_without_videos_is_fine_when_it_has_a_name(answers: Answers) -> None:
    answers[f"{YT}/channel/{UC}"] = a_list([], id=UC, title="Name - Videos", channel="Name", channel_id=UC)
    assert read(f"{YT}/channel/{UC}") == ([ListedTitle("Name", UC, None)], None)


@pytest.mark.parametrize("title", [UC, "", None])
def test_a_channel_without_videos_and_name_is_suspect(answers: Answers, title: str | None) -> None:
    """An age-gated channel looks like that, and yt-dlp puts the ID in the place of the title."""
    answers[f"{YT}/channel/{UC}"] = a_list([], id=UC, title=title)
    items, failure = read(f"{YT}/channel/{UC}")
    assert items == [ListedTitle("", "", None)]
    assert (type(failure), failure and failure.reason) == (TransientError, "nothing-listed")
    assert "UULF" in str(failure)


@pytest.mark.parametrize(
    ("alias", "path"), [("@x", UC), ("@X/shorts", f"{UC}/shorts"), ("c/x/streams", f"{UC}/streams"), ("user/x", UC)]
)
def test_an_alias_is_the_channel_that_it_stands_for(answers: Answers, alias: str, path: str) -> None:
    """Nothing is listed under a name: not even the entries that came with it."""
    answers[f"{YT}/{alias}"] = a_list([video(1)], title="Name - Videos", channel="Name", channel_id=UC)
    items, failure = read(f"{YT}/{alias}")
    assert failure is None
    (item,) = items
    assert isinstance(item, ListedChannel)
    assert (item.key, item.url) == (f"yt:c:{path}", f"{YT}/channel/{path}")


def test_a_topic_channel_without_tabs_is_known_by_its_id(answers: Answers) -> None:
    """yt-dlp looks into its uploads only when it is given the ID."""
    answers[f"{YT}/@x"] = a_list([], id="@x", title="Name - Topic", channel="Name - Topic", channel_id=UC)
    assert read(f"{YT}/@x") == ([ListedChannel(f"{YT}/channel/{UC}", f"yt:c:{UC}", "Name - Topic")], None)


@pytest.mark.parametrize("channel_id", [None, "", "HCnot-a-channel"])
def test_an_alias_whose_channel_is_not_said_is_listed_by_its_name(answers: Answers, channel_id: str | None) -> None:
    answers[f"{YT}/@x"] = a_list([video(1)], title="Name", channel_id=channel_id)
    items, failure = read(f"{YT}/@x")
    assert (keys(items), failure) == (["yt:v:00000000001"], None)


def test_an_alias_that_says_nothing_is_suspect(answers: Answers) -> None:
    answers[f"{YT}/@x"] = a_list([], id="@x", title="@x")
    failure = read(f"{YT}/@x")[1]
    assert (type(failure), failure and failure.reason) == (TransientError, "nothing-listed")


def test_answers_that_point_elsewhere_are_followed_but_not_for_ever(answers: Answers) -> None:
    elsewhere = {"_type": "url", "url": PLAYLIST}
    answers[f"{YT}/@x/live"] = elsewhere
    answers[PLAYLIST] = a_list([video(1)])
    assert keys(read(f"{YT}/@x/live")[0]) == ["yt:v:00000000001"]
    answers[PLAYLIST] = elsewhere
    failure = read(PLAYLIST)[1]
    assert (type(failure), failure and failure.reason) == (TransientError, "redirects")


def test_a_single_video_is_one_item(answers: Answers) -> None:
    info = {"id": "00000000001", "title": "One", "duration": 12, "extractor_key": "Youtube"}
    answers[f"{YT}/watch?v=00000000001"] = info
    answers[f"{YT}/@x/live"] = info
    one = ListedVideo(f"{YT}/watch?v=00000000001", "yt:v:00000000001", "One", 12)
    assert read("https://youtu.be/00000000001") == ([one], None)
    assert read(f"{YT}/@x/live") == ([one], None)


def test_a_shortfall_is_noted_and_no_error(answers: Answers, caplog: pytest.LogCaptureFixture) -> None:
    answers[PLAYLIST] = a_list([video(1), video(1)], playlist_count=1004)
    with caplog.at_level("INFO"):
        assert read(PLAYLIST)[1] is None
    assert [record.getMessage() for record in caplog.records] == [f"{PLAYLIST}: YouTube listed 2 of 1004 entries"]


def test_a_child_sends_what_the_parent_reads(answers: Answers) -> None:
    inner = {"_type": "url", "ie_key": "YoutubeTab", "url": f"{YT}/playlist?list=PLinner", "title": "Inner"}
    answers[PLAYLIST] = a_list([video(1, duration=3), inner])
    sent: list[str] = []
    payload = {"url": PLAYLIST, "network": Network().to_json(), "mix_max_videos": 5}
    emit: Callable[[Any], None] = lambda message: sent.append(json.dumps(message))  # noqa: E731
    list_in_child(payload, emit)
    assert [json.loads(line)["kind"] for line in sent] == ["title", "video", "source"]
    assert [parse_item(json.loads(line)) for line in sent] == read(PLAYLIST)[0]
