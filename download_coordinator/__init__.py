"""Re-export youtube_download_coordinator under the name that the first implementation's examples import."""

from youtube_download_coordinator import *  # noqa: F403
