"""Download and process large YouTube collections on several machines, without processing any video twice.

Names are loaded when they are first used, so that a processor's child process, which needs few of them, starts in milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from youtube_download_coordinator.client import Client
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.errors import (
        AttemptError,
        BadUrl,
        ClaimLost,
        ConfigError,
        CoordinatorError,
        GoneError,
        LaterError,
        PermanentError,
        ProcessorError,
        SourcesFileError,
        StoreError,
        StoreUnavailable,
        ThrottledError,
        TransientError,
        UnfitError,
        UserError,
    )
    from youtube_download_coordinator.models import Source, Status, VideoTask
    from youtube_download_coordinator.storage.opening import open_place
    from youtube_download_coordinator.workers.attempts import AttemptResult
    from youtube_download_coordinator.workers.claim_block import ClaimBlock
    from youtube_download_coordinator.workers.worker import Limits, Summary

    __version__: str

_HOMES = {
    "AttemptResult": "workers.attempts",
    "ClaimBlock": "workers.claim_block",
    "Client": "client",
    "Config": "config",
    "Coordinator": "coordinator",
    "Limits": "workers.worker",
    "Summary": "workers.worker",
    "open_place": "storage.opening",
    **dict.fromkeys(("Source", "Status", "VideoTask"), "models"),
}

__all__ = [
    "AttemptError",
    "AttemptResult",
    "BadUrl",
    "ClaimBlock",
    "ClaimLost",
    "Client",
    "Config",
    "ConfigError",
    "Coordinator",
    "CoordinatorError",
    "GoneError",
    "LaterError",
    "Limits",
    "PermanentError",
    "ProcessorError",
    "Source",
    "SourcesFileError",
    "Status",
    "StoreError",
    "StoreUnavailable",
    "Summary",
    "ThrottledError",
    "TransientError",
    "UnfitError",
    "UserError",
    "VideoTask",
    "__version__",
    "open_place",
]


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("youtube-download-coordinator")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
