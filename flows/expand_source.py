"""List the videos of one source now, on demand."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import Accent, FirstVideos, Kinds, MinDuration, Priority, SourceUrl, Type
from tasks.reports import finished, report_expansions, skipped
from tasks.sources import expand_on_demand
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator


@flow(name="expand-source", flow_run_name=f"expand {{url}} on {host()}", persist_result=False)
@fail_with_message
def expand_source(
    url: SourceUrl,
    accent: Accent = "",
    type: Type = "",
    first_videos: FirstVideos = None,
    kinds: Kinds = None,
    min_duration: MinDuration = "",
    priority: Priority = None,
) -> State[Any]:
    """Add a source unless it exists, and list it now, even if it is done or not due. Insert a row for each new video.

    Args:
        url: A YouTube channel, playlist or video: https://www.youtube.com/@handle
        accent: The Accent of the source and of its videos. An existing source keeps its Accent.
        type: The Type of the source and of its videos. An existing source keeps its Type.
        first_videos: Add at most this many videos, the newest first; all unless given.
        kinds: The kinds of videos to add; unless given, all except videos for members only.
        min_duration: Leave out shorter videos. Seconds (90), or a duration such as 1:30 or 1:00:00.
        priority: Videos with a higher priority are processed first; 0 unless given.
    """
    coordinator = open_coordinator()
    filters = {
        "FirstVideos": str(first_videos or ""),
        "Kinds": ",".join(kinds or ()),
        "MinDuration": min_duration,
        "Priority": "" if priority is None else str(priority),
    }
    columns = {name: text for name, text in filters.items() if text}
    expansion = expand_on_demand(coordinator, url, accent, type, columns)
    if expansion is None:
        block = coordinator.queue.admission.blocked()
        return skipped(f"not listed now, {block.why}" if block else "another worker is listing this source")
    report_expansions([expansion])
    return finished(str(expansion), failed=bool(expansion.failure), data=expansion)
