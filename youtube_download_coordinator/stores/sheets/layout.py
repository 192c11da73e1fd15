"""Where everything stands in a spreadsheet: tabs by title, columns by the name in the header row.

People may reorder columns and add their own; what they have is kept. Row 1 is the header; rows are counted from zero, as
Google's API counts them, so the first row below the header is row 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.connection import Connection, Json

TEXT_MAX_CHARACTERS = 50_000
"""Google's limit for a cell."""
ADOPTION_SLOTS = 50
"""Rows without a lease that are taken in with one request."""

_TASK_COLUMNS = (
    "ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount",
    "Title", "NotBefore", "LastError", "Result", "Lease", "Shown",
)  # fmt: skip
COLUMNS: Mapping[str, Sequence[str]] = {
    SOURCES.name: (
        "ID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type",
        "Title", "Videos", "CheckedAt", "RetryCount", "NotBefore", "LastError", "Key", "Lease", "Shown",
    ),
    VIDEO_TASKS.name: _TASK_COLUMNS,
    DEAD_LETTERS.name: _TASK_COLUMNS,
    "control": ("Name", "Value", "Until", "Reason", "Lease", "Slot"),
}  # fmt: skip
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

    def column(self, name: str) -> int:
        return self.header.index(name)

    @property
    def missing(self) -> list[str]:
        return [name for name in COLUMNS[self.name] if name not in self.header]

    @property
    def own(self) -> dict[str, int]:
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

    @property
    def is_ready(self) -> bool:
        return (
            bool(self.token) and set(self.tabs) == set(COLUMNS) and not any(tab.missing for tab in self.tabs.values())
        )


def titles(config: Config) -> dict[str, str]:
    """The tabs' titles by the name of what they hold."""
    return {
        SOURCES.name: config.sources_worksheet_name,
        VIDEO_TASKS.name: config.video_tasks_worksheet_name,
        DEAD_LETTERS.name: config.dead_letter_worksheet_name,
        "control": "Control",
    }


def read_layout(connection: Connection, config: Config) -> Layout:
    """See what is there: two requests."""
    found = connection.properties("namedRanges,sheets.properties(sheetId,title,gridProperties)")
    sheets = {sheet["properties"]["title"]: sheet["properties"] for sheet in found.get("sheets", [])}
    wanted = {name: title for name, title in titles(config).items() if title in sheets}
    headers = connection.values([f"{quoted(title)}!1:1" for title in wanted.values()]) if wanted else []
    tabs = {
        name: _tab(name, sheets[title], rows[0] if rows else [])
        for (name, title), rows in zip(wanted.items(), headers, strict=True)
    }
    return Layout(tabs, token_of(found))


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
        tab = layout.tabs.get(name) or _tab(name, {"sheetId": sheet_ids[name], "title": title}, [])
        if name not in layout.tabs:
            requests.append({"addSheet": {"properties": _new_sheet(tab)}})
        requests += _missing_columns(tab)
    return requests


def _new_sheet(tab: Tab) -> Json:
    grid = {"rowCount": 1000, "columnCount": len(COLUMNS[tab.name]), "frozenRowCount": 1}
    return {"sheetId": tab.sheet_id, "title": tab.title, "gridProperties": grid}


def _missing_columns(tab: Tab) -> list[Json]:
    if not tab.missing:
        return []
    start = len(tab.header)
    there = tab.grid_columns or len(COLUMNS[tab.name])  # a new tab is made wide enough
    needed = start + len(tab.missing) - there
    requests: list[Json] = []
    if needed > 0:
        requests.append({"appendDimension": {"sheetId": tab.sheet_id, "dimension": "COLUMNS", "length": needed}})
    at = {"sheetId": tab.sheet_id, "rowIndex": 0, "columnIndex": start}
    cells = {"values": [text_cell(name) for name in tab.missing]}
    requests.append({"updateCells": {"start": at, "rows": [cells], "fields": "userEnteredValue"}})
    return requests


def _tab(name: str, properties: Mapping[str, Any], header: Sequence[str]) -> Tab:
    grid = properties.get("gridProperties", {})
    return Tab(
        name=name,
        sheet_id=int(properties.get("sheetId", 0)),
        title=str(properties["title"]),
        header=tuple(cell.strip() for cell in header),
        grid_columns=int(grid.get("columnCount", 0)),
        grid_rows=int(grid.get("rowCount", 0)),
    )


def text_cell(text: str) -> Json:
    """A cell that holds text and nothing else: never a formula, a number or a date. Nothing for no text."""
    return {"userEnteredValue": {"stringValue": text[:TEXT_MAX_CHARACTERS]}} if text else {}


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
