"""List the videos of every source that is due."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import MaxMinutes, OnePerMachine
from tasks.machine import alone_on_machine
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_due
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator
from youtube_download_coordinator.prefect.run_state import wait_for_server


@flow(name="expand-sources", flow_run_name=f"expand sources on {host()}", persist_result=False)
@fail_with_message
def expand_sources(max_minutes: MaxMinutes = None, one_per_machine: OnePerMachine = False) -> State[Any]:
    """List each source that is due, one after the other, and insert the new videos.

    Args:
        max_minutes: Start no listing after this many minutes; a running one is finished. None: run until no source is due.
        one_per_machine: For schedules: skip the run if another one of its kind is running on this machine.
    """
    coordinator = open_coordinator()
    if not one_per_machine:
        return _expand(coordinator, max_minutes)
    return alone_on_machine(coordinator, "expand", lambda _: _expand(coordinator, max_minutes), spreads=False)


def _expand(coordinator: Coordinator, max_minutes: float | None) -> State[Any]:
    expansions = expand_due(coordinator.queue, coordinator.config, max_minutes and max_minutes * 60)
    wait_for_server()
    if expansions:
        report_expansions(expansions)
    elif block := coordinator.queue.admission.blocked():
        return skipped(block.why, expansions)
    failed = sum(expansion.failure is not None for expansion in expansions)
    new = sum(expansion.new for expansion in expansions)
    return finished(
        f"{len(expansions)} sources listed, {failed} failed, {new} new videos", failed=bool(failed), data=expansions
    )
