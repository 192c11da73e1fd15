"""Recover rows that stalled workers left behind."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.repairs import recover_all
from tasks.reports import describe_counts, finished, report_counts
from youtube_download_coordinator.operations.doctor import repeat_proof
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator
from youtube_download_coordinator.workers.parts_sweep import sweep_storage


@flow(name="recover-stalled", flow_run_name=f"recover stalled on {host()}", persist_result=False)
@fail_with_message
def recover_stalled() -> State[Any]:
    """Make rows whose claims expired claimable again, counting one attempt, and move dead rows to the dead letters.

    Once a day, remove files that no record names from object storage. Once a month, test the guarantees of a Google Sheet again,
    as `ydc doctor` does.
    """
    coordinator = open_coordinator()
    counts = recover_all(coordinator.queue)
    counts["unnamed files removed"] = sweep_storage(coordinator.config.output_dir)
    if any(counts.values()):
        report_counts("recovered-rows", "Rows that stalled workers left behind.", counts)
    problems = [str(finding) for finding in repeat_proof(coordinator.config, coordinator.queue.store) if not finding.ok]
    message = "; ".join([describe_counts(counts) or "nothing was stalled", *problems])
    return finished(message, failed=bool(problems), data=counts)
