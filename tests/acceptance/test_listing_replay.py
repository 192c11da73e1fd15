"""Listing from recorded answers of YouTube's, with an unmodified yt-dlp in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Replay
from youtube_download_coordinator.youtube.listing import (
    Listed,
    ListedChannel,
    ListedSource,
    ListedTitle,
    ListedVideo,
    parse_item,
)

pytestmark = pytest.mark.slow

YT = "https://www.youtube.com"
LISTING_SECONDS = 100
PROGRAM = """
import json, sys
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.youtube.listing import list_in_child
try:
    list_in_child(json.loads(sys.argv[1]), lambda message: print(json.dumps(message)))
except AttemptError as error:
    print(json.dumps({"kind": "failure", "verdict": error.verdict, "reason": error.reason, "later": bool(error.not_before)}))
"""


@dataclass(frozen=True)
class Run:
    """The result of a listing: its items and its end (`done` or `verdict reason`)."""

    items: list[Listed]
    end: str

    @property
    def videos(self) -> list[ListedVideo]:
        return [item for item in self.items if isinstance(item, ListedVideo)]

    @property
    def sources(self) -> list[ListedSource]:
        return [item for item in self.items if isinstance(item, ListedSource)]

    @property
    def title(self) -> ListedTitle | None:
        return next((item for item in self.items if isinstance(item, ListedTitle)), None)


def list_source(replay: Replay, path: str, *, mix_max_videos: int = 100, **network: Any) -> Run:
    payload = {"url": f"{YT}/{path}", "network": network, "mix_max_videos": mix_max_videos}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(payload)],
        env=replay.environment, cwd=ROOT, capture_output=True, text=True, timeout=LISTING_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    failures = [message for message in messages if message["kind"] == "failure"]
    items = [parse_item(message) for message in messages if message["kind"] != "failure"]
    return Run(items, f"{failures[0]['verdict']} {failures[0]['reason']}" if failures else "done")


KURZGESAGT = "UCsXVk37bltHxD1rDPwtNM8Q"
DISILLUSION = "UCEOXxzW2vU0P-0THehuIIeg"
GEERLING = "UCR-DXc1voovS8nhAvccRZhg"
EEVBLOG = "UC2DjFE7Xf11URZqWBigcVOQ"
COMPOSITE = "UCytkitcomposite00000000"
LISTS = {
    "playlist?list=PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO": 17,
    "playlist?list=PLWxziGKTUvQFIsbbFcTZz7jOT4TMGnZBh": 14,
    "playlist?list=PL8dPuuaLjXtOAKed_MxxWBNaPno5h3Zs8": 49,
    "playlist?list=PLoumn5BIsUDeGF1vy5Nylf_RJKn5aL_nr": 150,
    "playlist?list=UUSHBR8-60-B28hp2BmDPdntcQ": 200,
    "playlist?list=PLzMcBGfZo4-mP7qA9cagf68V06sko5otr": 12,
    "playlist?list=PLZHQObOWTQDMsr9K-rj53DwVRMYO3t5Yr": 12,
    "playlist?list=PLS1QulWo1RIaJECMeUT4LFwJ-ghgoSH6n": 100,
    "channel/UCs6nmQViDpUw0nuIx9c_WvA/videos": 30,
    f"channel/{KURZGESAGT}": 30,
    f"channel/{KURZGESAGT}/videos": 30,
    f"channel/{DISILLUSION}": 30,
    f"channel/{DISILLUSION}/videos": 30,
    "channel/UCTwECeGqMZee77BjdoYtI2Q": 60,
    f"channel/{GEERLING}/streams": 57,
    "channel/UCh8gHdtzO2tXd593_bjErWg/shorts": 96,
    "channel/UCUaQMQS9lY5lit3vurpXQ6w": 1,
    "channel/UCxBa895m48H5idw5li7h-0g": 0,
    f"channel/{COMPOSITE}": 60 + 57 + 96,
    f"channel/{COMPOSITE}/videos": 60,
    f"channel/{COMPOSITE}/streams": 57,
    f"channel/{COMPOSITE}/shorts": 96,
    "channel/UCytkit_000070_000000000": 70,
}


@pytest.mark.parametrize(("path", "count"), LISTS.items())
def test_a_recorded_list_is_listed_whole(replay: Replay, path: str, count: int) -> None:
    run = list_source(replay, path)
    assert run.end == "done"
    assert len(run.videos) == count
    assert len({video.key for video in run.videos}) == count
    assert run.title
    assert run.title.title


ALIASES = {
    "@kurzgesagt": KURZGESAGT,
    "@Kurzgesagt/videos": f"{KURZGESAGT}/videos",
    "user/CaptainDisillusion": DISILLUSION,
    "user/CaptainDisillusion/videos": f"{DISILLUSION}/videos",
    "c/JeffGeerling/streams": f"{GEERLING}/streams",
    "@EEVblog/playlists": f"{EEVBLOG}/playlists",
    "@ytkit-composite": COMPOSITE,
}


@pytest.mark.parametrize(("alias", "path"), ALIASES.items())
def test_an_alias_is_resolved_with_one_request(replay: Replay, alias: str, path: str) -> None:
    run = list_source(replay, alias)
    (item,) = run.items
    assert isinstance(item, ListedChannel)
    assert (item.key, item.url, run.end) == (f"yt:c:{path}", f"{YT}/channel/{path}", "done")
    assert len(replay.log()) == 1


@pytest.mark.parametrize("path", [f"channel/{EEVBLOG}/playlists", f"channel/{COMPOSITE}/playlists"])
def test_playlists_of_a_channel_are_sources(replay: Replay, path: str) -> None:
    run = list_source(replay, path)
    assert (len(run.sources), run.videos, run.end) == (60, [], "done")
    assert all(source.title and source.key.startswith("yt:p:") for source in run.sources)


def test_an_entry_has_a_title_and_a_duration(replay: Replay) -> None:
    first = list_source(replay, "playlist?list=PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO").videos[0]
    assert (first.key, first.url, first.duration_seconds) == ("yt:v:UKwSQSFN4Nw", f"{YT}/watch?v=UKwSQSFN4Nw", 131)
    assert first.title


def test_a_list_says_what_it_is(replay: Replay) -> None:
    assert list_source(replay, "playlist?list=UUSHBR8-60-B28hp2BmDPdntcQ").title == ListedTitle(
        "Short videos", "UCBR8-60-B28hp2BmDPdntcQ", 1004
    )
    assert list_source(replay, f"channel/{COMPOSITE}").title == ListedTitle("ytkit composite", COMPOSITE, None)


def test_repeats_and_private_videos_are_left_out(replay: Replay) -> None:
    """Of every hundred entries the first 10 repeat others, and the last 5 are private."""
    distinct = {i // 2 if i % 100 < 10 else i for i in range(450) if i % 100 < 95}
    run = list_source(replay, "playlist?list=PLytkit_000450_10_05")
    assert (len(run.videos), run.end) == (len(distinct), "done")


def test_a_single_video_is_listed_with_what_is_known_of_it(replay: Replay) -> None:
    (video,) = list_source(replay, "shorts/M4gD1WSo5mA").items
    assert isinstance(video, ListedVideo)
    assert (video.key, video.duration_seconds) == ("yt:v:M4gD1WSo5mA", 721)
    assert video.title.startswith("William Fisher")


def test_a_running_live_stream_is_listed(replay: Replay) -> None:
    run = list_source(replay, "watch?v=X4VbdwhkE10")
    assert ([video.key for video in run.videos], run.end) == (["yt:v:X4VbdwhkE10"], "done")


ERRORS = {
    f"playlist?list=PL{'1' * 32}": "permanent no-such-source",
    "playlist?list=INVALID_ID": "permanent no-such-source",
    "channel/UCTGjY2I-ZUGnwVoWAGRd7XQ": "permanent terminated",
    "channel/UCoaO4U_p7G7AwalqSbGCZOA": "permanent removed",
    "channel/UCAUc4iz6edWerIjlnL8OSSw": "permanent no-such-source",
    "@nonExistingHandleThatWillNeverExist15464": "gone gone",
    "@kurzgesagt/live": "later not-live",
    "channel/UCUaQMQS9lY5lit3vurpXQ6w/streams": "permanent no-such-source",
    "watch?v=8VajtrESJzA": "permanent private",
    "watch?v=sMJ8bRN2dak": "permanent needs-account",
    "watch?v=rwcfPqbAx-0": "permanent needs-account",
    "watch?v=don-t-exist": "gone gone",
    "watch?v=it3OtbTxQk0": "gone gone",
}


@pytest.mark.parametrize(("path", "end"), ERRORS.items())
def test_what_cannot_be_listed_says_why(replay: Replay, path: str, end: str) -> None:
    run = list_source(replay, path)
    assert (run.end, run.items) == (end, [])


PRESETS = {
    "ratelimit": "throttled rate-limit",
    "botcheck": "throttled bot-check",
    "removed": "permanent removed",
    "terminated": "permanent terminated",
    "copyright": "permanent copyright",
    "tos": "permanent removed",
    "premiere": "later upcoming",
    "liveoffline": "later upcoming",
    "age": "permanent needs-account",
}


@pytest.mark.parametrize(("preset", "end"), PRESETS.items())
def test_what_the_player_says_of_a_video_has_its_verdict(replay: Replay, preset: str, end: str) -> None:
    replay.faults({"match": "/v1/player", "action": "json", "preset": preset})
    assert list_source(replay, "watch?v=M4gD1WSo5mA").end == end


LONG = "playlist?list=PLytkit_000450_00_00"
THIRD_PAGE = {"match": "/browse.*ytkit:", "skip": 1}


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ({"status": 429}, "throttled http-429"),
        ({"status": 403}, "throttled http-403"),
        ({"status": 503}, "retry http-503"),
        ({"action": "reset"}, "retry network"),
        ({"action": "json", "body": {}}, "retry incomplete"),
    ],
)
def test_what_was_listed_before_an_error_is_kept(replay: Replay, fault: dict[str, Any], end: str) -> None:
    replay.faults(THIRD_PAGE | fault)
    run = list_source(replay, LONG)
    assert (len(run.videos), run.end) == (200, end)


def test_a_page_that_fails_twice_is_asked_again(replay: Replay) -> None:
    replay.faults(THIRD_PAGE | {"status": 503, "times": 2})
    run = list_source(replay, LONG)
    assert (len(run.videos), run.end) == (450, "done")


STREAMS_TAB = "/streams|EgdzdHJlYW1z"


def test_a_tab_that_fails_does_not_take_the_others_along(replay: Replay) -> None:
    replay.faults({"match": STREAMS_TAB, "status": 500})
    run = list_source(replay, f"channel/{COMPOSITE}")
    assert (len(run.videos), run.end) == (60 + 96, "retry http-500")


def test_a_tab_that_has_gone_is_no_failure(replay: Replay) -> None:
    """YouTube shows the first tab instead, and yt-dlp says that there is no such tab."""
    gone = list_source(replay, "channel/UCUaQMQS9lY5lit3vurpXQ6w/streams")
    assert gone.end == "permanent no-such-source"
    whole = list_source(replay, "channel/UCUaQMQS9lY5lit3vurpXQ6w")
    assert (len(whole.videos), whole.end) == (1, "done")


def test_a_block_on_one_tab_stops_the_listing(replay: Replay) -> None:
    replay.faults({"match": STREAMS_TAB, "status": 429})
    run = list_source(replay, f"channel/{COMPOSITE}")
    assert (len(run.videos), run.end) == (60, "throttled http-429")
    assert not any("shorts" in url for _, _, url, _, _ in replay.log())


def test_silence_ends_with_the_timeout(replay: Replay) -> None:
    replay.faults({"match": "/browse.*ytkit:", "action": "hang"})
    run = list_source(replay, LONG, socket_timeout_seconds=0.5)
    assert (len(run.videos), run.end) == (100, "retry timeout")


def test_a_later_look_finds_what_is_new(replay: Replay) -> None:
    replay.era("2024-11")
    before = {video.key for video in list_source(replay, f"channel/{GEERLING}/streams").videos}
    replay.era("2026")
    after = {video.key for video in list_source(replay, f"channel/{GEERLING}/streams").videos}
    assert (len(before), len(after)) == (55, 57)
    assert after - before
