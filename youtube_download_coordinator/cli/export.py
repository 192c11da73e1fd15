"""`ydc export`: write a table of the queue to a file, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.output import TO_STDOUT, is_stdout, output
from youtube_download_coordinator.cli.queue_options import (
    AS_SET,
    NO_FILTERS,
    TABLES,
    Flag,
    QueueOptions,
    RowFilters,
    TableName,
    select,
    tables_to_search,
)
from youtube_download_coordinator.cli.terminal import cell, json_text, printable, say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Row
from youtube_download_coordinator.text import no_formula

Format = Literal["csv", "jsonl"]
WORKBOOKS = frozenset({".xlsx", ".xls", ".ods"})


@app.command(group=LOOK)
def export(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)] = TO_STDOUT,
    *,
    table: TableName = "videos",
    format: Annotated[Format | None, Parameter(name=["--format", "-f"])] = None,
    raw: Flag = False,
    filters: RowFilters = NO_FILTERS,
    queue: QueueOptions = AS_SET,
) -> int:
    """Write a table as CSV or JSON Lines.

    The file contains every column. An existing file is replaced only once the new one is complete. A device or a FIFO is written
    directly.

    A spreadsheet program would run a title that begins with `=`, `+`, `-` or `@` as a formula. In CSV such text gets an
    apostrophe in front, unless `--raw` is given. JSON Lines contains the exact text.

    ```
    ydc export videos.csv
    ydc export dead.jsonl --table dead-letters
    ydc export --format jsonl --status done | jq .Result
    ```

    Parameters
    ----------
    file
        The file to write; `-` is the standard output, and `./-` a file named `-`.
    table
        The table to write; `videos` includes the dead letters.
    format
        The format; unless given, the one of the file's extension, or CSV.
    raw
        Write all text unchanged, for programs that do not run formulas.
    """
    if file.startswith("-") and file != TO_STDOUT:
        raise UserError(f"there is no option {file}: ydc export --help; a file of this name is ./{file}")
    path = Path(file)
    if not format and path.suffix.lower() in WORKBOOKS:
        raise UserError(
            f"{file!r}: workbooks are not supported; spreadsheet programs open CSV too, so name it {path.stem}.csv"
        )
    opened_queue, selection = queue.coordinator().queue, filters.selection()

    rows = select(opened_queue, table, selection)
    chosen = format or ("jsonl" if path.suffix in {".jsonl", ".ndjson", ".json"} else "csv")
    with output(file) as out:
        if chosen == "jsonl":
            count = _write_json_lines(out, rows)
        else:
            custom = (opened_queue.store.used_columns(TABLES[name]) for name in tables_to_search(table))
            names = dict.fromkeys([*TABLES[table].row_type.column_names(), *chain.from_iterable(custom)])
            count = _write_csv(out, list(names), rows, raw=raw)
    if not is_stdout(file):
        say(f"{count} rows in {file}")
    return 0


def _write_json_lines(out: TextIO, rows: Iterable[Row]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        out.write(json_text(row.columns(), as_ascii=out.isatty()) + "\n")
    return count


def _write_csv(out: TextIO, names: Sequence[str], rows: Iterable[Row], *, raw: bool) -> int:
    """Write a header with these names, then the rows as they are read."""
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    header = {name: name if raw else no_formula(name) for name in names}
    writer.writerow({name: printable(text) for name, text in header.items()} if out.isatty() else header)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        cells = _cells(row.columns(), raw=raw)
        writer.writerow({name: printable(text) for name, text in cells.items()} if out.isatty() else cells)
    return count


def _cells(columns: Mapping[str, Any], *, raw: bool) -> dict[str, str]:
    return {
        name: cell(value) if raw or not isinstance(value, str) else no_formula(value) for name, value in columns.items()
    }
