"""`python -m youtube_download_coordinator` is `ydc`."""

from youtube_download_coordinator.cli import main

main()
