"""`ydc report`: everything about the queue on a page, and in the sheet's tab Dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, AsJson, QueueOptions
from youtube_download_coordinator.cli.terminal import is_terminal, print_lines, print_section, say, say_json

if TYPE_CHECKING:
    from youtube_download_coordinator.models import Cell, Page, Section


@app.command(group=LOOK)
def report(*, json: AsJson = False, queue: QueueOptions = AS_SET) -> int:
    """Say how the queue stands, by accent, type and day too; on a sheet, keep its tab Dashboard.

    ```
    ydc report
    ydc report --json
    ```
    """
    from youtube_download_coordinator.operations.overview import overview
    from youtube_download_coordinator.operations.summary import page

    coordinator = queue.coordinator()
    found = page(overview(coordinator.queue))
    if json:
        say_json(asdict(found))
    elif is_terminal():
        _draw(found)
    else:
        print_lines(_lines(found))
    coordinator.show_dashboard(found)
    return 0


def _draw(found: Page) -> None:
    say(f"The queue, {found.at}")
    for section in _filled(found):
        print_section(section.title, section.header, section.rows)


def _lines(found: Page) -> Iterator[Sequence[Cell]]:
    """A line for each row, the title of its table in front."""
    for section in _filled(found):
        yield from ((section.title, *row) for row in (section.header, *section.rows))


def _filled(found: Page) -> list[Section]:
    return [section for section in (*found.sections, found.days) if section.rows]
