"""Print tables and colours at a terminal, and plain lines for a program.

Titles and errors come from YouTube. Control characters in them are replaced, so that they do not reach a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Mapping[str, str] = {"done": "green", "in-progress": "cyan", "error": "red", "dead letters": "red"}
"""Colours of the words for states (`models.WORDS`)."""
CELL_MAX_CHARACTERS = 16
"""The width of an accent or a type in a table; `ydc show` prints the whole text."""
JOINERS = "\u200c\u200d"
"""Characters that some scripts and emoji need; they are harmless to a terminal."""


def printable(text: object) -> str:
    """Return one line in which U+FFFD replaces each control character, escape and change of direction."""
    return "".join(_printable_character(character) for character in str(text))


def printable_lines(text: str) -> str:
    """Do the same for a text of several lines, such as a traceback."""
    return "\n".join(map(printable, text.split("\n")))


def _printable_character(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def say(text: str, *, problem: bool = False) -> None:
    """Print a line, on stderr if it reports a problem."""
    print(printable(text), file=sys.stderr if problem else sys.stdout, flush=True)


def confirm(question: str) -> None:
    """Ask at the terminal. Raises UserError if the answer is no, or if there is no terminal."""
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to confirm this at: add --yes")
    print(f"{question} Continue? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UserError("nothing was changed")


def say_json(values: object) -> None:
    print(json_text(values), flush=True)


def json_text(values: object, *, as_ascii: bool = True) -> str:
    """Return one line of JSON. In ASCII, control characters are escaped, and harmless to a terminal."""
    return json.dumps(values, default=_plain, ensure_ascii=as_ascii)


def cell(value: object) -> str:
    """Return a value as text: empty for None, and times in UTC."""
    return "" if value is None else str(_plain(value))


def _plain(value: object) -> object:
    return format_utc(value) if isinstance(value, datetime) else str(value)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    """Return a console that draws tables and treats nothing in them as markup. It respects NO_COLOR and TERM."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def print_lines(lines: Iterable[Iterable[object]]) -> None:
    """Print lines for a program, with tabs between their cells."""
    for line in lines:
        print("\t".join(printable(cell(value)) for value in line))
    sys.stdout.flush()


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int) -> None:
    """Print a table as wide as the terminal. The last `texts` columns share the remaining width and are truncated."""
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


def print_fields(fields: Mapping[str, object]) -> None:
    """Print a line for each name and value."""
    if not is_terminal():
        print_lines(fields.items())
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        grid.add_row(Text(name, style="bold"), Text(printable(cell(value)), style=STYLES.get(cell(value), "")))
    console().print(grid)
