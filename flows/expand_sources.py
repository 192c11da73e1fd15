"""List the videos of every source that is due."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import MaxMinutes
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_due
from youtube_download_coordinator.prefect.flow_run import open_coordinator


@flow(name="expand-sources", flow_run_name="expand sources", persist_result=False)
@fail_with_message
def expand_sources(max_minutes: MaxMinutes = None) -> State[Any]:
    """List each source that is due, one after the other, and insert the new videos.

    Args:
        max_minutes: Begin no listing after this time; a running one is finished. None: until no source is due.
    """
    coordinator = open_coordinator()
    expansions = expand_due(coordinator.queue, coordinator.config, max_minutes and max_minutes * 60)
    if expansions:
        report_expansions(expansions)
    elif block := coordinator.queue.admission.blocked():
        return skipped(block.why, expansions)
    failed = sum(expansion.failure is not None for expansion in expansions)
    new = sum(expansion.new for expansion in expansions)
    return finished(
        f"{len(expansions)} sources listed, {failed} failed, {new} new videos", failed=bool(failed), data=expansions
    )
