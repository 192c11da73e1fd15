"""Request the canary (queue/canary.py): one extraction in a child process, without media and without a processor.

This module is imported in the child process: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import AttemptError, UnfitError
from youtube_download_coordinator.models import Done, Failure, Outcome

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.processes.supervisor import Emit

DEADLINE_SECONDS = 60.0
"""Attempts wait for the answer, so a slow answer counts as none."""


def request_canary(url: str, config: Config) -> Outcome:
    """Extract the video and return the outcome; UNFIT if the child process was stopped."""
    payload = {"url": url, "network": config.network.to_json()}
    answer = run_request(f"{__name__}:extract_in_child", payload, config, f"canary {url}")
    return answer if isinstance(answer, Failure) else Done()


def run_request(target: str, payload: Mapping[str, Any], config: Config, name: str) -> Any:
    """Run a request in a child process. Return its value or its Failure, which is UNFIT if the process was stopped."""
    from youtube_download_coordinator.processes import parent  # the child process does not need it

    limits = config.child_limits()
    try:
        with parent.run(target, payload, deadline_seconds=DEADLINE_SECONDS, name=name, limits=limits) as child:
            return child.result()
    except AttemptError as error:
        return error.failure
    except parent.Stopped as error:
        return UnfitError(str(error), reason="broken").failure


def extract_in_child(payload: Mapping[str, Any], emit: Emit) -> None:
    """Extract the video. Raises AttemptError."""
    from youtube_download_coordinator.processors.availability import check_whole, one_video
    from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify
    from youtube_download_coordinator.youtube.network import Network

    network, keeper = Network(**payload["network"]), MessageKeeper()
    network.guard_this_process()
    try:
        with network.youtube_dl({"noplaylist": True, "ignore_no_formats_error": True}, keeper) as ydl:
            check_whole(one_video(ydl.extract_info(payload["url"], download=False)), keeper.messages)
    except (AttemptError, MemoryError):
        raise
    except Exception as error:
        raise classify(error, keeper.messages) from error
