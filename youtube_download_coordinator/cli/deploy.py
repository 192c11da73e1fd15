"""`ydc deploy`: register the flows of a checkout with Prefect. The installed package does not contain them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.errors import UserError

WorkPoolType = Literal["docker", "process"]


@app.command(group=WORK)
def deploy(*, work_pool_type: Annotated[WorkPoolType, Parameter(show_choices=True)] = "process") -> int:
    """Register everything with a Prefect server: block type, work pool, deployments with their schedules, and automations.

    Run it in a checkout of the project, with PREFECT_API_URL set to the server's address. It is safe to repeat. Deployments,
    schedules and triggers that an operator switched off stay off; parameters are reset to those in prefect.yaml.

    ```
    ydc deploy
    ```

    Parameters
    ----------
    work_pool_type
        The type of the work pool, if it is new: each flow runs as a process on the worker's machine, or in a container.
    """
    # In another process, so that `ydc` need not import Prefect.
    command = [sys.executable, "-m", "flows.deploy", "--work-pool-type", work_pool_type]
    completed = subprocess.run(command, cwd=_checkout(), check=False)
    return EXIT_FAILED if completed.returncode else 0


def _checkout() -> Path:
    """Return the working directory or its nearest parent that contains the flows. Raises UserError."""
    working_directory = Path.cwd()
    for folder in (working_directory, *working_directory.parents):
        if (folder / "flows" / "deploy.py").is_file() and (folder / "prefect.yaml").is_file():
            return folder
    raise UserError(
        f"there are no flows in {str(working_directory)!r}: run ydc deploy in a checkout of the project, with prefect.yaml"
    )
