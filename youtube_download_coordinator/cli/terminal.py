"""What is said, and to whom: tables and colours for a person at a terminal, bare lines for a program that reads.

Titles and errors come from YouTube: they are data. Nothing of them reaches a terminal that it would obey.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Mapping[str, str] = {"done": "green", "in-progress": "cyan", "held": "cyan", "error": "red", "dead": "red"}
"""Colours of what stands in Status, and of the states behind it."""
CELL_MAX_CHARACTERS = 16
"""Of an accent or a type in a table; `ydc show` has all of it."""
JOINERS = "\u200c\u200d"
"""Without them some scripts are misspelt and some emoji fall apart; a terminal obeys nothing in them."""


def printable(text: object) -> str:
    """On one line, every character that a terminal may obey (controls, escapes, changes of direction) shown as U+FFFD."""
    return "".join(_shown(each) for each in str(text))


def printable_lines(text: str) -> str:
    """The same for what may have several lines: a log, a traceback."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def say(text: str, *, problem: bool = False) -> None:
    """A line, on stderr when it tells of a problem."""
    print(printable(text), file=sys.stderr if problem else sys.stdout, flush=True)


def say_json(values: object) -> None:
    print(json_text(values), flush=True)


def json_text(values: object, *, as_ascii: bool = True) -> str:
    """One line of JSON; in ASCII its escapes keep every control character from a terminal."""
    return json.dumps(values, default=_plain, ensure_ascii=as_ascii)


def cell(value: object) -> str:
    """A value as text: nothing for None, times as the queue shows them."""
    return "" if value is None else str(_plain(value))


def _plain(value: object) -> object:
    return format_utc(value) if isinstance(value, datetime) else str(value)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    """Draws tables, without taking anything in them for markup. Obeys NO_COLOR and TERM."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def print_lines(lines: Iterable[Iterable[object]]) -> None:
    """For a program: a line each, its cells parted by tabs."""
    for line in lines:
        print("\t".join(printable(cell(value)) for value in line))
    sys.stdout.flush()


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int) -> None:
    """For a person: as wide as the terminal. The last `texts` columns share what the others leave; what is too long is cut."""
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True)
    for number, header in enumerate(headers):
        is_text = number >= len(headers) - texts
        width = None if is_text else CELL_MAX_CHARACTERS
        table.add_column(header, overflow="ellipsis", no_wrap=True, ratio=1 if is_text else None, max_width=width)
    for row in rows:
        table.add_row(*(Text(printable(cell(value)), style=STYLES.get(cell(value), "")) for value in row))
    console().print(table)


def print_section(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """For a person: a table with its name, numbers to the right, no wider than what is in it."""
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    table = Table(title=title, title_justify="left")
    for at, header in enumerate(headers):
        is_number = all(isinstance(row[at], int | float) for row in rows)
        table.add_column(header, justify="right" if is_number else "left", style=STYLES.get(header, ""))
    for row in rows:
        table.add_row(*(Text(printable(cell(value)), style=STYLES.get(cell(value), "")) for value in row))
    console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values, a line each."""
    if not is_terminal():
        print_lines(fields.items())
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        grid.add_row(Text(name, style="bold"), Text(printable(cell(value)), style=STYLES.get(cell(value), "")))
    console().print(grid)
