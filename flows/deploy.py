"""Register everything with a Prefect server: `ydc deploy`, or `python -m flows.deploy` in a checkout.

It is safe to repeat. Existing objects are updated to prefect.yaml, except for the work pool. A deployment, schedule or trigger
that an operator switched off stays off. Parameters are reset to those in prefect.yaml; a line names each one that changes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

from tasks.server import SERVER_ERRORS, describe_problem, is_open

CHECKOUT = Path(__file__).resolve().parents[1]
PREFECT = (sys.executable, "-m", "prefect", "--no-prompt")
"""The module, not the script `prefect`: the script's sys.path lacks the working directory with flows/ and tasks/."""
PAGE = 200
"""The number of deployments or automations in one response of the server."""

OPEN = (
    "anybody who reaches {address} can run programs on every worker, because the server asks for no password. "
    "Set PREFECT_SERVER_API_AUTH_STRING for the server, as docs/deploy.md does"
)
RUN_ENVIRONMENT = {"PREFECT_PLUGINS_ENABLED": "true", "PREFECT_CLIENT_MAX_RETRIES": "8"}
"""Makes a run that begins or ends while the server is down wait for it (youtube_download_coordinator/prefect/startup.py)."""
JOB_DEFAULTS: dict[str, dict[str, Any]] = {
    "process": {"stream_output": False, "env": RUN_ENVIRONMENT},
    "docker": {
        "stream_output": False,
        "image": "youtube-download-coordinator",
        "image_pull_policy": "IfNotPresent",
        "auto_remove": True,
        "mem_limit": "4g",  # for a container, which runs one flow
        # The names that compose.yaml gives: its network, and its volumes.
        "networks": ["youtube-coordinator_default"],
        "volumes": ["youtube-coordinator_media:/srv/media", "youtube-coordinator_state:/srv/state"],
        # Prefect shows these to everybody who may read its API. All other settings are in this block.
        "env": {
            **RUN_ENVIRONMENT,
            "YDC_PREFECT_BLOCK": "fleet",
            "YDC_OUTPUT_DIR": "/srv/media",
            "YDC_STATE_DIR": "/srv/state",
        },
    },
}
"""Defaults of the job variables in a new work pool, by its type.

They also apply to your own deployments: without `stream_output: false`, a flow that prints after its worker was killed fails.
"""


def main() -> None:
    """Run every step. Exit with one line if a step fails, usually because the server does not answer."""
    pool_type = _arguments().work_pool_type
    # Prefect would start a temporary server for each step, which no worker would find.
    address = get_current_settings().api.url
    if not address:
        sys.exit(
            "PREFECT_API_URL is not set: set it to the address of the Prefect server, "
            "http://127.0.0.1:4200/api where `prefect server start` runs on this machine"
        )
    content = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    pools = sorted({deployment["work_pool"]["name"] for deployment in content["deployments"]})
    try:
        if is_open(address):
            print(OPEN.format(address=address), file=sys.stderr)
        with get_client(sync_client=True) as client:
            for pool in pools:
                _create_work_pool(client, pool, pool_type)
            for line in [*keep_switches(content, client), *remove_limits(content, client)]:
                print(line)
    except SERVER_ERRORS as problem:
        sys.exit(describe_problem(address, problem))
    _register("the block type", *PREFECT, "block", "register", "--module", "youtube_download_coordinator.prefect.block")
    _deploy(content)
    _register("the automations", sys.executable, "-m", "tasks.automations")
    print("start a worker on each machine: " + " ".join(f"prefect worker start --pool {pool}" for pool in pools))


def keep_switches(content: dict[str, Any], client: SyncPrefectClient) -> list[str]:
    """Switch off in the content of a prefect.yaml everything that an operator switched off on the server.

    Return a line for each object that stays off, and for each parameter that an operator changed and that is reset.
    """
    disabled = _disabled_triggers(client)
    return [
        line
        for deployment, existing in _deployed_before(content, client)
        for line in _keep(deployment, existing, disabled)
    ]


def remove_limits(content: dict[str, Any], client: SyncPrefectClient) -> list[str]:
    """Remove concurrency limits that prefect.yaml does not contain, such as those of earlier versions. Return a line for each.

    A run whose deployment has a limit crashes when the server restarts.
    """
    lines = []
    for deployment, existing in _deployed_before(content, client):
        if existing.global_concurrency_limit and "concurrency_limit" not in deployment:
            client.request(
                "PATCH", "/deployments/{id}", path_params={"id": existing.id}, json={"concurrency_limit": None}
            )
            lines.append(f"{existing.name}: its concurrency limit is removed")
    return lines


def _deployed_before(
    content: dict[str, Any], client: SyncPrefectClient
) -> list[tuple[dict[str, Any], DeploymentResponse]]:
    """Return each declared deployment that exists on the server, with the server's copy."""
    declared = {deployment["name"]: deployment for deployment in content["deployments"]}
    return [
        (declared[existing.name], existing)
        for existing in _existing_deployments(client)
        # Another flow on this server may have a deployment with the same name.
        if existing.name in declared and existing.entrypoint == declared[existing.name]["entrypoint"]
    ]


def _keep(deployment: dict[str, Any], existing: DeploymentResponse, disabled: set[tuple[str, str]]) -> list[str]:
    name = deployment["name"]
    lines = []
    if existing.paused:
        deployment["paused"] = True
        lines.append(f"{name}: stays paused")
    active = {schedule.slug: schedule.active for schedule in existing.schedules}
    for schedule in deployment.get("schedules", []):
        # A new or renamed schedule is off if all existing schedules of the deployment are off.
        if not active.get(schedule["slug"], not active or any(active.values())):
            schedule["active"] = False
            lines.append(f"{name}: the schedule {schedule['slug']} stays off")
    for trigger in deployment.get("triggers", []):
        if (str(existing.id), trigger["name"]) in disabled:
            trigger["enabled"] = False
            lines.append(f"{name}: the trigger {trigger['name']!r} stays off")
    parameters = deployment.get("parameters", {})
    for key in sorted(parameters | existing.parameters):
        if parameters.get(key) != existing.parameters.get(key):
            lines.append(f"{name}: {key} is reset from {existing.parameters.get(key)!r} to {parameters.get(key)!r}")
    return lines


def _existing_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    deployments: list[DeploymentResponse] = []
    while page := client.read_deployments(limit=PAGE, offset=len(deployments)):
        deployments += page
    return deployments


def _disabled_triggers(client: SyncPrefectClient) -> set[tuple[str, str]]:
    """Return the disabled automations that run a deployment, each as the deployment's ID and the automation's name."""
    disabled = set()
    offset = 0
    while page := client.request("POST", "/automations/filter", json={"limit": PAGE, "offset": offset}).json():
        offset += len(page)
        for automation in page:
            if not automation["enabled"]:
                disabled |= {(action.get("deployment_id"), automation["name"]) for action in automation["actions"]}
    return disabled


def _create_work_pool(client: SyncPrefectClient, pool: str, pool_type: str) -> None:
    """Create a work pool unless it exists. An existing one is kept, because an operator may have changed it."""
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        template = asyncio.run(get_default_base_job_template_for_infrastructure_type(pool_type))
        if template is None:
            sys.exit(f"the work pool {pool} cannot be registered: Prefect does not know the type {pool_type}")
        for name, value in JOB_DEFAULTS[pool_type].items():
            template["variables"]["properties"][name]["default"] = value
        client.create_work_pool(WorkPoolCreate(name=pool, type=pool_type, base_job_template=template))
        print(f"the work pool {pool}: registered", flush=True)


def _deploy(content: dict[str, Any]) -> None:
    """Deploy the content of a prefect.yaml, from a file next to it, so that Prefect uses that folder as the project's."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(content, file, sort_keys=False)
        file.flush()
        _register("the deployments", *PREFECT, "deploy", "--all", "--prefect-file", file.name)


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description=main.__doc__)
    parser.add_argument("--work-pool-type", choices=sorted(JOB_DEFAULTS), default="process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
