"""Process videos that are due."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import Concurrency, MaxMinutes, MaxVideos, OnePerMachine, Processor
from tasks.machine import alone_on_machine
from tasks.reports import finished, report_videos, skipped
from tasks.videos import submit_with
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.flow_run import host, name_with_processor, open_coordinator, rename_run
from youtube_download_coordinator.prefect.progress_page import ProgressPage
from youtube_download_coordinator.prefect.run_state import wait_for_server
from youtube_download_coordinator.prefect.spreading import Spreading
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.workers.worker import Limits, Submit


@flow(name="process-videos", flow_run_name=name_with_processor("process videos"), persist_result=False)
@fail_with_message
def process_videos(
    processor: Processor = None,
    max_videos: MaxVideos = None,
    max_minutes: MaxMinutes = None,
    concurrency: Concurrency = None,
    one_per_machine: OnePerMachine = False,
) -> State[Any]:
    """Claim and process videos until none is due or a limit is reached. Release unfinished claims at the end.

    Args:
        processor: A built-in processor, your own (module:attribute of a function or a Prefect task), or several, such as
            audio,subtitles,metadata. YDC_PROCESSOR unless given.
        max_videos: Process at most this many videos.
        max_minutes: Start no video after this many minutes; running attempts are finished.
        concurrency: Process this many videos at the same time; YDC_CONCURRENCY unless given.
        one_per_machine: For schedules: skip the run if another one of its kind is running on this machine, so that all machines
            share the work.
    """
    coordinator = open_coordinator()
    processor = processor or coordinator.config.processor
    limits = Limits(
        concurrency=concurrency or coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=max_minutes and max_minutes * 60,
    )
    submit = submit_with(processor, coordinator.config)
    if not one_per_machine:
        return _process(coordinator, processor, limits, submit)

    def share(spreading: Spreading | None) -> State[Any]:
        shared = spreading.submit_and_fill(submit, coordinator.queue) if spreading else submit
        return _process(coordinator, processor, limits, shared)

    return alone_on_machine(coordinator, "process", share)


def _process(coordinator: Coordinator, processor: str, limits: Limits, submit: Submit) -> State[Any]:
    coordinator.queue.admission.makes_subtitles = "subtitles" in processor_names(processor)
    with ProgressPage(processor, coordinator.config) as progress:
        summary = coordinator.worker(submit, limits, progress.attempt_ended).run()
    if summary.attempted:
        wait_for_server()
        progress.finish(summary)
        report_videos(summary, coordinator.config.output_dir)
        rename_run(f"process {summary.attempted} videos on {host()}")
    elif summary.stopped_by and not summary.unfit:
        # Not a failure: a schedule starts a run every minute, also while YouTube throttles.
        return skipped(summary.stopped_by, summary)
    elif summary.held_back and not summary.stopped_by:
        return skipped(summary.held_back, summary)
    return finished(str(summary), failed=bool(summary.failed or summary.stopped_by), data=summary)
