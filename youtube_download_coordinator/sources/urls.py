"""Parse addresses into canonical keys, which are equal for the same source or the same video. Pure; no network.

| address | key | url |
|---|---|---|
| watch?v=, youtu.be/, shorts/, live/, embed/, v/, e/, a bare ID of 11 characters | `yt:v:ID` | watch?v=ID |
| playlist?list=, watch?v=&list=, embed/videoseries?list=, browse/VL, a bare PL... | `yt:p:LIST` | playlist?list=LIST |
| channel/UC...[/tab], feeds/videos.xml?channel_id=, a bare UC... | `yt:c:UC...[/tab]` | channel/UC...[/tab] |
| @handle, c/name, user/name, /name [/tab] | `yt:a:@handle[/tab]`, lower case | the same |
| other sites, when they are allowed | `url:` and the address | the address |

Finding the channel of an alias takes one request (youtube/listing.py); `channel_of` then returns the alias's target.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.models import is_mix
from youtube_download_coordinator.sources.copied_text import ONE_ADDRESS, address_in
from youtube_download_coordinator.sources.copied_text import quote_for_message as _shown
from youtube_download_coordinator.sources.redirects import redirect_target
from youtube_download_coordinator.text import truncate

SMUGGLE = "#__youtubedl_smuggle="
"""The suffix in which yt-dlp passes data to itself: kept in the URL, left out of the key."""


class Kind(StrEnum):
    """A kind of page to which an address leads."""

    VIDEO = "video"
    PLAYLIST = "playlist"
    CHANNEL = "channel"
    ALIAS = "alias"
    """The name of a channel whose ID is not known yet."""
    OTHER = "other"
    """An address of another site: a page, a feed or a video."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address: `key` to compare, `url` for yt-dlp."""

    kind: Kind
    key: str
    url: str

    @property
    def is_whole_channel(self) -> bool:
        """Return whether the target is a channel with all its tabs."""
        return self.kind in (Kind.CHANNEL, Kind.ALIAS) and not self.tab

    @property
    def tab(self) -> str:
        """Return the tab if the target is a tab of a channel (`videos`, `shorts`), otherwise an empty text."""
        return self.key[prefix.end() :] if (prefix := _KEY_WITH_TAB.match(self.key)) else ""

    @property
    def is_mix(self) -> bool:
        """Return whether the target is a mix, an endless list that YouTube generates."""
        return is_mix(self.key)


_KEY_WITH_TAB = re.compile(r"yt:[ac]:(?:c/|user/)?+[^/]+/")


def source_target(text: str, *, allow_other_sites: bool = False) -> Target:
    """Parse the address of a source: a channel, a playlist or a video. For watch?v=&list=, return the list.

    Raises BadUrl with one line about the mistake and its correction.
    """
    return _target(text, prefer_list=True, allow_other_sites=allow_other_sites)


def video_target(text: str, *, allow_other_sites: bool = False) -> Target:
    """Parse the address of one video. For watch?v=&list=, return the video.

    Raises BadUrl, also for a playlist or a channel.
    """
    target = _target(text, prefer_list=False, allow_other_sites=allow_other_sites)
    if target.kind not in (Kind.VIDEO, Kind.OTHER):
        raise BadUrl(f"{_shown(text)} is a {_KIND_NAMES[target.kind]}, not a video: add it as a source")
    return target


def channel_of(alias: Target, channel_id: str) -> Target | None:
    """Return the channel of an alias from the channel ID that YouTube returned, or None if that is not a channel ID."""
    return _channel(channel_id, alias.tab) if _CHANNEL_ID.match(channel_id) else None


_KIND_NAMES = {Kind.PLAYLIST: "playlist", Kind.CHANNEL: "channel", Kind.ALIAS: "channel"}


def _target(text: str, *, prefer_list: bool, allow_other_sites: bool) -> Target:
    if plain := _PLAIN_VIDEO.fullmatch(text):  # fast path for most addresses of a queue
        return _video(plain[1])
    clean = address_in(text)
    try:
        return _parse(clean, prefer_list=prefer_list, allow_other_sites=allow_other_sites)
    except BadUrl as problem:
        if ONE_ADDRESS in str(problem) or not _SEPARATOR.search(clean):
            raise
        raise BadUrl(f"{problem}; {ONE_ADDRESS}") from None


def _parse(clean: str, *, prefer_list: bool, allow_other_sites: bool, redirects: int = 0) -> Target:
    if bare := _bare(clean):
        return bare
    smuggled = clean.partition(SMUGGLE)[2]
    split = _split(clean.partition(SMUGGLE)[0])
    if inner := redirect_target(_host(split), split) or _youtube_redirect(clean, split):
        if redirects == REDIRECTS_MAX or not re.match(r"https?:|//|/", inner, re.IGNORECASE):
            raise BadUrl(f"{_shown(clean)}: {_LEADS_NOWHERE}")
        inner = address_in(f"https://www.youtube.com{inner}" if re.match(r"/(?!/)", inner) else inner)
        return _parse(inner, prefer_list=prefer_list, allow_other_sites=allow_other_sites, redirects=redirects + 1)
    if _host(split) in _YOUTUBE_HOSTS:
        return _Address(clean, split, prefer_list).target()
    if _host(split).endswith(".youtube.com"):
        raise BadUrl(f"{_shown(clean)}: {_host(split)} has no videos to list; give the address on www.youtube.com")
    if not allow_other_sites:
        raise BadUrl(
            f"{_shown(clean)}: {_host(split)} is not YouTube; other sites need allow_other_sites (YDC_ALLOW_OTHER_SITES=true)"
        )
    return _other(split, smuggled)


def _youtube_redirect(clean: str, split: SplitResult) -> str:
    """Return the target of a YouTube address that only redirects, otherwise an empty text."""
    if _host(split) not in _YOUTUBE_HOSTS:
        return ""
    word = split.path.strip("/").lower()
    if word not in _REDIRECTS or (word == "signin" and "next=" not in split.query):
        return ""
    inner = _query_of(split.query).get(_REDIRECTS[word], "")
    if not inner:
        raise BadUrl(f"{_shown(clean)}: it is empty: {_LEADS_NOWHERE}")
    try:
        host = "www.youtube.com" if re.match(r"/(?!/)", inner) else _host(_split(address_in(inner)))
    except BadUrl:
        host = ""
    if host not in _YOUTUBE_HOSTS:
        raise BadUrl(f"{_shown(clean)}: {_LEADS_NOWHERE}")
    return inner


# -- shared by all addresses

REDIRECTS_MAX = 3
"""The maximum number of redirects from one address to the next."""
_LEADS_NOWHERE = "this does not lead to a page on YouTube; give the address it leads to"
_SEPARATOR = re.compile(r"[,;|\t]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:[/?#]|$))")


def _split(clean: str) -> SplitResult:
    """Split an http address; a missing scheme means https. Raises BadUrl."""
    scheme = _SCHEME.match(clean)
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise BadUrl(f"{_shown(clean)}: {scheme[1]}: is never accepted; give an https:// address")
    rest = re.sub(r"^(?:https?:)?//", "", clean, flags=re.IGNORECASE)
    if scheme and rest == clean:
        raise BadUrl(f"{_shown(clean)} is not an address: two slashes are missing after {scheme[0]}")
    try:
        split = urlsplit(f"{scheme[1].lower() if scheme else 'https'}://{rest}")
        port = split.port
    except ValueError as error:
        raise BadUrl(f"{_shown(clean)} is not an address: {truncate(str(error), 80)}") from None
    if port == 0:
        raise BadUrl(f"{_shown(clean)} is not an address: there is no port 0")
    _check_host(clean, split)
    return split


_HOST = re.compile(r"(?=.{1,253}\Z)(?:localhost|[a-z0-9_-]+(?:\.[a-z0-9_-]+)+)\.?\Z|[0-9a-f.]*:[0-9a-f:.]+\Z")


def _check_host(clean: str, split: SplitResult) -> None:
    """Raise BadUrl for misleading hosts."""
    host = split.hostname or ""
    if "@" in split.netloc:
        raise BadUrl(
            "an address with a user name or a password is not accepted: remove the part before the @ of the host"
        )
    if not host.isascii():
        raise BadUrl(f"{_shown(clean)}: {host!a} is not written in plain letters and may not be what it looks like")
    if not _HOST.match(host):
        raise BadUrl(f"{_shown(clean)} is neither an address nor a YouTube ID")


def _host(split: SplitResult) -> str:
    return (split.hostname or "").removesuffix(".")


# -- YouTube

_YOUTUBE_HOSTS = frozenset(
    f"{prefix}{name}"
    for name in ("youtube.com", "youtube-nocookie.com", "youtubekids.com", "youtubeeducation.com", "youtu.be")
    for prefix in ("", "www.", "m.", "music.", "gaming.", "consent.")
)
_SHORT_HOSTS = frozenset(host for host in _YOUTUBE_HOSTS if host.endswith("youtu.be"))
_VIDEO_ID = re.compile(r"([A-Za-z0-9_-]{11})(?:[?&#/].*)?\s*", re.DOTALL)
"""Only another part of an address may follow the ID. In `ID,y`, the rest is text, which must not be lost."""
_LIST_ID = re.compile(r"[A-Za-z0-9_-]{3,100}\Z")
_PLAIN_VIDEO = re.compile(r"https://www\.youtube\.com/watch\?v=([A-Za-z0-9_-]{11})")
_TEMPORARY_LIST = re.compile(r"TL(?:PQ|GG)")
"""Temporary lists that YouTube creates while somebody is watching."""
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}\Z")
_BARE_LIST_ID = re.compile(r"(?:VL)?(?:PL|UU|FL|EC|RD|OLAK5uy_)[A-Za-z0-9_-]{10,98}\Z")
_NAME_CHARACTERS = frozenset("_-.·・")
"""Characters of a channel's name in addition to letters, marks and digits of any script."""
NAME_MAX_CHARACTERS = 100

_TABS = frozenset(("videos", "streams", "shorts", "live", "playlists", "releases", "podcasts", "courses"))
_ROOT_TABS = frozenset(("featured", "home", "about", "null"))
"""Tabs in a browser's address bar that mean the whole channel."""
_PRIVATE_LISTS = {
    "WL": "Watch Later", "LL": "the liked videos", "LM": "the liked music", "HL": "the history", "RDMM": "My Mix",
}  # fmt: skip
_REFUSED = {
    "hashtag": "a hashtag page changes all the time; give channels or playlists",
    "results": "a search changes all the time; give channels or playlists",
    "search": "a search changes all the time; give channels or playlists",
    "feed": "a personal feed cannot be listed; give channels or playlists",
    "post": "a post is not a video; give the video's own address",
    "clip": "a clip is a part of a video; give the video's own address",
    "watch_videos": "this list is made up in the address; give its videos one by one, or a playlist",
}
_REDIRECTS = {"attribution_link": "u", "redirect": "q", "signin": "next", "oembed": "url"}
"""Pages that only redirect, with the parameter that contains the target."""
_COPIED_PARAMETERS = frozenset((
    "si", "index", "feature", "start_radio", "app", "pp", "t", "start", "end", "ab_channel", "is", "view", "sort", "flow",
    "shelf_id", "sub_confirmation", "view_as", "list", "playnext", "time_continue", "autoplay", "lc", "hl", "gl", "fbclid", "bp",
))  # fmt: skip
"""Parameters that YouTube adds. It writes commas in them as %2C, so a plain comma begins another field."""
_HIGHLIGHT = ":~:"
"""The start of a fragment that a browser has added to highlight words of the page, separated by commas."""
_NOT_A_NAME = frozenset((
    "w", "shared", "trending", "explore", "oembed", "get_video_info", "iframe_api", "s", "source", "storefront", "oops", "index",
    "account", "t", "upload", "signin", "logout", "about", "premium", "gaming", "movies", "shows", "sports", "ads", "creators",
    "intl", "kids", "redeem", "howyoutubeworks", "img", "vi", "robots.txt", "api", "yt", "youtubei", "logos", "live_chat",
    "verify_age", "verify_controversy", "das_captcha", "sorry", "details", "tv",
))  # fmt: skip
"""Pages of YouTube that look like a bare channel name."""


def _bare(clean: str) -> Target | None:
    """Parse an ID or a handle without an address. Return None for any other text."""
    if re.fullmatch(r"[A-Za-z0-9_-]{11}", clean):
        return _video(clean)
    if _CHANNEL_ID.match(clean):
        return _channel(clean, "")
    if _BARE_LIST_ID.match(clean) or clean in _PRIVATE_LISTS:
        return _playlist(clean, "", clean)
    if clean.startswith("@") and clean.count("@") == 1:
        return _Address(clean, urlsplit(f"https://www.youtube.com/{clean}"), prefer_list=True).target()
    return None


def _video(video_id: str) -> Target:
    return Target(Kind.VIDEO, f"yt:v:{video_id}", f"https://www.youtube.com/watch?v={video_id}")


def _channel(channel_id: str, tab: str) -> Target:
    path = f"{channel_id}/{tab}" if tab else channel_id
    return Target(Kind.CHANNEL, f"yt:c:{path}", f"https://www.youtube.com/channel/{path}")


def _playlist(list_id: str, video_id: str, text: str) -> Target:
    list_id = re.sub(r"\AVL(?=PL|UU|FL|EC|RD|OLAK5uy_)", "", re.split(r"[?&#/\s]", list_id, maxsplit=1)[0])
    if _TEMPORARY_LIST.match(list_id):
        raise BadUrl(
            f"{_shown(text)}: a list of what somebody is watching does not last; give its videos, or a playlist"
        )
    if not _LIST_ID.match(list_id) and list_id not in _PRIVATE_LISTS:
        raise BadUrl(f"{_shown(text)}: {_shown(list_id)} is not a playlist ID")
    private = next((name for known, name in _PRIVATE_LISTS.items() if list_id == known), None)
    if private or list_id.startswith("RDMM"):
        raise BadUrl(
            f"{_shown(text)}: {private or 'My Mix'} is private to its owner; copy it to a playlist and give that"
        )
    return Target(Kind.PLAYLIST, f"yt:p:{list_id}", _playlist_url(list_id, video_id))


def _playlist_url(list_id: str, video_id: str) -> str:
    """Return the URL of a list. A mix has no page and is opened with a video, usually the one at the end of its ID."""
    if not list_id.startswith("RD") or list_id.startswith("RDCLAK5uy_"):
        return f"https://www.youtube.com/playlist?list={list_id}"
    seed = re.fullmatch(r"RD(?:AMVM|GMEM|QM)?([A-Za-z0-9_-]{11})", list_id)
    first_video = seed[1] if seed else video_id
    return (
        f"https://www.youtube.com/watch?v={first_video}&list={list_id}"
        if first_video
        else f"https://www.youtube.com/playlist?list={list_id}"
    )


class _Address:
    """The parts of an address on YouTube."""

    def __init__(self, text: str, split: SplitResult, prefer_list: bool) -> None:
        self._text = text
        if not split.path.strip("/") and split.fragment.startswith("/"):  # the old form of YouTube's mobile pages
            split = urlsplit(f"https://{_host(split)}{split.fragment}")
        # If the question mark is missing or encoded, the query is in the path.
        path, mark, query = re.sub("%3f", "?", split.path.replace("&", "?", 1), flags=re.IGNORECASE).partition("?")
        self._fragment = "" if split.fragment.startswith(_HIGHLIGHT) else split.fragment
        self._raw_query = f"{unquote(query)}&{split.query}" if mark else split.query
        self._parts = [part for part in map(unquote, path.split("/")) if part]
        self._query = _query_of(self._raw_query)
        self._short = _host(split) in _SHORT_HOSTS
        self._prefer_list = prefer_list

    def target(self) -> Target:
        self._check_parameters()
        word = self._part(0).lower()
        if self._short and word not in ("watch", "playlist"):
            return self._video_or_list(self._part(0))
        if word in _REFUSED:
            raise self._bad(_REFUSED[word])
        route = _ROUTES.get(word)
        return route(self) if route else self._alias(0, "")

    def _part(self, index: int) -> str:
        return self._parts[index] if index < len(self._parts) else ""

    def _bad(self, reason: str) -> BadUrl:
        return BadUrl(f"{_shown(self._text)}: {reason}")

    def _check_parameters(self) -> None:
        """Raise BadUrl for text after the address, which would be lost: `watch?v=ID&t=3,pt-BR,interview`."""
        for part in (*self._raw_query.replace("&amp;", "&").split("&"), self._fragment):
            name, _, text = part.partition("=")
            behind = text if name.lower() in _COPIED_PARAMETERS else name
            if _SEPARATOR.search(behind) and not re.fullmatch(r"\d+,\d+", behind):
                raise self._bad(f"there is text after the address: {ONE_ADDRESS}")

    # -- videos and lists

    def _video_or_list(self, video: str) -> Target:
        """Return the video or the list in which it was opened, whichever the caller prefers."""
        listed, video_id = self._query.get("list", ""), _VIDEO_ID.fullmatch(video)
        if _TEMPORARY_LIST.match(listed):
            listed = ""
        if listed and (self._prefer_list or not video):
            return _playlist(listed, video_id[1] if video_id else "", self._text)
        if video_id:
            return _video(video_id[1])
        raise self._bad(f"{_shown(video)} is not a video ID of 11 characters" if video else "it contains no video ID")

    def _watch(self) -> Target:
        return self._video_or_list(self._query.get("v", "") or self._part(1))

    def _second_part(self) -> Target:
        return self._video_or_list(self._part(1))

    def _front_page(self) -> Target:
        if "v" in self._query or "list" in self._query:
            return self._watch()
        raise self._bad("this is YouTube's front page; give a channel, a playlist or a video")

    def _playlist(self) -> Target:
        listed = self._query.get("list", "") or self._query.get("p", "")
        if not listed:
            raise self._bad("it contains no list=")
        return _playlist(listed, self._query.get("v", ""), self._text)

    def _embed(self) -> Target:
        if self._part(1) == "videoseries":
            return self._playlist()
        if self._part(1) == "live_stream":
            return self._channel_tab(self._query.get("channel", ""), "live")
        return self._video_or_list(self._part(1))

    def _browse(self) -> Target:
        item = self._part(1)
        if item.startswith("VL"):
            return _playlist(item[2:], "", self._text)
        if item.startswith("UC"):
            return self._channel_tab(item, "")
        raise self._bad(
            "this page of YouTube Music has a different kind of ID; give its list=OLAK5uy_... or its channel"
        )

    # -- channels

    def _channel(self) -> Target:
        return self._channel_tab(self._part(1), self._tab(2))

    def _channel_tab(self, channel_id: str, tab: str) -> Target:
        if not _CHANNEL_ID.match(channel_id):
            raise self._bad(f"{_shown(channel_id)} is not a channel ID (UC and 22 characters)")
        return _channel(channel_id, tab)

    def _feeds(self) -> Target:
        if channel_id := self._query.get("channel_id"):
            return self._channel_tab(channel_id, "")
        if listed := self._query.get("playlist_id"):
            return _playlist(listed, "", self._text)
        self._parts = ["user", self._query.get("user", "")]
        return self._alias(1, "user/")

    def _c(self) -> Target:
        return self._alias(1, "c/")

    def _user(self) -> Target:
        return self._alias(1, "user/")

    def _alias(self, index: int, prefix: str) -> Target:
        name = unicodedata.normalize("NFC", self._part(index))
        if "v" in self._query and not prefix and not name.startswith("@"):
            return self._watch()  # any other page with a video
        self._check_name(name.removeprefix("@") if not prefix else name, prefix)
        path = prefix + name
        tab = self._tab(index + 1)
        after = f"/{tab}" if tab else ""
        return Target(
            Kind.ALIAS, f"yt:a:{path.lower()}{after}", f"https://www.youtube.com/{quote(path, safe='/@')}{after}"
        )

    def _check_name(self, name: str, prefix: str) -> None:
        is_written_right = all(map(_is_in_names, name)) and 0 < len(name) <= NAME_MAX_CHARACTERS
        if not is_written_right or (not prefix and name.lower() in _NOT_A_NAME):
            raise self._bad("it contains no channel, playlist or video")

    def _tab(self, index: int) -> str:
        tab = self._part(index).lower()
        if tab in _ROOT_TABS:
            return ""
        if tab and tab not in _TABS:
            raise self._bad(f"the tab {_shown(tab)} has no videos to list; known are {', '.join(sorted(_TABS))}")
        return tab


def _is_in_names(character: str) -> bool:
    """Return whether a character may be in a channel's name."""
    return unicodedata.category(character)[0] in "LMN" or character in _NAME_CHARACTERS


def _query_of(query: str) -> dict[str, str]:
    """Return the parameters by name. If a parameter occurs twice, use the first."""
    return dict(reversed(parse_qsl(query.replace("&amp;", "&"))))


_ROUTES: dict[str, Callable[[_Address], Target]] = {
    "": _Address._front_page,
    "watch": _Address._watch,
    "watch_popup": _Address._watch,
    "v": _Address._second_part,
    "e": _Address._second_part,
    "shorts": _Address._second_part,
    "live": _Address._second_part,
    "embed": _Address._embed,
    "playlist": _Address._playlist,
    "view_play_list": _Address._playlist,
    "browse": _Address._browse,
    "channel": _Address._channel,
    "c": _Address._c,
    "user": _Address._user,
    "feeds": _Address._feeds,
}


# -- other sites

_SAFE = "/%:@!$&'()*+,;=~-._"


def _other(split: SplitResult, smuggled: str) -> Target:
    """Return another site's address in canonical form: https://HOST[:PORT]/path?query."""
    host = f"[{_host(split)}]" if ":" in _host(split) else _host(split)
    default_port = {"http": 80, "https": 443}[split.scheme]
    port = f":{split.port}" if split.port and split.port != default_port else ""
    query = f"?{quote(split.query, safe=_SAFE + '?')}" if split.query else ""
    url = f"{split.scheme}://{host}{port}{quote(split.path, safe=_SAFE) or '/'}{query}"
    suffix = SMUGGLE + quote(smuggled, safe=_SAFE) if smuggled else ""
    return Target(Kind.OTHER, f"url:{url}", url + suffix)
