"""prefect.yaml against Prefect's own model, which alone would pass over a key that it does not know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, WorkPoolConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint
from pydantic import BaseModel

from flows.deploy import JOB_DEFAULTS

ROOT = Path(__file__).resolve().parents[2]
OURS = {"definitions"}
"""Keys at the top that are for YAML's anchors alone."""
SCHEDULED = {
    "ingest-sources",
    "expand-sources",
    "keep-processing",
    "recover-stalled",
    "report",
    "verify-corpus",
    "publish-manifest",
}
SWITCHED_OFF = {"verify-corpus"}
"""Schedules that an operator has to switch on."""
LONG = {"expand-sources", "keep-processing"}
"""Scheduled runs that may take longer than the time to the next one."""
SECOND_DEPLOYMENTS = {"keep-processing": "process-videos"}
"""Of a flow that has one of its own name."""


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def deployments(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {deployment["name"]: deployment for deployment in content["deployments"]}


def unknown(keys: dict[str, Any], model: type[BaseModel]) -> set[str]:
    return set(keys) - {field.alias or name for name, field in model.model_fields.items()}


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    return flow


def test_prefect_takes_it(content: dict[str, Any]) -> None:
    assert PrefectYamlModel.model_validate(content).deployments


def test_every_key_is_known_to_prefect(content: dict[str, Any], deployments: dict[str, dict[str, Any]]) -> None:
    assert unknown(content, PrefectYamlModel) == OURS
    assert content["pull"]
    for deployment in deployments.values():
        assert not unknown(deployment, DeploymentConfig)
        assert not unknown(deployment["work_pool"], WorkPoolConfig)
        for trigger in deployment.get("triggers", []):
            DeploymentEventTrigger.model_validate(trigger)
            assert not unknown(trigger, DeploymentEventTrigger)


def test_every_flow_has_a_deployment_of_its_name(deployments: dict[str, dict[str, Any]]) -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "flows").glob("[!_]*.py")}
    assert set(deployments) == files - {"deploy"} | set(SECOND_DEPLOYMENTS)  # deploy.py is no flow: it registers them
    for name, deployment in deployments.items():
        assert flow_of(deployment).name == SECOND_DEPLOYMENTS.get(name, name)
        assert deployment["description"]
        assert deployment["tags"]


def test_schedules_have_slugs_and_zones_and_begin_apart(deployments: dict[str, dict[str, Any]]) -> None:
    """The file's order is the order in which rows move on, so each begins a minute after the one before.

    keep-processing begins every minute, so that work which was just added waits no longer.
    """
    scheduled = {name: each["schedules"] for name, each in deployments.items() if "schedules" in each}
    assert set(scheduled) == SCHEDULED
    minutes = []
    for name, (schedule,) in scheduled.items():
        assert schedule["slug"]
        assert (schedule["timezone"], schedule["active"]) == ("UTC", name not in SWITCHED_OFF)
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
        minutes.append(re.split("[-/ ]", schedule["cron"])[0])
    assert minutes == ["*", "1", "*", "3", "4", "5", "6"]


def test_parameters_in_the_file_are_taken_by_their_flows(deployments: dict[str, dict[str, Any]]) -> None:
    for deployment in deployments.values():
        flow = flow_of(deployment)
        for given in (deployment, *deployment.get("schedules", []), *deployment.get("triggers", [])):
            parameters = given.get("parameters", {})
            assert set(parameters) <= set(flow.parameters.properties)
            if parameters:
                flow.validate_parameters(parameters)


def test_work_goes_to_our_pool_and_no_flow_depends_on_the_worker_or_on_a_server_that_is_there(
    deployments: dict[str, dict[str, Any]],
) -> None:
    for deployment in deployments.values():
        assert deployment["work_pool"] == {"name": "youtube-coordinator", "job_variables": JOB_DEFAULTS["process"]}
    in_containers = JOB_DEFAULTS["docker"]
    assert in_containers["env"].items() >= JOB_DEFAULTS["process"]["env"].items()


def test_no_run_depends_on_a_lease_of_prefects_server(deployments: dict[str, dict[str, Any]]) -> None:
    """A concurrency limit is such a lease: a run whose server restarts would crash."""
    assert not [name for name, deployment in deployments.items() if "concurrency_limit" in deployment]


def test_what_may_take_long_is_scheduled_once_per_machine(deployments: dict[str, dict[str, Any]]) -> None:
    for name in LONG:
        for given in (deployments[name], *deployments[name].get("triggers", [])):
            assert given["parameters"]["one_per_machine"] is True


def test_parameters_are_described_for_the_form(deployments: dict[str, dict[str, Any]]) -> None:
    for deployment in deployments.values():
        for name, parameter in flow_of(deployment).parameters.properties.items():
            assert parameter.get("description"), f"{deployment['name']}: {name}"
            assert parameter["title"] != name


def test_the_page_lists_every_deployment_and_which_have_a_schedule(deployments: dict[str, dict[str, Any]]) -> None:
    page = (ROOT / "docs/prefect.md").read_text(encoding="utf-8")
    scheduled, started = re.findall(
        r"^\*\*(?:On a schedule|When you start it):\*\*\n\n((?:\|.*\n)+)", page, re.MULTILINE
    )
    with_schedule = {name for name, deployment in deployments.items() if deployment.get("schedules")}
    assert set(re.findall(r"^\| `([\w-]+)` \|", scheduled, re.MULTILINE)) == with_schedule
    assert set(re.findall(r"^\| `([\w-]+)` \|", started, re.MULTILINE)) == deployments.keys() - with_schedule
