"""What a flow of your own needs: claim videos, process them, finish them, with settings from the worker or from a block.

    from youtube_download_coordinator.prefect import claim_videos, finish, process_video

This is the only room that imports Prefect, and no other room imports it. Its imports are absolute: the name of this folder
hides Prefect from a program whose sys.path begins with the package's folder, so child processes are started with -P.
"""

from youtube_download_coordinator.prefect.block import YoutubeCoordinator, settings_of_this_worker
from youtube_download_coordinator.prefect.flow_run import open_coordinator
from youtube_download_coordinator.prefect.steps import claim_videos, finish, process_video

__all__ = [
    "YoutubeCoordinator",
    "claim_videos",
    "finish",
    "open_coordinator",
    "process_video",
    "settings_of_this_worker",
]
