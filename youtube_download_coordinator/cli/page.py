"""Print the overview of a queue: tables at a terminal, tab-separated lines for a program."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.terminal import STYLES, console, is_terminal, print_lines, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.operations.overview import Overview
    from youtube_download_coordinator.operations.space import Space
    from youtube_download_coordinator.status_page import Cell, Page, Section

NARROW_COLUMNS = 60
"""Below this width, tables have narrower columns and no totals."""
DAYS_SHOWN = 7
"""The number of days shown at a terminal: the last ones on which a video was finished."""


def page_of(coordinator: Coordinator, processor: str | None = None) -> Page:
    """Count the queue and return its page. `processor`: if it is not the one of the settings. Raises StoreUnavailable."""
    from youtube_download_coordinator.operations.overview import overview
    from youtube_download_coordinator.operations.summary import page

    numbers = overview(coordinator.queue)
    return page(numbers, space_of(coordinator.config, numbers, processor))


def space_of(config: Config, overview: Overview, processor: str | None = None) -> Space | None:
    """Return the disk space for the remaining videos, or None if it is not known."""
    from youtube_download_coordinator.corpus.size_rate import size_rate
    from youtube_download_coordinator.operations.space import space_for

    return space_for(overview.left, config, size_rate(config, processor) if overview.left.videos else None)


def print_page(page: Page) -> None:
    """Print tables at a terminal. Elsewhere print one line for each row, which begins with the title of its table.

    Empty days, columns and tables are left out.
    """
    if is_terminal():
        console().print(page_as_tables(page))
        return
    for section in _sections(page):
        print_lines([section.title, *row] for row in (section.header, *section.rows))


def _sections(page: Page) -> list[Section]:
    """Return the tables that have rows, without their empty rows and columns."""
    finished_days = replace(page.days, rows=[row for row in page.days.rows if row[1]])
    return [section.without_empty() for section in (*page.sections, finished_days) if section.rows]


def page_as_tables(page: Page) -> Group:
    """Draw every section that has rows."""
    from rich.console import Group
    from rich.text import Text

    last_days = replace(page.days, rows=[row for row in page.days.rows if row[1]][-DAYS_SHOWN:])
    tables = (_table(section) for section in _sections(replace(page, days=last_days)))
    return Group(Text(f"The queue, {page.at}"), *tables)


def _table(section: Section) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from youtube_download_coordinator.operations.summary import TOTAL

    table = Table(title=f"\n{section.title}", title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    names = list(section.header)
    if console().width < NARROW_COLUMNS:
        table.box, table.padding = None, (0, 1, 0, 0)
        names = [name for name in names if name != TOTAL]
    for name, cells in zip(names, zip(*section.rows, strict=True), strict=False):
        is_number = all(isinstance(value, int | float) for value in cells)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number)
    for row in section.rows:
        table.add_row(*(_cell(name, value) for name, value in zip(names, row, strict=False)))
    return table


def _cell(column: str, value: Cell) -> Text:
    """Return a cell. A number has the colour of the state that the column counts; a zero is dim."""
    from rich.text import Text

    if isinstance(value, str):
        return Text(printable(value))
    return Text(f"{value:,}", style=STYLES.get(column, "") if value else "dim")
