"""`ydc retry`, its alias `ydc requeue`, and `ydc skip`: change rows that no worker holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from youtube_download_coordinator.cli.application import EXIT_FAILED, REPAIR, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    TABLES,
    Flag,
    QueueOptions,
    RowFilters,
    RowId,
    TableName,
    TableOption,
    Yes,
    report_no_match,
    tables_to_search,
)
from youtube_download_coordinator.cli.terminal import confirm, say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Status
from youtube_download_coordinator.queue.selection import ChangeResult, Selection

Change = Callable[[Any, Selection], Counter[ChangeResult]]
PARTICIPLES = {"retry": "tried again", "ask for": "asked for it", "skip": "skipped"}
UNCHANGED = {"ask for": "not done yet"}


@app.command(group=REPAIR)
def retry(
    *ids: RowId,
    table: TableOption = "videos",
    filters: RowFilters = NO_FILTERS,
    product: str | None = None,
    all: Flag = False,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Try rows again now.

    Waiting rows become due. Failed and finished rows start over. Dead letters move back to the videos. Filters leave out rows
    that are done, except with `--status done`. Rows that a worker holds are not changed.

    ```
    ydc retry 17 18
    ydc retry --reason network
    ydc retry --table sources --status error --yes
    ydc retry --product subtitles --status done --yes
    ```

    Parameters
    ----------
    product
        Make further products of videos that are done, such as subtitles,metadata. Existing files and Result are kept.
    all
        All rows of the table that are not done.
    """
    selection = _selection(ids, filters, every=all)
    if product is not None:
        return _ask_for(product, table, selection, queue, is_confirmed=yes)
    if not ids and filters.status is None:
        selection = replace(selection, with_done=False)
    return _change("retry", tables_to_search(table), selection, queue, is_confirmed=yes)


def _ask_for(product: str, table: TableName, selection: Selection, queue: QueueOptions, *, is_confirmed: bool) -> int:
    """Request further products of videos that are done. Return the exit code. Raises UserError."""
    from youtube_download_coordinator.processors.names import processor_names
    from youtube_download_coordinator.workers.find_processor import check_processor

    if table != "videos":
        raise UserError("--product is for videos that are done: leave out --table")
    check_processor(product)
    if selection.ids is None and selection.status is None:
        selection = replace(selection, status=Status.DONE)
    return _change("ask for", [table], selection, queue, products=processor_names(product), is_confirmed=is_confirmed)


@app.command(group=REPAIR)
def requeue(
    *ids: RowId,
    filters: RowFilters = NO_FILTERS,
    all: Flag = False,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Try dead letters again: an alias of `ydc retry --table dead-letters`.

    They move back to the videos, with as many attempts as a new video has.

    ```
    ydc requeue 17
    ydc requeue --reason network
    ydc requeue --all --yes
    ```

    Parameters
    ----------
    all
        All dead letters.
    """
    return retry(*ids, table="dead-letters", filters=filters, all=all, yes=yes, queue=queue)


@app.command(group=REPAIR)
def skip(
    *ids: RowId,
    table: TableOption = "videos",
    filters: RowFilters = NO_FILTERS,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Mark rows as done without processing them.

    Rows that a worker holds are not changed. `ydc retry` undoes it.

    ```
    ydc skip 17 18
    ydc skip --source 3 --status pending
    ```
    """
    return _change("skip", tables_to_search(table), _selection(ids, filters), queue, is_confirmed=yes)


def _selection(ids: tuple[int, ...], filters: RowFilters, *, every: bool = False) -> Selection:
    """Return the selected rows. Raises UserError unless the options give IDs, a filter, or all rows."""
    if not ids and filters == NO_FILTERS and not every:
        raise UserError("which rows? Give their IDs, or a filter such as --reason network (--help lists all filters)")
    return filters.selection(ids)


def _change(
    verb: Literal["retry", "ask for", "skip"],
    tables: list[TableName],
    selection: Selection,
    options: QueueOptions,
    *,
    products: Sequence[str] = (),
    is_confirmed: bool,
) -> int:
    """Change the selected rows. Report how many were changed, and which were not. Return the exit code."""
    queue, participle = options.coordinator().queue, PARTICIPLES[verb]
    row_ids = [row.id for name in tables for row in queue.select(TABLES[name], selection)]
    missing = sorted(set(selection.ids or ()) - set(row_ids))
    if selection.ids is None and row_ids and not is_confirmed:
        confirm(f"{len(row_ids)} rows will be {participle}.")
    changes: dict[str, Change] = {
        "retry": queue.retry,
        "ask for": partial(queue.ask_for, products=products),
        "skip": queue.skip,
    }
    results = sum((changes[verb](TABLES[name], selection) for name in tables), Counter[ChangeResult]())
    _print_results(results, participle, UNCHANGED.get(verb, "already in that state"))
    if missing:
        say(f"ydc: no matching row with ID {', '.join(map(str, missing))}", problem=True)
    if selection.ids is None and not row_ids:
        report_no_match(queue, tables, selection)
    unchanged = missing or results[ChangeResult.HELD] or results[ChangeResult.MISSED]
    return EXIT_FAILED if selection.ids is not None and unchanged else 0


def _print_results(results: Counter[ChangeResult], participle: str, unchanged: str) -> None:
    say(f"{results[ChangeResult.CHANGED]} {participle}")
    if results[ChangeResult.ALREADY]:
        say(f"{results[ChangeResult.ALREADY]} unchanged: {unchanged}")
    if results[ChangeResult.HELD]:
        say(f"{results[ChangeResult.HELD]} unchanged: a worker holds them", problem=True)
    if results[ChangeResult.MISSED]:
        say(
            f"{results[ChangeResult.MISSED]} unchanged: changed by somebody else at the same moment; run the command again",
            problem=True,
        )
