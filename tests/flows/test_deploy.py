"""`ydc deploy` again: what an operator switched off stays off, and what is set back to prefect.yaml is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows import deploy as deploying
from flows.deploy import JOB_DEFAULTS, keep_switches, remove_limits
from flows.report import report

ENTRYPOINT = "flows.report.report"
SLUG = "hourly"
TRIGGER = "a source has new videos"
CONTENT: dict[str, Any] = {
    "deployments": [
        {
            "name": "kept",
            "entrypoint": ENTRYPOINT,
            "parameters": {"processor": "audio"},
            "schedules": [{"slug": SLUG, "cron": "4 * * * *", "active": True}],
            "triggers": [{"name": TRIGGER, "enabled": True}],
        },
        {"name": "new", "entrypoint": ENTRYPOINT},
    ]
}


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)


def deploy(
    client: SyncPrefectClient,
    *,
    entrypoint: str = ENTRYPOINT,
    paused: bool = False,
    slug: str = SLUG,
    active: bool = True,
    enabled: bool = True,
    processor: str = "audio",
) -> UUID:
    """Create the deployment as an earlier `ydc deploy` and an operator left it."""
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="4 * * * *"), slug=slug, active=active)
    flow_id = client.create_flow(report)
    deployment_id = client.create_deployment(
        flow_id=flow_id,
        name="kept",
        entrypoint=entrypoint,
        paused=paused,
        schedules=[schedule],
        parameters={"processor": processor},
        enforce_parameter_schema=False,
    )
    trigger = EventTrigger(expect={"a"}, posture=Posture.Reactive, threshold=1)
    action = RunDeployment(source="selected", deployment_id=deployment_id, parameters=None, job_variables=None)
    client.create_automation(AutomationCore(name=TRIGGER, enabled=enabled, trigger=trigger, actions=[action]))
    return deployment_id


def kept(client: SyncPrefectClient) -> tuple[dict[str, Any], list[str]]:
    content = deepcopy(CONTENT)
    lines = keep_switches(content, client)
    assert content["deployments"][1] == CONTENT["deployments"][1]
    return content["deployments"][0], lines


def test_what_is_on_changes_nothing(client: SyncPrefectClient) -> None:
    deploy(client)
    assert kept(client) == (CONTENT["deployments"][0], [])


def test_what_was_switched_off_stays_off(client: SyncPrefectClient) -> None:
    deploy(client, paused=True, active=False, enabled=False)
    deployment, lines = kept(client)
    assert deployment["paused"] is True
    assert deployment["schedules"][0]["active"] is False
    assert deployment["triggers"][0]["enabled"] is False
    assert lines == [
        "kept: stays paused",
        f"kept: the schedule {SLUG} stays off",
        f"kept: the trigger '{TRIGGER}' stays off",
    ]


@pytest.mark.parametrize("active", [True, False])
def test_a_schedule_under_a_new_name_takes_over_the_switch_of_the_old(client: SyncPrefectClient, active: bool) -> None:
    deploy(client, slug="every-five-minutes", active=active)
    assert kept(client)[0]["schedules"][0]["active"] is active


def test_a_parameter_that_is_set_back_is_named(client: SyncPrefectClient) -> None:
    deploy(client, processor="metadata")
    deployment, lines = kept(client)
    assert deployment == CONTENT["deployments"][0]
    assert lines == ["kept: processor is reset from 'metadata' to 'audio'"]


def test_a_deployment_of_another_flow_is_not_ours(client: SyncPrefectClient) -> None:
    deploy(client, entrypoint="elsewhere.flow", paused=True, active=False)
    assert kept(client) == (CONTENT["deployments"][0], [])


def test_a_limit_of_an_earlier_version_is_removed(client: SyncPrefectClient) -> None:
    deployment = deploy(client)
    client.request("PATCH", "/deployments/{id}", path_params={"id": deployment}, json={"concurrency_limit": 2})
    assert client.read_deployment(deployment).global_concurrency_limit
    assert remove_limits(CONTENT, client) == ["kept: its concurrency limit is removed"]
    assert client.read_deployment(deployment).global_concurrency_limit is None
    assert remove_limits(CONTENT, client) == []


def test_a_server_that_asks_for_no_password_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = str(get_current_settings().api.url)
    monkeypatch.setattr(sys, "argv", ["flows.deploy"])
    monkeypatch.setattr(deploying, "_register", lambda what, *command: None)
    with temporary_settings({PREFECT_API_URL: address}):
        deploying.main()
    assert capsys.readouterr().err == (
        f"anybody who reaches {address} can run programs on every worker, because the server asks for no password. "
        "Set PREFECT_SERVER_API_AUTH_STRING for the server, as docs/deploy.md does\n"
    )


@pytest.mark.parametrize("pool_type", sorted(JOB_DEFAULTS))
def test_a_new_work_pool_has_our_defaults_and_an_existing_one_keeps_its_own(
    client: SyncPrefectClient, pool_type: str
) -> None:
    pool = f"new-{pool_type}"
    deploying._create_work_pool(client, pool, pool_type)
    created = client.read_work_pool(pool)
    variables = created.base_job_template["variables"]["properties"]
    assert created.type == pool_type
    assert {name: variables[name]["default"] for name in JOB_DEFAULTS[pool_type]} == JOB_DEFAULTS[pool_type]
    deploying._create_work_pool(client, pool, "process")
    assert client.read_work_pool(pool).updated == created.updated
