"""`ydc status` and `ydc report`: show the overview of the queue."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_INTERRUPTED, LOOK, Interrupted, app
from youtube_download_coordinator.cli.page import page_as_tables, page_of, print_page, space_of
from youtube_download_coordinator.cli.queue_options import AS_SET, AsJson, Flag, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import console, is_terminal, say_json
from youtube_download_coordinator.models import WORDS
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.operations.overview import Overview
    from youtube_download_coordinator.operations.space import Space

SHEET_INTERVAL_SECONDS, DATABASE_INTERVAL_SECONDS = 30.0, 2.0
"""The time between two updates of --watch. A sheet has a quota of requests; a database does not."""


@app.command(group=LOOK)
def status(
    *,
    watch: Flag = False,
    interval_seconds: Annotated[float | None, Parameter(name="--interval-seconds")] = None,
    json: AsJson = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Show how many rows are in each state, why rows failed, and which worker holds which rows.

    The counts are also shown by accent, type and day. Nothing is changed. `ydc report` shows the same page and also writes it
    into the sheet.

    ```
    ydc status
    ydc status --watch
    ydc status --json
    ```

    Parameters
    ----------
    watch
        Keep updating the page until Ctrl-C.
    interval_seconds
        The time between two updates of --watch; 2 with a database and 30 with a sheet unless given.
    json
        Print one line of JSON; with --watch, one line for each update.
    """
    check_positive(interval_seconds=interval_seconds)
    coordinator = queue.coordinator() if json else queue.named()
    if watch:
        default = SHEET_INTERVAL_SECONDS if coordinator.config.spreadsheet_id else DATABASE_INTERVAL_SECONDS
        try:
            _watch(coordinator, interval_seconds or default, as_json=json)
        except Interrupted as interrupted:
            if interrupted.exit_code != EXIT_INTERRUPTED:  # Ctrl-C is the normal end
                raise
    else:
        _print(coordinator, as_json=json)
    return 0


@app.command(group=LOOK)
def report(*, json: AsJson = False, queue: QueueOptions = AS_SET) -> int:
    """Show the page of `ydc status` and, on a sheet, write it into the tab Dashboard.

    ```
    ydc report
    ydc report --json
    ```
    """
    coordinator = queue.coordinator()
    page = page_of(coordinator)
    if json:
        say_json(asdict(page))
    else:
        print_page(page)
    coordinator.show_dashboard(page)
    return 0


def _watch(coordinator: Coordinator, interval_seconds: float, *, as_json: bool) -> None:
    if is_terminal() and not as_json:
        from rich.live import Live

        with Live(page_as_tables(page_of(coordinator)), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(interval_seconds)
                live.update(page_as_tables(page_of(coordinator)), refresh=True)
    while True:
        _print(coordinator, as_json=as_json)
        time.sleep(interval_seconds)


def _print(coordinator: Coordinator, *, as_json: bool) -> None:
    if as_json:
        say_json(_counts(coordinator))
    else:
        print_page(page_of(coordinator))


def _counts(coordinator: Coordinator) -> dict[str, Any]:
    """Return the numbers of an overview for a program, under names that do not change."""
    from youtube_download_coordinator.operations.overview import overview

    numbers = overview(coordinator.queue)
    return {
        "queue": coordinator.queue.store.name,
        "counts": {
            table: {WORDS[state]: number for state, number in counts.items()}
            for table, counts in numbers.counts.items()
        },
        "reasons": numbers.reasons,
        "skipped": numbers.skipped,
        "waiting": numbers.waiting,
        "holders": numbers.holders,
        "left": _left(numbers, space_of(coordinator.config, numbers)),
        "targets": [
            asdict(progress) | {"missing_hours": missing_hours} for progress, missing_hours in numbers.left.targets
        ],
        "oldest": numbers.oldest and numbers.oldest.columns(),
        "controls": {
            line.name: {"value": line.value, "until": format_utc(line.until), "reason": line.reason}
            for line in numbers.controls
        },
    }


def _left(overview: Overview, space: Space | None) -> dict[str, Any]:
    """Return the numbers of the remaining videos, with None for unknown ones."""
    left = overview.left
    return {
        "videos": left.videos,
        "are_all_listed": not left.is_partial,
        "media_seconds": None if left.media_seconds is None else round(left.media_seconds),
        "seconds": None if left.time is None else round(left.time.total_seconds()),
        "videos_per_hour": round(left.pace.videos_per_hour, 1) if left.pace.is_known else None,
        "machines": left.pace.machines,
        "bytes": space and space.needed_bytes,
        "free_bytes": space and space.free_bytes,
    }
