"""Read back an operator's view of a run from Prefect's server, and the content of the queue."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, Log, State, TaskRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import Event
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventRelatedFilter

from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS

NEWEST_FIRST = FlowRunSort.EXPECTED_START_TIME_DESC


def run_id(state: State[Any]) -> UUID:
    """Return the ID of the flow run that ended in this state."""
    assert state.state_details.flow_run_id
    return state.state_details.flow_run_id


def flow_run(state: State[Any]) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id(state))


def subflow_runs(state: State[Any]) -> list[FlowRun]:
    parent = FlowRunFilterParentFlowRunId(any_=[run_id(state)])
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))


def task_runs(state: State[Any]) -> list[TaskRun]:
    """Return the recorded task runs of a flow run. Prefect records them shortly after they end: wait for those expected."""
    own = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run_id(state)]))
    with get_client(sync_client=True) as client:
        return client.read_task_runs(task_run_filter=own)


def task_run_names(state: State[Any]) -> set[str]:
    return {run.name for run in task_runs(state)}


def table(state: State[Any], key: str) -> list[dict[str, Any]]:
    """Return the rows of the flow run's artifact with this key, or no rows if it made none."""
    rows: list[dict[str, Any]] = json.loads(_artifacts(run_id(state)).get(key, "[]"))
    return rows


def page(state: State[Any], key: str) -> str:
    """Return the Markdown of the flow run's artifact with this key, or an empty string if it made none."""
    return _artifacts(run_id(state)).get(key, "")


def _artifacts(flow_run_id: UUID) -> dict[str | None, str]:
    own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.key: str(artifact.data) for artifact in client.read_artifacts(artifact_filter=own)}


def events(state: State[Any], prefix: str = "youtube-coordinator.") -> list[Event]:
    """Return the flow run's events with this prefix, in order. Prefect records them shortly after: wait for those expected."""
    related = EventRelatedFilter(id=[f"prefect.flow-run.{run_id(state)}"])
    own = EventFilter(event=EventNameFilter(prefix=[prefix]), related=related, order=EventOrder.ASC)
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/events/filter", json={"filter": own.model_dump(mode="json")})
    return [Event.model_validate(event) for event in answer.json()["events"]]


def logs(state: State[Any]) -> list[Log]:
    """Return the flow run's logs. Prefect sends them every few seconds: wait for those expected."""
    with get_client(sync_client=True) as client:
        return client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id(state)])))


def videos(coordinator: Coordinator) -> list[VideoTask]:
    return list(coordinator.queue.rows(VIDEO_TASKS))


def dead_letters(coordinator: Coordinator) -> list[VideoTask]:
    return list(coordinator.queue.rows(DEAD_LETTERS))


def statuses(coordinator: Coordinator) -> list[str]:
    return [video.lease.state.value for video in videos(coordinator)]
