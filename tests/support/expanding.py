"""Sources to expand, and listings with given items."""

from __future__ import annotations

from collections.abc import Generator

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Source
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.sources.sources_file import NO_LEASE
from youtube_download_coordinator.workers.expansion import Expansion, Listing, expand_next
from youtube_download_coordinator.youtube.listing import Listed, ListedVideo

CONFIG = Config(allow_other_sites=True)
LISTED = Generator[Listed, None, None]


def add(queue: Queue, name: str = "one", **fields: object) -> Source:
    url = f"https://example.org/{name}"
    source = Source(url=url, key=f"url:{url}", lease=NO_LEASE, **fields)  # type: ignore[arg-type]
    queue.add(SOURCES, [source])
    return source


def video(number: int, title: str = "a title") -> ListedVideo:
    url = f"https://example.org/video-{number}"
    return ListedVideo(url, f"url:{url}", title, 60)


def lists(*items: Listed, then: BaseException | None = None) -> Listing:
    """Return a listing of these items, which may fail at its end."""

    def listing(source: Source, config: Config) -> LISTED:
        yield from items
        if then:
            raise then

    return listing


def expand(queue: Queue, listing: Listing) -> Expansion:
    expansion = expand_next(queue, CONFIG, listing)
    assert expansion is not None
    return expansion
