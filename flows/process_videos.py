"""Process videos that are pending."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message, host, rename_run
from tasks.forms import Concurrency, MaxMinutes, MaxVideos, Processor
from tasks.progress import Progress
from tasks.reports import finished, report_videos, skipped
from tasks.videos import submit_with
from youtube_download_coordinator.workers.worker import Limits


@flow(name="process-videos", flow_run_name=f"process videos on {host()}: {{processor}}", persist_result=False)
@fail_with_message
def process_videos(
    processor: Processor = "audio",
    max_videos: MaxVideos = None,
    max_minutes: MaxMinutes = None,
    concurrency: Concurrency = None,
) -> State[Any]:
    """Claim videos and process them until none is due or a limit is reached; what is claimed is given back at the end.

    Args:
        processor: A built-in one, or of your own: module:attribute of a function or a Prefect task.
        max_videos: Claim no more than this many.
        max_minutes: Begin no video after this time; attempts that run then are finished.
        concurrency: Videos processed at a time; YDC_CONCURRENCY unless it is given.
    """
    ours = coordinator()
    limits = Limits(
        concurrency=concurrency or ours.config.concurrency,
        max_videos=max_videos,
        max_seconds=max_minutes and max_minutes * 60,
    )
    submit = submit_with(processor, ours.config)
    with Progress(processor, ours.config.spreadsheet_url) as progress:
        summary = ours.worker(submit, limits, progress.attempt_ended).run()
    if summary.attempted:
        progress.finish(summary)
        report_videos(summary)
        rename_run(f"process {summary.attempted} videos on {host()}")
    elif summary.stopped_by and not summary.unfit:
        return skipped(
            summary.stopped_by, summary
        )  # a schedule comes by every few minutes, also while YouTube throttles
    return finished(str(summary), failed=bool(summary.failed or summary.stopped_by), data=summary)
