"""List a known source again for new videos. Lists are newest first, so pages are read until one has no new video.

New videos are inserted, oldest first, only when the list was read down to a known video. So after any crash or failure, missing
videos are still above the known ones in the list, and the next rescan finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.youtube.listing import ListedPage

Known = Callable[[Collection[str]], set[str]]
"""A function that returns the keys that have a row."""


@dataclass(slots=True)
class Rescan:
    """The state of a list that is being read."""

    known: Known
    is_capped: bool
    """Whether FirstVideos limited the first listing. Then an unknown video below a known one is old, not new."""
    stopped_early: bool = False
    """Whether a list was not read to its end."""
    _page: list[VideoTask] = field(default_factory=list)
    _new: list[VideoTask] = field(default_factory=list)

    def take(self, video: VideoTask) -> None:
        self._page.append(video)

    def end_of_page(self, page: ListedPage) -> list[VideoTask]:
        """Process a page, and answer whether the listing continues. Return the videos to insert now."""
        if page.end == "broken":
            self._page, self._new = [], []
        if not page.answer:
            return self._take_page()
        go_on = self._sift()
        page.answer(go_on)
        self.stopped_early |= not go_on
        return [] if go_on and not page.end else self._take_new()

    def rest(self) -> list[VideoTask]:
        """Return the remaining videos when the listing is complete."""
        return [*self._take_new(), *self._take_page()]

    def _sift(self) -> bool:
        """Keep the new videos of a page. Return whether the next page may have more new videos."""
        page = self._take_page()
        known = self.known([video.key for video in page])
        last_known = max((index for index, video in enumerate(page) if video.key in known), default=len(page))
        candidates = page[:last_known] if self.is_capped else page
        new = [video for video in candidates if video.key not in known]
        self._new += new
        return bool(new) and not (self.is_capped and known)

    def _take_page(self) -> list[VideoTask]:
        page, self._page = self._page, []
        return page

    def _take_new(self) -> list[VideoTask]:
        new, self._new = self._new, []
        return new[::-1]
