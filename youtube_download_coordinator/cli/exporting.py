"""`ydc export`: a table of the queue as a file, written row by row."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    Flag,
    QueueOptions,
    RowFilters,
    TableName,
    select,
)
from youtube_download_coordinator.cli.terminal import cell, json_text, printable, say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Row

Format = Literal["csv", "jsonl"]
TO_STDOUT = Path("-")
WORKBOOKS = frozenset({".xlsx", ".xls", ".ods"})
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet program takes text that begins with one of these for a formula, which may fetch addresses and start programs."""


@app.command(group=LOOK)
def export(
    file: Path = TO_STDOUT,
    *,
    table: TableName = "videos",
    format: Annotated[Format | None, Parameter(name=["--format", "-f"])] = None,
    raw: Flag = False,
    filters: RowFilters = NO_FILTERS,
    queue: QueueOptions = AS_SET,
) -> int:
    """Write a table as CSV or JSON Lines.

    With every column, row by row; a file is replaced when the new one is whole.

    In CSV, text that a spreadsheet program would take for a formula (a title that begins with `=`, `+`, `-` or `@`) gets an
    apostrophe in front, unless `--raw` is given. JSON Lines is exact.

    ```
    ydc export videos.csv
    ydc export dead.jsonl --table dead-letters
    ydc export --format jsonl --status done | jq .Result
    ```

    Parameters
    ----------
    file
        Where to; `-` is the standard output.
    table
        What to write; dead letters are videos too.
    format
        Else the end of the file's name says it, else it is CSV.
    raw
        CSV for a program that knows no formulas: every text as it is.
    """
    if not format and file.suffix.lower() in WORKBOOKS:
        raise UserError(
            f"{str(file)!r} would be no such file: spreadsheet programs open CSV too, so name it {file.stem}.csv"
        )
    ours = queue.coordinator().queue
    wanted = filters.selection()

    def rows() -> Iterator[Row]:
        return select(ours, table, wanted)

    chosen = format or ("jsonl" if file.suffix in {".jsonl", ".ndjson", ".json"} else "csv")
    with _opened(file) as out:
        count = _write_json_lines(out, rows()) if chosen == "jsonl" else _write_csv(out, rows, raw=raw)
    if file != TO_STDOUT:
        say(f"{count} rows in {file}")
    return 0


def _write_json_lines(out: TextIO, rows: Iterable[Row]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        out.write(json_text(row.columns(), as_ascii=out.isatty()) + "\n")
    return count


def _write_csv(out: TextIO, rows: Callable[[], Iterable[Row]], *, raw: bool) -> int:
    """The names of the columns stand first, people's own too: so the rows are gone through twice, and never kept."""
    names: dict[str, None] = {}
    for row in rows():
        names |= dict.fromkeys(row.columns())
    writer = csv.DictWriter(out, list(names), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    count = 0
    for count, row in enumerate(rows(), 1):  # noqa: B007
        cells = _cells(row.columns(), raw=raw)
        writer.writerow({name: printable(text) for name, text in cells.items()} if out.isatty() else cells)
    return count


def _cells(columns: Mapping[str, Any], *, raw: bool) -> dict[str, str]:
    return {
        name: cell(value) if raw or not isinstance(value, str) else no_formula(value) for name, value in columns.items()
    }


def no_formula(text: str) -> str:
    """Text that a spreadsheet program shows as it is."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """The standard output, or a file that takes the place of `file` when it is whole."""
    if file == TO_STDOUT:
        yield sys.stdout
        sys.stdout.flush()
        return
    if file.is_dir():
        raise UserError(f"{str(file)!r} cannot be written: Is a directory")
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="") as out:
            yield out
        beside.replace(file)
    except OSError as error:
        raise UserError(f"{str(file)!r} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            beside.unlink()
