"""`ydc list` and `ydc show`: print rows."""

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
    QueueOptions,
    RowFilters,
    RowId,
    TableName,
    TableOption,
    report_no_match,
    select,
    tables_to_search,
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
from youtube_download_coordinator.models import WORDS, Row, State
from youtube_download_coordinator.queue.lifecycle import is_due, is_stalled, lacks_machine
from youtube_download_coordinator.queue.offers import NO_OFFER, need_of, waits
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

    At a terminal it prints a table; elsewhere, one line per row with every column, separated by tabs.

    ```
    ydc list --status error
    ydc list --status "dead letters" --reason private
    ydc list --accent pt-BR --text "interview" --limit 0 --json
    ```

    Parameters
    ----------
    table
        The table to list; `videos` includes the dead letters.
    limit
        List at most this many rows; 0 lists all.
    json
        Print one line of JSON for each row.
    """
    if limit < 0:
        raise UserError(f"--limit={limit}: it must be 0, for all, or greater")
    selection = filters.selection()
    opened_queue = queue.named(is_data=json or not is_terminal()).queue
    rows = select(opened_queue, table, selection)
    if (first := next(rows, None)) is None:
        report_no_match(opened_queue, tables_to_search(table), selection)
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
        say(f"ydc: only the first {limit} rows are shown; --limit 0 shows all", problem=True)
    return 0


@app.command(group=LOOK)
def show(
    row_id: RowId,
    /,
    *,
    table: TableOption = "videos",
    json: AsJson = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Show every column of a row, and what you can do about it.

    Result is a path below Place, the `output_dir` of this machine's settings.

    ```
    ydc show 17
    ydc show 3 --table sources
    ```
    """
    opened_queue = queue.coordinator().queue
    found_in, row = _find(opened_queue, table, row_id)
    columns = {"Table": found_in} | row.columns()
    if found_in == "videos" and row.lease.state is State.DONE:
        output_dir = queue.config().output_dir  # not opened, so that showing a row needs no credentials
        columns |= {"Place": output_dir if isinstance(output_dir, str) else str(output_dir.absolute())}
    if json:
        say_json(columns)
        return 0
    print_fields(columns)
    say("")
    for advice in _advice(found_in, row, opened_queue.store.now()):
        say(advice)
    return 0


def _find(queue: Queue, table: TableName, row_id: int) -> tuple[TableName, Row]:
    for name in tables_to_search(table):
        for row in queue.select(TABLES[name], Selection(ids=(row_id,))):
            return name, row
    names = " or ".join(tables_to_search(table))
    raise UserError(f"there is no row {row_id} in {names}; ydc list shows the rows")


def _advice(table: TableName, row: Row, now: datetime) -> Iterator[str]:
    """Yield why the row failed last, what it waits for, and the commands that change it."""
    arguments = f"{row.id} --table {table}" if table == "sources" else f"{row.id}"
    if reason := about(row.lease.reason):
        yield f"{row.lease.reason}: {reason.means} {reason.do}".rstrip()
    yield _next_step(row, now, retry=f"ydc retry {arguments}")
    if row.lease.state in {State.PENDING, State.ERROR, State.DEAD}:
        yield f"To mark it as done: ydc skip {arguments}"


def _next_step(row: Row, now: datetime, *, retry: str) -> str:
    lease = row.lease
    match lease.state:
        case State.PENDING:
            return _pending_step(row, now, retry)
        case State.HELD if is_stalled(row, now):
            return f"{lease.holder} did not renew its claim. The next worker recovers it, or: {retry}"
        case State.HELD:
            return (
                f"{lease.holder} holds it until {format_utc(lease.until)}, and renews the claim while it works on it."
            )
        case State.DONE:
            return f"It is done. To process it again: {retry}"
        case State.ERROR | State.DEAD:
            return f"It failed permanently. Once the cause is fixed: {retry}"
        case _:
            assert_never(lease.state)


def _pending_step(row: Row, now: datetime, retry: str) -> str:
    if is_due(row, now):
        return "It is waiting for a worker, such as ydc run."
    if waits(row.lease) or lacks_machine(row, now, NO_OFFER):
        return f"It waits for a machine that offers {need_of(row.lease)} (YDC_OFFERS). To try it on any: {retry}"
    return f"It is due at {format_utc(row.lease.not_before)}. To try it now: {retry}"


HEADERS = ("ID", "Status", "Tries", "Accent", "Type", "Title or URL", "Result or error")
NARROW_HEADERS = ("ID", "Status", "Title or URL", "Result or error")
FULL_TABLE_COLUMNS = 80
"""In a narrower terminal, the full table would leave no room for titles."""


def _draw(rows: Iterable[Row]) -> None:
    lines = [_cells(row) for row in rows]
    names = NARROW_HEADERS if console().width < FULL_TABLE_COLUMNS else HEADERS
    headers = [name for name in names if name in NARROW_HEADERS or any(cells[name] for cells in lines)]
    print_table(headers, ([cells[header] for header in headers] for cells in lines), texts=2)


def _cells(row: Row) -> dict[str, object]:
    values = row.id, WORDS[row.lease.state], row.retry_count, row.accent, row.type, row.name, row.lease.detail
    return dict(zip(HEADERS, values, strict=True))


def _with_header(rows: Iterable[Row]) -> Iterator[Iterable[object]]:
    """Return the column names, then every column of the rows. All rows have the custom columns of the first one."""
    names: list[str] = []
    for row in rows:
        columns = row.columns()
        if not names:
            names = list(columns)
            yield names
        yield [columns.get(name) for name in names]
