"""What yt-dlp is told about the way to YouTube: the same for listing and for processing.

It goes into a child as JSON on its standard input: a proxy's password stands in no command line, and in no `repr`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import UnfitError
from youtube_download_coordinator.youtube.cookies import read_cookies
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, without_logins
from youtube_download_coordinator.youtube.ssrf_guard import block_private_addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """config.py has the meanings."""

    allow_other_sites: bool = False
    allow_private_addresses: bool = False
    socket_timeout_seconds: float = 20.0
    """Silence on a connection; yt-dlp's own default."""
    proxy: str = field(default="", repr=False)
    cookies_file: str = ""
    rate_limit_bytes_per_second: int | None = None
    yt_dlp_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def guard_this_process(self) -> None:
        """Keep this process, a child, out of the worker's own network for good; YouTube leads nobody there."""
        if self.allow_other_sites and not self.allow_private_addresses:
            block_private_addresses(self.proxy)

    def youtube_dl(self, own: Mapping[str, Any], keeper: MessageKeeper) -> Any:
        """A YoutubeDL with these options, ours for the network, and the person's.

        Raises UnfitError when it cannot be made of them, or there is a file of cookies that cannot be used.
        """
        from yt_dlp import YoutubeDL  # a quarter of a second, which a file that is there already does not cost

        options = self._options(own)
        try:
            ydl = YoutubeDL(options | {"logger": keeper})
        except Exception as error:  # noqa: BLE001  a format that cannot be parsed, an address that is none
            text = without_logins(f"{type(error).__name__}: {error}")
            raise UnfitError(f"yt-dlp does not take its options: {text}", reason="yt-dlp-options") from None
        # What ffmpeg printed is only told here; the option `verbose` would tell far too much else.
        ydl.write_debug = lambda message, only_once=False: keeper.debug(message)
        return ydl

    def _options(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What a person may set goes first where both may decide."""
        options = {**self._connection(), **own, **self.yt_dlp_options}
        arguments = [each.get("extractor_args", {}) for each in (own, self.yt_dlp_options)]
        if any(arguments):
            options["extractor_args"] = {
                name: {**arguments[0].get(name, {}), **arguments[1].get(name, {})}
                for each in arguments
                for name in each
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
        if self.proxy:  # without it yt-dlp heeds HTTPS_PROXY
            options["proxy"] = self.proxy
        if self.cookies_file:
            options["cookiefile"] = io.StringIO(read_cookies(Path(self.cookies_file)))
        if self.rate_limit_bytes_per_second:
            options["ratelimit"] = self.rate_limit_bytes_per_second
        return options
