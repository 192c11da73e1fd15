"""Reads one list: the kind of its videos, its order, and page by page what the filters let through. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from youtube_download_coordinator.sources.filters import Candidate, Filters, VideoKind, is_too_old
from youtube_download_coordinator.sources.urls import Target

TITLE_MAX_CHARACTERS = 1000
PAGE_ENTRIES = 30
"""The size of a page of a channel's tab. A list that is newest first is read up to a page without new or recent
videos. With smaller pages, a few old videos that were made public again would hide new ones below them."""

_TAB_KINDS = {
    "videos": VideoKind.VIDEOS,
    "shorts": VideoKind.SHORTS,
    "streams": VideoKind.STREAMS,
}
_UPLOADS = re.compile(r"yt:p:UU(?P<kind>LF|SH|LV|MO)?[A-Za-z0-9_-]{22}")
"""The IDs of lists of all uploads of a channel, or of one kind of uploads."""
_UPLOAD_KINDS = {"LF": VideoKind.VIDEOS, "SH": VideoKind.SHORTS, "LV": VideoKind.STREAMS, "MO": VideoKind.MEMBERS}
_STREAMED = frozenset(("is_live", "is_upcoming", "was_live", "post_live"))


@dataclass(slots=True)
class ListPage:
    """The counts of the entries of a page that were read."""

    entries: int = 0
    """All entries, including repeats and private videos."""
    judged: int = 0
    left_out: int = 0
    too_old: int = 0

    @property
    def is_too_old(self) -> bool:
        return 0 < self.judged == self.too_old


@dataclass(slots=True, kw_only=True)
class ListReader:
    """A list that is being read."""

    kind: VideoKind | None
    """The kind of all its videos, if the address determines it."""
    newest_first: bool
    most: int | None
    """The number of videos to list; None: all."""
    page: ListPage = field(default_factory=ListPage)
    _kept: int = 0

    @property
    def is_full(self) -> bool:
        return self.most is not None and self._kept >= self.most

    def turn(self) -> ListPage:
        """Begin a new page, and return the one that ends."""
        page, self.page = self.page, ListPage()
        return page

    def lets_through(
        self, video: Candidate, filters: Filters, kinds: frozenset[VideoKind], since: datetime | None
    ) -> bool:
        """Count a video, and return whether it gets a row."""
        excluded = filters.excludes(video, kinds=kinds, since=since)
        self.page.judged += 1
        self.page.left_out += excluded
        self.page.too_old += is_too_old(video, since)
        self._kept += not excluded
        return not excluded


def is_newest_first(where: Target) -> bool:
    """Return whether a list begins with the latest uploads. The order of a playlist is up to its owner."""
    return where.tab in _TAB_KINDS or _UPLOADS.fullmatch(where.key) is not None


def kind_of(where: Target) -> VideoKind | None:
    """Return the kind of all videos of a list, if its address determines it."""
    uploads = _UPLOADS.fullmatch(where.key)
    return _UPLOAD_KINDS.get(uploads["kind"]) if uploads else _TAB_KINDS.get(where.tab)


def whole(number: Any) -> int | None:
    """Return a number from yt-dlp, rounded down, or None for any other value."""
    return int(number) if isinstance(number, int | float) and 0 <= number < float("inf") else None


def title_of(entry: Mapping[str, Any]) -> str:
    """Return an entry's title, truncated for a row. Another site may send megabytes, or a value that is not text."""
    return str(entry.get("title") or "")[:TITLE_MAX_CHARACTERS]


def candidate(entry: Mapping[str, Any], kind: VideoKind | None) -> Candidate:
    """Return the facts about an entry's video that filters need. `kind` is the kind of its list."""
    return Candidate(
        kind=_kind(entry, kind),
        title=title_of(entry),
        duration_seconds=whole(entry.get("duration")),
        published=_published(entry),
    )


def _kind(entry: Mapping[str, Any], kind: VideoKind | None) -> VideoKind:
    if entry.get("availability") == "subscriber_only":
        return VideoKind.MEMBERS
    if kind:
        return kind
    if "/shorts/" in str(entry.get("url")):
        return VideoKind.SHORTS
    return VideoKind.STREAMS if entry.get("live_status") in _STREAMED else VideoKind.VIDEOS


def _published(entry: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(entry["timestamp"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
