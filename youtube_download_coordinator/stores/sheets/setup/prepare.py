"""`ydc init`: a spreadsheet made ready for workers and for people. Doing it twice changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.layout import (
    Layout,
    Tab,
    new_columns,
    read_layout,
    titles,
    with_used_columns,
)
from youtube_download_coordinator.stores.sheets.setup.formatting import read_formatting, steps
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet, next_token

ROUNDS = 5
"""How often it begins anew because somebody else has changed the spreadsheet meanwhile."""


def init_spreadsheet(config: Config) -> list[str]:
    """Make what is missing, keep what people have; what was done, a line each.

    Raises ConfigError when the spreadsheet cannot be used as it is.
    """
    connection = Connection(config)
    try:
        before = read_layout(connection, config)
        ready = Spreadsheet(config, connection).prepared()
        return [*_made(before, ready, config), *_dress(connection, config)]
    finally:
        connection.close()


def _made(before: Layout, ready: Layout, config: Config) -> Iterator[str]:
    for name, title in titles(config).items():
        if name not in before.tabs:
            yield f"made the tab {title!r}"
        elif missing := before.tabs[name].missing:
            yield f"added columns to {ready.tabs[name].title!r}: {', '.join(missing)}"


def _dress(connection: Connection, config: Config) -> list[str]:
    """All of it in one token batch, so that two who do it at once do not do it twice."""
    problem = ""
    for _ in range(ROUNDS):
        layout = read_layout(connection, config)
        token, dresses = read_formatting(connection, layout)
        done = [(f"{dress.tab.title!r}: {what}", each) for dress in dresses for what, each in steps(dress)]
        done += _own_columns(connection, layout)
        if not done:
            return []
        requests: list[Json] = [request for _, each in done for request in each]
        nonce = f"{random.SystemRandom().getrandbits(32):08x}"
        try:
            connection.write([*next_token(token, layout.tabs["control"].sheet_id, nonce), *requests])
        except (Refused, AnswerLost) as error:
            problem = str(error)
        else:
            return [what for what, _ in done]
    raise StoreError(f"the spreadsheet could not be made ready: {problem}")


def lost_columns(layout: Layout) -> list[str]:
    """A person's own columns of the videos that the dead letters lack: a move there would lose what is in them."""
    if not {VIDEO_TASKS.name, DEAD_LETTERS.name} <= set(layout.tabs):
        return []
    there: Tab = layout.tabs[DEAD_LETTERS.name]
    return [name for name in layout.tabs[VIDEO_TASKS.name].custom_columns if name not in there.header]


def _own_columns(connection: Connection, layout: Layout) -> list[tuple[str, list[Json]]]:
    names = lost_columns(layout)
    if not names:
        return []
    dead = with_used_columns(connection, {"dead": layout.tabs[DEAD_LETTERS.name]})["dead"]
    return [(f"{dead.title!r}: added your own columns: {', '.join(names)}", new_columns(dead, names))]
