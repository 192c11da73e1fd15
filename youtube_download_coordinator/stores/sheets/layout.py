"""Describe the layout of a spreadsheet: its tabs and their columns, which are found by the names in the header row.

People may reorder columns and add others. Letter case and spaces around the coordinator's names do not matter (`url`, ` Url`),
and the names are not rewritten. Rows are counted from zero, as in Google's API: the header is row 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, StoreError
from youtube_download_coordinator.models import SHEET_COLUMNS
from youtube_download_coordinator.queue.priority import is_priority
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines, find_replace
from youtube_download_coordinator.stores.sheets.batch_token import Token
from youtube_download_coordinator.stores.sheets.tab_marks import add_mark, sheet_number

TEXT_MAX_CHARACTERS = 50_000
"""Google's limit for the text of a cell."""
ROWS_MIN = 2
"""The minimum number of rows, because a search needs a line below the header."""
CONTROL = "control"
GUARANTEES = "guarantees"
"""The name of the line of Control in which `ydc doctor` records whether Google behaves as claiming requires."""


class LayoutProblem(ConfigError, StoreError):
    """Raised when a person has changed tabs or columns so that workers cannot continue. The message contains advice."""


COLUMNS: Mapping[str, Sequence[str]] = {
    table.name: (*table.row_type.column_names(), *SHEET_COLUMNS) for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS)
} | {CONTROL: ("Name", "Value", "Until", "Reason", "Lease", "Slot")}
"""The columns of each tab in order: the seed's first, then others. Missing columns are added."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the spreadsheet when it was read."""

    name: str
    """The name of the table that the tab contains, or `control`."""
    sheet_id: int
    title: str
    header: tuple[str, ...]
    grid_columns: int
    grid_rows: int
    used_columns: int = 0
    """The number of columns with data, with or without a name. Known only if a column of the coordinator is missing."""

    def column(self, name: str) -> int:
        return self.header.index(name)

    @property
    def missing(self) -> list[str]:
        return [name for name in COLUMNS[self.name] if name not in self.header]

    @property
    def custom_columns(self) -> dict[str, int]:
        """Return the positions of the columns that people have added, by name."""
        return {name: index for index, name in enumerate(self.header) if name and name not in COLUMNS[self.name]}

    @property
    def priority_column(self) -> str | None:
        """Return the name of the column for priorities, or None if people have not added one."""
        return next((name for name in self.custom_columns if is_priority(name)), None)

    def a1(self, column: str, row: int, end: int | None = None) -> str:
        """Return the A1 notation of a cell, or of a column's cells from `row` to before `end`.

        A write request names the cells for its response by the titles of their tabs.
        """
        letter = letters(self.column(column))
        last = "" if end is None else f":{letter}{end}"
        return f"{quoted(self.title)}!{letter}{row + 1}{last}"

    @property
    def header_area(self) -> Json:
        """Return the GridRange of the header row."""
        return {"sheetId": self.sheet_id, "endRowIndex": 1}

    def whole_rows(self, start: int, end: int) -> Json:
        """Return the GridRange of every column of some rows. `end` is exclusive."""
        return {
            "sheetId": self.sheet_id,
            "startRowIndex": start,
            "endRowIndex": end,
            "endColumnIndex": max(len(self.header), 1),
        }

    def area(self, column: str, row: int | None = None) -> Json:
        """Return the GridRange of one column below the header, or of one cell of it."""
        index = self.column(column)
        rows = {"startRowIndex": 1} if row is None else {"startRowIndex": row, "endRowIndex": row + 1}
        return {"sheetId": self.sheet_id, "startColumnIndex": index, "endColumnIndex": index + 1, **rows}


@dataclass(frozen=True, slots=True)
class Layout:
    """The tabs of the coordinator, and the token, which is the version of the rows. Every guarded batch increments it."""

    tabs: Mapping[str, Tab]
    token: Token
    """The last token. Its `range_id` is empty before the first preparation."""
    failed_guarantees: str = ""
    """The guarantees that do not hold on this spreadsheet, as found by `ydc doctor`."""
    control: Sequence[Sequence[str]] = ()
    """All cells of the tab Control."""
    is_used: bool = False
    """Whether workers have used the spreadsheet before."""
    problem: str = ""
    """One line about what a person must undo before workers can use the spreadsheet."""
    unmarked: Sequence[str] = ()
    """The tabs without a mark (tab_marks.py)."""
    pause_mark: str = ""
    """The ID of the named range that exists while the fleet is paused (pause_mark.py)."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The numbers in Control."""

    @property
    def is_ready(self) -> bool:
        is_complete = all(not tab.missing and tab.grid_rows >= ROWS_MIN for tab in self.tabs.values())
        is_numbered = all(self.numbers.get(sheet_number(name)) == tab.sheet_id for name, tab in self.tabs.items())
        is_marked = bool(self.token.range_id) and not self.unmarked and is_numbered
        return is_marked and set(self.tabs) == set(COLUMNS) and is_complete


def titles(config: Config) -> dict[str, str]:
    """Return the titles of the tabs by the names of their tables. Raises ConfigError if two are the same."""
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


def header_of(name: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Return the names in a header row. The coordinator's names get their usual case, unless another cell has that exact name."""
    texts = [cell.strip() for cell in cells]
    names = {folded(column): column for column in COLUMNS[name] if column not in texts}
    return tuple(names.get(folded(text), text) for text in texts)


def check_duplicates(tab: Tab) -> None:
    """Raise LayoutProblem if two columns have the same name, because workers could use different ones for the lease."""
    for column in COLUMNS[tab.name]:
        places = [letters(index) for index, name in enumerate(tab.header) if name == column]
        if len(places) > 1:
            columns = f"{' and '.join(places)} of the tab {tab.title!r}"
            raise LayoutProblem(
                f"two columns are named {column}, {columns}: rename the one that is not the coordinator's"
            )


def with_used_columns(connection: Connection, tabs: Mapping[str, Tab]) -> dict[str, Tab]:
    """Return the tabs with the number of columns that contain data, with or without a name.

    Raises Refused if a tab has another title now, because formulas are requested by title.
    """
    areas = {
        name: f"{quoted(tab.title)}!{letters(len(tab.header))}1:{letters(tab.grid_columns - 1)}"
        for name, tab in tabs.items()
        if tab.grid_columns > len(tab.header)
    }
    if not areas:
        return dict(tabs)
    fields = "sheets(properties.sheetId,data.rowData.values.userEnteredValue)"
    sheets = connection.properties(fields, list(areas.values())).get("sheets", [])
    widths = {sheet["properties"].get("sheetId", 0): _width(sheet) for sheet in sheets}
    if not widths.keys() >= {tabs[name].sheet_id for name in areas}:
        raise Refused("a tab was renamed between two requests")
    return {
        name: replace(tab, used_columns=len(tab.header) + widths[tab.sheet_id]) if name in areas else tab
        for name, tab in tabs.items()
    }


def _width(sheet: Json) -> int:
    """Return the number of columns up to the last cell with a value or a formula."""
    rows = [row.get("values", []) for block in sheet.get("data", []) for row in block.get("rowData", [])]
    return max(
        (index + 1 for cells in rows for index, cell in enumerate(cells) if cell.get("userEnteredValue")), default=0
    )


def prepare(layout: Layout, config: Config, sheet_ids: Mapping[str, int], nonce: str) -> list[Json]:
    """Return the requests that add missing tabs, columns, lines and marks. `sheet_ids`: the IDs of new tabs, by table.

    Raises LayoutProblem if the first row of a tab does not contain column names.
    """
    requests: list[Json] = []
    for name, title in titles(config).items():
        tab = layout.tabs.get(name)
        if tab is None:
            requests += new_tab(name, title, sheet_ids[name])
            continue
        if tab.grid_rows < ROWS_MIN:
            requests.append({"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": ROWS_MIN}})
        if tab.missing and any("://" in column for column in tab.header):
            problem = "holds an address: insert a row of column names above it"
            raise LayoutProblem(f"the first row of the tab {tab.title!r} {problem}")
        requests += new_columns(tab, tab.missing) if tab.missing else []
    return [*requests, *_marks(layout, sheet_ids, nonce)]


def _marks(layout: Layout, sheet_ids: Mapping[str, int], nonce: str) -> list[Json]:
    """Return the requests that mark tabs and write their sheetIds into Control."""
    known = {name: layout.tabs[name].sheet_id if name in layout.tabs else sheet_ids[name] for name in COLUMNS}
    control = layout.tabs.get(CONTROL)
    requests = [
        add_mark(name, known[name], nonce, is_first=not layout.is_used)
        for name in COLUMNS
        if name in layout.unmarked or name not in layout.tabs
    ]
    lines: list[Json] = []
    for name in COLUMNS:
        number = sheet_number(name)
        old = layout.numbers.get(number)
        if control and "Lease" in control.header and old is not None:
            if old != known[name]:
                requests.append(find_replace(f"{number} {old}", f"{number} {known[name]}", control.area("Lease")))
        else:
            cells = {"Name": number, "Lease": f"{number} {known[name]}"}
            lines.append({"values": [text_cell(cells.get(column, "")) for column in _prepared_header(control)]})
    return [*requests, append_lines(known[CONTROL], lines)] if lines else requests


def _prepared_header(control: Tab | None) -> Sequence[str]:
    """Return the header of Control with the missing columns added."""
    if control is None:
        return COLUMNS[CONTROL]
    padding = [""] * (max(len(control.header), control.used_columns) - len(control.header))
    return (*control.header, *padding, *control.missing) if control.missing else control.header


def new_tab(name: str, title: str, sheet_id: int) -> list[Json]:
    """Return the requests that add a tab with its columns."""
    grid = {"rowCount": 1000, "columnCount": len(COLUMNS[name]), "frozenRowCount": 1}
    empty = read_tab(name, {"sheetId": sheet_id, "title": title, "gridProperties": grid}, [])
    sheet = {"sheetId": sheet_id, "title": title, "gridProperties": grid}
    return [{"addSheet": {"properties": sheet}}, *new_columns(empty, COLUMNS[name])]


def new_columns(tab: Tab, names: Sequence[str]) -> list[Json]:
    """Return the requests that add columns to the right of all data."""
    start = max(len(tab.header), tab.used_columns)
    needed = start + len(names) - tab.grid_columns
    requests: list[Json] = []
    if needed > 0:
        requests.append({"appendDimension": {"sheetId": tab.sheet_id, "dimension": "COLUMNS", "length": needed}})
    first_cell = {"sheetId": tab.sheet_id, "rowIndex": 0, "columnIndex": start}
    cells = {"values": [text_cell(name) for name in names]}
    requests.append({"updateCells": {"start": first_cell, "rows": [cells], "fields": "userEnteredValue"}})
    return requests


def with_columns(tab: Tab, names: Sequence[str]) -> tuple[list[Json], Tab]:
    """Return the requests that add custom columns to a tab, and the tab with these columns."""
    if not names:
        return [], tab
    start, sheet = len(tab.header), tab.sheet_id
    wider = [{"appendDimension": {"sheetId": sheet, "dimension": "COLUMNS", "length": len(names)}}]
    first_cell = {"sheetId": sheet, "rowIndex": 0, "columnIndex": start}
    cells = {"values": [text_cell(name) for name in names]}
    write = {"updateCells": {"start": first_cell, "rows": [cells], "fields": "userEnteredValue"}}
    return [*wider, write], replace(tab, header=(*tab.header, *names))


def read_tab(name: str, properties: Mapping[str, Any], header: Sequence[str]) -> Tab:
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
    """Return a cell that contains text, never a formula, a number or a date. An empty text makes an empty cell."""
    return {"userEnteredValue": {"stringValue": text[:TEXT_MAX_CHARACTERS]}} if text else {}


def folded(title: str) -> str:
    """Return a title for comparisons. Google treats titles that differ only in letter case as equal."""
    return title.strip().casefold()


def letters(column: int) -> str:
    """Return the letters of a column in A1 notation, counted from zero."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def quoted(title: str) -> str:
    return "'" + title.replace("'", "''") + "'"
