"""`ydc verify`: check whether the videos and files of a corpus still exist."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import EXIT_FAILED, REPAIR, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    AsJson,
    Flag,
    QueueOptions,
    RowFilters,
    check_positive,
)
from youtube_download_coordinator.cli.terminal import say, say_json
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.corpus.findings import Finding
    from youtube_download_coordinator.corpus.verify_files import FilesVerifier
    from youtube_download_coordinator.corpus.verify_videos import VideoVerifier
    from youtube_download_coordinator.queue.selection import Selection

OLDER_THAN_DAYS = 30.0


@app.command(group=REPAIR)
def verify(
    *,
    files: Flag = False,
    quick: Flag = False,
    per_hour: int | None = None,
    older_than: float = OLDER_THAN_DAYS,
    limit: int | None = None,
    max_minutes: float | None = None,
    json: AsJson = False,
    filters: RowFilters = NO_FILTERS,
    queue: QueueOptions = AS_SET,
) -> int:
    """Check whether videos that are done are still on YouTube, or with `--files`, whether their files are in `output_dir`.

    Prints a line for each video that is gone, private, for members only or available again, and for each changed licence or
    title; with `--files`, for each file that is missing, empty or changed. No media are fetched. Videos that were checked longest
    ago come first. If the command is interrupted, run it again to continue.

    ```
    ydc verify --limit 100
    ydc verify --accent pt-BR --older-than 7 --json
    ydc verify --files
    ```

    Parameters
    ----------
    files
        Send no requests to YouTube: list `output_dir`, then read the files and compare their SHA-256.
    quick
        With `--files`: compare only the sizes of the files, without reading them.
    per_hour
        Check at most this many videos an hour; a quarter of YDC_VIDEOS_PER_HOUR unless given. Each check also counts towards the
        machine's rate limit.
    older_than
        Days: leave out videos that were checked more recently; with `--files`, files that were read more recently.
    limit
        Check at most this many videos; with `--files`, read the files of at most this many videos.
    max_minutes
        Check no further video, and read no further file, after this many minutes.
    json
        Print one line of JSON for each finding; the summary goes to stderr.
    """
    from youtube_download_coordinator.wiring import hold_machine_lock

    check_positive(per_hour=per_hour, limit=limit, max_minutes=max_minutes)
    selection = _checked(filters, files=files, quick=quick, per_hour=per_hour, older_than=older_than)
    coordinator = queue.named(is_data=json)
    ends_at = None if max_minutes is None else time.monotonic() + max_minutes * 60

    def is_over() -> bool:
        return ends_at is not None and time.monotonic() >= ends_at

    with hold_machine_lock(coordinator.config, "verify-files" if files else "verify") as is_alone:
        if not is_alone:
            raise UserError("another ydc verify is running on this machine: wait until it ends, or stop it")
        if files:
            checker = _files_verifier(coordinator, is_over)
            _print(checker.run(selection, reads=not quick, limit=limit, older_than_days=older_than), json=json)
            say(f"{checker.summary}", problem=json)
            return EXIT_FAILED if checker.summary.findings else 0
        verifier = _video_verifier(coordinator, per_hour, is_over, json=json)
        _print(verifier.run(selection, limit=limit, older_than_days=older_than), json=json)
    say(f"{verifier.summary}", problem=json)
    return EXIT_FAILED if verifier.summary.findings or verifier.summary.stopped_by else 0


def _checked(filters: RowFilters, *, files: bool, quick: bool, per_hour: int | None, older_than: float) -> Selection:
    """Return the selected rows. Raises UserError for options that contradict each other."""
    if older_than < 0:
        raise UserError(f"--older-than={older_than:g}: it must be 0, for all videos, or greater")
    if files and per_hour is not None:
        raise UserError("--per-hour has no effect with --files, which sends no requests to YouTube: leave it out")
    if quick and not files:
        raise UserError("--quick needs --files: ydc verify --files --quick")
    selection = filters.selection()
    if selection.status is not None or selection.reason is not None:
        name = "status" if selection.status is not None else "reason"
        raise UserError(f"--{name} has no effect here, because only videos that are done are checked: leave it out")
    return selection


def _files_verifier(coordinator: Coordinator, is_over: Callable[[], bool]) -> FilesVerifier:
    from youtube_download_coordinator.corpus.verify_files import FilesVerifier
    from youtube_download_coordinator.storage.opening import open_place

    config = coordinator.config
    place = open_place(config.output_dir)
    return FilesVerifier(queue=coordinator.queue, place=place, state_dir=config.state_dir, is_over=is_over)


def _video_verifier(
    coordinator: Coordinator, per_hour: int | None, is_over: Callable[[], bool], *, json: bool
) -> VideoVerifier:
    from youtube_download_coordinator.corpus.verify_videos import open_verifier

    return open_verifier(
        coordinator.queue,
        coordinator.config,
        per_hour=per_hour,
        is_over=is_over,
        on_plan=lambda count: say(f"{count} videos to check", problem=json),
    )


def _print(findings: Iterator[Finding], *, json: bool) -> None:
    for finding in findings:
        if json:
            say_json(finding.to_json())
        else:
            say(f"{finding}")
