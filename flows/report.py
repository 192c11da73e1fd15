"""Say how the queue stands."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message
from tasks.events import fleet_idle
from tasks.reports import finished, report_overview
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.summary import page


@flow(name="report", flow_run_name="report", persist_result=False)
@fail_with_message
def report() -> State[Any]:
    """Count the rows in each state and the reasons of failures, and say who holds what; the sheet's tab Dashboard says it too."""
    ours = coordinator()
    found = overview(ours.queue)
    written = page(found)
    report_overview(found, written, ours.config.spreadsheet_url)
    if found.is_idle:
        fleet_idle(found)
    ours.show_dashboard(written)
    videos = ", ".join(f"{number} {state}" for state, number in found.counts["videos"].items()) or "none"
    return finished(f"videos: {videos}", failed=False, data=found)
