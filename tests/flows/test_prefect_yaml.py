"""prefect.yaml against Prefect's own model, which alone would pass over a key that it does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, PrefectYamlModel, WorkPoolConfig
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.flows import load_flow_from_entrypoint
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[2]
OURS = {"definitions"}
"""Keys at the top that are for YAML's anchors alone."""
ONE_AT_A_TIME = {"coordinate", "expand-sources", "recover-stalled"}


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def deployments(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {deployment["name"]: deployment for deployment in content["deployments"]}


def unknown(keys: dict[str, Any], model: type[BaseModel]) -> set[str]:
    return set(keys) - {field.alias or name for name, field in model.model_fields.items()}


def test_prefect_takes_it(content: dict[str, Any]) -> None:
    assert PrefectYamlModel.model_validate(content).deployments


def test_every_key_is_known_to_prefect(content: dict[str, Any], deployments: dict[str, dict[str, Any]]) -> None:
    assert unknown(content, PrefectYamlModel) == OURS
    for deployment in deployments.values():
        assert not unknown(deployment, DeploymentConfig)
        assert not unknown(deployment["work_pool"], WorkPoolConfig)
        assert not unknown(deployment.get("concurrency_limit", {}), ConcurrencyLimitSpec)


def test_every_flow_has_a_deployment_of_its_name(deployments: dict[str, dict[str, Any]]) -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "flows").glob("[!_]*.py")}
    assert set(deployments) == files
    for name, deployment in deployments.items():
        flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
        assert flow.name == name
        assert deployment["description"]


def test_work_goes_to_our_pool_and_no_flow_depends_on_the_workers_output(
    deployments: dict[str, dict[str, Any]],
) -> None:
    for deployment in deployments.values():
        assert deployment["work_pool"] == {
            "name": "youtube-coordinator",
            "job_variables": {"stream_output": False},
        }


def test_late_runs_of_what_runs_alone_are_cancelled(deployments: dict[str, dict[str, Any]]) -> None:
    limits = {name: each["concurrency_limit"] for name, each in deployments.items() if "concurrency_limit" in each}
    one = {"limit": 1, "collision_strategy": ConcurrencyLimitStrategy.CANCEL_NEW.value}
    assert limits == dict.fromkeys(ONE_AT_A_TIME, one)


def test_parameters_are_described_for_the_form(deployments: dict[str, dict[str, Any]]) -> None:
    for deployment in deployments.values():
        flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
        for name, parameter in flow.parameters.properties.items():
            assert parameter.get("description"), f"{deployment['name']}: {name}"
