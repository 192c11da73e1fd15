"""Try dead letters again."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message, opaque
from tasks.forms import RowIds
from tasks.repairs import requeue
from tasks.reports import finished, report_counts
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator


@flow(name="requeue-dead-letters", flow_run_name=f"requeue dead letters on {host()}", persist_result=False)
@fail_with_message
def requeue_dead_letters(ids: RowIds = None) -> State[Any]:
    """Move dead letters back to the video tasks, with as many attempts as a new video has.

    Args:
        ids: The IDs of the rows; all dead letters unless given.
    """
    count: int = requeue(ids, opaque(open_coordinator().queue))
    if count:
        report_counts("requeued-dead-letters", "Dead letters that will be tried again.", {"requeued": count})
    return finished(f"{count} dead letters requeued", failed=False, data=count)
