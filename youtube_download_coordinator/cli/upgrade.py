"""`ydc upgrade-yt-dlp`: install a newer yt-dlp, which YouTube's changes require every few weeks."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import REPAIR, app
from youtube_download_coordinator.cli.terminal import say


@app.command(name="upgrade-yt-dlp", group=REPAIR)
def upgrade_yt_dlp(
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    version: str = "",
) -> int:
    """Install the newest yt-dlp into this environment, while workers keep running.

    The yt-dlp-ejs that it requires is installed too. Both are downloaded first. During the installation, which takes seconds, no
    attempt starts. If the new version cannot be imported, the previous one is installed again. Running workers use the new
    version from their next attempt on.

    ```
    ydc upgrade-yt-dlp
    ydc upgrade-yt-dlp --check
    ydc upgrade-yt-dlp --version 2026.10.26
    ```

    Parameters
    ----------
    check
        Print whether there is a newer version, and install nothing.
    version
        Install this version. It may be older than the installed one.
    """
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.operations.package_index import describe, release
    from youtube_download_coordinator.operations.upgrade_yt_dlp import upgrade

    if check:
        say(describe(release(version)))
        return 0
    for line in upgrade(Config().state_dir, version):
        say(line)
    return 0
