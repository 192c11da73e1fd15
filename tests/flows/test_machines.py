"""Scheduled runs on several machines: one at a time on each, and a run for each machine that has none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.states import Pending

from flows.coordinate import coordinate
from flows.expand_sources import expand_sources
from flows.process_videos import process_videos
from tests.flows.conftest import AddVideos
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator, wiring
from youtube_download_coordinator.prefect import deployment_runs
from youtube_download_coordinator.prefect.spreading import HAND_ONS, HAND_ONS_MAX

NOTHING = "tests.support.sample_processors:does_nothing"
SCHEDULED = {"processor": NOTHING, "one_per_machine": True, "concurrency": 1}


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployment(client: SyncPrefectClient) -> UUID:
    """Return a deployment of process-videos in a work pool of its own, with two workers online."""
    pool = f"pool-{uuid4()}"
    client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    for worker in ("one", "two"):
        client.send_worker_heartbeat(pool, worker, heartbeat_interval_seconds=600)
    made = process_videos.to_deployment("keep-processing", work_queue_name=None)
    return UUID(str(made.apply(work_pool_name=pool)))  # type: ignore[union-attr]


def run(client: SyncPrefectClient, deployment: UUID, hand_ons: int = 0) -> State[Any]:
    """Run the deployment in this process, as a worker's machine would."""
    created = client.create_flow_run_from_deployment(deployment, parameters=SCHEDULED, labels={HAND_ONS: hand_ons})
    run_flow(process_videos, flow_run=created, return_type="state")
    state = client.read_flow_run(created.id).state
    assert state
    return state


def waiting(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """Return the runs that wait for a worker."""
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    )
    return [each for each in runs if each.state and each.state.is_scheduled()]


@pytest.mark.parametrize(
    ("purpose", "flow", "does"),
    [
        ("process", lambda: process_videos(NOTHING, one_per_machine=True, return_state=True), "processes"),
        ("expand", lambda: expand_sources(one_per_machine=True, return_state=True), "lists"),
        ("coordinate", lambda: coordinate(NOTHING, return_state=True), "coordinates"),
    ],
)
def test_the_second_run_of_a_machine_is_skipped(
    coordinator: Coordinator, add_videos: AddVideos, purpose: str, flow: Any, does: str
) -> None:
    add_videos(1)
    with wiring.hold_machine_lock(coordinator.config, purpose) as held:
        assert held
        state = flow()
        assert (state.name, state.message) == ("Skipped", f"this machine {does} already")
        assert process_videos(NOTHING, max_minutes=1e-9, return_state=True).name == "Completed", "an operator's own"
    assert flow().name == "Completed"


def test_a_busy_machine_hands_its_run_on_until_that_is_in_vain(
    coordinator: Coordinator, client: SyncPrefectClient, deployment: UUID
) -> None:
    with wiring.hold_machine_lock(coordinator.config, "process"):
        assert run(client, deployment).message == "this machine processes already; another one is asked"
        (handed_on,) = waiting(client, deployment)
        assert (handed_on.parameters, handed_on.labels[HAND_ONS]) == (SCHEDULED, 1)
        client.delete_flow_run(handed_on.id)
        for hand_ons in (HAND_ONS_MAX, 0):  # the second one knows that the first was in vain
            assert run(client, deployment, hand_ons).message == "this machine processes already"
    assert waiting(client, deployment) == []


def test_a_run_that_leaves_work_creates_one_for_each_machine_that_has_none(
    client: SyncPrefectClient, deployment: UUID, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_CLAIM_BATCH_SIZE", "2")
    add_videos(2)
    run(client, deployment)
    assert waiting(client, deployment) == [], "it took all there was"
    add_videos(9)
    run(client, deployment)
    wait_until(lambda: len(waiting(client, deployment)) == 1)


@pytest.mark.parametrize("stuck", [False, True])
def test_runs_that_workers_took_and_never_began_take_no_place(
    coordinator: Coordinator, client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    taken = [client.create_flow_run_from_deployment(deployment, parameters=SCHEDULED) for _ in range(2)]
    for each in taken:
        client.set_flow_run_state(each.id, Pending(), force=True)
    if stuck:
        monkeypatch.setattr(deployment_runs, "STUCK", timedelta())
    with wiring.hold_machine_lock(coordinator.config, "process"):
        message = run(client, deployment).message or ""
    assert ("another one is asked" in message) is stuck
    states = [client.read_flow_run(each.id).state_name for each in taken]
    assert states == ["Pending", "Pending"], "a person's runs stay"


def test_a_scheduled_run_that_is_stuck_is_deleted(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    schedule_the_past(client, deployment, now)
    taken = min(waiting(client, deployment), key=lambda each: each.expected_start_time or now)
    client.set_flow_run_state(taken.id, Pending(), force=True)
    monkeypatch.setattr(deployment_runs, "STUCK", timedelta())
    run(client, deployment)
    with pytest.raises(ObjectNotFound):
        client.read_flow_run(taken.id)


def schedule_the_past(client: SyncPrefectClient, deployment: UUID, now: datetime) -> None:
    """Create the runs of a schedule that no worker has taken."""
    hourly = IntervalSchedule(interval=timedelta(minutes=1), anchor_date=now)
    client.create_deployment_schedules(deployment, [DeploymentScheduleCreate(schedule=hourly, active=True)])
    past = {"start_time": (now - timedelta(minutes=9)).isoformat(), "end_time": now.isoformat()}
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=past)


def test_runs_that_start_at_once_may_delete_the_same_overdue_runs(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    schedule_the_past(client, deployment, now)
    delete = SyncPrefectClient.delete_flow_run

    def delete_after_another(self: SyncPrefectClient, flow_run_id: UUID) -> None:
        delete(self, flow_run_id)
        delete(self, flow_run_id)

    monkeypatch.setattr(SyncPrefectClient, "delete_flow_run", delete_after_another)
    assert run(client, deployment).is_completed()
    limit = now - timedelta(minutes=3)
    assert not [late for late in waiting(client, deployment) if (late.expected_start_time or now) < limit]


def test_overdue_scheduled_runs_are_deleted_and_an_operators_are_not(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    now = datetime.now(UTC)
    schedule_the_past(client, deployment, now)
    own = client.create_flow_run_from_deployment(deployment)
    before = len(waiting(client, deployment))
    run(client, deployment)
    limit = now - timedelta(minutes=3)
    left = [each for each in waiting(client, deployment) if (each.expected_start_time or now) < limit]
    assert (before >= 8, left) == (True, [])
    assert own.id in {each.id for each in waiting(client, deployment)}
