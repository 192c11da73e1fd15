"""`ydc list` and `ydc show`: the rows themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, assert_never

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    TABLES,
    AsJson,
    Place,
    QueueOptions,
    RowFilters,
    RowId,
    TableName,
    say_none_fits,
    select,
    where_videos_may_be,
)
from youtube_download_coordinator.cli.terminal import (
    console,
    is_terminal,
    print_fields,
    print_lines,
    print_table,
    say,
    say_json,
)
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Row, State
from youtube_download_coordinator.queue.lifecycle import is_due, is_stalled
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.reasons import about
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from datetime import datetime

    from youtube_download_coordinator.queue import Queue

LIST_ROWS = 50


@app.command(name="list", group=LOOK)
def list_rows(
    *,
    table: TableName = "videos",
    filters: RowFilters = NO_FILTERS,
    limit: int = LIST_ROWS,
    json: AsJson = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """List rows by state, reason, accent, text and more.

    In a terminal as a table; in a pipe a line each, with every column, parted by tabs.

    ```
    ydc list --status error
    ydc list --table dead-letters --reason private
    ydc list --accent pt-BR --text "interview" --limit 0 --json
    ```

    Parameters
    ----------
    table
        Where to look; dead letters are videos too.
    limit
        No more rows than these; 0 for all.
    json
        As JSON, a line for each row.
    """
    if limit < 0:
        raise UserError(f"--limit={limit}: it must be 0, for all, or greater")
    ours, wanted = queue.coordinator().queue, filters.selection()
    rows = select(ours, table, wanted)
    if (first := next(rows, None)) is None:
        say_none_fits(ours, where_videos_may_be(table), wanted)
        return 0
    rows = chain([first], rows)
    shown = list(islice(rows, min(limit, sys.maxsize))) if limit else rows
    if json:
        for row in shown:
            say_json(row.columns())
    elif is_terminal():
        _draw(shown)
    else:
        print_lines(_with_header(shown))
    if limit and next(rows, None):
        say(f"ydc: there are more rows than these {limit}: --limit 0 shows all", problem=True)
    return 0


@app.command(group=LOOK)
def show(
    row_id: RowId,
    /,
    *,
    table: Place = "videos",
    json: AsJson = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Show everything of a row, and what can be done about it.

    ```
    ydc show 17
    ydc show 3 --table sources
    ```
    """
    ours = queue.coordinator().queue
    place, row = _find(ours, table, row_id)
    everything = {"Table": place} | row.columns()
    if json:
        say_json(everything)
        return 0
    print_fields(everything)
    say("")
    for advice in _what_can_be_done(place, row, ours.store.now()):
        say(advice)
    return 0


def _find(queue: Queue, table: TableName, row_id: int) -> tuple[TableName, Row]:
    for place in where_videos_may_be(table):
        for row in queue.select(TABLES[place], Selection(ids=(row_id,))):
            return place, row
    places = " or ".join(where_videos_may_be(table))
    raise UserError(f"there is no row {row_id} in {places}; ydc list shows what there is")


def _what_can_be_done(place: TableName, row: Row, now: datetime) -> Iterator[str]:
    """Why it failed last, what it waits for, and the commands that do something about it."""
    name = f"{row.id} --table {place}" if place == "sources" else f"{row.id}"
    if known := about(row.lease.reason):
        yield f"{row.lease.reason}: {known.means} {known.do}".rstrip()
    yield _what_is_next(row, now, again=f"ydc retry {name}")
    if row.lease.state in {State.PENDING, State.ERROR, State.DEAD}:
        yield f"To have it count as done: ydc skip {name}"


def _what_is_next(row: Row, now: datetime, *, again: str) -> str:
    lease = row.lease
    match lease.state:
        case State.PENDING if is_due(row, now):
            return "It waits for a worker: ydc run is one."
        case State.PENDING:
            return f"It waits until {format_utc(lease.not_before)}; now: {again}"
        case State.HELD if is_stalled(row, now):
            return f"{lease.holder} did not renew its claim; the next worker moves it on, or: {again}"
        case State.HELD:
            return f"{lease.holder} holds it until {format_utc(lease.until)}, and renews that while it works. It is left alone."
        case State.DONE:
            return f"It is done. To do it once more: {again}"
        case State.ERROR | State.DEAD:
            return f"It failed for good. Once the reason is mended: {again}"
        case _:
            assert_never(lease.state)


_HEADERS = ("ID", "Status", "Tries", "Accent", "Type", "Title or URL", "Result or error")


NARROW_COLUMNS = 80
"""On a terminal that has fewer, nothing would be left for titles beside what stands between."""


def _draw(rows: Iterable[Row]) -> None:
    places = [0, 1, 5, 6] if console().width < NARROW_COLUMNS else range(len(_HEADERS))
    lines = (_brief(row) for row in rows)
    print_table([_HEADERS[at] for at in places], ([line[at] for at in places] for line in lines), texts=2)


def _brief(row: Row) -> tuple[object, ...]:
    return row.id, row.status, row.retry_count, row.accent, row.type, row.name, row.lease.detail


def _with_header(rows: Iterable[Row]) -> Iterator[Iterable[object]]:
    """Every column; the names are those of the first row, whose own columns the others share."""
    names: list[str] = []
    for row in rows:
        columns = row.columns()
        if not names:
            names = list(columns)
            yield names
        yield [columns.get(name) for name in names]
