"""`ydc retry`, `ydc requeue` and `ydc skip`: what people want done with rows that a worker does not hold."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from youtube_download_coordinator.cli.application import EXIT_FAILED, REPAIR, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    TABLES,
    Flag,
    Place,
    QueueOptions,
    RowFilters,
    RowId,
    TableName,
    Yes,
    say_none_fits,
    where_videos_may_be,
)
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.queue.selection import ChangeResult, Selection

if TYPE_CHECKING:
    from youtube_download_coordinator.queue import Queue

Verb = Literal["retry", "skip"]


@app.command(group=REPAIR)
def retry(
    *ids: RowId,
    table: Place = "videos",
    filters: RowFilters = NO_FILTERS,
    all: Flag = False,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Have rows tried again, now.

    What waits waits no more, what failed or is done begins anew, dead letters go back. By ID, or by filter, which leaves out
    what is done unless it says `--status done`. What a worker holds is left alone.

    ```
    ydc retry 17 18
    ydc retry --reason network
    ydc retry --table sources --status error --yes
    ```

    Parameters
    ----------
    all
        Every row there that is not done.
    """
    places = where_videos_may_be(table)
    wanted = _wanted(ids, filters, every=all)
    if not ids and filters.status is None:
        wanted = replace(wanted, with_done=False)
    return _have("retry", "tried again", places, wanted, queue, is_sure=yes)


@app.command(group=REPAIR)
def requeue(
    *ids: RowId,
    filters: RowFilters = NO_FILTERS,
    all: Flag = False,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Give dead letters another chance.

    They go back to the videos, with as many attempts as a new one has.

    ```
    ydc requeue 17
    ydc requeue --reason network
    ydc requeue --all --yes
    ```

    Parameters
    ----------
    all
        Every dead letter.
    """
    return _have("retry", "tried again", ["dead-letters"], _wanted(ids, filters, every=all), queue, is_sure=yes)


@app.command(group=REPAIR)
def skip(
    *ids: RowId,
    table: Place = "videos",
    filters: RowFilters = NO_FILTERS,
    yes: Yes = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Have rows count as done, though nobody processed them.

    What a worker holds is left alone. `ydc retry` takes it back.

    ```
    ydc skip 17 18
    ydc skip --source 3 --status pending
    ```
    """
    return _have("skip", "skipped", where_videos_may_be(table), _wanted(ids, filters), queue, is_sure=yes)


def _wanted(ids: tuple[int, ...], filters: RowFilters, *, every: bool = False) -> Selection:
    if not ids and filters == NO_FILTERS and not every:
        raise UserError("which rows? Give their IDs, or a filter, such as --reason network (--help names them all)")
    return filters.selection(ids)


def _have(
    verb: Verb, participle: str, places: list[TableName], wanted: Selection, queue: QueueOptions, *, is_sure: bool
) -> int:
    """Do it where the rows stand, and say what was changed and what was not."""
    ours = queue.coordinator().queue
    found = [row.id for place in places for row in ours.select(TABLES[place], wanted)]
    missing = sorted(set(wanted.ids or ()) - set(found))
    if wanted.ids is None and found and not is_sure:
        _make_sure(f"{len(found)} rows are to be {participle}.")
    answers = sum((_ask(ours, verb, place, wanted) for place in places), Counter[ChangeResult]())
    _print_results(answers, participle)
    if missing:
        say(f"ydc: there is no row {', '.join(map(str, missing))} that this fits", problem=True)
    if wanted.ids is None and not found:
        say_none_fits(ours, places, wanted)
    left = missing or answers[ChangeResult.HELD] or answers[ChangeResult.MISSED]
    return EXIT_FAILED if wanted.ids is not None and left else 0


def _ask(ours: Queue, verb: Verb, place: TableName, wanted: Selection) -> Counter[ChangeResult]:
    return ours.retry(TABLES[place], wanted) if verb == "retry" else ours.skip(TABLES[place], wanted)


def _make_sure(question: str) -> None:
    """Ask at the terminal; raises UserError where nobody can answer, and when the answer is no."""
    if not sys.stdin.isatty():
        raise UserError(f"{question} Nobody can be asked here: add --yes")
    print(f"{question} Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UserError("nothing was changed")


def _print_results(answers: Counter[ChangeResult], participle: str) -> None:
    say(f"{answers[ChangeResult.CHANGED]} {participle}")
    if answers[ChangeResult.ALREADY]:
        say(f"{answers[ChangeResult.ALREADY]} left as they are: they were so already")
    if answers[ChangeResult.HELD]:
        say(f"{answers[ChangeResult.HELD]} left alone: a worker holds them", problem=True)
    if answers[ChangeResult.MISSED]:
        say(
            f"{answers[ChangeResult.MISSED]} were changed by somebody else at that moment: look, and ask again",
            problem=True,
        )
