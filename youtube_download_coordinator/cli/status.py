"""`ydc status`: how the queue is doing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, AsJson, Flag, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import STYLES, console, is_terminal, print_lines, printable, say_json
from youtube_download_coordinator.models import Control, State
from youtube_download_coordinator.queue.cooldown import describe
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from youtube_download_coordinator.operations.overview import Overview
    from youtube_download_coordinator.queue import Queue

NARROW_COLUMNS = 60
"""On a terminal that has fewer, lines between the numbers would cost some of them."""
REASONS_MAX = 5
"""Of a table's reasons, the most frequent; `ydc list` finds the rows of the others."""
WATCH_SECONDS = {True: 30.0, False: 2.0}
"""Between two looks, on a sheet (whose requests are counted) and on a database."""


@app.command(group=LOOK)
def status(
    *,
    watch: Flag = False,
    interval_seconds: Annotated[float | None, Parameter(name="--interval-seconds")] = None,
    json: AsJson = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Show how many rows are in each state, why some failed, and who holds what.

    ```
    ydc status
    ydc status --watch
    ydc status --json
    ```

    Parameters
    ----------
    watch
        Go on showing it, until Ctrl-C.
    interval_seconds
        Between two looks of --watch; 2 on a database, 30 on a sheet.
    json
        As one line of JSON; with --watch, a line each time.
    """
    check_positive(interval_seconds=interval_seconds)
    coordinator = queue.coordinator()
    if watch:
        pause_seconds = interval_seconds or WATCH_SECONDS[bool(coordinator.config.spreadsheet_id)]
        with suppress(KeyboardInterrupt):  # the way to end it
            _watch(coordinator.queue, pause_seconds, as_json=json)
    elif json:
        say_json(_in_json(look(coordinator.queue)))
    else:
        print_overview(coordinator.queue)
    return 0


def print_overview(queue: Queue) -> None:
    """The queue at this moment: a table for a person, a line for each number for a program."""
    found = look(queue)
    if is_terminal():
        console().print(_drawn(found))
    else:
        print_lines(_lines(found))


def look(queue: Queue) -> Overview:
    from youtube_download_coordinator.operations.overview import overview

    return overview(queue)


def _watch(queue: Queue, pause_seconds: float, *, as_json: bool) -> None:
    if is_terminal() and not as_json:
        from rich.live import Live

        with Live(_drawn(look(queue)), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(pause_seconds)
                live.update(_drawn(look(queue)), refresh=True)
    while True:
        if as_json:
            say_json(_in_json(look(queue)))
        else:
            print_overview(queue)
        time.sleep(pause_seconds)


def _in_json(found: Overview) -> dict[str, Any]:
    return {
        "counts": found.counts,
        "reasons": found.reasons,
        "holders": found.holders,
        "oldest": found.oldest and found.oldest.columns(),
        "controls": {line.name: _fields(line) for line in found.controls},
    }


def _fields(line: Control) -> dict[str, str]:
    return {"value": line.value, "until": format_utc(line.until), "reason": line.reason}


def _lines(found: Overview) -> Iterator[Iterable[object]]:
    """The table of counts, then a line for each reason and each worker."""
    yield ["", *State]
    for table, counts in found.counts.items():
        yield [table, *(counts.get(state, 0) for state in State)]
    for table, reasons in found.reasons.items():
        yield from ([f"{table}, failed last", reason, number] for reason, number in reasons.items())
    yield from (["held", holder, number] for holder, number in found.holders.items())
    yield from ([line.name, *_fields(line).values()] for line in found.controls)


def _drawn(found: Overview) -> Group:
    from rich.console import Group
    from rich.text import Text

    held = (f"{holder} holds {number}" for holder, number in found.holders.items())
    details = [*_reason_lines(found), *held, *map(describe, found.controls)]
    return Group(_count_table(found), *(Text(printable(line)) for line in details))


def _count_table(found: Overview) -> Table:
    from rich.table import Table

    shown = Table(title="The queue", title_justify="left")
    if console().width < NARROW_COLUMNS:
        shown.box, shown.pad_edge, shown.padding = None, False, (0, 1, 0, 0)
    shown.add_column("")
    for state in State:
        shown.add_column(state.value, justify="right", no_wrap=True)
    for name, counts in found.counts.items():
        shown.add_row(name, *(_number(counts.get(state, 0), STYLES.get(state.value, "")) for state in State))
    return shown


def _number(count: int, style: str) -> Text:
    """Nothing of what a colour tells of is nothing to look at."""
    from rich.text import Text

    return Text(f"{count:,}", style=style if count else "dim")


def _reason_lines(found: Overview) -> Iterator[str]:
    """Of each table the most frequent reasons, on a line."""
    for table, reasons in found.reasons.items():
        most = list(reasons.items())[:REASONS_MAX]
        rest = sum(reasons.values()) - sum(number for _, number in most)
        said = [f"{number} {reason}" for reason, number in most] + ([f"{rest} others"] if rest else [])
        if said:
            yield f"{table}, failed last: {', '.join(said)}"
