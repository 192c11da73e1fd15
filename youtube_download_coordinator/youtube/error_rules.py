"""What yt-dlp's errors mean for a row: the one place where they are translated.

yt-dlp is not imported here, so that the child of a processor that does not use it need not load it: its errors are known by the
names of their classes and by what they say. Wordings were seen in recorded answers, read in yt-dlp's source, or quoted in
public issues.
"""

from __future__ import annotations

import errno
import logging
import re
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from youtube_download_coordinator.errors import (
    AttemptError,
    GoneError,
    LaterError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnfitError,
)
from youtube_download_coordinator.text import truncate

_log = logging.getLogger("youtube_download_coordinator.yt_dlp")

KEPT_MESSAGES = 50
KEPT_CHARACTERS = 2000
"""Of one message: a traceback is of no use here."""
CHAIN_LIMIT = 20
"""Errors looked at behind an error: a chain may be a ring."""


class MessageKeeper:
    """A `logger` for yt-dlp that keeps its last warnings and errors: a status of YouTube's often stands only there."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=KEPT_MESSAGES)

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(self._kept)

    def clear(self) -> None:
        """Forget: what was said about one tab says nothing about the next."""
        self._kept.clear()

    def debug(self, message: str) -> None:
        """Drop progress and debug lines (yt-dlp sends both here), but for what ffmpeg says of a disk that is full."""
        self._kept.extend(line[:KEPT_CHARACTERS] for line in message.splitlines() if _first(_MACHINE, line))

    def info(self, message: str) -> None:
        """Drop it too."""

    def warning(self, message: str) -> None:
        self._kept.append(message[:KEPT_CHARACTERS])
        _log.debug("%s", message)

    def error(self, message: str) -> None:
        self.warning(message)


class _Rule(NamedTuple):
    """When an error says `pattern`, it is an `error` with that `reason`."""

    error: type[AttemptError]
    reason: str
    pattern: str

    def says(self, text: str) -> bool:
        return re.search(self.pattern, text, re.IGNORECASE) is not None


# fmt: off
_MACHINE = (
    # Whoever raises it. Neither the video nor YouTube is to blame.
    _Rule(UnfitError, "disk-full", r"no space left on device|disk quota exceeded"),
    _Rule(UnfitError, "no-ffmpeg", r"ffmpeg (?:is )?not (?:found|installed)|ffprobe (?:and ffmpeg )?not found"),
)
_OFFLINE = _Rule(UnfitError, "offline",
    r"failed to resolve '|name or service not known|name resolution|network is unreachable|no route to host|"
    r"proxy.*connection refused")
_NO_JS = _Rule(UnfitError, "no-js-runtime", r"no supported javascript runtime")

_THROTTLED = (
    # Before "Video unavailable" and before every other "Sign in to confirm": YouTube puts both in front of a rate limit.
    _Rule(ThrottledError, "bot-check", r"confirm you're not a bot|captcha|your ip is likely being blocked"),
    _Rule(ThrottledError, "rate-limit", r"content isn't available, try again later|rate.limited by youtube|unusual traffic"),
    _Rule(ThrottledError, "http-429", r"http error 429|too many requests"),
)
_CERTAIN = (
    *_THROTTLED,
    # Before copyright: "who has blocked it in your country on copyright grounds".
    _Rule(PermanentError, "region", r"available in your (?:country|location)|blocked it in your country|geo.?restrict"),
    # Before needs-account: "Sign in if you've been granted access to this video".
    _Rule(PermanentError, "private", r"private video|(?:video|playlist) is private"),
    _Rule(PermanentError, "needs-account",
        r"members on level|join this channel|members.only|music premium|premium members|confirm your age|age.restricted|"
        r"inappropriate for some users|requires payment|only available for registered users|login details are needed"),
    # Before copyright: "terminated due to multiple third-party claims of copyright infringement".
    _Rule(PermanentError, "terminated", r"(?:account|channel) .*terminated|closed their youtube account"),
    _Rule(PermanentError, "copyright", r"copyright (?:claim|grounds|infringement)"),
    _Rule(PermanentError, "removed", r"has been removed|was removed (?:because|for|by|due)"),
    _Rule(PermanentError, "no-such-source",
        r"the playlist does not exist|this channel does not exist|does not have an? \S+ tab|playlist type is unviewable"),
    # ssrf_guard.py says it, to whatever connects; yt-dlp keeps of it now and then the text alone.
    _Rule(PermanentError, "own-network", r"\bthe worker's own network\b"),
    _Rule(PermanentError, "drm", r"drm protected"),
    _Rule(PermanentError, "unsupported-url", r"unsupported url|no suitable extractor|is not a valid url|invalid url"),
    _Rule(LaterError, "upcoming", r"premieres? (?:in|on|will begin)|live (?:event|stream) will begin|stream offline"),
    _Rule(LaterError, "not-live", r"not currently live"),
    _Rule(LaterError, "live", r"(?:is|still) live now|does not pass filter \(.*is_live"),
    _Rule(LaterError, "processing", r"we're processing this video|is (?:still )?being processed|live event has ended"),
)
_VAGUE = (
    # After the warnings, because a block looks like this too.
    # yt-dlp#17497: said of all videos while yt-dlp asked with the wrong client; it means nothing for this one.
    _Rule(TransientError, "not-embeddable", r"playback on other websites has been disabled"),
    _Rule(GoneError, "no-such-source", r"does the playlist exist|channel/playlist does not exist"),
    _Rule(GoneError, "gone",
        r"video unavailable|video is(?: not| no longer|n't) available|content isn't available|"
        r"recording is not available|channel is not available|video does(?:n't| not) exist"),
    _Rule(TransientError, "timeout", r"timed? ?out"),
    _Rule(TransientError, "incomplete", r"incomplete (?:data|yt initial data) received"),
    _Rule(TransientError, "no-formats", r"no video formats found|requested format is not available|any player response"),
    _Rule(TransientError, "network", r"connection|remote end closed|bytes read|downloaded \d+ bytes, expected|ssl"),
)
# fmt: on

_MEDIA = re.compile(r"unable to download video data|fragment|manifest", re.IGNORECASE)
"""A 404 on media means that an address has run out, not that the video is gone."""
_YOUTUBE = re.compile(r"youtube|youtu\.be|googlevideo|ytimg", re.IGNORECASE)


def classify(error: BaseException, messages: Sequence[str] = (), *, now: datetime | None = None) -> AttemptError:
    """Translate an error into the AttemptError that says what becomes of the row.

    `messages` are the warnings that yt-dlp gave in the same attempt (MessageKeeper.messages); they decide when the error itself
    is vague. An AttemptError, also one inside another error, is returned as it is. An error that is not yt-dlp's is a
    TransientError, unless this machine or a block is to blame. `now` is for times like "Premieres in 3 hours".
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, AttemptError):
            return link
    text = " / ".join(dict.fromkeys(_plain(str(link)) for link in chain))
    message = truncate(without_logins(_short(str(error))) or type(error).__name__)
    said = [_plain(message) for message in messages]
    if unfit := _machine_is_unfit(chain, text, said):
        return UnfitError(message, reason=unfit)
    if _from_yt_dlp(chain, text):
        kind, reason = _stale(said, *_verdict(chain, text, said))
    else:
        message = truncate(without_logins(f"{type(error).__name__}: {error}"))
        kind, reason = _throttled_by(said) or (TransientError, _plain_reason(chain))
    return kind(message, reason=reason, not_before=_not_before(text, now) if kind is LaterError else None)


def _verdict(chain: Sequence[BaseException], text: str, messages: Sequence[str]) -> tuple[type[AttemptError], str]:
    """The steps of the table, from what is certain to what is vague."""
    statuses = _statuses(chain, text)
    return (
        _blocked(statuses)
        or _class_verdict(chain)
        or _first(_CERTAIN, text)
        or _throttled_by(messages)
        or _offline(text)
        or _status_verdict(statuses, text)
        or _no_javascript(text, messages)
        or _first(_VAGUE, text)
        or (TransientError, _plain_reason(chain))
    )


def _stale(messages: Sequence[str], kind: type[AttemptError], reason: str) -> tuple[type[AttemptError], str]:
    """YouTube asks for a login although there is one: no video is to blame for cookies that have run out."""
    asks = reason in ("needs-account", "bot-check")
    return (UnfitError, "stale-cookies") if asks and any(map(_STALE.search, messages)) else (kind, reason)


_STALE = re.compile("account cookies are no longer valid")


def _throttled_by(messages: Sequence[str]) -> tuple[type[AttemptError], str] | None:
    """A block that only the warnings tell of; a 403 there counts when it is YouTube's."""
    statuses = [(status, _YOUTUBE.search(said) is not None) for said in messages for status, _ in _statuses_in(said)]
    return _first(_THROTTLED, *messages) or _blocked(set(statuses))


def _first(rows: Sequence[_Rule], *texts: str) -> tuple[type[AttemptError], str] | None:
    return next(((row.error, row.reason) for row in rows for text in texts if row.says(text)), None)


# -- what an error consists of


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it: yt-dlp keeps causes in `exc_info` and `cause`, Python in `__cause__` and `__context__`."""
    waiting: deque[object] = deque([error])
    seen: set[int] = set()
    while waiting and len(seen) < CHAIN_LIMIT:
        link = waiting.popleft()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting.extend(_behind(link))


def _behind(error: BaseException) -> tuple[object, ...]:
    exc_info = getattr(error, "exc_info", None) or (None, None)
    context = None if error.__suppress_context__ else error.__context__
    return exc_info[1], getattr(error, "cause", None), error.__cause__, context


def _class_names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}


def _from_yt_dlp(chain: Sequence[BaseException], text: str) -> bool:
    """Whether yt-dlp speaks: an error of its own, or its command's output in somebody's error."""
    own = any("YoutubeDLError" in _class_names(link) for link in chain)
    return own or re.search(r"ERROR: \[[\w:+-]+\]", text) is not None


# -- single steps


def _machine_is_unfit(chain: Sequence[BaseException], text: str, messages: Sequence[str]) -> str:
    """The reason, if there is one, why this machine could do nothing at all."""
    for link in chain:
        if isinstance(link, OSError) and link.errno in _DISK_ERRORS:
            return _DISK_ERRORS[link.errno]
    converting = "PostProcessingError" in set().union(*map(_class_names, chain))
    # Of an ffmpeg that failed yt-dlp gives only the last line, which is "Conversion failed!".
    found = _first(_MACHINE, text, *(messages if converting else ()))
    return found[1] if found else ""


_DISK_ERRORS = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "disk",
    errno.EIO: "disk",
    errno.ESTALE: "disk",
}


def _offline(text: str) -> tuple[type[AttemptError], str] | None:
    """YouTube's name cannot be resolved, or its network not be reached: every video of this machine would fail."""
    return (_OFFLINE.error, _OFFLINE.reason) if _OFFLINE.says(text) and _YOUTUBE.search(text) else None


def _no_javascript(text: str, messages: Sequence[str]) -> tuple[type[AttemptError], str] | None:
    return _first([_NO_JS], *messages) if re.search("format", text, re.IGNORECASE) else None


def _class_verdict(chain: Sequence[BaseException]) -> tuple[type[AttemptError], str] | None:
    names = set().union(*map(_class_names, chain))
    if "GeoRestrictedError" in names:
        return PermanentError, "region"
    if "UnsupportedError" in names:
        return PermanentError, "unsupported-url"
    return (LaterError, "not-live") if "UserNotLive" in names else None


def _statuses(chain: Sequence[BaseException], text: str) -> set[tuple[int, bool]]:
    """HTTP statuses, each with whether YouTube (or nobody knows who) gave it."""
    known = {
        (int(status), _YOUTUBE.search(_url(link)) is not None or not _url(link))
        for link in chain
        if "HTTPError" in _class_names(link) and isinstance(status := getattr(link, "status", None), int)
    }
    return known or _statuses_in(text)


def _statuses_in(text: str) -> set[tuple[int, bool]]:
    return {(int(status), True) for status in re.findall(r"HTTP Error (\d{3})", text, re.IGNORECASE)}


def _url(error: BaseException) -> str:
    """Of the request that failed."""
    return str(getattr(getattr(error, "response", None), "url", "") or "")


def _blocked(statuses: set[tuple[int, bool]]) -> tuple[type[AttemptError], str] | None:
    """A 429 is a block whoever says so; a 403 only when YouTube does (it means "not for you" elsewhere)."""
    if any(status == 429 for status, _ in statuses):
        return ThrottledError, "http-429"
    return (ThrottledError, "http-403") if (403, True) in statuses else None


def _status_verdict(statuses: set[tuple[int, bool]], text: str) -> tuple[type[AttemptError], str] | None:
    if not statuses:
        return None
    status = max(statuses)[0]
    gone = status in (404, 410) and not _MEDIA.search(text)
    return (GoneError, "gone") if gone else (TransientError, f"http-{status}")


def _plain_reason(chain: Sequence[BaseException]) -> str:
    """The reason of an error that says nothing we know."""
    names = set().union(*map(_class_names, chain))
    if "TimeoutError" in names:
        return "timeout"
    return "network" if names & {"ConnectionError", "TransportError", "ContentTooShortError", "SSLError"} else "error"


# -- words

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PREFIX = re.compile(r"^(?:ERROR:\s*)?(?:\[[\w:+.-]+\]\s+(?:\S+:\s+)?)?(?:\S+ page \d+:\s+)?")
_BOILERPLATE = re.compile(
    r"[;.]?\s*please report this issue on\b.*"
    r"|\s*\(caused by .*"
    r"|\.?\s*Use --\w.*"
    r"|\.?\s*It is recommended to use `-t sleep`.*",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_UNIT_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 604800,
    "month": 2592000,
    "year": 31536000,
}
_IN_A_TIME = re.compile(
    rf"\b(?:begin|premieres?|start)s? in (?:(\d+)|an?) ({'|'.join(_UNIT_SECONDS)})s?\b", re.IGNORECASE
)


def without_logins(text: str) -> str:
    """Without `user:password@` in addresses: a proxy's must not get into a row or a log."""
    return re.sub(r"(?<=://)[^\s/@]*@", "", text)


def _plain(text: str) -> str:
    """Without colours and typographic apostrophes."""
    return _ANSI.sub("", text).replace("’", "'").replace("\u02bc", "'")


def _short(text: str) -> str:
    """What a person wants to know: neither prefix, nor advice for yt-dlp's command line."""
    return _BOILERPLATE.sub("", _PREFIX.sub("", _ANSI.sub("", text).strip())).strip()


def _not_before(text: str, now: datetime | None) -> datetime | None:
    """The time that a text like "Premieres in 3 hours" means."""
    found = _IN_A_TIME.search(text)
    if found is None:
        return None
    seconds = int(found[1] or 1) * _UNIT_SECONDS[found[2].lower()]
    return (now or datetime.now(UTC)) + timedelta(seconds=seconds)
