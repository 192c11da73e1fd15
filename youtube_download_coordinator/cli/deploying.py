"""`ydc deploy`: the flows, which are in a checkout and not in the installed package, are made known to Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.errors import UserError


@app.command(group=WORK)
def deploy() -> int:
    """Make everything known to a Prefect server.

    The block type, the work pool, every deployment with its schedule, and the automation that marks dead runs as crashed: in a
    checkout of the project, on the server that PREFECT_API_URL names. Safe to repeat.

    ```
    ydc deploy
    ```
    """
    # A process of its own: this package knows no Prefect.
    done = subprocess.run([sys.executable, "-m", "flows.deploy"], cwd=_checkout(), check=False)
    return EXIT_FAILED if done.returncode else 0


def _checkout() -> Path:
    """The nearest folder, from the working directory upwards, that has the flows."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "flows" / "deploy.py").is_file() and (folder / "prefect.yaml").is_file():
            return folder
    raise UserError(
        f"there are no flows in {str(here)!r}: call it in a checkout of the project, which has prefect.yaml"
    )
