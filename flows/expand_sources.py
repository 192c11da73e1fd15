"""List the videos of every source that is due."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message
from tasks.forms import MaxMinutes
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_due


@flow(name="expand-sources", flow_run_name="expand sources", persist_result=False)
@fail_with_message
def expand_sources(max_minutes: MaxMinutes = None) -> State[Any]:
    """List every source that is due, one after the other, and insert the videos that are new.

    Args:
        max_minutes: Begin no listing after this time; one that runs then is finished. None: until no source is due.
    """
    ours = coordinator()
    expansions = expand_due(ours.queue, ours.config, max_minutes and max_minutes * 60)
    if expansions:
        report_expansions(expansions)
    elif closed := ours.queue.admission.blocked():
        return skipped(closed.why, expansions)
    failed = sum(expansion.failure is not None for expansion in expansions)
    new = sum(expansion.new for expansion in expansions)
    return finished(
        f"{len(expansions)} sources listed, {failed} failed, {new} new videos", failed=bool(failed), data=expansions
    )
