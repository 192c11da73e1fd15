"""Where everything stands in a spreadsheet: tabs by title, columns by the name in the header row.

People may reorder columns and add their own; what they have is kept. A column of ours is also found as `url` or ` Url`; what
stands there is not rewritten. Row 1 is the header; rows are counted from zero, as Google's API counts them, so the first row
below the header is row 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import SHEET_COLUMNS
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json

TEXT_MAX_CHARACTERS = 50_000
"""Google's limit for a cell."""
ADOPTION_SLOTS = 200
"""Rows without a lease that are taken in with one request."""
ROWS_MIN = 2
"""A tab without a line below its header has nowhere to search."""
CONTROL = "control"
GUARANTEES = "guarantees"
"""The name of the line of Control in which `ydc doctor` keeps whether Google does what the claim rests on."""

COLUMNS: Mapping[str, Sequence[str]] = {
    table.name: (*table.row_type.column_names(), *SHEET_COLUMNS) for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)
} | {CONTROL: ("Name", "Value", "Until", "Reason", "Lease", "Slot")}
"""The seed's columns, in the seed's order, then ours; made where they are missing."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab as it stands: its number, its title and the names in its header row."""

    name: str
    """The name of the table of the contract that it holds, or `control`."""
    sheet_id: int
    title: str
    header: tuple[str, ...]
    grid_columns: int
    grid_rows: int
    used_columns: int = 0
    """Columns with anything in them, also without a name; known where columns of ours are missing."""

    def column(self, name: str) -> int:
        return self.header.index(name)

    @property
    def missing(self) -> list[str]:
        return [name for name in COLUMNS[self.name] if name not in self.header]

    @property
    def custom_columns(self) -> dict[str, int]:
        """A person's own columns, by name."""
        return {name: at for at, name in enumerate(self.header) if name and name not in COLUMNS[self.name]}

    def a1(self, first: str, last: str | None = None, rows: tuple[int, int] | None = None) -> str:
        """A1 notation of some columns, over all rows below the header or over `rows` (from, up to and without)."""
        start, end = (rows[0] + 1, str(rows[1])) if rows else (2, "")
        left, right = letters(self.column(first)), letters(self.column(last or first))
        return f"{quoted(self.title)}!{left}{start}:{right}{end}"

    def whole_rows(self, start: int, end: int) -> str:
        """A1 notation of every column of the rows from `start`, up to and without `end`."""
        return f"{quoted(self.title)}!A{start + 1}:{letters(max(len(self.header) - 1, 0))}{end}"

    def area(self, column: str, row: int | None = None) -> Json:
        """A GridRange: one column below the header, or one cell of it."""
        at = self.column(column)
        rows = {"startRowIndex": 1} if row is None else {"startRowIndex": row, "endRowIndex": row + 1}
        return {"sheetId": self.sheet_id, "startColumnIndex": at, "endColumnIndex": at + 1, **rows}


@dataclass(frozen=True, slots=True)
class Layout:
    """All our tabs, and the token: the number of the last change of rows."""

    tabs: Mapping[str, Tab]
    token: str
    """The ID of the named range; empty before the first preparation."""
    failed_guarantees: str = ""
    """What `ydc doctor` found not to hold on this spreadsheet."""
    control: Sequence[Sequence[str]] = ()
    """Everything that stands in the tab Control."""

    @property
    def is_ready(self) -> bool:
        tabs = self.tabs.values()
        return bool(self.token) and set(self.tabs) == set(COLUMNS) and not any(_incomplete(tab) for tab in tabs)


def trusted(layout: Layout) -> Layout:
    """Refuse a spreadsheet on which Google was found not to do what the claim rests on. Raises ConfigError."""
    if layout.failed_guarantees:
        raise ConfigError(
            "`ydc doctor` found that this spreadsheet does not keep what the claim rests on, so a video could be processed"
            f" twice: {layout.failed_guarantees} (run `ydc doctor` again, or use another spreadsheet or database_url)"
        )
    return layout


def titles(config: Config) -> dict[str, str]:
    """The tabs' titles by the name of what they hold. Raises ConfigError when two are the same."""
    chosen = {
        SOURCES.name: config.sources_worksheet_name.strip(),
        VIDEO_TASKS.name: config.video_tasks_worksheet_name.strip(),
        DEAD_LETTERS.name: config.dead_letter_worksheet_name.strip(),
        CONTROL: "Control",
    }
    (title, count), *_ = Counter(map(folded, chosen.values())).most_common()
    if not all(chosen.values()) or count > 1:
        raise ConfigError(
            f"the tabs need four different names: {title!r} is empty, or the name of two (one is Control)"
        )
    return chosen


def read_layout(connection: Connection, config: Config) -> Layout:
    """See what is there: two requests. Raises ConfigError when a column of ours is there twice."""
    found = connection.properties("namedRanges,sheets.properties(sheetId,title,gridProperties)")
    sheets = {folded(sheet["properties"]["title"]): sheet["properties"] for sheet in found.get("sheets", [])}
    wanted = {name: sheets[folded(title)] for name, title in titles(config).items() if folded(title) in sheets}
    areas = [quoted(each["title"]) + ("" if name == CONTROL else "!1:1") for name, each in wanted.items()]
    rows = dict(zip(wanted, connection.values(areas), strict=True)) if wanted else {}
    tabs = {name: _tab(name, wanted[name], lines[0] if lines else []) for name, lines in rows.items()}
    for tab in tabs.values():
        _check_duplicates(tab)
    control = rows.get(CONTROL, [])
    failed = _failed_guarantees(tabs[CONTROL], control) if CONTROL in tabs else ""
    return Layout(_with_used_columns(connection, tabs), token_of(found), failed, control)


def header_of(name: str, cells: Sequence[str]) -> tuple[str, ...]:
    """The names in a header row; those of our columns as we write them, unless another cell has the very name."""
    texts = [cell.strip() for cell in cells]
    ours = {folded(column): column for column in COLUMNS[name] if column not in texts}
    return tuple(ours.get(folded(text), text) for text in texts)


def _check_duplicates(tab: Tab) -> None:
    """Of two columns with one name workers could take different ones, and a row would have two leases."""
    for column in COLUMNS[tab.name]:
        places = [letters(at) for at, name in enumerate(tab.header) if name == column]
        if len(places) > 1:
            where = f"{' and '.join(places)} of the tab {tab.title!r}"
            raise ConfigError(f"two columns are named {column}, {where}: rename the one that is not the coordinator's")


def _failed_guarantees(control: Tab, rows: Sequence[Sequence[str]]) -> str:
    if not {"Name", "Value"} <= set(control.header):
        return ""
    lines = (dict(zip(control.header, row, strict=False)) for row in rows[1:])
    said = next((line.get("Value", "") for line in lines if line.get("Name") == GUARANTEES), "")
    return said.removeprefix("failed: ") if said.startswith("failed") else ""


def _with_used_columns(connection: Connection, tabs: Mapping[str, Tab]) -> dict[str, Tab]:
    """Where columns of ours are missing: see how far to the right there are data, so that none get a name of ours."""
    return {**tabs, **with_used_columns(connection, {name: tab for name, tab in tabs.items() if tab.missing})}


def with_used_columns(connection: Connection, tabs: Mapping[str, Tab]) -> dict[str, Tab]:
    """The tabs with what is known of data without a column's name."""
    areas = {
        name: f"{quoted(tab.title)}!{letters(len(tab.header))}1:{letters(tab.grid_columns - 1)}"
        for name, tab in tabs.items()
        if tab.grid_columns > len(tab.header)
    }
    if not areas:
        return dict(tabs)
    fields = "sheets(properties.sheetId,data.rowData.values.userEnteredValue)"
    found = connection.properties(fields, list(areas.values())).get("sheets", [])
    widths = {sheet["properties"].get("sheetId", 0): _width(sheet) for sheet in found}
    return {
        name: replace(tab, used_columns=len(tab.header) + widths.get(tab.sheet_id, 0)) if name in areas else tab
        for name, tab in tabs.items()
    }


def _width(sheet: Json) -> int:
    """Up to the last cell with something in it, a formula too."""
    rows = [row.get("values", []) for block in sheet.get("data", []) for row in block.get("rowData", [])]
    return max((at + 1 for cells in rows for at, cell in enumerate(cells) if cell.get("userEnteredValue")), default=0)


def token_of(properties: Mapping[str, Any]) -> str:
    """The ID of the token among the named ranges; of several (somebody made one by hand) the highest."""
    ids = [str(each.get("namedRangeId", "")) for each in properties.get("namedRanges", [])]
    return max((each for each in ids if re.fullmatch(r"ydc-\d+", each)), key=number_of, default="")


def number_of(token: str) -> int:
    return int(token.partition("-")[2] or 0)


def prepare(layout: Layout, config: Config, sheet_ids: Mapping[str, int]) -> list[Json]:
    """The requests that make what is missing; what people have stays where it is. `sheet_ids`: numbers for new tabs."""
    requests: list[Json] = []
    for name, title in titles(config).items():
        tab = layout.tabs.get(name)
        if tab is None:
            requests += new_tab(name, title, sheet_ids[name])
            continue
        if tab.grid_rows < ROWS_MIN:
            requests.append({"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": ROWS_MIN}})
        requests += _missing_columns(tab)
    return requests


def new_tab(name: str, title: str, sheet_id: int) -> list[Json]:
    """The requests that make a tab with its columns."""
    grid = {"rowCount": 1000, "columnCount": len(COLUMNS[name]), "frozenRowCount": 1}
    empty = _tab(name, {"sheetId": sheet_id, "title": title, "gridProperties": grid}, [])
    sheet = {"sheetId": sheet_id, "title": title, "gridProperties": grid}
    return [{"addSheet": {"properties": sheet}}, *new_columns(empty, COLUMNS[name])]


def _incomplete(tab: Tab) -> bool:
    return bool(tab.missing) or tab.grid_rows < ROWS_MIN


def _missing_columns(tab: Tab) -> list[Json]:
    """Behind everything that is there. Raises ConfigError when the first row is none of column names."""
    if not tab.missing:
        return []
    if any("://" in name for name in tab.header):
        raise ConfigError(
            f"the first row of the tab {tab.title!r} holds an address: insert a row of column names above it"
        )
    return new_columns(tab, tab.missing)


def new_columns(tab: Tab, names: Sequence[str]) -> list[Json]:
    """The requests that add columns to the right of everything that is there."""
    start = max(len(tab.header), tab.used_columns)
    needed = start + len(names) - tab.grid_columns
    requests: list[Json] = []
    if needed > 0:
        requests.append({"appendDimension": {"sheetId": tab.sheet_id, "dimension": "COLUMNS", "length": needed}})
    at = {"sheetId": tab.sheet_id, "rowIndex": 0, "columnIndex": start}
    cells = {"values": [text_cell(name) for name in names]}
    requests.append({"updateCells": {"start": at, "rows": [cells], "fields": "userEnteredValue"}})
    return requests


def with_columns(tab: Tab, names: Sequence[str]) -> tuple[list[Json], Tab]:
    """A tab with more columns of a person's own, so that nothing of theirs is left behind; and the requests that make them."""
    if not names:
        return [], tab
    start, sheet = len(tab.header), tab.sheet_id
    wider = [{"appendDimension": {"sheetId": sheet, "dimension": "COLUMNS", "length": len(names)}}]
    at = {"sheetId": sheet, "rowIndex": 0, "columnIndex": start}
    cells = {"values": [text_cell(name) for name in names]}
    write = {"updateCells": {"start": at, "rows": [cells], "fields": "userEnteredValue"}}
    return [*wider, write], replace(tab, header=(*tab.header, *names))


def _tab(name: str, properties: Mapping[str, Any], header: Sequence[str]) -> Tab:
    grid = properties.get("gridProperties", {})
    return Tab(
        name=name,
        sheet_id=int(properties.get("sheetId", 0)),
        title=str(properties["title"]),
        header=header_of(name, header),
        grid_columns=int(grid.get("columnCount", 0)),
        grid_rows=int(grid.get("rowCount", 0)),
    )


def text_cell(text: str) -> Json:
    """A cell that holds text and nothing else: never a formula, a number or a date. Nothing for no text."""
    return {"userEnteredValue": {"stringValue": text[:TEXT_MAX_CHARACTERS]}} if text else {}


def folded(title: str) -> str:
    """Sheets takes titles that differ in case alone for the same."""
    return title.strip().casefold()


def letters(column: int) -> str:
    """A1's name of a column that is counted from zero."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def quoted(title: str) -> str:
    return "'" + title.replace("'", "''") + "'"
