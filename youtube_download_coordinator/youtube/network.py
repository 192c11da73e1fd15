"""What yt-dlp is given about the way to YouTube: the same for listing and for processing.

It goes into a child as JSON on its standard input. So a proxy's password is in no command line, and in no `repr`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, UnfitError
from youtube_download_coordinator.youtube.cookies import CURED_BY_COOKIES, read_cookies
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, without_logins
from youtube_download_coordinator.youtube.import_lock import importing
from youtube_download_coordinator.youtube.ssrf_guard import block_private_addresses
from youtube_download_coordinator.youtube.token_provider import provider_url

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The settings of config.py that yt-dlp needs, with their meanings there."""

    allow_other_sites: bool = False
    allow_private_addresses: bool = False
    socket_timeout_seconds: float = 20.0
    """Silence on a connection; yt-dlp's own default."""
    proxy: str = field(default="", repr=False)
    cookies_file: str = ""
    cookies_when_needed: bool = False
    """Without cookies at first; see `cookies_after`."""
    rate_limit_bytes_per_second: int | None = None
    yt_dlp_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    state_dir: str = ""
    """The folder of the lock that keeps imports of yt-dlp and its upgrade apart. Without it there is no lock."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def guard_this_process(self) -> None:
        """Keep this process, a child, out of the worker's own network for good, but for a configured token provider.

        Without `allow_other_sites` there is no guard: YouTube leads nobody there.
        """
        if self.allow_other_sites and not self.allow_private_addresses:
            provider = provider_url(self.yt_dlp_options)
            block_private_addresses(self.proxy, [provider] if provider else [])

    def cookies_after(self, error: AttemptError) -> Network | None:
        """Return the network with cookies if they may cure the failure of a request without them; otherwise None."""
        if error.reason not in CURED_BY_COOKIES or not (self.cookies_file and self.cookies_when_needed):
            return None
        _log.info("once more, with the cookies: %s", error)
        return replace(self, cookies_when_needed=False)

    def youtube_dl(self, options: Mapping[str, Any], keeper: MessageKeeper) -> Any:
        """Return a YoutubeDL with these options, those of the network, and those that the operator has set.

        Raises UnfitError when yt-dlp does not take them, or when the file of cookies cannot be used.
        """
        all_options = self._options(options)
        with importing(self.state_dir), _without_working_directory():
            from yt_dlp import YoutubeDL  # a quarter of a second, which a file that is there already does not cost

            try:
                ydl = YoutubeDL(all_options | {"logger": keeper})
            except Exception as error:  # noqa: BLE001  a format that cannot be parsed, an address that is malformed
                text = without_logins(f"{type(error).__name__}: {error}")
                raise UnfitError(f"yt-dlp does not take its options: {text}", reason="yt-dlp-options") from None
            # The last modules that yt-dlp would import at their first use.
            extractor = ydl.get_info_extractor("Youtube")
        if refuse := getattr(extractor, "raise_geo_restricted", None):  # another version of yt-dlp may have none
            extractor.raise_geo_restricted = partial(_raise_geo_restricted, refuse)
        # What ffmpeg printed is logged only here; the option `verbose` would log far too much else.
        ydl.write_debug = lambda message, only_once=False: keeper.debug(message)
        return ydl

    def _options(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options. Those of the operator take precedence where both are set."""
        options = {**self._connection(), **own, **self.yt_dlp_options}
        arguments = [part.get("extractor_args", {}) for part in (own, self.yt_dlp_options)]
        if any(arguments):
            options["extractor_args"] = {
                name: {**arguments[0].get(name, {}), **arguments[1].get(name, {})}
                for part in arguments
                for name in part
            }
        return options

    def _connection(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "quiet": True,
            "noprogress": True,
            "color": "never",
            "socket_timeout": self.socket_timeout_seconds,
        }
        if self.allow_other_sites:
            options["allowed_extractors"] = ["default"]
        else:
            options["allowed_extractors"] = ["youtube", "youtube:.*"]
        if self.proxy:  # without it yt-dlp uses HTTPS_PROXY
            options["proxy"] = self.proxy
        if self.cookies_file and not self.cookies_when_needed:
            options["cookiefile"] = io.StringIO(read_cookies(Path(self.cookies_file)))
        if self.rate_limit_bytes_per_second:
            options["ratelimit"] = self.rate_limit_bytes_per_second
        return options


@contextmanager
def _without_working_directory() -> Iterator[None]:
    """Take the working directory off sys.path, where yt-dlp looks for plugins and runs what it finds."""
    before = list(sys.path)
    sys.path[:] = [entry for entry in before if not _is_working_directory(entry)]
    try:
        yield
    finally:
        sys.path[:] = before


def _is_working_directory(folder: str) -> bool:
    try:
        return os.path.samefile(folder or ".", ".")
    except OSError:
        return False


def _raise_geo_restricted(
    raise_it: Callable[..., None], message: str, countries: Iterable[str] | None = None, **more: Any
) -> None:
    """Call yt-dlp's function with the countries in the message: it may only warn, and would not name them then."""
    codes = ", ".join(countries or ())
    raise_it(f"{message} This video is available in {codes}." if codes else message, countries, **more)
