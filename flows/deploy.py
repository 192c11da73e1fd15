"""Register everything with a Prefect server: `ydc deploy`, or `python -m flows.deploy` in a checkout.

It is safe to repeat: existing objects are updated, except for a work pool, which an operator may have changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml
from prefect.settings import get_current_settings

CHECKOUT = Path(__file__).resolve().parents[1]
PREFECT = (str(Path(sys.executable).with_name("prefect")), "--no-prompt")


def main() -> None:
    """Run every step. Exit with one line when a step fails, usually because the server does not answer."""
    # Prefect would start a temporary server for each step, which no worker would find.
    if not get_current_settings().api.url:
        sys.exit(
            "no Prefect server is named: set PREFECT_API_URL, "
            "to http://127.0.0.1:4200/api where `prefect server start` runs on this machine"
        )
    _register("the block type", *PREFECT, "block", "register", "--module", "youtube_download_coordinator.prefect.block")
    for pool in _work_pools():
        if _run(*PREFECT, "work-pool", "inspect", pool).returncode:
            _register(f"the work pool {pool}", *PREFECT, "work-pool", "create", pool, "--type", "process")
    _register("the deployments", *PREFECT, "deploy", "--all")
    _register("the automations", sys.executable, "-m", "tasks.automations")
    print(
        "start a worker on each machine: " + " ".join(f"prefect worker start --pool {pool}" for pool in _work_pools())
    )


def _work_pools() -> list[str]:
    """Return the work pools of the deployments in prefect.yaml."""
    content = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    return sorted({deployment["work_pool"]["name"] for deployment in content["deployments"]})


def _register(what: str, *command: str) -> None:
    completed = _run(*command)
    if completed.returncode:
        lines = reversed((completed.stdout + completed.stderr).splitlines())
        problem = next((line.strip() for line in lines if line.strip(" │╰╯─")), "no reason was given")
        sys.exit(f"{what} cannot be registered: {problem}")
    print(f"{what}: registered", flush=True)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PWD": str(CHECKOUT)}  # prefect.yaml uses it, as a shell sets it
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
