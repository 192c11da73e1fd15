"""Prepare a spreadsheet for workers and for people (`ydc init`). A second run changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.batch_token import advance_token
from youtube_download_coordinator.stores.sheets.layout import (
    CONTROL,
    Layout,
    new_columns,
    titles,
    with_used_columns,
)
from youtube_download_coordinator.stores.sheets.setup.formatting import Step, read_formatting, steps
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet
from youtube_download_coordinator.stores.sheets.tab_search import read_layout

ROUNDS = 5
"""How often formatting is repeated if another process changes the spreadsheet meanwhile."""


def init_spreadsheet(config: Config, *, new_tabs: bool = False) -> list[str]:
    """Add missing tabs, columns and formatting, and keep everything else. Return a line for each change.

    `new_tabs`: also create tabs that are gone from a spreadsheet in use.

    Raises ConfigError if the spreadsheet cannot be used.
    """
    connection = Connection(config)
    try:
        before = read_layout(connection, config, new_tabs=new_tabs)
        ready = Spreadsheet(config, connection).prepared(new_tabs=new_tabs)
        return [*_made(before, ready, config), *_format(connection, config)]
    finally:
        connection.close()


def _made(before: Layout, ready: Layout, config: Config) -> Iterator[str]:
    for name, title in titles(config).items():
        if name not in before.tabs:
            yield f"made the tab {title!r}"
        elif missing := before.tabs[name].missing:
            yield f"added columns to {ready.tabs[name].title!r}: {', '.join(missing)}"


def _format(connection: Connection, config: Config) -> list[str]:
    """Format all tabs in one guarded batch, so that two concurrent processes do not both do it."""
    problem = ""
    for _ in range(ROUNDS):
        layout = read_layout(connection, config)
        token, formattings = read_formatting(connection, layout)
        done = [
            Step(f"{formatting.tab.title!r}: {step.what}", step.requests)
            for formatting in formattings
            for step in steps(formatting)
        ]
        done += _add_custom_columns(connection, layout)
        if not done:
            return []
        requests: list[Json] = [request for step in done for request in step.requests]
        try:
            connection.write([*advance_token(token, layout.tabs[CONTROL].sheet_id), *requests])
        except (Refused, AnswerLost) as error:
            problem = str(error)
        else:
            return [step.what for step in done]
    raise StoreError(f"the spreadsheet could not be prepared: {problem}")


def lost_columns(layout: Layout) -> list[str]:
    """Return the custom columns of the videos that the dead letters lack. A row that moves there would lose their contents."""
    if not {VIDEO_TASKS.name, DEAD_LETTERS.name} <= set(layout.tabs):
        return []
    header = layout.tabs[DEAD_LETTERS.name].header
    return [name for name in layout.tabs[VIDEO_TASKS.name].custom_columns if name not in header]


def _add_custom_columns(connection: Connection, layout: Layout) -> list[Step]:
    names = lost_columns(layout)
    if not names:
        return []
    dead = with_used_columns(connection, {"dead": layout.tabs[DEAD_LETTERS.name]})["dead"]
    return [Step(f"{dead.title!r}: added your own columns: {', '.join(names)}", new_columns(dead, names))]
