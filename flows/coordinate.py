"""All of it in order: sources in, videos listed, videos processed, until nothing is left."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import Field

from flows.expand_sources import expand_sources
from flows.ingest_sources import ingest_sources
from flows.process_videos import MAX_CONCURRENCY, process_videos
from flows.recover_stalled import recover_stalled
from tasks.context import coordinator, mistakes_in_one_line
from tasks.reports import COMPLETED_WITH_ERRORS, finished
from tasks.sources import value_of
from youtube_download_coordinator.worker import Limits, Summary


@flow(name="coordinate", flow_run_name="coordinate: {processor}")
@mistakes_in_one_line
def coordinate(
    processor: str = "audio",
    sources_file: Path | None = None,
    max_videos: Annotated[int, Field(ge=1)] | None = None,
    max_minutes: Annotated[float, Field(gt=0)] | None = 60,
    concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None = None,
) -> State[Any]:
    """Import the sources, recover what stalled, expand and process, until nothing is left to do or a limit is reached.

    Args:
        processor: download, audio, metadata, or module:attribute of your own function or Prefect task.
        sources_file: A line for each source, URL|Accent|Type; YDC_SOURCES_FILE_PATH unless it is given.
        max_videos: Claim no more than this many.
        max_minutes: Claim no video after this time; none: until nothing is left.
        concurrency: Videos processed at a time; YDC_CONCURRENCY unless it is given.
    """
    ours = coordinator()
    states: list[State[Any]] = []
    if sources_file or ours.config.sources_file_path:
        states.append(ingest_sources(sources_file, return_state=True))
    states.append(recover_stalled(return_state=True))
    limits = Limits(
        concurrency=concurrency or ours.config.concurrency,
        max_videos=max_videos,
        max_seconds=max_minutes and max_minutes * 60,
    )
    summary = Summary()
    for left in ours.rounds(limits, summary):
        states.append(expand_sources(return_state=True))
        states.append(_process(processor, left))
        if states[-1].is_completed():
            summary.add(value_of(states[-1]))
    broken = next((state for state in states if not state.is_completed()), None)
    if broken:  # said at the end: the other steps have done what they could
        return Failed(message=broken.message)
    return finished(str(summary), failed=any(state.name == COMPLETED_WITH_ERRORS for state in states), data=summary)


def _process(processor: str, left: Limits) -> State[Any]:
    max_minutes = None if left.max_seconds is None else max(left.max_seconds / 60, 0.001)
    state: State[Any] = process_videos(
        processor=processor,
        max_videos=left.max_videos,
        max_minutes=max_minutes,
        concurrency=left.concurrency,
        return_state=True,
    )
    return state
