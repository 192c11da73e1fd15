"""Extract a video: yt-dlp queries YouTube once, and all products of the attempt are made from the result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any

from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.processors.availability import check_whole, one_video
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify
from youtube_download_coordinator.youtube.network import Network

RETRIES = 3
"""The retries of one request for media, or for one fragment, within an attempt. Further attempts are counted in the row."""

_OPTIONS: Mapping[str, Any] = {
    "noplaylist": True,
    "playlist_items": "1:2",  # a second item is enough to detect a list
    "retries": RETRIES,
    "fragment_retries": RETRIES,
    "skip_unavailable_fragments": False,  # else a file with gaps is treated as complete
    "ignore_no_formats_error": True,  # else yt-dlp hides the start of a premiere; check_whole raises instead
    "overwrites": False,
    "continuedl": True,
    "fixup": "force",  # else a container is never repaired if the first attempt was interrupted before the repair
}


class VideoInfo(Mapping[str, Any]):
    """yt-dlp's information about a video, read on first use: many processors do not need it, and it may cost requests."""

    def __init__(self, load: Callable[[], Mapping[str, Any]]) -> None:
        self._load = cache(load)

    def __getitem__(self, name: str) -> Any:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        """Pickle as a dict."""
        return dict, (dict(self._load()),)


class Extraction:
    """A video's information and the YoutubeDL that downloads its files. No request is made before the first use."""

    def __init__(self, url: str, network: Network, options: Mapping[str, Any]) -> None:
        """Prepare an extraction. `options` are the options of yt-dlp that the products need; a function returns its value."""
        self._url = url
        self._network = network
        self._options = options
        self._keeper = MessageKeeper()
        self._ydl: Any = None
        self._info: Mapping[str, Any] | None = None
        self._messages: Sequence[str] = ()
        self.rights: Mapping[str, Any] = {}
        """The video's licence and training permission, for sidecars (rights.py)."""

    def __enter__(self) -> Extraction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def has_asked(self) -> bool:
        """Return whether YouTube was contacted."""
        return self._ydl is not None

    @property
    def is_extracted(self) -> bool:
        """Return whether `info` is known."""
        return self._info is not None

    @property
    def info(self) -> Mapping[str, Any]:
        """Return yt-dlp's information about the video, after checking that it can be downloaded now. Raises AttemptError."""
        return self._info if self._info is not None else self.renew()

    def sanitized_info(self) -> Mapping[str, Any]:
        """Return the information as JSON, without yt-dlp's internal fields. Raises AttemptError."""
        info = self.info
        with self.youtube_dl() as ydl:
            sanitized: Mapping[str, Any] = ydl.sanitize_info(info, remove_private_keys=True)
        return sanitized

    @property
    def messages(self) -> Sequence[str]:
        """Return the warnings and errors of yt-dlp from the extraction and the current product."""
        return self._keeper.messages

    def renew(self) -> Mapping[str, Any]:
        """Extract again, because the addresses of media expire, and return the new information.

        If that fails, keep the old information. Raises AttemptError.
        """
        self._close()
        self._keeper.clear()
        with self._translated():
            options = {name: value() if callable(value) else value for name, value in self._options.items()}
            self._ydl = self._network.youtube_dl({**_OPTIONS, **options}, self._keeper)
            info = one_video(self._ydl.extract_info(self._url, download=False))
            check_whole(info, self._keeper.messages)
        self._info, self._messages = info, self._keeper.messages
        return info

    def renew_with_cookies(self, error: AttemptError) -> bool:
        """Extract again with cookies if the error requires an account. Return whether that was done."""
        with_cookies = self._network.cookies_after(error)
        if with_cookies is None:
            return False
        self._network = with_cookies
        self.renew()
        return True

    @contextlib.contextmanager
    def youtube_dl(self) -> Iterator[Any]:
        """Yield the YoutubeDL after the extraction, to make one product with it. Its errors are translated."""
        if self._info is None:
            self.renew()
        self._keeper.restore(self._messages)  # messages of another product do not apply to this one
        with self._translated():
            yield self._ydl

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (AttemptError, MemoryError):
            raise
        except Exception as error:
            raise classify(error, self._keeper.messages) from error

    def _close(self) -> None:
        if self._ydl is not None:
            self._ydl.close()
