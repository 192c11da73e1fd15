"""`ydc run`: the whole job on the embedded loop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, app
from youtube_download_coordinator.cli.options import Database, OtherSites, check_positive, open_coordinator
from youtube_download_coordinator.cli.sources import tell_ingested
from youtube_download_coordinator.cli.status import print_counts

if TYPE_CHECKING:
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.expansion import Expansion
    from youtube_download_coordinator.worker import Attempt, Summary

Sources = Annotated[Path | None, Parameter(name=["--sources", "-s"])]


@app.command
def run(
    *,
    sources: Sources = None,
    processor: Annotated[str, Parameter(name=["--processor", "-p"])] = "audio",
    max_videos: int | None = None,
    max_minutes: float | None = None,
    concurrency: int | None = None,
    database_url: Database = None,
    allow_other_sites: OtherSites = None,
) -> int:
    """Import the sources, list their videos and process them, until nothing is left to do.

    Parameters
    ----------
    sources
        A file of sources, a line each: URL|Accent|Type.
    processor
        download, audio, metadata, or module:function of your own.
    max_videos
        Claim no more than this many videos.
    max_minutes
        Claim none after this many minutes; what runs then is finished.
    concurrency
        Videos processed at a time.
    database_url
        The queue; sqlite:///coordinator.db unless YDC_DATABASE_URL says otherwise.
    allow_other_sites
        Take sources that are not YouTube's.
    """
    from youtube_download_coordinator.processing import check_processor
    from youtube_download_coordinator.worker import Limits, Summary

    check_positive(max_videos=max_videos, max_minutes=max_minutes)
    check_processor(processor)
    coordinator = open_coordinator(sources, database_url, allow_other_sites, concurrency=concurrency)
    failed = tell_ingested(coordinator.ingest())
    limits = Limits(
        concurrency=coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=None if max_minutes is None else max_minutes * 60,
    )
    summary = Summary()
    try:
        for left in coordinator.rounds(limits, summary):
            failed += sum(_tell_expansion(expansion) for expansion in coordinator.expand())
            summary.add(coordinator.process(processor, left, on_attempt=_tell_attempt))
    except KeyboardInterrupt:
        coordinator.give_back()
        raise
    return _tell_end(coordinator, summary, failed)


def _tell_expansion(expansion: Expansion) -> int:
    """Say what was listed; 1 when the source could not be listed to its end."""
    print(f"listed   {expansion}", file=sys.stderr if expansion.failure else sys.stdout, flush=True)
    return 1 if expansion.failure else 0


def _tell_attempt(attempt: Attempt) -> None:
    print(f"{attempt.ending:<8} {attempt.task.name} ({attempt.seconds:.1f} s): {attempt.detail}", flush=True)


def _tell_end(coordinator: Coordinator, summary: Summary, failed: int) -> int:
    print(f"\nThis run: {summary}.")
    print_counts(coordinator)
    return EXIT_FAILED if failed or summary.failed or summary.stopped_by else 0
