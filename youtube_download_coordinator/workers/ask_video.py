"""Check whether a video still exists, and read its title and licence, with one request to YouTube.

An attempt makes three requests or more: the page, and the player for two of YouTube's clients. The page alone has everything that
is needed here. If YouTube refuses the page to this address, the video is requested in the same way as by an attempt.

This module is imported in the child process: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import AttemptError, PermanentError
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.workers.request_canary import run_request

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.processes.supervisor import Emit
    from youtube_download_coordinator.youtube.network import Network

_PAGE_ALONE = {
    "player_client": ["web"],  # the only client whose answer is part of the page
    "player_skip": ["js", "configs"],
    "skip": ["hls", "dash", "translated_subs"],
}
_REDIRECTS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAnswer:
    """A video that exists."""

    title: str
    license: str
    """The licence that YouTube states; empty for its standard licence."""


def ask_video(url: str, config: Config, *, as_attempts_do: bool = False) -> VideoAnswer | Failure:
    """Request the video, with cookies if it needs an account. Return a Failure with UNFIT if the child was stopped."""
    payload = {"url": url, "network": config.network.to_json(), "as_attempts_do": as_attempts_do}
    answer = run_request(f"{__name__}:ask_in_child", payload, config, f"verify {url}")
    return answer if isinstance(answer, Failure) else VideoAnswer(**answer)


def ask_in_child(payload: Mapping[str, Any], emit: Emit) -> dict[str, str]:
    """Request the video. Raises AttemptError."""
    from youtube_download_coordinator.youtube.network import Network

    network = Network(**payload["network"])
    network.guard_this_process()
    options = {} if payload["as_attempts_do"] else {"extractor_args": {"youtube": _PAGE_ALONE}}
    try:
        return _ask(payload["url"], network, options)
    except AttemptError as error:
        with_cookies = network.cookies_after(error)
        if with_cookies is None:
            raise
    return _ask(payload["url"], with_cookies, options)


def _ask(url: str, network: Network, options: Mapping[str, Any]) -> dict[str, str]:
    from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify

    keeper = MessageKeeper()
    try:
        with network.youtube_dl({"noplaylist": True, **options}, keeper) as ydl:
            info = _extract(ydl, url)
    except (AttemptError, MemoryError):
        raise
    except Exception as error:
        raise classify(error, keeper.messages) from error
    _check_messages(keeper.messages)
    return {"title": str(info.get("title") or ""), "license": str(info.get("license") or "")}


def _extract(ydl: Any, url: str) -> Mapping[str, Any]:
    """Return the information about one video without choosing formats, because it may have none."""
    from youtube_download_coordinator.processors.availability import one_video

    for _ in range(_REDIRECTS_MAX):
        info = ydl.extract_info(url, download=False, process=False) or {}
        if "entries" in info:
            info = one_video({**info, "entries": list(islice(info["entries"], 2))})
        if info.get("_type") not in ("url", "url_transparent"):
            return dict(info)
        if info.get("ie_key") == "Youtube":  # shown instead of a video that must be bought
            raise PermanentError("only a trailer is shown", reason="needs-account")
        url = info["url"]
    raise PermanentError(f"it is redirected more than {_REDIRECTS_MAX} times", reason="unsupported-url")


def _check_messages(messages: tuple[str, ...]) -> None:
    """Raise ThrottledError if yt-dlp continued after a refused request."""
    from yt_dlp.utils import ExtractorError

    from youtube_download_coordinator.youtube.error_rules import classify

    for message in messages:
        error = classify(ExtractorError(message, expected=True))
        if error.failure.verdict is Verdict.THROTTLED:
            raise error
