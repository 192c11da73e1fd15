"""Listings that fail in a way of their own: cookies that do not fit, channels without content, outages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yt_dlp
from yt_dlp.utils import ExtractorError

from tests.support.listing_answers import PLAYLIST, UC, YT, Answers, a_list, keys, read, tab, video
from youtube_download_coordinator.errors import UnfitError
from youtube_download_coordinator.youtube.listing import ListedTitle

AUTHCHECK = ExtractorError(
    "Playlists that require authentication may not extract correctly without a successful webpage download. If you are not"
    ' downloading private content, pass "--extractor-args youtubetab:skip=authcheck" to skip this check',
    expected=True,
)


def failing_first(error: Exception, then: Any) -> Callable[[], Any]:
    """Return a function that gives the error once, then the answer."""
    rest = iter([error])
    return lambda: next(rest, then)


def test_a_public_list_is_listed_although_its_page_did_not_load_with_the_cookies(answers: Answers) -> None:
    answers[PLAYLIST] = failing_first(AUTHCHECK, a_list([video(1)]))
    items, error = read(PLAYLIST)
    assert error is None
    assert keys(items) == ["yt:v:00000000001"]


def test_the_check_is_skipped_beside_what_else_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped: list[list[str]] = []

    def extract_info(self: Any, url: str, *args: object, **named: object) -> Any:
        skipped.append(list(self.params["extractor_args"]["youtubetab"]["skip"]))
        if "authcheck" not in skipped[-1]:
            raise AUTHCHECK
        return a_list([video(1)])

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", extract_info)
    _, error = read(PLAYLIST, yt_dlp_options={"extractor_args": {"youtubetab": {"skip": ["webpage"]}}})
    assert error is None
    assert skipped == [["webpage"], ["webpage", "authcheck"]]


@pytest.mark.parametrize("text", ["This playlist is private", "Failed to resolve url (does the playlist exist?)"])
def test_a_private_list_needs_cookies_that_fit(answers: Answers, text: str) -> None:
    answers[PLAYLIST] = failing_first(AUTHCHECK, ExtractorError(text, expected=True))
    _, error = read(PLAYLIST)
    assert (type(error), error and error.reason) == (UnfitError, "cookies")


def test_a_check_of_cookies_that_goes_on_failing_ends(answers: Answers) -> None:
    answers[PLAYLIST] = AUTHCHECK
    _, error = read(PLAYLIST)
    assert (type(error), error and error.reason) == (UnfitError, "cookies")


def test_a_channel_without_any_content_is_listed_to_its_end(answers: Answers) -> None:
    for url in (f"{YT}/channel/{UC}", f"{YT}/channel/{UC}/videos", f"{YT}/@handle"):
        answers[url] = ExtractorError("YouTube said: This channel doesn't have any content", expected=True)
        assert read(url) == ([ListedTitle("", "", 0)], None)


def test_a_tab_without_any_content_does_not_stop_the_others(answers: Answers) -> None:
    channel = f"{YT}/channel/{UC}"
    answers[channel] = a_list([tab("videos"), tab("shorts")], channel="Name")
    answers[f"{channel}/videos"] = ExtractorError("YouTube said: This channel doesn't have any content", expected=True)
    answers[f"{channel}/shorts"] = a_list([video(1)], channel="Name", webpage_url=f"{channel}/shorts")
    items, error = read(channel)
    assert error is None
    assert keys(items) == ["yt:v:00000000001"]


def test_a_failure_known_from_outages_stays_systemic(answers: Answers) -> None:
    for text in ("Unable to recognize tab page", "YouTube said: The page needs to be reloaded."):
        answers[PLAYLIST] = ExtractorError(text, expected=True)
        _, error = read(PLAYLIST)
        assert error
        assert error.systemic
