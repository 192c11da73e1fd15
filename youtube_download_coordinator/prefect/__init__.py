"""Functions for your own flows: claim videos, process them and finish them, with settings from the worker or from a block.

    from youtube_download_coordinator.prefect import claim_videos, finish, process_video

This is the only package that imports Prefect, and no other package imports it. Its imports are absolute. The name of this folder
would hide Prefect from a program whose sys.path begins with the library's folder, so child processes are started with -P.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from youtube_download_coordinator.prefect.block import YoutubeCoordinator, settings_of_this_worker
    from youtube_download_coordinator.prefect.flow_run import open_coordinator
    from youtube_download_coordinator.prefect.steps import claim_videos, finish, process_video

# Imported on first use, because Prefect loads the plugin startup.py while it is itself being imported.
_HOMES = {
    "YoutubeCoordinator": "block",
    "settings_of_this_worker": "block",
    "open_coordinator": "flow_run",
    **dict.fromkeys(("claim_videos", "finish", "process_video"), "steps"),
}
"""The module of each name."""

__all__ = [
    "YoutubeCoordinator",
    "claim_videos",
    "finish",
    "open_coordinator",
    "process_video",
    "settings_of_this_worker",
]


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
