"""Network options of yt-dlp, for listing and for processing.

They are passed to a child process as JSON on its standard input, so that a proxy's password is neither in a command line nor in a
`repr`.
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
    """The longest silence on a connection; yt-dlp's default."""
    proxy: str = field(default="", repr=False)
    cookies_file: str = ""
    cookies_when_needed: bool = False
    """Whether requests are first made without cookies; see `cookies_after`."""
    rate_limit_bytes_per_second: int | None = None
    yt_dlp_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    state_dir: str = ""
    """The folder of the lock between imports of yt-dlp and its upgrade. Empty: no lock."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def guard_this_process(self) -> None:
        """Permanently block this child process from the worker's own network, except for a configured token provider.

        Without `allow_other_sites` this does nothing, because YouTube does not lead there.
        """
        if self.allow_other_sites and not self.allow_private_addresses:
            provider = provider_url(self.yt_dlp_options)
            block_private_addresses(self.proxy, [provider] if provider else [])

    def cookies_after(self, error: AttemptError) -> Network | None:
        """Return the network with cookies if they may prevent the failure of a request without them, or None."""
        if error.reason not in CURED_BY_COOKIES or not (self.cookies_file and self.cookies_when_needed):
            return None
        _log.info("trying again with cookies: %s", error)
        return replace(self, cookies_when_needed=False)

    def youtube_dl(self, options: Mapping[str, Any], keeper: MessageKeeper) -> Any:
        """Return a YoutubeDL with these options, the options of the network, and the operator's options.

        Raises UnfitError if yt-dlp does not accept them, or if the file of cookies cannot be used.
        """
        all_options = self._options(options)
        with importing(self.state_dir), _without_working_directory():
            from yt_dlp import YoutubeDL  # takes a quarter of a second, which is saved if the file already exists

            try:
                ydl = YoutubeDL(all_options | {"logger": keeper})
            except Exception as error:  # noqa: BLE001  a format that cannot be parsed, an address that is malformed
                text = without_logins(f"{type(error).__name__}: {error}")
                raise UnfitError(f"yt-dlp does not accept its options: {text}", reason="yt-dlp-options") from None
            # Import now the last modules that yt-dlp would import on first use.
            extractor = ydl.get_info_extractor("Youtube")
        if refuse := getattr(extractor, "raise_geo_restricted", None):  # another version of yt-dlp may not have it
            extractor.raise_geo_restricted = partial(_raise_geo_restricted, refuse)
        # ffmpeg's output is logged only here; the option `verbose` would log far too much.
        ydl.write_debug = lambda message, only_once=False: keeper.debug(message)
        return ydl

    def _options(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options. The operator's options take precedence."""
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
    """Remove the working directory from sys.path, because yt-dlp would search it for plugins and run them."""
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
    """Call yt-dlp's function with the countries in the message. If it only warns, it would not name them."""
    codes = ", ".join(countries or ())
    raise_it(f"{message} This video is available in {codes}." if codes else message, countries, **more)
