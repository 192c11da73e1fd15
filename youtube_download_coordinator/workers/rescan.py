"""Looking again at lists that are newest first: only what is new at their top, page by page, until a page has nothing new.

What is new is kept back until its list was read down to what is known, and is inserted oldest first. So whatever is killed or
fails in between, what is missing still stands above what is known, and the next look finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.youtube.listing import ListedPage

Known = Callable[[Collection[str]], set[str]]
"""Of these keys, those that have a row."""


@dataclass(slots=True)
class Rescan:
    """What was seen of the list that is being read."""

    known: Known
    is_capped: bool
    """FirstVideos has cut the first listing: an unknown video below a known one is older than the cut, and not new."""
    stopped_early: bool = False
    """Whether a list was not read to its end."""
    _page: list[VideoTask] = field(default_factory=list)
    _new: list[VideoTask] = field(default_factory=list)

    def take(self, video: VideoTask) -> None:
        self._page.append(video)

    def end_of_page(self, page: ListedPage) -> list[VideoTask]:
        """Answer the listing, when it asks whether to go on; the videos that are to be inserted now."""
        if page.end == "broken":
            self._page, self._new = [], []
        if not page.answer:
            return self._taken()
        go_on = self._sift()
        page.answer(go_on)
        self.stopped_early |= not go_on
        return [] if go_on and not page.end else self._whole()

    def rest(self) -> list[VideoTask]:
        """What is left when the listing has come to its end."""
        return [*self._whole(), *self._taken()]

    def _sift(self) -> bool:
        """Keep what is new of a page; whether there may be more."""
        page = self._taken()
        known = self.known([video.key for video in page])
        last_known = max((at for at, video in enumerate(page) if video.key in known), default=len(page))
        new = [video for at, video in enumerate(page) if video.key not in known and self._may_be_new(at, last_known)]
        self._new += new
        return bool(new) and not (self.is_capped and known)

    def _may_be_new(self, at: int, last_known: int) -> bool:
        return not self.is_capped or at < last_known

    def _taken(self) -> list[VideoTask]:
        page, self._page = self._page, []
        return page

    def _whole(self) -> list[VideoTask]:
        new, self._new = self._new, []
        return new[::-1]
