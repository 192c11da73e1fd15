"""List the videos of every source that is due."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, mistakes_in_one_line
from tasks.reports import finished, report_expansions
from tasks.sources import expand_due


@flow(name="expand-sources", flow_run_name="expand sources")
@mistakes_in_one_line
def expand_sources() -> State[Any]:
    """List every source that is due, one after the other, and insert the videos that are new."""
    ours = coordinator()
    expansions = expand_due(ours.queue, ours.config)
    if expansions:
        report_expansions(expansions)
    failed = sum(expansion.failure is not None for expansion in expansions)
    new = sum(expansion.new for expansion in expansions)
    return finished(
        f"{len(expansions)} sources listed, {failed} failed, {new} new videos", failed=bool(failed), data=expansions
    )
