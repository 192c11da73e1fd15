"""`ydc run`: the whole job on the embedded loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.adding import print_ingested
from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, OtherSites, QueueOptions, check_positive
from youtube_download_coordinator.cli.status import print_overview
from youtube_download_coordinator.cli.terminal import say

if TYPE_CHECKING:
    from youtube_download_coordinator.cli.progress import Progress
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.models import Failure
    from youtube_download_coordinator.workers.expansion import Expansion
    from youtube_download_coordinator.workers.worker import Attempt, Limits, Summary

Sources = Annotated[Path | None, Parameter(name=["--sources", "-s"])]


@app.command(group=WORK)
def run(
    *,
    sources: Sources = None,
    processor: Annotated[str, Parameter(name=["--processor", "-p"])] = "audio",
    max_videos: int | None = None,
    max_minutes: float | None = None,
    concurrency: int | None = None,
    allow_other_sites: OtherSites = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """List the sources and process their videos, until nothing is left to do.

    In a terminal the last lines say how it is getting on. Ctrl-C gives back what is claimed; run it again to go on.

    ```
    ydc run --sources sources.txt
    ydc run --processor my_module:transcribe --max-minutes 60 --concurrency 8
    ```

    Parameters
    ----------
    sources
        A file of sources, a line each: URL|Accent|Type.
    processor
        download, audio, metadata, subtitles, or module:function of your own.
    max_videos
        Claim no more than this many videos.
    max_minutes
        Claim none after this many minutes; what runs then is finished.
    concurrency
        Videos processed at a time.
    """
    from youtube_download_coordinator.config import unknown_variables
    from youtube_download_coordinator.operations import preflight
    from youtube_download_coordinator.workers.run_processor import check_processor
    from youtube_download_coordinator.workers.worker import Limits

    check_positive(max_videos=max_videos, max_minutes=max_minutes)
    check_processor(processor)
    coordinator = queue.coordinator(
        sources_file_path=sources, allow_other_sites=allow_other_sites, concurrency=concurrency
    )
    preflight.require(coordinator.config, processor)
    if unknown := unknown_variables():
        say(f"ydc: there is no setting {', '.join(unknown)}: it does nothing", problem=True)
    failed = print_ingested(coordinator.ingest())
    limits = Limits(
        concurrency=coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=None if max_minutes is None else max_minutes * 60,
    )
    try:
        summary, unlisted = _work(coordinator, processor, limits)
    except (KeyboardInterrupt, OSError) as error:  # Ctrl-C, or nobody reads what it says
        coordinator.give_back()
        error.add_note("what was claimed has been given back")
        raise
    say("")
    say(f"This run: {summary}.")
    _print_advice(summary, unlisted)
    print_overview(coordinator.queue)
    return EXIT_FAILED if failed or unlisted or summary.failed or summary.stopped_by else 0


def _print_advice(summary: Summary, unlisted: Sequence[Failure]) -> None:
    """Once for each reason, where a person can do something about it."""
    from youtube_download_coordinator.reasons import about

    met = Counter(attempt.task.lease.reason for attempt in summary.attempts if attempt.task.lease.reason)
    met.update(failure.reason for failure in unlisted)
    for reason, count in met.most_common():
        if (known := about(reason)) and known.do:
            say(f"{reason} ({count}): {known.do}")


def _work(coordinator: Coordinator, processor: str, limits: Limits) -> tuple[Summary, list[Failure]]:
    """Everything there is to do; what was done, and why sources could not be listed to their end."""
    from youtube_download_coordinator.cli.progress import Progress, redrawn
    from youtube_download_coordinator.workers.worker import Summary

    summary, unlisted = Summary(), []
    progress = Progress(coordinator.queue)
    with redrawn(progress):
        for left in coordinator.rounds(limits, summary):
            for expansion in coordinator.expand(on_insert=progress.lists):
                _print_expansion(expansion)
                unlisted += [expansion.failure] if expansion.failure else []
            progress.processes()
            summary.add(coordinator.process(processor, left, on_attempt=_printing(progress)))
    return summary, unlisted


def _print_expansion(expansion: Expansion) -> None:
    """Say what was listed."""
    ending = "failed" if expansion.failure else "listed" if expansion.is_source is None else "alias"
    say(f"{ending:<8} {expansion}", problem=expansion.failure is not None)


def _printing(progress: Progress) -> Callable[[Attempt], None]:
    def tell(attempt: Attempt) -> None:
        say(f"{attempt.result:<8} {attempt.task.name} ({attempt.seconds:.1f} s): {attempt.detail}")
        progress.attempted(attempt)

    return tell
