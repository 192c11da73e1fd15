"""Answers of yt-dlp's, made up, and what a listing makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.youtube.listing import Listed, ListedPage, ListedTitle, listing
from youtube_download_coordinator.youtube.network import Network

YT = "https://www.youtube.com"
UC = "UCs6nmQViDpUw0nuIx9c_WvA"


Answers = dict[str, Any]


def video(n: int | str, **more: Any) -> dict[str, Any]:
    """Return a flat entry as a channel of 2026 gives it."""
    video_id = f"{n:011d}" if isinstance(n, int) else n
    url = f"{YT}/watch?v={video_id}"
    return {"_type": "url", "ie_key": "Youtube", "id": video_id, "url": url, "title": f"Video {n}", **more}


def a_list(entries: Any, **more: Any) -> dict[str, Any]:
    return {"_type": "playlist", "id": "PLx", "title": "My list", "entries": entries, **more}


def tab(name: str) -> dict[str, Any]:
    return {"_type": "url", "ie_key": "YoutubeTab", "url": f"{YT}/channel/{UC}/{name}"}


def failing_after(entries: list[dict[str, Any]], error: Exception) -> Iterator[dict[str, Any]]:
    yield from entries
    raise error


def keys(items: list[Listed]) -> list[str]:
    return [item.key for item in items if not isinstance(item, ListedTitle | ListedPage)]


PLAYLIST = f"{YT}/playlist?list=PLx12345"


def read(url: str, **options: Any) -> tuple[list[Listed], AttemptError | None]:
    """Return all items of a listing, and the error that ended it, if any."""
    items: list[Listed] = []
    mix_max_videos = options.pop("mix_max_videos", 5)
    network = Network(**{"socket_timeout_seconds": 5} | options)
    try:
        items.extend(listing(url, network=network, mix_max_videos=mix_max_videos))
    except AttemptError as error:
        close_responses(error)
        return items, error
    return items, None


def close_responses(error: BaseException | None) -> None:
    """Close what yt-dlp leaves to the garbage collector: warnings are errors here."""
    exc_info = getattr(error, "exc_info", None)
    for link in (error, getattr(error, "__cause__", None), exc_info and exc_info[1], getattr(error, "cause", None)):
        if response := getattr(link, "response", None):
            response.close()
        if link is not error and link is not None:
            close_responses(link)
