"""Move on what stalled workers left behind."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, mistakes_in_one_line
from tasks.reports import finished, report_moved
from youtube_download_coordinator.queue import Recovered
from youtube_download_coordinator.store import SOURCES, VIDEO_TASKS


@flow(name="recover-stalled", flow_run_name="recover stalled")
@mistakes_in_one_line
def recover_stalled() -> State[Any]:
    """Make claimable again what a worker claimed and did not renew, counting one attempt; carry dead rows where they belong."""
    queue = coordinator().queue
    recovered: list[Recovered] = [queue.recover(SOURCES), queue.recover(VIDEO_TASKS)]
    counts = {
        "sources retried": recovered[0].retried,
        "videos retried": recovered[1].retried,
        "videos given up": recovered[1].given_up,
        "rows moved": recovered[1].moved,
    }
    if any(counts.values()):
        report_moved("recovered-rows", "What stalled workers left behind.", counts)
    return finished(", ".join(f"{number} {what}" for what, number in counts.items()), failed=False, data=counts)
