"""List the videos of one source now, on demand."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import Accent, SourceUrl, Type
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_on_demand
from youtube_download_coordinator.prefect.flow_run import open_coordinator


@flow(name="expand-source", flow_run_name="expand {url}", persist_result=False)
@fail_with_message
def expand_source(url: SourceUrl, accent: Accent = "", type: Type = "") -> State[Any]:
    """Add a source unless it exists, and list it now, even if it is done or not due. Each new video gets a row.

    Args:
        url: A YouTube channel, playlist or video: https://www.youtube.com/@handle
        accent: Copied to each of its videos. An existing source keeps its own.
        type: Copied to each of its videos. An existing source keeps its own.
    """
    coordinator = open_coordinator()
    expansion = expand_on_demand(coordinator, url, accent, type)
    if expansion is None:
        block = coordinator.queue.admission.blocked()
        return skipped(f"not listed now, {block.why}" if block else "another worker lists this source now")
    report_expansions([expansion])
    return finished(str(expansion), failed=bool(expansion.failure), data=expansion)
