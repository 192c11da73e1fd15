"""Move on what stalled workers left behind."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message
from tasks.repairs import recover_all
from tasks.reports import describe_counts, finished, report_counts


@flow(name="recover-stalled", flow_run_name="recover stalled", persist_result=False)
@fail_with_message
def recover_stalled() -> State[Any]:
    """Make claimable again what a worker claimed and did not renew, counting one attempt; carry dead rows where they belong."""
    counts = recover_all(coordinator().queue)
    if any(counts.values()):
        report_counts("recovered-rows", "What stalled workers left behind.", counts)
    return finished(describe_counts(counts) or "nothing was stalled", failed=False, data=counts)
