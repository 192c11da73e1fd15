"""Find and delete other runs of the current run's deployment."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from youtube_download_coordinator.prefect.flow_run import tolerate_prefect_errors

PAGE = 200
OVERDUE = timedelta(minutes=2)
"""Scheduled runs that are overdue by more than this are deleted, because another run does their work."""

STUCK = timedelta(minutes=15)
"""A run that has not begun in this time is stuck. A worker needs less to start a process or a container."""


def delete_overdue_runs() -> None:
    """Delete the scheduled runs of this run's deployment that piled up while no worker took them, or that are stuck.

    Runs that a person started stay.
    """
    run = deployed_run()
    if run is None or run.deployment_id is None:
        return
    with tolerate_prefect_errors("the deletion of overdue runs"), get_client(sync_client=True) as client:
        overdue = runs_of(client, run.deployment_id, StateType.SCHEDULED, expected_before=now() - OVERDUE)
        pending = runs_of(client, run.deployment_id, StateType.PENDING, expected_before=now() - STUCK)
        for late in (*overdue, *filter(is_stuck, pending)):
            if late.auto_scheduled:
                with suppress(ObjectNotFound):  # a run on another machine has deleted it
                    client.delete_flow_run(late.id)


def is_stuck(run: FlowRun) -> bool:
    """Return whether a worker took the run and never began it, because the server failed before it answered the worker."""
    return bool(run.state and run.state.is_pending() and run.state.timestamp < now() - STUCK)


def deployed_run() -> FlowRun | None:
    """Return the current flow run, or None outside a run."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


def now() -> datetime:
    """Return this machine's time, for the times of runs."""
    return datetime.now(UTC)  # noqa: TID251  no lease depends on it


def runs_of(
    client: SyncPrefectClient, deployment: UUID, *states: StateType, expected_before: Any = None
) -> list[FlowRun]:
    """Return the first PAGE runs of a deployment that are in one of the states, and were expected before a time."""
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=expected_before) if expected_before else None,
    )
    return client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)
