"""The name under which the first implementation's examples import us: everything is in youtube_download_coordinator."""

from youtube_download_coordinator import *  # noqa: F403
