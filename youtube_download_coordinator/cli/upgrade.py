"""`ydc upgrade-yt-dlp`: YouTube changes, and yt-dlp follows."""

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
    """Install the newest yt-dlp into this environment, while workers go on.

    With it comes the yt-dlp-ejs that it asks for. It is downloaded first; then no attempt begins until it is installed, which
    takes seconds. When it cannot be imported, the version before is installed again. Running workers use it from their next
    attempt on.

    ```
    ydc upgrade-yt-dlp
    ydc upgrade-yt-dlp --check
    ydc upgrade-yt-dlp --version 2026.10.26
    ```

    Parameters
    ----------
    check
        Say whether there is a newer one, and install nothing.
    version
        Install this version, which may be an older one.
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
