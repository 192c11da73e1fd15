"""The error texts of YouTube and yt-dlp, in their known variants, and their meaning for a row."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yt_dlp.utils import DownloadError, ExtractorError, PostProcessingError

from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.models import Verdict
from youtube_download_coordinator.youtube import wordings
from youtube_download_coordinator.youtube.error_rules import classify, has_bad_part

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Means = tuple[Verdict, str]
BOT, RATE = (Verdict.THROTTLED, "bot-check"), (Verdict.THROTTLED, "rate-limit")
NOT_EMBEDDABLE, RELOAD = (Verdict.RETRY, "not-embeddable"), (Verdict.RETRY, "page-reload")
BROKEN, NO_FORMATS = (Verdict.RETRY, "yt-dlp-broken"), (Verdict.RETRY, "no-formats")
GONE, UPCOMING, NETWORK = (Verdict.GONE, "gone"), (Verdict.LATER, "upcoming"), (Verdict.RETRY, "network")
RESTRICTED, OTHER = (Verdict.GONE, "restricted"), (Verdict.RETRY, "error")
PRIVATE, ACCOUNT, REGION, TERMINATED, REMOVED, COPYRIGHT, NO_SOURCE, EMPTY, BAD_URL, DRM = (
    (Verdict.PERMANENT, reason)
    for reason in (
        "private", "needs-account", "region", "terminated", "removed", "copyright", "no-such-source", "empty", "unsupported-url",
        "drm",
    )
)  # fmt: skip

# fmt: off
ABOUT_THE_VIDEO: dict[str, Means] = {
    # -- private
    "If the owner of this video has granted you access, please sign in.": PRIVATE,
    "This video is private. If the owner of this video has granted you access, please sign in.": PRIVATE,
    "Private video. Sign in if you've been granted access to this video": PRIVATE,
    "Private video\nSign in if you’ve been granted access to this video": PRIVATE,
    "You don't have permission to view this because this account owner limits who can view it": PRIVATE,
    # -- an account that may see it
    "Sign in to confirm your age. This video may be inappropriate for some users.": ACCOUNT,
    "Please sign in to verify your age": ACCOUNT,
    "This video is age-restricted and only available on YouTube": ACCOUNT,
    "Sorry, this content is age-restricted": ACCOUNT,
    "The following content has been identified by the YouTube community as inappropriate or offensive to some audiences": ACCOUNT,
    "Join this channel to get access to members-only content like this video, and other exclusive perks.": ACCOUNT,
    "Members-only content": ACCOUNT,
    "This video is available to this channel's members on level: Gold (or any higher level).": ACCOUNT,
    "This video is only available to members of this channel": ACCOUNT,
    "This video is only available to Music Premium members": ACCOUNT,
    "This video requires payment to watch.": ACCOUNT,
    "This video requires purchase": ACCOUNT,
    # -- region
    "The uploader has not made this video available in your country": REGION,
    "Video unavailable. The uploader has not made this video available in your country": REGION,
    "The uploader hasn’t made this video available in your country.": REGION,
    "This video is not available in your region": REGION,
    "This content is not available in your region": REGION,
    "This content isn't available in your country": REGION,
    "This video is not available for your region.": REGION,
    "Video unavailable. This video is not available in this country": REGION,
    "This video is not available from your location due to geo restriction": REGION,
    "Video unavailable. This video contains content from X, who has blocked it in your country on copyright grounds": REGION,
    # -- restricted by an administrator
    "This video is restricted. Please check the Google Workspace administrator and/or the network administrator restrictions":
        RESTRICTED,
    "Video unavailable. This video is restricted. Please check the Google Workspace administrator and/or the network"
    " administrator restrictions.": RESTRICTED,
    "Video unavailable\nThis video is restricted. Try signing in with a Google Apps account.": RESTRICTED,
    # -- terminated
    "This account has been suspended for a violation of our terms of service": TERMINATED,
    "This account has been suspended because of multiple violations": TERMINATED,
    "User has been suspended": TERMINATED,
    "This channel has been suspended": TERMINATED,
    "This video is from a suspended account": TERMINATED,
    "This video is no longer available because the YouTube account associated with this video has been terminated.": TERMINATED,
    "Video unavailable. This video is no longer available because the uploader has closed their YouTube account.": TERMINATED,
    "This account has been terminated because we received multiple third-party claims of copyright infringement": TERMINATED,
    # -- removed, copyright, gone
    "This video has been removed for violating YouTube's policy on nudity or sexual content": REMOVED,
    "This video has been removed for violating YouTube's Community Guidelines": REMOVED,
    "Video unavailable. This video has been removed by the uploader": REMOVED,
    "Video unavailable. This video has been deleted": REMOVED,
    "This video is no longer available due to a copyright claim by X": COPYRIGHT,
    "Video unavailable. This video contains content from X, who has blocked it on copyright grounds": COPYRIGHT,
    "This video is unavailable": GONE,
    "This video is unavailable.": GONE,
    "YouTube said: This video is unavailable.": GONE,
    "Video is unavailable": GONE,
    "Video unavailable": GONE,
    "VIDEO UNAVAILABLE": GONE,
    "Video unavailable. This content isn’t available.": GONE,
    "This video is not available": GONE,
    "This video isn't available any more": GONE,
    "This video is currently unavailable": GONE,
    "This content is unavailable": GONE,
    "Video is unavailable pending review": GONE,
    "This video has been disabled": GONE,
    "The uploader has not made this video available.": GONE,
    "The uploader hasn't made this video available.": GONE,
    "This video doesn't exist": GONE,
    "This clip is no longer available": GONE,
    "Video no longer exists": GONE,
    "This video is under review": GONE,
    "Video unavailable. The video you are looking for doesn't exist": GONE,
    "This video is no longer available because the YouTube account associated with this video has been closed.": TERMINATED,
    "This video is no longer available due to a trademark claim by X": COPYRIGHT,
    "This video is no longer available due to a privacy claim by a third party": REMOVED,
    "This content is not available on this country domain due to a legal complaint from the government.": REGION,
    "This video contains content from SME. It is not available in your country.": REGION,
    "Blocked by your organization's administrator": RESTRICTED,
    "Your administrator has restricted this video": RESTRICTED,
    "Become a member to watch": ACCOUNT,
    "This video is exclusive to members": ACCOUNT,
    "Access is blocked in your country": REGION,
    # -- too early
    "Live in 5 hours": UPCOMING,
    "Live in an hour": UPCOMING,
    "Premieres in 5 hours": UPCOMING,
    "Premiere starts soon": UPCOMING,
    "Premieres soon": UPCOMING,
    "Premiere will begin shortly": UPCOMING,
    "Waiting for the live stream to start": UPCOMING,
    "Waiting for premiere to start": UPCOMING,
    "This live event will begin in a few moments.": UPCOMING,
    "This live stream starts in 20 minutes": UPCOMING,
    "This live event has not started yet": UPCOMING,
    "NASA is offline.": UPCOMING,
    "We're processing this video. Check back later.": (Verdict.LATER, "processing"),
    "This video is still processing": (Verdict.LATER, "processing"),
    "This live stream recording is not available yet": (Verdict.LATER, "processing"),
    "This video is not processed yet": (Verdict.LATER, "processing"),
    "Premieres Nov 29, 2026": UPCOMING,
    "Waiting for Kurzgesagt": UPCOMING,
    # -- addresses and sources
    "Incomplete YouTube ID M4gD1. URL https://www.youtube.com/watch?v=M4gD1 looks truncated.": BAD_URL,
    "Did you forget to quote the URL? Remember that & is a meta character in most shells": BAD_URL,
    "A video URL was given without video ID": BAD_URL,
    "YouTube said: Unviewable playlist": NO_SOURCE,
    "YouTube said: This playlist type is unviewable.": NO_SOURCE,
    "YouTube said: This playlist is not available": NO_SOURCE,
    "YouTube said: The playlist does not exist.": NO_SOURCE,
    "This playlist is private": PRIVATE,
    "This channel does not have a shorts tab": NO_SOURCE,
    "YouTube said: This channel doesn't have any content": EMPTY,
    "This channel does not have any videos": EMPTY,
    "This channel doesn't have any public videos": EMPTY,
    "This playlist has no videos": EMPTY,
    "YouTube said: The playlist is empty.": EMPTY,
    # -- the way there
    "fragment 1 not found, unable to continue": NETWORK,
    "fragment 12 not found, unable to continue": NETWORK,
    "Did not get any data blocks": NETWORK,
    "The downloaded file is empty": NETWORK,
    "unable to download video data: HTTP Error 416: Requested Range Not Satisfiable": NETWORK,
    "content too short (expected 100 bytes and served 10)": NETWORK,
    # -- this machine
    "Playlists that require authentication may not extract correctly without a successful webpage download. If you are not"
    " downloading private content, or your cookies are only for the first account and channel, pass \"--extractor-args"
    " youtubetab:skip=authcheck\" to skip this check": (Verdict.UNFIT, "cookies"),
    # -- blocks
    "The IP address you are using is blocked": BOT,
    "Request limit reached": RATE,
    "API rate limit hit": RATE,
    "Quota exceeded": RATE,
    "You have exceeded your daily quota": RATE,
    "Your network is blocked": BOT,
    "You have been temporarily blocked": BOT,
    "This request has been blocked": BOT,
    "Sign in to confirm you’re not a bot. This helps protect our community. Learn more": BOT,
    "Sign in to confirm that you're not a bot": BOT,
    "Please sign in to confirm you are not a robot": BOT,
    "Sign in to confirm you‘re not a bot": BOT,
    "All player responses are invalid. Your IP is likely being blocked by Youtube": BOT,
    'Skipping player responses from web clients (got player responses for video "aaaaaaaaaaa" instead of "M4gD1WSo5mA")': BOT,
    "You've hit the request limit. Your limits will reset soon, usually within an hour": RATE,
    "You’ve hit your request limit": RATE,
    "This content isn't available, try again later.": RATE,
    "This content is not available, please try again later": RATE,
    "Video unavailable. This content isn’t available, try again later. The current session has been rate-limited by YouTube for"
    " up to an hour.": RATE,
}
"""Facts about one video, its source, or this machine."""
SYSTEMIC: dict[str, Means] = {
    "The page needs to be reloaded.": RELOAD,
    "The page needs to be reloaded": RELOAD,
    "Video unavailable. The page needs to be reloaded.": RELOAD,
    "This video is unavailable. Error code: 152 - 18": NOT_EMBEDDABLE,
    "This video is unavailable. Error code: 152 - 4": NOT_EMBEDDABLE,
    "This video is unavailable\nError code: 152": NOT_EMBEDDABLE,
    "Video player configuration error. Error code: 153": NOT_EMBEDDABLE,
    "<a href='https://www.youtube.com/watch?v=IUXur8T_GAc' target='_blank'>Watch video on YouTube</a>. Error 153 Video player"
    " configuration error": NOT_EMBEDDABLE,
    "The following content is not available on this app.. Watch on the latest version of YouTube.": NOT_EMBEDDABLE,
    "The following content is not available on this app. Watch this content on the latest version of YouTube": NOT_EMBEDDABLE,
    "This video is not available on this app": NOT_EMBEDDABLE,
    "This video is not available on this device": NOT_EMBEDDABLE,
    "This video is not available on this device.": NOT_EMBEDDABLE,
    "Video unavailable. This video isn’t available on this device": NOT_EMBEDDABLE,
    "This video is not supported on this client": NOT_EMBEDDABLE,
    "YouTube is no longer supported in this application or device": NOT_EMBEDDABLE,
    "This video isn't available on your device": NOT_EMBEDDABLE,
    "This video cannot be played on this device": NOT_EMBEDDABLE,
    "This client is no longer supported": NOT_EMBEDDABLE,
    "This version of YouTube is not supported": NOT_EMBEDDABLE,
    "This content isn't available on mobile": NOT_EMBEDDABLE,
    "This video is not available on mobile devices": NOT_EMBEDDABLE,
    "This video is not available on TV": NOT_EMBEDDABLE,
    "The uploader has not made this video available on mobile": NOT_EMBEDDABLE,
    "This video can only be watched on YouTube": NOT_EMBEDDABLE,
    "Please update your browser": NOT_EMBEDDABLE,
    "The owner has disabled playback of this video on other websites": NOT_EMBEDDABLE,
    "This video can't be played in embedded players": NOT_EMBEDDABLE,
    "Video unavailable. Watch on YouTube": NOT_EMBEDDABLE,
    "Video unavailable. This video contains content from NFL, who has blocked it from display on this website or application":
        NOT_EMBEDDABLE,
    "Video unavailable\nThis video contains content from X, who has blocked it from display on this website or application":
        NOT_EMBEDDABLE,
    "Video unavailable. Playback on other websites has been disabled by the video owner": NOT_EMBEDDABLE,
    "Cannot identify player 'https://www.youtube.com/s/player/x'; please report this issue on  https://github.com": BROKEN,
    "Unable to recognize tab page; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues": BROKEN,
    "Unable to find selected tab": BROKEN,
    "Unable to extract nsig function code (caused by RegexNotFoundError)": BROKEN,
    "nsig extraction failed: Some formats may be missing": NO_FORMATS,
    "YouTube said: ERROR - Request contains an invalid argument.": BROKEN,
    "YouTube said: Precondition check failed.": BROKEN,
    "Unable to download API page: HTTP Error 400: Bad Request (caused by <HTTPError 400: Bad Request>)": BROKEN,
    "Only images are available for download. Use --list-formats to see them": NO_FORMATS,
    "n challenge solving failed: Some formats may be missing. Ensure you have a supported JavaScript runtime": NO_FORMATS,
    "This video is DRM protected": DRM,
    "Please sign in": ACCOUNT,
    "Please sign in. Use --cookies-from-browser or --cookies for the authentication.": ACCOUNT,
    "Sign in to YouTube to view": ACCOUNT,
    "Sign in": ACCOUNT,
    "This video requires you to sign in": ACCOUNT,
    "Please log in to continue": ACCOUNT,
}
"""Known from outages and blocks, in which every video fails with them."""
# fmt: on


def meaning(error: AttemptError) -> Means:
    return error.verdict, error.reason


@pytest.mark.parametrize(
    ("text", "means", "systemic"),
    [(text, means, False) for text, means in ABOUT_THE_VIDEO.items()]
    + [(text, means, True) for text, means in SYSTEMIC.items()],
)
def test_a_wording_has_one_meaning_in_every_wrapping(text: str, means: Means, systemic: bool) -> None:
    for error in (
        DownloadError(f"\x1b[0;31mERROR:\x1b[0m [youtube] M4gD1WSo5mA: {text}"),
        DownloadError(f"ERROR: [youtube:tab] PLx: {text}"),
        ExtractorError(text, expected=True),
        ExtractorError(text.upper(), expected=True),
        RuntimeError(f"yt-dlp ended with 1: ERROR: [youtube] M4gD1WSo5mA: {text}"),
    ):
        failure = classify(error, now=NOW)
        assert (meaning(failure), failure.systemic) == (means, systemic), repr(error)


@pytest.mark.parametrize(
    "warning",
    [
        "Only images are available for download. Use --list-formats to see them",
        "Some tv client https formats have been skipped as they are missing a URL. YouTube may have enabled the SABR-only"
        " streaming experiment for the current session. See  https://github.com/yt-dlp/yt-dlp/issues/12482  for more details",
        "[youtube] M4gD1WSo5mA: n challenge solving failed: Some formats may be missing.",
        "[youtube] M4gD1WSo5mA: Signature solving failed: Some formats may be missing.",
        "M4gD1WSo5mA: web client https formats require a GVS PO Token which was not provided.",
    ],
)
def test_no_formats_are_systemic_when_the_warnings_say_why(warning: str) -> None:
    for text in ("No video formats found!", "Requested format is not available"):
        failure = classify(ExtractorError(text, expected=True), [warning])
        assert (meaning(failure), failure.systemic) == (NO_FORMATS, True)
        assert not classify(ExtractorError(text, expected=True)).systemic


# Each of these words decides when YouTube writes it itself.
WORDS_OF_OTHER_RULES = (
    "Private Videos", "Members-Only Music", "Captcha Solving Explained", "Live in 5 hours",
    "Sign in to confirm you are not a bot",
    "This video is unavailable", "The page needs to be reloaded", "Community Guidelines", "User has been suspended",
    "HTTP connection timed out", "geo-block", "Unviewable playlist",
)  # fmt: skip


@pytest.mark.parametrize("name", WORDS_OF_OTHER_RULES)
@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("This video contains content from {}, who has blocked it from display on this website", NOT_EMBEDDABLE),
        ("This video contains content from UMG and {}, one or more of whom have blocked it in your country", REGION),
        ("This video contains content from {}, who has blocked it on copyright grounds", COPYRIGHT),
        ("This video contains content from {}. It is not available in your country.", REGION),
        ("This video is no longer available due to a copyright claim by {}", COPYRIGHT),
        ("Unsupported URL: https://example.org/{}", BAD_URL),
        ("unable to open for writing: [Errno 2] No such file or directory: '/out/{}.mp4.part'", OTHER),
        ("Unable to rename file: [Errno 2] No such file: '/o/{0}.mp4.part' -> '/o/{0}.mp4'", OTHER),
        ('[Errno 36] File name too long: "/out/Don\'t say {}.mp4"', OTHER),
        ("Postprocessing: Error opening output file /data/{}.wav.", OTHER),
        ("Preprocessing: {}", OTHER),
    ],
)
def test_the_words_of_a_name_do_not_decide(text: str, name: str, means: Means) -> None:
    if "https:" in text:
        name = name.replace(" ", "-").lower()
    filled = text.format(name)
    separator = "" if means == OTHER else "[youtube] M4gD1WSo5mA: "
    errors = [
        DownloadError(f"ERROR: {separator}{filled}"),
        DownloadError(f"\x1b[0;31mERROR:\x1b[0m {separator}{filled}"),
    ]
    if means != OTHER:
        errors.append(ExtractorError(filled, expected=True))
    assert {meaning(classify(error)) for error in errors} == {means}


def test_a_postprocessor_that_fails_does_not_block_the_machine() -> None:
    error = PostProcessingError("Unable to communicate with SponsorBlock API: HTTP Error 403: Forbidden")
    assert meaning(classify(error)) == OTHER
    assert meaning(classify(error, ["Sign in to confirm you're not a bot"])) == BOT


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("[Vimeo] 123: Unable to download webpage: HTTP Error 403: Forbidden", (Verdict.RETRY, "http-403")),
        ("[generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge", (Verdict.RETRY, "http-403")),
        ("[Vimeo] 123: HTTP Error 429: Too Many Requests", (Verdict.THROTTLED, "http-429")),
        ("[youtube] M4gD1WSo5mA: Unable to download API page: HTTP Error 403", (Verdict.THROTTLED, "http-403")),
        ("[youtube:tab] PLx: Unable to download API page: HTTP Error 403", (Verdict.THROTTLED, "http-403")),
        ("[download] Got error: HTTP Error 403", (Verdict.RETRY, "media-403")),
        ("Unable to download API page: HTTP Error 403", (Verdict.THROTTLED, "http-403")),
    ],
)
def test_only_youtube_blocks_with_403(text: str, means: Means) -> None:
    for error in (DownloadError(f"ERROR: {text}"), RuntimeError(f"yt-dlp ended with 1: ERROR: {text}")):
        if text.startswith("["):
            assert meaning(classify(error)) == means
    assert meaning(classify(DownloadError(f"\x1b[0;31mERROR:\x1b[0m {text}"))) == means


@pytest.mark.parametrize("text", ["Waiting for the connection", "Waiting for data timed out"])
def test_waiting_for_the_network_is_not_a_premiere(text: str) -> None:
    assert classify(ExtractorError(text, expected=True)).verdict is Verdict.RETRY


def test_a_token_provider_that_refuses_is_not_a_block() -> None:
    warning = (
        '[youtube] [pot] Error fetching PO Token from "bgutil:http" provider:'
        ' PoTokenProviderError("HTTP Error 403: Forbidden")'
    )
    error = ExtractorError("Something new", expected=True)
    assert meaning(classify(error, [warning])) == OTHER
    assert meaning(classify(error, ["[youtube] x: Unable to download API page: HTTP Error 403"])) == (
        Verdict.THROTTLED, "http-403",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Unable to download webpage: HTTP Error 407: Proxy Authentication Required",
        "Unable to download webpage: ('Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication"
        " Required'))",
    ],
)
def test_a_proxy_that_asks_for_a_password_is_the_machine_s_fault(text: str) -> None:
    assert meaning(classify(DownloadError(f"ERROR: [youtube] M4gD1WSo5mA: {text}"))) == (Verdict.UNFIT, "offline")


@given(video_id=st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=11, max_size=11))
def test_the_id_of_a_video_is_no_evidence(video_id: str) -> None:
    failure = classify(DownloadError(f"ERROR: [youtube] {video_id}: Something nobody has seen before"))
    assert (meaning(failure), failure.systemic) == ((Verdict.RETRY, "error"), False)


@pytest.mark.parametrize("video_id", ["captcha-ssl", "private-vid", "sabr--nsig-"])
def test_an_id_that_looks_like_a_wording_is_no_evidence(video_id: str) -> None:
    assert classify(DownloadError(f"ERROR: [youtube] {video_id}: Something new")).reason == "error"


@pytest.mark.parametrize(
    ("text", "after"),
    [("Live in 5 hours", timedelta(hours=5)), ("This live stream starts in 20 minutes", timedelta(minutes=20))],
)
def test_the_start_of_a_live_stream_is_understood(text: str, after: timedelta) -> None:
    assert classify(ExtractorError(text, expected=True), now=NOW).not_before == NOW + after


@pytest.mark.parametrize("text", [text for text, means in ABOUT_THE_VIDEO.items() if means == NETWORK])
def test_a_partial_file_that_cannot_be_resumed_is_recognised(text: str) -> None:
    assert has_bad_part(DownloadError(f"ERROR: {text}")) is not text.startswith("content too short")


def test_every_row_of_the_table_can_be_applied_and_says_where_it_is_from() -> None:
    for table in wordings.TABLES:
        for wording in table:
            assert re.compile(wording.pattern)
            assert wording.source
            assert re.fullmatch(r"always|20\d\d(-\d\d)?", wording.since), wording
