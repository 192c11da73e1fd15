"""`ydc run`: list the sources and process their videos, without Prefect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.add import print_ingested
from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.page import page_of, print_page, space_of
from youtube_download_coordinator.cli.queue_options import AS_SET, OtherSites, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import StoreError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.models import Failure
    from youtube_download_coordinator.queue.rate_limit import RateLimit
    from youtube_download_coordinator.workers.attempts import Attempt
    from youtube_download_coordinator.workers.worker import Limits, Summary

Sources = Annotated[Path | None, Parameter(name=["--sources", "-s"])]


@app.command(group=WORK)
def run(
    *,
    sources: Sources = None,
    processor: Annotated[str | None, Parameter(name=["--processor", "-p"])] = None,
    first: int | None = None,
    max_videos: int | None = None,
    max_minutes: float | None = None,
    concurrency: int | None = None,
    allow_other_sites: OtherSites = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """List the sources and process their videos, until nothing is left to do.

    At a terminal, the last lines show the progress. Ctrl-C stops the run and releases its claims; run it again to continue.

    ```
    ydc run --sources sources.txt --first 3
    ydc run --processor my_module:transcribe --max-minutes 60 --concurrency 8
    ```

    Parameters
    ----------
    sources
        A text file with one source per line: URL|Accent|Type.
    processor
        What to make of each video: download, audio, metadata, subtitles, your own module:function, or several, such as
        audio,subtitles,metadata. YDC_PROCESSOR unless given.
    first
        Take at most this many videos of a source that is listed for the first time: the newest of each tab of a channel, or the
        first of a playlist. A source's own column FirstVideos takes precedence.
    max_videos
        Process at most this many videos.
    max_minutes
        Start no videos after this many minutes. Running attempts are finished.
    concurrency
        Process this many videos at the same time; YDC_CONCURRENCY unless given.
    """
    from youtube_download_coordinator.operations import preflight
    from youtube_download_coordinator.workers.find_processor import check_processor
    from youtube_download_coordinator.workers.worker import Limits

    check_positive(first=first, max_videos=max_videos, max_minutes=max_minutes)
    if processor is not None:
        check_processor(processor)
    coordinator = queue.named(
        sources_file_path=sources,
        allow_other_sites=allow_other_sites,
        concurrency=concurrency,
        first_videos=None if first is None else str(first),
    )
    if processor is None:
        processor = coordinator.config.processor
        check_processor(processor)
    preflight.require(coordinator.config, processor)
    _print_unknown_settings()
    failed = print_ingested(coordinator.ingest())
    limits = Limits(
        concurrency=coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=None if max_minutes is None else max_minutes * 60,
    )
    try:
        _print_plan(coordinator.config, processor)
        summary, listing_failures = _work(coordinator, processor, limits)
    except (KeyboardInterrupt, OSError) as error:  # Ctrl-C, or the output was closed
        error.add_note(_give_back(coordinator))
        raise
    say("")
    say(f"This run: {summary}.")
    _print_advice(summary, listing_failures)
    if first:
        say("To add the others too: ydc retry --table sources --status done --yes, then ydc run")
        say("A source with a FirstVideos of its own keeps it")
    print_page(page_of(coordinator, processor))
    return EXIT_FAILED if failed or listing_failures or summary.failed or summary.stopped_by else 0


def _give_back(coordinator: Coordinator) -> str:
    """Release all claims. Return a sentence about the result."""
    try:
        coordinator.give_back()
    except StoreError as error:
        return f"the claims are released when the queue answers again, or they expire: {error}"
    return "all claims were released"


def _print_plan(config: Config, processor: str) -> None:
    """Print the processor, the rate limit, and how to stop the run."""
    limit = config.rate_limit
    say(f"plan: {processor} of each video, into {config.output_dir}")
    if limit:
        seconds = limit.interval.total_seconds()
        say(f"      The first {limit.burst} begin without a pause, then one every {seconds:.0f} s")
    if config.target_hours:
        say(f"      Target hours: {', '.join(f'{accent} {hours:,g}' for accent, hours in config.target_hours.items())}")
    say("      Ctrl-C stops the run. Run it again to continue")


def _print_estimate(videos: int, limit: RateLimit | None) -> None:
    """Print how many videos are left, and how long one machine needs at least."""
    from youtube_download_coordinator.cli.progress import span

    least_seconds = limit.least_time(videos).total_seconds() if limit else 0
    pace = f". At YouTube's limit one machine needs at least {span(least_seconds)}" if least_seconds else ""
    say(f"left: {videos} {'video' if videos == 1 else 'videos'}{pace}")


def _print_unknown_settings() -> None:
    from youtube_download_coordinator.config import unknown_variables

    if unknown := unknown_variables():
        say(f"ydc: unknown settings are ignored: {', '.join(unknown)}", problem=True)


def _print_advice(summary: Summary, listing_failures: Sequence[Failure]) -> None:
    """Print the advice for each reason for which there is some."""
    from youtube_download_coordinator.reasons import about

    reasons = Counter(attempt.task.lease.reason for attempt in summary.attempts if attempt.task.lease.reason)
    reasons.update(failure.reason for failure in listing_failures)
    for reason, count in reasons.most_common():
        if (entry := about(reason)) and entry.do:
            say(f"{reason} ({count}): {entry.do}")


def _warn_of_space(coordinator: Coordinator, processor: str) -> None:
    """Print a warning if the remaining videos do not fit on the disk. Skip this for a sheet, to save requests."""
    from youtube_download_coordinator.operations.overview import overview

    if not coordinator.config.spreadsheet_id and isinstance(coordinator.config.output_dir, Path):
        space = space_of(coordinator.config, overview(coordinator.queue), processor)
        if space and space.warning:
            say(f"ydc: {space.warning} ({space.place})", problem=True)


def _work(coordinator: Coordinator, processor: str, limits: Limits) -> tuple[Summary, list[Failure]]:
    """List and process until nothing is left. Return the summary of the attempts and the failures of listings."""
    from youtube_download_coordinator.cli.progress import Progress, redrawn
    from youtube_download_coordinator.workers.worker import Summary

    summary, listing_failures = Summary(), []
    progress = Progress(coordinator.queue)

    def report_attempt(attempt: Attempt) -> None:
        say(f"{attempt.result:<8} {attempt.task.name} ({attempt.seconds:.1f} s): {attempt.detail}")
        progress.add_attempt(attempt)

    with redrawn(progress):
        for number, left in enumerate(coordinator.rounds(limits, summary)):
            for expansion in coordinator.expand(on_insert=progress.show_listing):
                outcome = "failed" if expansion.failure else "listed" if expansion.is_source is None else "alias"
                say(f"{outcome:<8} {expansion}", problem=expansion.failure is not None)
                listing_failures += [expansion.failure] if expansion.failure else []
            progress.begin_processing()
            if number == 0 and progress.waiting:
                _print_estimate(
                    min(progress.waiting, limits.max_videos or progress.waiting), coordinator.config.rate_limit
                )
                _warn_of_space(coordinator, processor)
            summary.add(coordinator.process(processor, left, on_attempt=report_attempt))
    return summary, listing_failures
