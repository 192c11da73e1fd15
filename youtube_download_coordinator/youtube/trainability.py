"""Request from YouTube whether a video's owner permits others to train models with it.

    GET https://youtube.googleapis.com/youtube/v3/videoTrainability?id=M4gD1WSo5mA
    {"videoId": "M4gD1WSo5mA", "kind": "youtube#videoTrainability", "etag": "...", "permitted": ["none"]}

The request needs no key and does not count towards a quota. It is made like yt-dlp's requests (proxy, certificates), without
cookies. After any error the answer is unknown, and an unknown answer permits nothing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.text import sanitize, truncate
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, without_logins

if TYPE_CHECKING:
    from youtube_download_coordinator.youtube.network import Network

API_URL = "https://youtube.googleapis.com/youtube/v3/videoTrainability"
ALL, NONE, UNKNOWN = "all", "none", "unknown"
TIMEOUT_SECONDS = 15.0
"""The longest time for the whole answer, and the longest silence, unless the network's is shorter."""
ANSWER_MAX_BYTES = 64 * 1024
"""The largest answer. A list of all companies that YouTube names is a few kilobytes."""
ETAG_MAX_CHARACTERS = 200
NAME_MAX_CHARACTERS = 100
PAUSE_MAX_SECONDS = 3600.0
"""The longest pause that an answer can request."""
_ABOUT_THE_VIDEO = frozenset({400, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainability:
    """An answer of YouTube, with evidence of it."""

    permitted: Sequence[str] = ()
    """`all`, `none`, or companies; empty: unknown."""
    etag: str = ""
    asked_at: datetime | None = None
    """None: no request was made."""
    problem: str = ""
    """The problem because of which the answer is unknown."""
    is_about_video: bool = False
    """Whether only this video has no answer, so that other videos may have one."""
    pause_seconds: float = 0.0
    """The pause before the next request that the answer requests."""

    def __str__(self) -> str:
        """Return `all`, `none`, `unknown`, or the companies separated by commas."""
        return ", ".join(self.permitted) or UNKNOWN

    @property
    def is_known(self) -> bool:
        return bool(self.permitted)

    def permits(self, who: str) -> bool:
        """Return whether this company, or everyone for `all`, may train with the video."""
        names = {folded(name) for name in self.permitted}
        return ALL in names or folded(who) in names - {NONE}


def now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)  # noqa: TID251  nothing about a lease


def folded(name: str) -> str:
    """Normalise a company's name for comparisons."""
    return " ".join(name.split()).casefold()


def request_trainability(video_id: str, network: Network, url: str = API_URL) -> Trainability:
    """Make one request. Raises only UnfitError, if yt-dlp does not accept the options of this machine."""
    asked_at = now().replace(microsecond=0)
    with replace(network, cookies_file="").youtube_dl({}, MessageKeeper()) as ydl:
        try:
            answer = _parsed(_body(ydl, f"{url}?id={video_id}"), video_id)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  a broken connection, an answer that is not one
            answer = _unknown(error)
    return replace(answer, asked_at=asked_at)


def _body(ydl: Any, url: str) -> bytes:
    """Return the body of the answer. Raises the errors of yt-dlp's network, and ValueError."""
    from yt_dlp.cookies import YoutubeDLCookieJar
    from yt_dlp.networking import Request

    ends_at = time.monotonic() + TIMEOUT_SECONDS
    silence_seconds = min(TIMEOUT_SECONDS, ydl.params.get("socket_timeout") or TIMEOUT_SECONDS)
    # Not compressed, because yt-dlp would unpack any size.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    extensions = {"timeout": silence_seconds, "cookiejar": YoutubeDLCookieJar()}
    body = bytearray()
    with ydl.urlopen(Request(url, headers=headers, extensions=extensions)) as response:
        while part := response.read(1):  # a larger read would wait for all its bytes
            body += part
            if len(body) > ANSWER_MAX_BYTES:
                raise ValueError(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
            if time.monotonic() > ends_at:
                raise TimeoutError(f"the answer was not complete after {TIMEOUT_SECONDS:.0f} s")
    return bytes(body)


def _parsed(body: bytes, video_id: str) -> Trainability:
    """Return the answer in a body. Raises ValueError if it is not one about this video."""
    content = json.loads(body)
    if not isinstance(content, dict) or content.get("videoId") != video_id:
        raise ValueError("the answer is not about this video")
    permitted = content.get("permitted")
    values = [permitted] if isinstance(permitted, str) else permitted
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("the answer does not say who is permitted")
    etag = content.get("etag")
    return Trainability(permitted=_names(values), etag=_clean(etag, ETAG_MAX_CHARACTERS) if etag else "")


def _names(values: Sequence[str]) -> Sequence[str]:
    """Return `all`, `none` or companies. An empty list means `none`. Raises ValueError for a contradiction."""
    names = list(
        dict.fromkeys(name for value in values if (name := _clean(value.replace(",", " "), NAME_MAX_CHARACTERS)))
    )
    words = {folded(name) for name in names}
    if NONE in words and len(words) > 1:
        raise ValueError("the answer permits training and forbids it")
    if not words or words == {NONE}:
        return (NONE,)
    return (ALL,) if ALL in words else tuple(names)


def _clean(value: object, max_characters: int) -> str:
    return truncate(" ".join(sanitize(str(value)).split()), max_characters)


def _unknown(error: Exception) -> Trainability:
    """Return an unknown answer with this error as its problem."""
    status = getattr(error, "status", None)
    if status is None:
        text = without_logins(f"{type(error).__name__}: {error}")
        return Trainability(problem=truncate(sanitize(text), 200))
    response: Any = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    return Trainability(
        problem=f"HTTP {status}",
        is_about_video=status in _ABOUT_THE_VIDEO,
        pause_seconds=_retry_after(headers) or (PAUSE_MAX_SECONDS / 4 if status == 429 else 0.0),
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait according to a Retry-After header, which has a number or a date; 0 without one."""
    text = str(headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return min(float(text), PAUSE_MAX_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    seconds = (when - now()) / timedelta(seconds=1) if when.tzinfo else 0.0
    return max(0.0, min(seconds, PAUSE_MAX_SECONDS))
