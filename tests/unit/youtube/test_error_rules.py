"""Every row of the table of errors in docs: what yt-dlp says, and what becomes of the row.

The wordings were recorded from YouTube, read in yt-dlp's source (marked read) or quoted in public issues (marked quoted).
"""

from __future__ import annotations

import errno
import io
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, ProxyError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnavailableVideoError,
    UnsupportedError,
    UserNotLive,
    js_to_json,
)
from yt_dlp.version import __version__

from youtube_download_coordinator.errors import (
    AttemptError,
    GoneError,
    LaterError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnfitError,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS
from youtube_download_coordinator.youtube.error_rules import KEPT_MESSAGES, MessageKeeper, classify

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
VERSION = f"(yt-dlp {__version__})"
PLAYER_API = "https://www.youtube.com/youtubei/v1/player"
TIMED_TEXT = "https://www.youtube.com/api/timedtext?v=M4gD1WSo5mA&lang=en"
MEDIA = "https://rr1---sn-25ge7nsk.googlevideo.com/videoplayback?x=1"

Outcome = tuple[type[AttemptError], str]
BOT, RATE = (ThrottledError, "bot-check"), (ThrottledError, "rate-limit")
ACCOUNT, REGION = (PermanentError, "needs-account"), (PermanentError, "region")
PRIVATE, REMOVED, TERMINATED, COPYRIGHT = (
    (PermanentError, reason) for reason in ("private", "removed", "terminated", "copyright")
)
NETWORK, NO_FORMATS = (TransientError, "network"), (TransientError, "no-formats")
HTTP_429, HTTP_403 = (ThrottledError, "http-429"), (ThrottledError, "http-403")
MEDIA_403 = (TransientError, "media-403")
GONE, NO_SOURCE = (GoneError, "gone"), (PermanentError, "no-such-source")
UPCOMING = (LaterError, "upcoming")

TEXTS: dict[str, Outcome] = {
    # -- private; removed; terminated; copyright; playlist or channel gone
    "This video is private. If the owner of this video has granted you access, please sign in. Use --x": PRIVATE,
    "Private video. Sign in if you've been granted access to this video": PRIVATE,  # quoted
    "Video unavailable. This video has been removed by the uploader": REMOVED,
    "This video has been removed for violating YouTube's Terms of Service": REMOVED,
    "YouTube said: This channel was removed because it violated our Community Guidelines.": REMOVED,
    "YouTube said: This account has been terminated for a violation of YouTube's Terms of Service.": TERMINATED,
    "Video unavailable. This video is no longer available because the YouTube account associated with this video has been"
    " terminated.": TERMINATED,
    "This account has been terminated due to multiple third-party claims of copyright infringement": TERMINATED,
    "This video is no longer available because the uploader has closed their YouTube account": TERMINATED,
    "Video unavailable. This video is no longer available due to a copyright claim by X": COPYRIGHT,
    "This video contains content from X, who has blocked it on copyright grounds": COPYRIGHT,  # quoted
    "YouTube said: The playlist does not exist.": NO_SOURCE,
    "YouTube said: This playlist type is unviewable.": NO_SOURCE,
    "YouTube said: This channel does not exist.": NO_SOURCE,
    "This channel does not have a streams tab": NO_SOURCE,  # read
    "This video is DRM protected": (PermanentError, "drm"),  # read
    # -- deleted or unknown
    "Video unavailable": GONE,
    "This video is not available": GONE,
    "This video isn't available anymore": GONE,
    "Video unavailable. This content isn’t available.": GONE,  # quoted
    "This live stream recording is not available.": GONE,
    "Failed to resolve url (does the playlist exist?)": (GoneError, "no-such-source"),  # read
    "The channel/playlist does not exist and the URL redirected to youtube.com home page": (GoneError, "no-such-source"),  # read
    # -- needs an account
    "Join this channel to get access to members-only content like this video, and other exclusive perks.": ACCOUNT,
    "This video is available to this channel's members on level: Gold (or any higher level).": ACCOUNT,
    "This video is only available to Music Premium members": ACCOUNT,
    "Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies-from-browser": ACCOUNT,
    "This video requires payment to watch": ACCOUNT,
    "Login details are needed to download this content. Use --cookies-from-browser": ACCOUNT,  # read
    # -- region
    "The uploader has not made this video available in your country": REGION,
    "Video unavailable. This video contains content from X, who has blocked it in your country on copyright grounds": REGION,
    # -- upcoming, not live, live, processing
    "Premieres in 5 hours": UPCOMING,
    "Premiere will begin shortly": UPCOMING,
    "This live event will begin in a few moments.": UPCOMING,
    "The channel is not currently live": (LaterError, "not-live"),  # read
    "We're processing this video. Check back later.": (LaterError, "processing"),
    "This live event has ended.": (LaterError, "processing"),
    # -- bot check
    "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the authentication.": BOT,  # quoted
    "Sign in to confirm you're not a bot. This helps protect our community. Learn more": BOT,
    "Video unavailable. YouTube is requiring a captcha challenge before playback": BOT,  # read
    "All player responses are invalid. Your IP is likely being blocked by Youtube": BOT,  # read
    # -- rate limit
    "Video unavailable. This content isn't available, try again later. The current session has been rate-limited by YouTube for"
    " up to an hour. It is recommended to use `-t sleep` to add a delay": RATE,  # read
    "This content isn’t available, try again later": RATE,
    "Unable to download API page: HTTP Error 429: Too Many Requests (caused by <HTTPError 429: Too Many Requests>)":
        HTTP_429,
    "Unable to download API page: HTTP Error 403: Forbidden (caused by <HTTPError 403: Forbidden>)": HTTP_403,
    # -- a later attempt may work
    "Unable to download webpage: HTTP Error 503: Service Unavailable (caused by <HTTPError 503>)": (TransientError, "http-503"),
    "unable to download video data: HTTP Error 404: Not Found": (TransientError, "http-404"),
    "Unable to download API page: HTTP Error 404: Not Found (caused by <HTTPError 404>)": GONE,
    "Unable to download API page: The read operation timed out": (TransientError, "timeout"),
    "unable to download video data: ('Connection aborted.', ConnectionResetError(104, 'reset by peer'))": NETWORK,
    "1000 bytes read, 9000 more expected": NETWORK,
    "Incomplete data received": (TransientError, "incomplete"),  # read
    "No video formats found!; please report this issue on  https://github.com/yt-dlp": NO_FORMATS,
    "Failed to extract any player response; please report this issue on  https://github.com": NO_FORMATS,
    "Requested format is not available. Use --list-formats for a list of available formats": NO_FORMATS,
    "Video unavailable. Playback on other websites has been disabled by the owner": (TransientError, "not-embeddable"),  # quoted
    "Something nobody has seen before": (TransientError, "error"),
    # -- this machine
    "unable to write data: [Errno 27] File too large": (TransientError, "too-large"),
    "unable to write data: [Errno 28] No space left on device": (UnfitError, "disk-full"),
    "Postprocessing: ffprobe and ffmpeg not found. Please install or provide the path": (UnfitError, "no-ffmpeg"),  # read
    "You have requested merging of multiple formats but ffmpeg is not installed. Aborting due to --abort-on-error":
        (UnfitError, "no-ffmpeg"),  # read
    "Unable to download API page: HTTPSConnection(host='www.youtube.com', port=443): Failed to resolve 'www.youtube.com'"
    " ([Errno -2] Name or service not known)": (UnfitError, "offline"),
    # -- no address
    "Unsupported URL: https://www.youtube.com/about": (PermanentError, "unsupported-url"),
    "No suitable extractor (Generic) found for URL http://x": (PermanentError, "unsupported-url"),  # read
}  # fmt: skip


@pytest.mark.parametrize(("text", "outcome"), TEXTS.items())
def test_what_yt_dlp_says_has_one_meaning(text: str, outcome: Outcome) -> None:
    """As DownloadError (what extract_info raises) and as ExtractorError (what comes while entries are read)."""
    for error in (
        DownloadError(f"\x1b[0;31mERROR:\x1b[0m [youtube] M4gD1WSo5mA: {text}"),
        ExtractorError(text, expected=True),
    ):
        verdict = classify(error, now=NOW)
        assert (type(verdict), verdict.reason) == outcome


def http_error(status: int, url: str = PLAYER_API) -> HTTPError:
    return HTTPError(Response(io.BytesIO(), url, {}, status=status))


def wrapped(error: Exception, text: str = "Unable to download API page") -> DownloadError:
    """Return an error as yt-dlp passes it on: in an ExtractorError, in a DownloadError's exc_info."""
    inner = ExtractorError(f"{text}: {error}", cause=error, expected=True)
    return DownloadError(f"ERROR: [youtube] M4gD1WSo5mA: {inner}", (type(inner), inner, None))


ERRORS: list[tuple[Exception, Outcome]] = [
    (wrapped(http_error(429)), HTTP_429),
    (http_error(429, "https://example.com/feed"), HTTP_429),
    (wrapped(http_error(403)), HTTP_403),
    (DownloadError("ERROR: unable to download video data", (HTTPError, http_error(403, MEDIA), None)), MEDIA_403),
    (http_error(403, MEDIA), MEDIA_403),
    (http_error(429, MEDIA), HTTP_429),
    (http_error(404, MEDIA), (TransientError, "http-404")),
    (http_error(416, MEDIA), NETWORK),
    (http_error(400, MEDIA), (TransientError, "http-400")),
    (http_error(429, TIMED_TEXT), (ThrottledError, "subtitles-429")),
    (http_error(403, TIMED_TEXT), (TransientError, "http-403")),
    (http_error(404, TIMED_TEXT), (TransientError, "http-404")),
    (wrapped(http_error(400)), (TransientError, "yt-dlp-broken")),
    (wrapped(http_error(402)), RATE),
    (wrapped(http_error(400, "https://example.com/feed")), (TransientError, "http-400")),
    (wrapped(http_error(403, "https://example.com/feed")), (TransientError, "http-403")),
    (wrapped(http_error(500)), (TransientError, "http-500")),
    (wrapped(http_error(404)), GONE),
    (wrapped(http_error(410)), GONE),
    (wrapped(TransportError(cause=TimeoutError("timed out"))), (TransientError, "timeout")),
    (wrapped(TransportError(cause=ConnectionResetError(104, "Connection reset by peer"))), NETWORK),
    (wrapped(IncompleteRead(10, 20)), NETWORK),
    (wrapped(ProxyError("('Unable to connect to proxy', RemoteDisconnected('Remote end closed'))")), NETWORK),
    (wrapped(ProxyError("('Unable to connect to proxy', [Errno 111] Connection refused)")), (UnfitError, "offline")),
    (ExtractorError("Failed to resolve 'feeds.example'", expected=True), (TransientError, "error")),
    (ContentTooShortError(10, 20), NETWORK),
    (GeoRestrictedError("no"), REGION),
    (UserNotLive(), (LaterError, "not-live")),
    (UnsupportedError("http://x"), (PermanentError, "unsupported-url")),
    (PostProcessingError("ffmpeg not found. Please install"), (UnfitError, "no-ffmpeg")),
    (UnavailableVideoError(OSError(errno.ENOSPC, "No space left on device")), (UnfitError, "disk-full")),
    # -- not yt-dlp's: its text says nothing, for who knows what a processor means by "private"
    (OSError(errno.ENOSPC, "x"), (UnfitError, "disk-full")),
    (OSError(errno.EFBIG, "x"), (TransientError, "too-large")),
    (MemoryError(), (TransientError, "memory")),
    (OSError(errno.EDQUOT, "x"), (UnfitError, "disk-full")),
    (OSError(errno.EROFS, "x"), (UnfitError, "disk")),
    (OSError(errno.EIO, "x"), (UnfitError, "disk")),
    (RuntimeError("upload failed: No space left on device"), (UnfitError, "disk-full")),
    (ValueError("this video is private"), (TransientError, "error")),
    (TimeoutError("my database"), (TransientError, "timeout")),
    (ConnectionResetError("my database"), NETWORK),
    (RuntimeError("HTTP Error 429 from my own server"), (TransientError, "error")),
    # -- a processor that runs yt-dlp as a command
    (RuntimeError("ERROR: [youtube] M4gD1WSo5mA: Sign in to confirm you’re not a bot"), BOT),
    (RuntimeError("exit code 1: ERROR: unable to download video data: HTTP Error 403: Forbidden"), MEDIA_403),
]  # fmt: skip


@pytest.mark.parametrize(("error", "outcome"), ERRORS, ids=lambda value: repr(value)[:60])
def test_an_error_has_one_meaning(error: Exception, outcome: Outcome) -> None:
    verdict = classify(error)
    assert (type(verdict), verdict.reason) == outcome


GOT_403 = "[download] Got error: HTTP Error 403: Forbidden. Retrying fragment 1 (1/3)..."
MAY_YIELD_403 = (
    "[youtube] M4gD1WSo5mA: ios client https formats require a GVS PO Token which was not provided. They will be skipped as"
    " they may yield HTTP Error 403. You can manually pass a GVS PO Token"
)
OTHER_VIDEO = (
    'Skipping player responses from web clients (got player responses for video "aaaaaaaaaaa" instead of "M4gD1WSo5mA")'
)
WARNED_429 = (
    "[youtube] M4gD1WSo5mA: Unable to download API page: HTTP Error 429: Too Many Requests (caused by <HTTPError 429>)"
)
WARNED_400 = (
    "[youtube] M4gD1WSo5mA: Unable to download API page: HTTP Error 400: Bad Request (caused by <HTTPError 400>)"
)
WARNED_403 = "[youtube] M4gD1WSo5mA: Unable to download API page: HTTP Error 403: Forbidden (caused by <HTTPError 403>)"
NO_JS = "[youtube] No supported JavaScript runtime could be found. Only deno is enabled by default"


@pytest.mark.parametrize(
    ("text", "warning", "outcome"),
    [
        ("No video formats found!", WARNED_429, HTTP_429),
        ("No video formats found!", WARNED_403, HTTP_403),
        ("Failed to extract any player response", WARNED_429, HTTP_429),
        ("Requested format is not available", WARNED_429, HTTP_429),
        ("Video unavailable", WARNED_429, HTTP_429),
        ("Something new", "[generic] x: HTTP Error 403: Forbidden", (TransientError, "error")),
        ("Requested format is not available", "YouTube said: Sign in to confirm you’re not a bot", BOT),
        ("Requested format is not available", NO_JS, (UnfitError, "no-js-runtime")),
        ("Video unavailable", OTHER_VIDEO, BOT),
        ("No video formats found!", OTHER_VIDEO, BOT),
        ("No video formats found!", MAY_YIELD_403, NO_FORMATS),
        ("Failed to extract any player response", WARNED_400, (TransientError, "yt-dlp-broken")),
        # Media are refused piece by piece.
        ("fragment 1 not found, unable to continue", GOT_403, MEDIA_403),
        ("\r[download] Got error: HTTP Error 403: Forbidden. Giving up after 3 fragment retries", GOT_403, MEDIA_403),
        (
            "No video formats found!",
            "[youtube] x: Failed to download m3u8 information: HTTP Error 403: Forbidden",
            MEDIA_403,
        ),
        ("Video unavailable", GOT_403, GONE),
        (
            "Video unavailable",
            "Unable to download video subtitles for 'en': HTTP Error 429: Too Many Requests",
            (ThrottledError, "subtitles-429"),
        ),
        # What is certain stays so, whatever was warned of on the way.
        ("This video is private", WARNED_429, PRIVATE),
        ("This video is private", OTHER_VIDEO, PRIVATE),
        ("Premieres in 5 hours", WARNED_403, UPCOMING),
        ("Video unavailable", NO_JS, GONE),
        ("Video unavailable", "YouTube said: some other warning", GONE),
    ],
)
def test_warnings_decide_when_the_error_is_vague(text: str, warning: str, outcome: Outcome) -> None:
    verdict = classify(DownloadError(f"ERROR: [youtube] M4gD1WSo5mA: {text}"), [warning])
    assert (type(verdict), verdict.reason) == outcome


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Premieres in 3 hours", timedelta(hours=3)),
        ("Premieres in 45 minutes", timedelta(minutes=45)),
        ("This live event will begin in 2 days.", timedelta(days=2)),
        ("This live event will begin in an hour.", timedelta(hours=1)),
        ("This live event will begin in a few moments.", None),
        ("The channel is not currently live", None),
    ],
)
def test_later_says_when_if_that_is_known(text: str, after: timedelta | None) -> None:
    verdict = classify(DownloadError(f"ERROR: [youtube] x: {text}"), now=NOW)
    assert verdict.not_before == (NOW + after if after else None)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("\x1b[0;31mERROR:\x1b[0m [youtube] M4gD1WSo5mA: Video unavailable", "Video unavailable"),
        ("ERROR: [youtube:tab] @x/videos: YouTube said: gone", f"YouTube said: gone {VERSION}"),
        ("ERROR: [youtube] No video formats found!; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues?q= ,"
         " filling out the appropriate issue template. Confirm you are on the latest version using  yt-dlp -U",
         "No video formats found!"),
        ("ERROR: [youtube:tab] PLx page 2: Unable to download API page: HTTP Error 500: Oops (caused by <HTTPError 500: Oops>)",
         "Unable to download API page: HTTP Error 500: Oops"),
        ("ERROR: [youtube] x: Sign in to confirm your age. Use --cookies-from-browser or\n --cookies",
         "Sign in to confirm your age"),
        ("ERROR: [generic] two\nlines", f"two lines {VERSION}"),
        ("ERROR: [generic] Premieres in 3 hours " + "x" * 1000, "Premieres in 3 hours " + "x" * 278 + "…"),
    ],
)  # fmt: skip
def test_a_message_is_one_line_for_people(raw: str, message: str) -> None:
    assert str(classify(DownloadError(raw))) == message


def test_an_error_without_words_is_called_by_its_name() -> None:
    assert str(classify(KeyError("title"))) == "KeyError: 'title'"
    assert str(classify(ExtractorError("", expected=True))) == f"ExtractorError {VERSION}"


@pytest.mark.parametrize("text", ["The page needs to be reloaded. ", "something that nobody has seen yet "])
def test_the_version_of_yt_dlp_is_kept_where_another_one_may_help(text: str) -> None:
    failure = classify(DownloadError(f"ERROR: [youtube] x: {text}{'x' * 1000}")).failure
    assert str(failure).startswith(f"{failure.reason}: {text}xxx")
    assert str(failure).endswith(f"x… {VERSION}")
    assert len(str(failure)) == DETAIL_MAX_CHARACTERS


@pytest.mark.parametrize(
    "text", ["This video is private", "Premieres in 3 hours", "HTTP Error 503: Busy", "HTTP Error 429: x"]
)
def test_the_version_says_nothing_of_what_any_version_would_meet(text: str) -> None:
    assert "yt-dlp" not in str(classify(DownloadError(f"ERROR: [youtube] x: {text}")).failure)


def test_a_raw_error_has_the_version_when_it_was_raised_in_yt_dlp() -> None:
    with pytest.raises(TypeError) as caught:
        js_to_json(None)
    assert str(classify(caught.value)).endswith(VERSION)
    with pytest.raises(KeyError) as mine:
        raise KeyError("title")
    assert str(classify(mine.value)) == "KeyError: 'title'"


def test_without_yt_dlp_in_this_process_no_version_is_known() -> None:
    """A processor may have run its command."""
    program = """
from youtube_download_coordinator.youtube.error_rules import classify
print(classify(RuntimeError("ERROR: [youtube] x: something new")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "something new\n"


def test_an_attempt_error_passes_unchanged_also_from_inside() -> None:
    later = LaterError("it is live", reason="live", not_before=NOW)
    assert classify(later) is later
    assert classify(DownloadError("ERROR: hook failed", (LaterError, later, None))) is later


def test_a_raw_error_that_escaped_from_yt_dlp_is_judged_by_the_warnings_alone() -> None:
    assert classify(KeyError("this video is private")).reason == "error"
    assert classify(KeyError("formats"), [WARNED_429]).reason == "http-429"


def test_a_chain_that_is_a_ring_is_walked_once() -> None:
    one, other = ExtractorError("one", expected=True), ExtractorError("This video is private", expected=True)
    one.cause, other.cause = other, one
    assert classify(one).reason == "private"


def test_the_keeper_keeps_the_last_warnings_and_passes_them_on(caplog: pytest.LogCaptureFixture) -> None:
    keeper = MessageKeeper()
    with caplog.at_level(logging.DEBUG, "youtube_download_coordinator.yt_dlp"):
        keeper.debug("[download] 12 %")
        keeper.info("hello")
        for number in range(KEPT_MESSAGES + 5):
            keeper.warning(f"warning {number}")
        keeper.error("x" * 10_000)
    assert len(keeper.messages) == KEPT_MESSAGES
    assert keeper.messages[0] == "warning 6"
    assert len(keeper.messages[-1]) < 10_000
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert len(caplog.records) == KEPT_MESSAGES + 6
    keeper.clear()
    assert keeper.messages == ()


def test_the_keeper_keeps_of_the_screen_what_explains_a_failure() -> None:
    keeper = MessageKeeper()
    sabr = "M4gD1WSo5mA: Some web client https formats have been skipped as they are missing a URL. YouTube is forcing SABR"
    for line in (
        sabr,
        GOT_403,
        "[download]  12.0% of 3.4MiB",
        "[youtube] M4gD1WSo5mA: Downloading webpage",
        "av_interleaved_write_frame(): No space left on device",
    ):
        keeper.debug(line)
    assert keeper.messages == (sabr, GOT_403, "av_interleaved_write_frame(): No space left on device")


def test_neither_the_rules_nor_listing_load_yt_dlp() -> None:
    code = (
        "import sys; from youtube_download_coordinator.youtube import error_rules, listing;"
        "error_rules.classify(ValueError('x')); sys.exit('yt_dlp' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
