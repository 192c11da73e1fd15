"""List and process hundreds of thousands of YouTube videos on a fleet of workers, and never one of them twice.

Names are loaded when they are first used: a processor's child process needs few of them, and starts in milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.errors import (
        AttemptError,
        BadUrl,
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

_HOMES = {
    "Config": "config",
    "Coordinator": "coordinator",
    **dict.fromkeys(("Source", "Status", "VideoTask"), "models"),
}

__all__ = [
    "AttemptError",
    "BadUrl",
    "Config",
    "ConfigError",
    "Coordinator",
    "CoordinatorError",
    "GoneError",
    "LaterError",
    "PermanentError",
    "ProcessorError",
    "Source",
    "SourcesFileError",
    "Status",
    "StoreError",
    "StoreUnavailable",
    "ThrottledError",
    "TransientError",
    "UnfitError",
    "UserError",
    "VideoTask",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
