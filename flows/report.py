"""Report the state of the queue."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.reports import finished, report_overview
from youtube_download_coordinator.corpus.size_rate import size_rate
from youtube_download_coordinator.models import WORDS
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.space import space_for
from youtube_download_coordinator.operations.summary import page
from youtube_download_coordinator.prefect.events import fleet_idle
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator


@flow(name="report", flow_run_name=f"report on {host()}", persist_result=False)
@fail_with_message
def report() -> State[Any]:
    """Count the rows by state, reason, holder, accent, type and day, and update the sheet's tab Dashboard."""
    coordinator = open_coordinator()
    queue_overview = overview(coordinator.queue)
    rate = size_rate(coordinator.config) if queue_overview.left.videos else None
    dashboard = page(queue_overview, space_for(queue_overview.left, coordinator.config, rate))
    report_overview(queue_overview, dashboard, coordinator.config.spreadsheet_url)
    if queue_overview.is_idle:
        fleet_idle(queue_overview)
    coordinator.show_dashboard(dashboard)
    videos = (
        ", ".join(f"{number} {WORDS[state]}" for state, number in queue_overview.counts["videos"].items()) or "none"
    )
    return finished(f"videos: {videos}", failed=False, data=queue_overview)
