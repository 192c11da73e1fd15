"""List the videos of one source now, because somebody asks for it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message
from tasks.forms import Accent, SourceUrl, Type
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_on_demand


@flow(name="expand-source", flow_run_name="expand {url}", persist_result=False)
@fail_with_message
def expand_source(url: SourceUrl, accent: Accent = "", type: Type = "") -> State[Any]:
    """Add a source if it is not known yet, and list it now, also when it is done or waits; new videos get a row each.

    Args:
        url: A channel, playlist or video of YouTube: https://www.youtube.com/@handle
        accent: Copied to each of its videos. A source that is known keeps its own.
        type: Copied to each of its videos. A source that is known keeps its own.
    """
    ours = coordinator()
    expansion = expand_on_demand(ours, url, accent, type)
    if expansion is None:
        closed = ours.queue.admission.blocked()
        return skipped(f"not listed now, {closed.why}" if closed else "another worker lists this source now")
    report_expansions([expansion])
    return finished(str(expansion), failed=bool(expansion.failure), data=expansion)
