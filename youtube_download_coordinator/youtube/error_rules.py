"""Translate yt-dlp's errors into AttemptErrors. wordings.py has the known wordings and their meanings.

yt-dlp is not imported here, so that a child process without it need not load it. Its errors are recognised by the names of their
classes and by their text.
"""

from __future__ import annotations

import errno
import html
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from youtube_download_coordinator.errors import AttemptError, TransientError, UnfitError, attempt_error
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.reasons import MEDIA_BLOCK, SUBTITLES_BLOCK, TOO_LARGE
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, truncate
from youtube_download_coordinator.youtube import wordings
from youtube_download_coordinator.youtube.wordings import Wording

_log = logging.getLogger("youtube_download_coordinator.yt_dlp")

KEPT_MESSAGES = 50
KEPT_CHARACTERS = 2000
"""The longest part of a message that is kept. A traceback is not useful here."""
CHAIN_LIMIT = 20
"""The most errors that are followed in a chain, which may be circular."""


UNKNOWN = "error"
"""The reason of an error that matches no rule."""


class MessageKeeper:
    """A `logger` for yt-dlp that keeps its last warnings and errors: some causes appear only there."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=KEPT_MESSAGES)

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(self._kept)

    def clear(self) -> None:
        """Forget all messages, because messages about one tab do not apply to the next."""
        self._kept.clear()

    def restore(self, messages: Iterable[str]) -> None:
        """Replace the messages by these."""
        self._kept = deque(messages, maxlen=KEPT_MESSAGES)

    def debug(self, message: str) -> None:
        """Keep lines that explain a failure. Drop progress and debug lines, which yt-dlp also sends here."""
        self._kept.extend(line[:KEPT_CHARACTERS] for line in message.splitlines() if _explains(line))

    def info(self, message: str) -> None:
        """Drop the message."""

    def warning(self, message: str) -> None:
        self._kept.append(message[:KEPT_CHARACTERS])
        _log.debug("%s", message)

    def error(self, message: str) -> None:
        self.warning(message)


class _Diagnosis(NamedTuple):
    """A diagnosis of an error: the fields of the AttemptError to raise."""

    verdict: Verdict
    reason: str
    systemic: bool = False


class _Origin(StrEnum):
    """The server that answered with an HTTP status."""

    YOUTUBE = "youtube"
    """The player, the API or a page; also an unknown server."""
    MEDIA = "media"
    SUBTITLES = "subtitles"
    OTHER_SITE = "other site"


class _Status(NamedTuple):
    """An HTTP status and its origin."""

    number: int
    origin: _Origin


_SUBTITLES = re.compile(r"timedtext|subtitles", re.IGNORECASE)
_MEDIA = re.compile(
    r"googlevideo|videoplayback|unable to download video data|\[download\]|got error:|fragment|manifest|m3u8|\bmpd\b",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"\[pot[\]:]|\bpo.?token", re.IGNORECASE)
"""A message about a provider of PO tokens, which the operator runs."""
_SITE = re.compile(r"(?:^|ERROR:\s*)\[(?!youtube|download\])[\w:+.-]+\]", re.IGNORECASE)
"""The name of an extractor for another site, before its error."""
_YOUTUBE = re.compile(r"youtube|youtu\.be|googlevideo|ytimg", re.IGNORECASE)
_GOT_ERROR = re.compile(r"got error: HTTP Error (?:403|416|429)", re.IGNORECASE)
"""yt-dlp reports a failed fragment only on the screen."""
TEXT_PART_CHARACTERS = 10_000
"""The length of the beginning and of the end of a very long text that are searched."""
_SPEAKS_OF_FORMATS = re.compile("format|player response", re.IGNORECASE)


def classify(error: BaseException, messages: Sequence[str] = (), *, now: datetime | None = None) -> AttemptError:
    """Translate an error into the AttemptError that decides what happens to the row.

    `messages` are yt-dlp's warnings in the same attempt (MessageKeeper.messages). They decide if the error itself is vague. An
    AttemptError is returned unchanged, even from inside another error. Errors of other programs are TransientErrors, unless this
    machine or a block is the cause. `now` is for times like "Premieres in 3 hours".
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, AttemptError):
            return link
    evidence = _Evidence(chain, messages)
    message = truncate(without_logins(_short(_text_of(error))) or type(error).__name__)
    if too_much := evidence.too_much():
        return TransientError(message, reason=too_much)
    if unfit := evidence.unfit_machine():
        return UnfitError(message, reason=unfit)
    if evidence.is_from_yt_dlp:
        diagnosis = evidence.diagnose()
    else:
        message = truncate(without_logins(f"{type(error).__name__}: {_text_of(error)}"))
        diagnosis = evidence.block_in_messages() or _Diagnosis(Verdict.RETRY, evidence.plain_reason())
    from_yt_dlp = evidence.is_from_yt_dlp or _raised_in_yt_dlp(error)
    if diagnosis.systemic or (diagnosis.reason == UNKNOWN and from_yt_dlp):
        message = _with_version(message, diagnosis.reason)
    later = diagnosis.verdict is Verdict.LATER
    return attempt_error(
        Failure(
            verdict=diagnosis.verdict,
            reason=diagnosis.reason,
            message=message,
            not_before=_not_before(evidence.texts, now) if later else None,
            systemic=diagnosis.systemic,
            regions=tuple(_regions(chain)) if diagnosis.reason == "region" else (),
            from_yt_dlp=from_yt_dlp,
        )
    )


def _regions(chain: Iterable[BaseException]) -> Iterable[str]:
    """Return the countries in which the video is available, as ISO codes, or none if yt-dlp does not name them."""
    for link in chain:
        if countries := getattr(link, "countries", None):
            return [str(code) for code in countries]
        if match := _AVAILABLE_IN.search(_text_of(link)):
            return re.findall(r"[A-Z]{2}", match[1])
    return ()


_AVAILABLE_IN = re.compile(r"This video is available in ([A-Z]{2}(?:, [A-Z]{2})*)\b")
"""network.py adds this to yt-dlp's message."""


def _raised_in_yt_dlp(error: BaseException) -> bool:
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith("yt_dlp.") for frame in frames)


def _with_version(message: str, reason: str) -> str:
    """Add the version of yt-dlp that this process has imported, because another version may not fail in this way.

    With the reason before it, the text has at most DETAIL_MAX_CHARACTERS.
    """
    module = sys.modules.get("yt_dlp.version")
    if module is None:  # another process ran yt-dlp
        return message
    version = f" (yt-dlp {module.__version__})"
    return truncate(message, DETAIL_MAX_CHARACTERS - len(f"{reason}: {version}")) + version


def has_bad_part(error: BaseException) -> bool:
    """Return whether the partial file on the disk may be the cause, so that resuming it would fail again."""
    chain = list(_chain(error))
    numbers = {status.number for status in _statuses_of(chain)}
    return 416 in numbers or _first(wordings.BAD_PART, *(_normalised(_text_of(link)) for link in chain)) is not None


def skipped_formats(messages: Iterable[str]) -> set[str]:
    """Return the causes for which yt-dlp has left out formats of a video: `drm`, `sabr`, `challenge`, `token`."""
    texts = [_normalised(message) for message in messages]
    return {
        cause
        for cause, pattern, *_ in wordings.SKIPPED_FORMATS
        if any(re.search(pattern, text, re.IGNORECASE) for text in texts)
    }


class _Evidence:
    """The evidence about a failure: the chain of errors, and yt-dlp's messages."""

    def __init__(self, chain: Sequence[BaseException], messages: Sequence[str]) -> None:
        self._chain = chain
        self._raw = " / ".join(_text_of(link) for link in chain)
        self._class_names = {parent.__name__ for link in chain for parent in type(link).__mro__}
        self.texts = tuple(dict.fromkeys(text for link in chain for text in _texts_of(_text_of(link))))
        self._statuses = set(_statuses_of(chain)) or {
            status for link in chain for status in _statuses_in(_text_of(link), unnamed=_site(_text_of(link)))
        }
        self._messages = tuple(_normalised(message) for message in messages)
        self._message_statuses = {
            status for message in messages for status in _statuses_in(message, unnamed=_Origin.OTHER_SITE)
        }

    @property
    def is_from_yt_dlp(self) -> bool:
        """Return whether it is an error of yt-dlp, or another error that quotes the output of its command."""
        quoted = re.search(r"ERROR: (?:\[[\w:+-]+\]|unable to download video data)", self._raw)
        return "YoutubeDLError" in self._class_names or quoted is not None

    def diagnose(self) -> _Diagnosis:
        """Search the tables in order, from certain to vague wordings."""
        if "PostProcessingError" in self._class_names or any(map(_POSTPROCESSING.match, self.texts)):
            # It failed after the download, so YouTube is not the cause, and the text contains file names with the title.
            return (
                self.block_in_messages()
                or _first(wordings.BAD_MEDIA, *self.texts)
                or _Diagnosis(Verdict.RETRY, self.plain_reason())
            )
        diagnosis = (
            _refused(self._statuses)
            or self._class()
            or _first(wordings.CERTAIN, *self.texts)
            or self.block_in_messages()
            or (_YOUTUBE.search(self._raw) and _first(wordings.OFFLINE, *self.texts))
            or self._refused_media()
            or self._status()
            or self._no_formats()
            or _first(wordings.VAGUE, *self.texts)
            or _Diagnosis(Verdict.RETRY, self.plain_reason())
        )
        if diagnosis.reason in ("needs-account", "bot-check") and any(map(_STALE_COOKIES.search, self._messages)):
            return _Diagnosis(Verdict.UNFIT, "stale-cookies")
        return diagnosis

    def too_much(self) -> str:
        """Return the reason of an attempt that has exceeded a limit, or an empty text."""
        if any(isinstance(link, MemoryError) for link in self._chain):
            return "memory"
        is_too_large = any(isinstance(link, OSError) and link.errno == errno.EFBIG for link in self._chain)
        return TOO_LARGE if is_too_large or any(map(_FILE_TOO_LARGE.search, self.texts)) else ""

    def unfit_machine(self) -> str:
        """Return the reason for which this machine is unfit, or an empty text."""
        for link in self._chain:
            if isinstance(link, OSError) and link.errno in _DISK_ERRORS:
                return _DISK_ERRORS[link.errno]
        # yt-dlp gives only the last line of an ffmpeg that failed, which is "Conversion failed!".
        messages = self._messages if "PostProcessingError" in self._class_names else ()
        messages = tuple(message for message in messages if not _NEEDLESS_FFPROBE.search(message))
        diagnosis = _first(wordings.MACHINE, *self.texts, *messages)
        return diagnosis.reason if diagnosis else ""

    def block_in_messages(self) -> _Diagnosis | None:
        """Return the diagnosis of a block that only the messages show, or None."""
        return _refused(self._message_statuses) or _first(wordings.THROTTLED, *self._messages)

    def plain_reason(self) -> str:
        """Return the reason of an error whose text is not in any table."""
        if "TimeoutError" in self._class_names:
            return "timeout"
        network = {"ConnectionError", "TransportError", "ContentTooShortError", "SSLError"}
        return "network" if self._class_names & network else UNKNOWN

    def _class(self) -> _Diagnosis | None:
        if "GeoRestrictedError" in self._class_names:
            return _Diagnosis(Verdict.PERMANENT, "region")
        if "UnsupportedError" in self._class_names:
            return _Diagnosis(Verdict.PERMANENT, "unsupported-url")
        return _Diagnosis(Verdict.LATER, "not-live") if "UserNotLive" in self._class_names else None

    def _refused_media(self) -> _Diagnosis | None:
        """Diagnose media that answer with 403: an expired address, a missing token, or a block."""
        statuses = self._statuses
        if _MEDIA.search(self._raw) or _SPEAKS_OF_FORMATS.search(self._raw):
            statuses = statuses | self._message_statuses
        return _Diagnosis(Verdict.RETRY, MEDIA_BLOCK) if _Status(403, _Origin.MEDIA) in statuses else None

    def _status(self) -> _Diagnosis | None:
        if not self._statuses:
            return None
        number, origin = max(self._statuses)
        if number == 416:
            return _Diagnosis(Verdict.RETRY, "network")
        if number == 400 and origin is _Origin.YOUTUBE:
            return _Diagnosis(Verdict.RETRY, "yt-dlp-broken", systemic=True)
        if number in (404, 410) and origin in (_Origin.YOUTUBE, _Origin.OTHER_SITE):
            return _Diagnosis(Verdict.GONE, "gone")
        return _Diagnosis(Verdict.RETRY, f"http-{number}")  # an expired address of media answers with 404

    def _no_formats(self) -> _Diagnosis | None:
        """Diagnose missing formats by the messages that explain them."""
        if not any(map(_SPEAKS_OF_FORMATS.search, self.texts)):
            return _first(wordings.NO_FORMATS_HINTS, *self.texts)
        return _first(wordings.NO_JAVASCRIPT, *self._messages) or _first(
            wordings.NO_FORMATS_HINTS, *self.texts, *self._messages
        )


_NEEDLESS_FFPROBE = re.compile(r"unable to extract metadata: ffprobe not found", re.IGNORECASE)
"""A warning after which yt-dlp continues."""
_DISK_ERRORS = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "disk",
    errno.EIO: "disk",
    errno.ESTALE: "disk",
}
_FILE_TOO_LARGE = re.compile(wordings.FILE_TOO_LARGE, re.IGNORECASE)
_STALE_COOKIES = re.compile(wordings.STALE_COOKIES, re.IGNORECASE)


def _first(table: Iterable[Wording], *texts: str) -> _Diagnosis | None:
    """Return the diagnosis of the first row of the table that matches any of the texts."""
    for row in table:
        if any(re.search(row.pattern, text, re.IGNORECASE) for text in texts):
            return _Diagnosis(row.verdict, row.reason, row.systemic)
    return None


def _explains(line: str) -> bool:
    return _GOT_ERROR.search(line) is not None or (
        _first(wordings.MACHINE + wordings.NO_FORMATS_HINTS, _normalised(line)) is not None
    )


# -- the chain of errors


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes: yt-dlp's `exc_info` and `cause`, `__cause__` and `__context__`."""
    waiting: deque[object] = deque([error])
    seen: set[int] = set()
    while waiting and len(seen) < CHAIN_LIMIT:
        link = waiting.popleft()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            exc_info = getattr(link, "exc_info", None) or (None, None)
            context = None if link.__suppress_context__ else link.__context__
            waiting.extend((exc_info[1], getattr(link, "cause", None), link.__cause__, context))


# -- HTTP statuses


def _statuses_of(chain: Iterable[BaseException]) -> Iterator[_Status]:
    """Yield the statuses of the HTTPErrors in a chain."""
    for link in chain:
        status = getattr(link, "status", None)
        if isinstance(status, int) and any(parent.__name__ == "HTTPError" for parent in type(link).__mro__):
            url = str(getattr(getattr(link, "response", None), "url", "") or "")
            yield _Status(status, _origin(url) if not url or _YOUTUBE.search(url) else _Origin.OTHER_SITE)


def _statuses_in(text: str, unnamed: _Origin = _Origin.YOUTUBE) -> Iterator[_Status]:
    """Yield the statuses that a text mentions. `unnamed` is their origin if the text names none."""
    # A warning says that formats without a token "may yield HTTP Error 403".
    for match in re.finditer(r"(?<!may yield )HTTP Error (\d{3})|too many requests", text, re.IGNORECASE):
        yield _Status(int(match[1] or 429), _origin(text, unnamed))


def _site(text: str) -> _Origin:
    """Return the origin of an extractor's error that contains no address."""
    return _Origin.OTHER_SITE if _SITE.search(_ANSI.sub("", text)) else _Origin.YOUTUBE


def _origin(place: str, unnamed: _Origin = _Origin.YOUTUBE) -> _Origin:
    """Return the origin of a status, given an address or a text."""
    if _TOKENS.search(place):
        return _Origin.OTHER_SITE
    if _SUBTITLES.search(place):
        return _Origin.SUBTITLES
    if _MEDIA.search(place):
        return _Origin.MEDIA
    return _Origin.YOUTUBE if _YOUTUBE.search(place) else unnamed


def _refused(statuses: set[_Status]) -> _Diagnosis | None:
    """Return the diagnosis of a block that the statuses show, or None.

    A 429 from any server is a block. A 403 is one only from YouTube itself: from other servers it means "not for you", and media
    have their own rule.
    """
    too_many = {status.origin for status in statuses if status.number == 429}
    if too_many == {_Origin.SUBTITLES}:
        return _Diagnosis(Verdict.THROTTLED, SUBTITLES_BLOCK)
    if too_many:
        return _Diagnosis(Verdict.THROTTLED, "http-429")
    if _Status(402, _Origin.YOUTUBE) in statuses:  # "Payment Required": YouTube's earlier word for 429
        return _Diagnosis(Verdict.THROTTLED, "rate-limit")
    return _Diagnosis(Verdict.THROTTLED, "http-403") if _Status(403, _Origin.YOUTUBE) in statuses else None


# -- texts

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032\u00b4\uff07`", "'"))
_NOT = re.compile(r"\b(is|does|do|did|has|have|had|was|could|would)\s+not\b", re.IGNORECASE)
_PREFIX = re.compile(r"^(?:ERROR:\s*)?(?:\[[\w:+.-]+\]\s+(?:\S+:\s+)?)?(?:\S+ page \d+:\s+)?")
_POSTPROCESSING = re.compile(r"(?:post|pre)processing: ", re.IGNORECASE)
_NAMES = (
    (re.compile(r"""(?<!\w)(['"])(?:(?!\1).)*[/\\](?:(?!\1).)*\1(?!\w)"""), r"\1\1"),
    (re.compile(r"https?://[^\s'\"<>]+", re.IGNORECASE), ""),
    (re.compile(r"(?<=contains content from ).*?(?=, (?:who|one or more)|\. it )", re.IGNORECASE), ""),
    (re.compile(r"(?<=claim by ).*", re.IGNORECASE), ""),
)
"""Paths, addresses and names of owners, which may contain words that match a rule by accident."""
_BOILERPLATE = re.compile(
    r"[;.]?\s*please report this issue on\b.*"
    r"|\.?\s*This video is available in [A-Z]{2}\b.*"
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
    rf"\b(?:begin|premiere|start|live|starting)s? in (?:(\d+)|an?) ({'|'.join(_UNIT_SECONDS)})s?\b", re.IGNORECASE
)


def without_logins(text: str) -> str:
    """Remove `user:password@` from addresses, so that a proxy's password gets into neither a row nor a log."""
    return re.sub(r"(?<=://)[^\s/@]*@", "", text)


def _normalised(text: str) -> str:
    """Normalise a text for the tables: remove the extractor's name, the video's ID, and names of files and owners."""
    plain = html.unescape(_ANSI.sub("", text)).translate(_APOSTROPHES).strip()
    plain = " ".join(_PREFIX.sub("", plain).split())
    for pattern, replacement in _NAMES:
        plain = pattern.sub(replacement, plain)
    return re.sub(r"\bcan ?not\b", "can't", _NOT.sub(r"\1n't", plain), flags=re.IGNORECASE)


def _text_of(error: BaseException) -> str:
    """Return an error's text. Of a very long text, which may quote a command's output, keep the beginning and the end."""
    text = str(error)
    if len(text) <= 2 * TEXT_PART_CHARACTERS:
        return text
    return f"{text[:TEXT_PART_CHARACTERS]} … {text[-TEXT_PART_CHARACTERS:]}"


def _texts_of(text: str) -> Iterator[str]:
    """Yield a text, normalised for the tables, and the error that it quotes from the output of yt-dlp's command."""
    yield _normalised(text)
    if quoted := re.search(r"(?<=.)ERROR: \[.*", _ANSI.sub("", text), re.DOTALL):
        yield _normalised(quoted[0])


def _short(text: str) -> str:
    """Shorten a message for people: remove the prefix, and advice for yt-dlp's command line."""
    return _BOILERPLATE.sub("", _PREFIX.sub("", _ANSI.sub("", text).strip())).strip()


def _not_before(texts: Iterable[str], now: datetime | None) -> datetime | None:
    """Return the time that a text like "Premieres in 3 hours" means."""
    match = next(filter(None, map(_IN_A_TIME.search, texts)), None)
    if match is None:
        return None
    seconds = int(match[1] or 1) * _UNIT_SECONDS[match[2].lower()]
    return (now or datetime.now(UTC)) + timedelta(seconds=seconds)
