"""Tell a Prefect server everything that it must know of us: `ydc deploy`, or `python -m flows.deploy` in a checkout.

Safe to repeat: what is there is brought up to date, and a work pool that an operator has changed stays as it is.
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
    """Ends with one line where a step fails: mostly the server does not answer."""
    # Prefect would start a server for each step, and no worker would find what was registered.
    if not get_current_settings().api.url:
        sys.exit(
            "no Prefect server is named: set PREFECT_API_URL, "
            "to http://127.0.0.1:4200/api where `prefect server start` runs on this machine"
        )
    _register("the block type", *PREFECT, "block", "register", "--module", "tasks.blocks")
    for pool in _work_pools():
        if not _is_there(pool):
            _register(f"the work pool {pool}", *PREFECT, "work-pool", "create", pool, "--type", "process")
    _register("the deployments", *PREFECT, "deploy", "--all")
    _register("the automations", sys.executable, "-m", "tasks.automations")
    print("a worker on each machine: " + " ".join(f"prefect worker start --pool {pool}" for pool in _work_pools()))


def _work_pools() -> list[str]:
    """Those that prefect.yaml speaks of."""
    content = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    return sorted({deployment["work_pool"]["name"] for deployment in content["deployments"]})


def _is_there(pool: str) -> bool:
    return _run(*PREFECT, "work-pool", "inspect", pool).returncode == 0


def _register(what: str, *command: str) -> None:
    done = _run(*command)
    if done.returncode:
        sys.exit(f"{what} cannot be registered: {_last_line(done.stdout + done.stderr)}")
    print(f"{what}: registered", flush=True)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PWD": str(CHECKOUT)}  # prefect.yaml goes by it, as a shell has it
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def _last_line(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip(" │╰╯─")), "it does not say why")


if __name__ == "__main__":
    main()
