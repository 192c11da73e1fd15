"""List a source with yt-dlp: flat, streamed, with one page in memory.

yt-dlp is imported when the first listing starts, not with this module, because the parent of a listing process does not need it.
Each listing runs in a separate process, because it uses a whole core and threads cannot share a YoutubeDL.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from youtube_download_coordinator.errors import (
    AttemptError,
    BadUrl,
    GoneError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnfitError,
)
from youtube_download_coordinator.sources.filters import Filters, VideoKind
from youtube_download_coordinator.sources.urls import Kind, Target, channel_of, source_target, video_target
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify
from youtube_download_coordinator.youtube.list_reader import (
    PAGE_ENTRIES,
    TITLE_MAX_CHARACTERS,
    ListReader,
    candidate,
    is_newest_first,
    kind_of,
    title_of,
    whole,
)
from youtube_download_coordinator.youtube.network import Network

_log = logging.getLogger(__name__)

Info = Mapping[str, Any]
"""Information extracted by yt-dlp. Any field may be missing or None."""

MAX_HOPS = 10
"""The most redirects that are followed before a source counts as broken."""
MIX_REPEATS = 5
"""The number of entries of a mix, which repeats itself, that are read for each wanted video."""
RETRY_PAUSE_SECONDS = (0.5, 1.0, 2.0)
"""The pauses before retries of a page. yt-dlp retries three times at once, but an overloaded server needs a moment."""
CAPPED_RESCAN_VIDEOS = 300
"""The most videos that a rescan lists of a source with FirstVideos, even if YouTube has removed all known ones."""
UNAVAILABLE_TITLES = frozenset(("[Private video]", "[Deleted video]"))


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """A video of the source."""

    url: str
    key: str
    title: str
    duration_seconds: int | None


@dataclass(frozen=True, slots=True)
class ListedSource:
    """A playlist or channel inside the source, which becomes a separate source."""

    url: str
    key: str
    title: str


@dataclass(frozen=True, slots=True)
class ListedTitle:
    """The title of the source; `expected` is the number of entries that YouTube states, private ones included."""

    title: str
    channel_id: str
    expected: int | None


@dataclass(frozen=True, slots=True)
class ListedChannel:
    """The channel that an alias leads to, and that is listed instead."""

    url: str
    key: str
    title: str


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of PAGE_ENTRIES entries that was read, or the end of a list."""

    left_out: int
    """The videos on the page that the filters left out."""
    asks: bool = False
    """Whether the listing waits for an answer before it continues."""
    end: Literal["", "whole", "broken"] = ""
    """Whether the list has ended: completely, or with an error."""
    answer: Callable[[bool], None] | None = field(default=None, compare=False)
    """The receiver calls this with whether to continue."""


URL_MAX_CHARACTERS = 8000
"""The longest address of an entry. No server accepts a longer one."""
Listed = ListedVideo | ListedSource | ListedTitle | ListedChannel | ListedPage
GO_ON = b"+"
ENOUGH = b"-"


def listing(
    url: str,
    *,
    network: Network,
    mix_max_videos: int,
    filters: Filters = Filters(),  # noqa: B008  it is frozen
    go_on: Callable[[], bool] | None = None,
) -> Iterator[Listed]:
    """List a source, each video once, as the pages arrive; ListedTitle first, except for a single video.

    Private and deleted entries are left out. Videos that do not pass the filters are left out as well, and are counted
    (ListedPage), but a single video is always listed. With `go_on` the listing is a rescan: `go_on` returns, after each page of
    a list that is newest first, whether the list may contain more new videos. An alias (@handle, /c/, /user/) yields only the
    ListedChannel that it leads to, after one request. A channel is listed tab by tab; a failed tab does not stop the others.
    Raises BadUrl, a ThrottledError or UnfitError at once, and any other AttemptError at the end. Items that were yielded before
    an error are valid.
    """
    target = source_target(url, allow_other_sites=network.allow_other_sites)
    has_listed = False
    try:
        with _Lister(network, mix_max_videos, filters, go_on) as lister:
            for item in lister.list(target):
                has_listed = has_listed or not isinstance(item, ListedTitle | ListedPage)
                yield item
    except AttemptError as error:
        with_cookies = network.cookies_after(error)
        if has_listed or with_cookies is None:
            raise
    else:
        return
    with _Lister(with_cookies, mix_max_videos, filters, go_on) as lister:
        yield from lister.list(target)


def list_in_child(
    payload: Mapping[str, Any],
    emit: Callable[[Mapping[str, Any]], None],
    wait: Callable[[], bytes] | None = None,
) -> None:
    """List in a child process. `payload` has the arguments of `listing`; `emit` sends one JSON-able message for each item.

    With `wait` the listing is a rescan: `wait` returns GO_ON or ENOUGH after each ListedPage that waits for an answer. Raises the
    errors of `listing`.
    """
    network, filters = Network(**payload["network"]), Filters.read(payload.get("filters", {}))
    network.guard_this_process()
    go_on = None if wait is None else lambda: wait() == GO_ON
    for item in listing(**{**payload, "network": network, "filters": filters}, go_on=go_on):
        emit(_message(item))


def _message(item: Listed) -> dict[str, Any]:
    fields = asdict(item)
    fields.pop("answer", None)
    return {"kind": _KINDS[type(item)], **fields}


def parse_item(message: Mapping[str, Any]) -> Listed:
    """Return the item in a child's message."""
    fields = dict(message)
    return _ITEMS[fields.pop("kind")](**fields)


_ITEMS: dict[str, Callable[..., Listed]] = {
    "video": ListedVideo,
    "source": ListedSource,
    "title": ListedTitle,
    "channel": ListedChannel,
    "page": ListedPage,
}
_KINDS: dict[type[Listed], str] = {item: kind for kind, item in _ITEMS.items() if isinstance(item, type)}


class _Lister:
    """A listing: a YoutubeDL, its messages, and the keys that were listed."""

    def __init__(
        self, network: Network, mix_max_videos: int, filters: Filters, go_on: Callable[[], bool] | None
    ) -> None:
        self._allow_other_sites = network.allow_other_sites
        self._mix_max_videos = mix_max_videos
        self._keeper = MessageKeeper()
        self._filters = filters
        self._since = filters.since(datetime.now(UTC))  # noqa: TID251  nothing about a lease
        self._kinds = filters.kinds
        self._go_on = go_on
        self._ydl = network.youtube_dl(_OPTIONS_WITH_DATES if self._since else _OPTIONS, self._keeper)
        self._seen: set[str] = set()
        self._entries = 0
        """The number of entries that YouTube listed, including repeats and private videos."""
        self._failure: AttemptError | None = None
        self._skips_authcheck = False

    def __enter__(self) -> _Lister:
        return self

    def __exit__(self, *error: object) -> None:
        self._ydl.close()

    def list(self, target: Target) -> Iterator[Listed]:
        try:
            info = self._open(target.url)
        except PermanentError as error:
            if error.reason != "empty":
                raise
            yield ListedTitle("", "", 0)  # YouTube reports an empty list as an error
            return
        if not _is_list(info):
            yield self._single(info, target)
            return
        # With the ID of an alias's channel, yt-dlp also finds the uploads of a channel without tabs ("Topic").
        if target.kind is Kind.ALIAS and (channel := channel_of(target, info.get("channel_id") or "")):
            yield ListedChannel(channel.url, channel.key, _name(info, target))
            return
        yield ListedTitle(_name(info, target), info.get("channel_id") or "", whole(info.get("playlist_count")))
        if kind := kind_of(target):
            self._kinds |= {kind}  # a tab that the source names is listed despite the filter
        if self._wants(_where(info, target)):
            yield from self._part(partial(self._entries_of, info, target))
        self._finish(info, target)

    # -- requests with yt-dlp

    def _open(self, url: str) -> Info:
        """Extract a page, following redirects. Raises an AttemptError."""
        self._keeper.clear()
        ie_key = None
        for _ in range(MAX_HOPS):
            info = self._extract(url, ie_key)
            if info.get("_type") not in ("url", "url_transparent"):
                return info
            url, ie_key = info["url"], info.get("ie_key")
        raise TransientError(f"{url} redirects too often", reason="redirects")

    def _extract(self, url: str, ie_key: str | None) -> Info:
        try:
            info: Info | None = self._ydl.extract_info(url, download=False, process=False, ie_key=ie_key)
        except Exception as error:
            failure = classify(error, self._keeper.messages)
            if failure.reason == "cookies" and not self._skips_authcheck:
                return self._extract_without_authcheck(url, ie_key, failure)
            raise failure from error
        if info is None:
            raise TransientError(f"yt-dlp returned nothing for {url}", reason="nothing-listed")
        return info

    def _extract_without_authcheck(self, url: str, ie_key: str | None, failure: AttemptError) -> Info:
        """Extract a list although its web page could not be loaded with the cookies, which a public list does not need."""
        self._skips_authcheck = True
        arguments = self._ydl.params.setdefault("extractor_args", {}).setdefault("youtubetab", {})
        arguments["skip"] = [*arguments.get("skip", ()), "authcheck"]
        try:
            return self._extract(url, ie_key)
        except (PermanentError, GoneError) as error:  # it may be private, so the cookies have to be fixed
            raise failure from error

    # -- parts of a list

    def _part(self, entries: Callable[[], Iterator[Listed]]) -> Iterator[Listed]:
        """List a page or a tab. A failure is kept for the end, unless all other parts would fail as well."""
        try:
            yield from entries()
        except Exception as error:  # noqa: BLE001 - yt-dlp lets all kinds of errors through; classify tells them apart
            self._keep(error)
            if self._go_on:
                yield ListedPage(0, end="broken")

    def _keep(self, error: Exception) -> None:
        failure = classify(error, self._keeper.messages)
        if isinstance(failure, GoneError) and self._entries:
            # YouTube sometimes answers a later page with 404, but a source that has listed something exists.
            failure = TransientError(str(failure), reason=failure.reason, systemic=failure.systemic)
        if failure is not error:
            failure.__cause__ = error
        if isinstance(failure, ThrottledError | UnfitError):
            raise failure from failure.__cause__
        self._failure = self._failure or failure

    def _entries_of(self, info: Info, target: Target) -> Iterator[Listed]:
        self._keeper.clear()
        walk = self._walk(_where(info, target))
        for entry in self._limited(info.get("entries") or (), target):
            if _is_list(entry) and self._wants(_where(entry, target)):
                yield from self._part(partial(self._entries_of, entry, target))
            elif (tab := _tab(entry, target)) and self._wants(tab):
                yield from self._part(partial(self._tab_entries, tab))
            elif not _is_list(entry) and not tab:
                yield from self._entry(entry, walk)
                if walk.is_full:
                    break
                if walk.page.entries >= PAGE_ENTRIES and not (yield from self._turn(walk)):
                    return
        if walk.page.entries:
            yield from self._turn(walk, end="whole")

    def _walk(self, where: Target) -> ListReader:
        """Return a reader for a list. In a rescan, a list that is newest first ends at known videos, not after FirstVideos."""
        newest_first, most = is_newest_first(where), self._filters.first_videos
        if most and newest_first and self._go_on:
            most = max(most, CAPPED_RESCAN_VIDEOS)
        return ListReader(kind=kind_of(where), newest_first=newest_first, most=most)

    def _wants(self, tab: Target) -> bool:
        """Return whether to open a tab of a channel. All tabs contain videos for members."""
        kind = kind_of(tab)
        return kind is None or kind in self._kinds or VideoKind.MEMBERS in self._kinds

    def _turn(self, walk: ListReader, end: Literal["", "whole"] = "") -> Generator[Listed, None, bool]:
        """Begin the next page of a list. Yield a ListedPage for the previous one, and return whether to continue."""
        page = walk.turn()
        asks = self._go_on is not None and walk.newest_first
        if page.left_out or self._go_on:
            yield ListedPage(page.left_out, asks, end)
        if asks and self._go_on and not self._go_on():
            return False
        return not (walk.newest_first and page.is_too_old)

    def _tab_entries(self, tab: Target) -> Iterator[Listed]:
        try:
            info = self._open(tab.url)
        except PermanentError as error:
            if error.reason not in ("no-such-source", "empty"):
                raise
            _log.info("%s: this tab has no videos: %s", tab.url, error)
            return
        yield from self._entries_of(info, tab)

    def _limited(self, entries: Iterable[Info | None], target: Target) -> Iterator[Info]:
        """Yield the entries. Of a mix, which never ends, yield only enough for the wanted videos."""
        most = self._mix_max_videos if target.is_mix else None
        for entry in itertools.islice(entries, most and most * MIX_REPEATS):
            if most and len(self._seen) >= most:
                return
            if entry:
                yield entry

    def _entry(self, entry: Info, walk: ListReader) -> Iterator[Listed]:
        """Yield an entry as an item if it is new and passes the filters. Skip an entry that cannot be read."""
        self._entries += 1
        walk.page.entries += 1
        try:
            item = self._item(entry, walk)
        except Exception:  # noqa: BLE001  another site sends anything, and one entry must not cost the others
            _log.exception("skipped an entry that cannot be read")
            return
        if item is not None:
            yield item

    def _item(self, entry: Info, walk: ListReader) -> Listed | None:
        title = title_of(entry)
        target = None if title in UNAVAILABLE_TITLES else self._entry_target(entry)
        if target is None or target.key in self._seen:
            return None
        self._seen.add(target.key)
        if target.kind not in (Kind.VIDEO, Kind.OTHER):
            return ListedSource(target.url, target.key, title)
        if walk.lets_through(candidate(entry, walk.kind), self._filters, self._kinds, self._since):
            return ListedVideo(target.url, target.key, title, whole(entry.get("duration")))
        return None

    def _entry_target(self, entry: Info) -> Target | None:
        try:
            if entry.get("ie_key") == "Youtube":
                return video_target(entry["id"])
            # On a page with several videos, an entry without an address is listed with the address of its best file.
            formats: Sequence[Info] = entry.get("formats") or ({},)
            url = str(entry.get("url") or formats[-1].get("url") or entry["webpage_url"])
            if len(url) > URL_MAX_CHARACTERS:
                _log.info("skipped an entry with an address of %d characters", len(url))
                return None
            return source_target(url, allow_other_sites=self._allow_other_sites)
        except (BadUrl, KeyError) as error:
            _log.info("skipped an entry: %s", error)
            return None

    def _single(self, info: Info, target: Target) -> ListedVideo:
        if info.get("extractor_key") == "Youtube":
            target = video_target(info["id"])
        return ListedVideo(target.url, target.key, title_of(info), whole(info.get("duration")))

    # -- the end

    def _finish(self, info: Info, target: Target) -> None:
        """Raise the first failure, or an error if a list looks complete but is not."""
        if self._failure:
            raise self._failure from self._failure.__cause__
        if not self._entries and not _has_name(info):
            raise TransientError(
                f"{target.url} has neither videos nor a name: it may be age-restricted"
                " (its videos may be in list=UULF and the rest of the channel's ID)",
                reason="nothing-listed",
            )
        expected = whole(info.get("playlist_count"))
        if expected and not self._entries:
            raise TransientError(f"{target.url} listed none of its {expected} videos", reason="nothing-listed")
        if expected is not None and self._entries < expected:
            _log.info("%s: YouTube listed %d of %d entries", target.url, self._entries, expected)


def _retry_pause_seconds(n: int) -> float:
    return RETRY_PAUSE_SECONDS[min(n, len(RETRY_PAUSE_SECONDS) - 1)]


_OPTIONS: Mapping[str, Any] = {
    # A channel's tabs become separate, unopened entries. With process=False the option has no other effect.
    "playlist_items": "0",
    # Raise an error instead of silently ending a list too early.
    "extractor_args": {"youtube": {"raise_incomplete_data": ["1"]}},
    "retry_sleep_functions": {"extractor": _retry_pause_seconds},
}


_OPTIONS_WITH_DATES = {
    **_OPTIONS,
    # Dates that are calculated from "3 weeks ago".
    "extractor_args": {**_OPTIONS["extractor_args"], "youtubetab": {"approximate_date": ["1"]}},
}


# -- reading yt-dlp's answers


def _is_list(info: Info) -> bool:
    return info.get("_type") in ("playlist", "multi_video")


def _has_name(info: Info) -> bool:
    """Return whether YouTube returned a name. Without a title, yt-dlp fills in the ID."""
    return bool(info.get("channel")) or info.get("title") not in (None, "", info.get("id"))


def _name(info: Info, target: Target) -> str:
    """Return the title. For a whole channel, return its name instead of the first tab's title ("Channel - Videos")."""
    channel = info.get("channel") if target.is_whole_channel else None
    name = channel or (info.get("title") if _has_name(info) else None) or ""
    return str(name)[:TITLE_MAX_CHARACTERS]


def _where(info: Info, target: Target) -> Target:
    """Return the target that yt-dlp has listed, which for a channel may be one of its tabs or its uploads."""
    try:
        return source_target(info.get("webpage_url") or "")
    except BadUrl:
        return target


def _tab(entry: Info, target: Target) -> Target | None:
    """Return the channel's tab that an entry represents, or None."""
    if not target.is_whole_channel or entry.get("ie_key") != "YoutubeTab":
        return None
    tab = source_target(entry["url"])
    return tab if tab.kind in (Kind.CHANNEL, Kind.ALIAS) else None
