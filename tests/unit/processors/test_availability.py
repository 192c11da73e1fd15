"""Check whether there is one complete video to download now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from youtube_download_coordinator.errors import AttemptError, LaterError
from youtube_download_coordinator.models import Verdict
from youtube_download_coordinator.processors.availability import check_whole


def test_an_upcoming_video_says_when() -> None:
    with pytest.raises(LaterError) as caught:
        check_whole({"live_status": "is_upcoming", "release_timestamp": 2_000_000_000}, ())
    assert caught.value.not_before == datetime.fromtimestamp(2_000_000_000, UTC)


@pytest.mark.parametrize(
    ("status", "reason"), [("is_live", "live"), ("post_live", "processing"), ("is_upcoming", "upcoming")]
)
def test_what_is_not_there_yet_comes_later(status: str, reason: str) -> None:
    with pytest.raises(LaterError) as caught:
        check_whole({"live_status": status, "url": "https://example.org"}, ())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("messages", "verdict", "reason"),
    [
        (["[youtube] This video is private", "No video formats found!"], Verdict.PERMANENT, "private"),
        (["[youtube] HTTP Error 403", "[youtube] This video is private", "No video formats found!"],
         Verdict.PERMANENT, "private"),
        (["[youtube] Video unavailable", "Requested format is not available"], Verdict.GONE, "gone"),
        (["[youtube] x: HTTP Error 429", "[youtube] Video unavailable", "No video formats found!"],
         Verdict.THROTTLED, "http-429"),
        (["[youtube] x: HTTP Error 403: Forbidden", "No video formats found!"], Verdict.THROTTLED, "http-403"),
        (["[youtube] Something that nobody has seen yet", "No video formats found!"], Verdict.RETRY, "error"),
        (["No video formats found!"], Verdict.RETRY, "no-formats"),
        ([], Verdict.RETRY, "no-formats"),
    ],
)  # fmt: skip
def test_what_youtube_says_without_formats_is_the_verdict(messages: list[str], verdict: Verdict, reason: str) -> None:
    with pytest.raises(AttemptError) as caught:
        check_whole({}, messages)
    assert (caught.value.verdict, caught.value.reason) == (verdict, reason), caught.value
