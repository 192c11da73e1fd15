"""`ydc verify`: check that the videos and files of a corpus are still there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import EXIT_FAILED, REPAIR, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    AsJson,
    QueueOptions,
    RowFilters,
    check_positive,
)
from youtube_download_coordinator.cli.terminal import say, say_json
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from youtube_download_coordinator.corpus.findings import Finding

OLDER_THAN_DAYS = 30.0


@app.command(group=REPAIR)
def verify(
    *,
    per_hour: int | None = None,
    older_than: float = OLDER_THAN_DAYS,
    limit: int | None = None,
    max_minutes: float | None = None,
    json: AsJson = False,
    filters: RowFilters = NO_FILTERS,
    queue: QueueOptions = AS_SET,
) -> int:
    """Ask YouTube whether videos that are done are still there.

    Prints a line for each video that is gone, private, for members only or back, and for each changed licence or title. No
    media are fetched. What was asked about longest ago comes first. If it is interrupted, run it again: it goes on.

    ```
    ydc verify --limit 100
    ydc verify --accent pt-BR --older-than 7 --json
    ```

    Parameters
    ----------
    per_hour
        Ask about at most this many videos an hour; a quarter of YDC_VIDEOS_PER_HOUR unless given. The machine's rate limit
        counts each of them too.
    older_than
        Days: leave out videos that were asked about since.
    limit
        Ask about at most this many videos.
    max_minutes
        Ask about no further video after this time.
    json
        Print one line of JSON for each finding; the summary goes to stderr.
    """
    from youtube_download_coordinator.corpus.verify_videos import open_verifier
    from youtube_download_coordinator.wiring import hold_machine_lock

    check_positive(per_hour=per_hour, limit=limit, max_minutes=max_minutes)
    if older_than < 0:
        raise UserError(f"--older-than={older_than:g}: it must be 0, for all videos, or greater")
    selection = filters.selection()
    if selection.status is not None:
        raise UserError("--status has no meaning here: only videos that are done are checked")
    coordinator = queue.named(is_data=json)
    ends_at = None if max_minutes is None else time.monotonic() + max_minutes * 60
    verifier = open_verifier(
        coordinator.queue,
        coordinator.config,
        per_hour=per_hour,
        is_over=lambda: ends_at is not None and time.monotonic() >= ends_at,
        on_plan=lambda count: say(f"{count} videos are asked about", problem=json),
    )
    with hold_machine_lock(coordinator.config, "verify") as is_alone:
        if not is_alone:
            raise UserError("another ydc verify runs on this machine: wait for it, or end it")
        _print(verifier.run(selection, limit=limit, older_than_days=older_than), json=json)
    say(f"{verifier.summary}", problem=json)
    return EXIT_FAILED if verifier.summary.findings or verifier.summary.stopped_by else 0


def _print(findings: Iterator[Finding], *, json: bool) -> None:
    for finding in findings:
        if json:
            say_json(finding.to_json())
        else:
            say(f"{finding}")
