"""Run the whole pipeline: import sources, list videos, and process them, until nothing is left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.expand_sources import expand_sources
from flows.process_videos import process_videos
from tasks.context import fail_with_message, value_of
from tasks.forms import Concurrency, MaxMinutes, MaxVideos, Processor, SourcesFile
from tasks.machine import alone_on_machine
from tasks.repairs import recover_all
from tasks.reports import COMPLETED_WITH_ERRORS, describe_counts, finished, report_ingested, report_steps
from tasks.sources import import_sources, something_is_due
from tasks.videos import check_unless_imported
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.operations import preflight
from youtube_download_coordinator.prefect.flow_run import name_with_processor, open_coordinator
from youtube_download_coordinator.prefect.run_state import wait_for_server
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits, Summary

Steps = list[tuple[str, State[Any]]]


@flow(name="coordinate", flow_run_name=name_with_processor("coordinate"), persist_result=False)
@fail_with_message
def coordinate(
    processor: Processor = None,
    sources_file: SourcesFile = None,
    max_videos: MaxVideos = None,
    max_minutes: MaxMinutes = 60,
    concurrency: Concurrency = None,
) -> State[Any]:
    """Import the sources, recover stalled rows, expand and process, until nothing is left to do or a limit is reached.

    The run is skipped if another one of its kind is running on this machine.

    Args:
        processor: A built-in processor, your own (module:attribute of a function or a Prefect task), or several, such as
            audio,subtitles,metadata. YDC_PROCESSOR unless given.
        sources_file: A text file with one source per line, URL|Accent|Type; YDC_SOURCES_FILE_PATH unless given.
        max_videos: Process at most this many videos.
        max_minutes: Start nothing after this many minutes; running attempts are finished. None: run until nothing is left.
        concurrency: Process this many videos at the same time; YDC_CONCURRENCY unless given.
    """
    coordinator = open_coordinator()
    processor = processor or coordinator.config.processor
    check_unless_imported(processor)  # fail at once instead of after an hour of listing
    preflight.require(coordinator.config, processor)
    limits = Limits(
        concurrency=concurrency or coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=max_minutes and max_minutes * 60,
    )
    return alone_on_machine(
        coordinator, "coordinate", lambda _: _coordinate(coordinator, processor, sources_file, limits), spreads=False
    )


def _coordinate(coordinator: Coordinator, processor: str, sources_file: Path | None, limits: Limits) -> State[Any]:
    steps = _prepare(coordinator, sources_file)
    summary = Summary()
    for left in coordinator.rounds(limits, summary):
        steps += _round(coordinator, processor, left, summary)
        if not all(state.is_completed() for _, state in steps):
            break
    wait_for_server()
    return _conclude(steps, summary)


def _prepare(coordinator: Coordinator, sources_file: Path | None) -> Steps:
    """Import the sources and recover stalled rows, as tasks, because a subflow takes at least a second."""
    steps: Steps = []
    if path := sources_file or coordinator.config.sources_file_path:
        ingested = import_sources(path, coordinator.queue, coordinator.config)
        report_ingested(ingested)
        steps.append(("ingest sources", finished(str(ingested), failed=ingested.failed)))
    recovered = describe_counts(recover_all(coordinator.queue))
    return [*steps, ("recover stalled", finished(recovered or "nothing was stalled", failed=False))]


def _round(coordinator: Coordinator, processor: str, left: Limits, summary: Summary) -> Steps:
    """List, then process. Skip a step that has nothing to do."""
    began = time.monotonic()
    steps: Steps = []
    wait_for_server()  # which creates the subflow
    if not left.reached and something_is_due(coordinator.queue, SOURCES):
        steps.append(("expand sources", expand_sources(max_minutes=_minutes(left), return_state=True)))
    left = left.less(0, time.monotonic() - began)
    listed = all(state.is_completed() for _, state in steps)
    if listed and not left.reached and something_is_due(coordinator.queue, VIDEO_TASKS):
        steps.append(("process videos", _process(processor, left, summary)))
    return steps


def _process(processor: str, left: Limits, summary: Summary) -> State[Any]:
    state: State[Any] = process_videos(
        processor=processor,
        max_videos=left.max_videos,
        max_minutes=_minutes(left),
        concurrency=left.concurrency,
        return_state=True,
    )
    if state.is_completed():
        summary.add(value_of(state))
    return state


def _minutes(left: Limits) -> float | None:
    return None if left.max_seconds is None else left.max_seconds / 60


def _conclude(steps: Steps, summary: Summary) -> State[Any]:
    report_steps(f"Videos: {summary}.", [(step, f"{state.name}: {state.message}") for step, state in steps])
    for step, state in steps:
        if not state.is_completed():
            return Failed(message=f"{step}: {state.message}")
    failed = any(state.name == COMPLETED_WITH_ERRORS for _, state in steps)
    return finished(str(summary), failed=failed, data=summary)
