"""The tab Dashboard: a report in cells, which is written over each time, and beside it room for people.

Ours are the columns A to K; what stands to the right of them, and a chart wherever it is, is left alone. The tab is known by
its number, so that it may be renamed, hidden, or moved; a tab of that name that a person has made is not ours. It holds nothing
that workers read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import STATUS, Cell, Page, Section, State, Status
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Environment, Json, Refused
from youtube_download_coordinator.stores.sheets.layout import folded, text_cell
from youtube_download_coordinator.stores.sheets.setup.formatting import COLOURS

TITLE = "Dashboard"
SHEET_ID = 796_463_001
"""One for every spreadsheet: of two reports that make the tab at once, Google refuses the second."""
ROUNDS = 4
"""How often it is tried to write while others change the spreadsheet."""
PAUSE_SECONDS = 2.0
"""Before a write whose answer was lost is made again."""
GRID_ROWS, GRID_COLUMNS = 220, 26
WIDTH = 7
"""Columns of the tables; what a table has in its last column, if that is a number, stands in the last one."""
DAYS_COLUMN, DAYS_ROW = WIDTH + 1, 19
"""Where the table of days begins, below the chart that is made over it."""
DAYS_WIDTH = 3
OUR_COLUMNS = DAYS_COLUMN + DAYS_WIDTH
WIDTHS_PIXELS = {0: 230, 1: 90, 2: 160, DAYS_COLUMN: 160, DAYS_COLUMN + 1: 160, DAYS_COLUMN + 2: 160}
CHART_PIXELS = (480, 375)
_FIELDS = "userEnteredValue,userEnteredFormat.textFormat.bold,userEnteredFormat.horizontalAlignment"
_BOLD: Json = {"textFormat": {"bold": True}}
_WORDS: Mapping[str, Status] = {
    "running": Status.DONE,
    "clear": Status.DONE,
    "paused": Status.ERROR,
    "cooling": Status.ERROR,
    "probing": Status.IN_PROGRESS,
}
"""Which colour the words of Control have."""


def show_dashboard(config: Config, page: Page, outside: Environment | None = None) -> None:
    """Bring the tab up to date, and make it when it is not there: one write, and the first time one read and one write more.

    Raises StoreError when it cannot be written; ConfigError for what a person can mend.
    """
    connection = Connection(config, outside)
    try:
        _write(connection, [_tables(page), _days(page)], len(page.days.rows))
    finally:
        connection.close()


def _write(connection: Connection, cells: Sequence[Json], days: int) -> None:
    changes, problem = list(cells), ""
    for _ in range(ROUNDS):
        try:
            connection.write(changes)
        except AnswerLost as error:  # written twice it says the same
            problem = f"{error}"
            connection.pause(PAUSE_SECONDS)
        except Refused as error:  # there is no tab yet, or a person has cut it short
            problem = f"{error}"
            changes = [*_missing(connection, days), *cells]
        else:
            return
    raise StoreError(f"the tab {TITLE} could not be written: {problem}")


def _missing(connection: Connection, days: int) -> list[Json]:
    """What makes the tab, or makes it large enough."""
    found = connection.properties("sheets.properties(sheetId,title,gridProperties)").get("sheets", [])
    tabs = {each["properties"].get("sheetId", 0): each["properties"] for each in found}
    if SHEET_ID not in tabs:
        return _new_tab(_free_title([str(tab["title"]) for tab in tabs.values()]), days)
    grid = tabs[SHEET_ID].get("gridProperties", {})
    sizes = {"ROWS": GRID_ROWS - grid.get("rowCount", 0), "COLUMNS": OUR_COLUMNS - grid.get("columnCount", 0)}
    return [
        {"appendDimension": {"sheetId": SHEET_ID, "dimension": dimension, "length": length}}
        for dimension, length in sizes.items()
        if length > 0
    ]


def _free_title(taken: Sequence[str]) -> str:
    names = {folded(title) for title in taken}
    numbered = (f"{TITLE} {number}" for number in range(2, len(names) + 3))
    return next(title for title in (TITLE, *numbered) if folded(title) not in names)


# --- cells -----------------------------------------------------------------------------------------------------------


def _tables(page: Page) -> Json:
    """The request that writes all tables but the days, below each other, and empties what was below them."""
    rows = [_row([f"Youtube Download Coordinator, {page.at}"], bold=True), {}]
    for section in page.sections:
        rows += _lines(section)
    area = {"startRowIndex": 0, "endRowIndex": GRID_ROWS, "startColumnIndex": 0, "endColumnIndex": WIDTH}
    return {"updateCells": {"range": {"sheetId": SHEET_ID, **area}, "rows": rows[:GRID_ROWS], "fields": _FIELDS}}


def _lines(section: Section) -> Iterator[Json]:
    if not section.rows:
        return
    has_number = isinstance(section.rows[0][-1], int)
    header, *rows = (_spread(row) if has_number else row for row in (section.header, *section.rows))
    yield _row([section.title], bold=True)
    yield _header(header, rows[0])
    yield from map(_row, rows)
    yield {}


def _spread(row: Sequence[Cell]) -> Sequence[Cell]:
    """As wide as the tables, with what stands last in the last column."""
    return [*row[:-1], *[""] * (WIDTH - len(row)), row[-1]]


def _days(page: Page) -> Json:
    rows = [_header(page.days.header, page.days.rows[0]), *map(_row, page.days.rows)]
    return {"updateCells": {"range": _days_area(len(rows)), "rows": rows, "fields": _FIELDS}}


def _days_area(rows: int, column: int = 0, columns: int = DAYS_WIDTH) -> Json:
    """Some columns of the table of days, its header among its rows."""
    start = DAYS_COLUMN + column
    return {
        "sheetId": SHEET_ID,
        "startRowIndex": DAYS_ROW,
        "endRowIndex": DAYS_ROW + rows,
        "startColumnIndex": start,
        "endColumnIndex": start + columns,
    }


def _header(names: Sequence[Cell], below: Sequence[Cell]) -> Json:
    """Names of columns: to the right where numbers stand below, as those do."""
    row = _row(names, bold=True)
    for cell, first in zip(row["values"], below, strict=True):
        if not isinstance(first, str):
            cell["userEnteredFormat"] = {**_BOLD, "horizontalAlignment": "RIGHT"}
    return row


def _row(cells: Sequence[Cell], *, bold: bool = False) -> Json:
    look = {"userEnteredFormat": _BOLD} if bold else {}
    return {"values": [{**_cell(cell), **look} for cell in cells]}


def _cell(cell: Cell) -> Json:
    return text_cell(cell) if isinstance(cell, str) else {"userEnteredValue": {"numberValue": cell}}


# --- the tab, once ---------------------------------------------------------------------------------------------------


def _new_tab(title: str, days: int) -> list[Json]:
    grid = {"rowCount": GRID_ROWS, "columnCount": GRID_COLUMNS, "hideGridlines": True}
    ours = {"sheetId": SHEET_ID, "startColumnIndex": 0, "endColumnIndex": OUR_COLUMNS}
    warning = {"range": ours, "description": "Written over by each report.", "warningOnly": True}
    return [
        {"addSheet": {"properties": {"sheetId": SHEET_ID, "title": title, "gridProperties": grid}}},
        *(_wide(column, pixels) for column, pixels in WIDTHS_PIXELS.items()),
        *(
            {"addConditionalFormatRule": {"rule": rule, "index": index}}
            for index, rule in enumerate([*_number_colours(), *_word_colours()])
        ),
        {"addProtectedRange": {"protectedRange": warning}},
        {"addChart": {"chart": _chart(days + 1)}},
    ]


def _wide(column: int, pixels: int) -> Json:
    columns = {"sheetId": SHEET_ID, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
    return {"updateDimensionProperties": {"range": columns, "properties": {"pixelSize": pixels}, "fields": "pixelSize"}}


def _number_colours() -> Iterator[Json]:
    """A number of rows in a state has the colour of that state wherever it is not zero."""
    for column, state in enumerate(State, start=1):
        yield _colour(column, {"type": "NUMBER_GREATER", "values": [{"userEnteredValue": "0"}]}, STATUS[state])


def _word_colours() -> Iterator[Json]:
    for word, status in _WORDS.items():
        yield _colour(1, {"type": "TEXT_EQ", "values": [{"userEnteredValue": word}]}, status)


def _colour(column: int, condition: Json, status: Status) -> Json:
    area = {"sheetId": SHEET_ID, "startColumnIndex": column, "endColumnIndex": column + 1}
    look = {"backgroundColorStyle": {"rgbColor": dict(COLOURS[status])}}
    return {"ranges": [area], "booleanRule": {"condition": condition, "format": look}}


def _chart(rows: int) -> Json:
    """Columns for videos, and a line for hours by an axis of its own, over the table of days."""
    series = [("LEFT_AXIS", "COLUMN"), ("RIGHT_AXIS", "LINE")]
    spec = {
        "chartType": "COMBO",
        "legendPosition": "BOTTOM_LEGEND",
        "headerCount": 1,
        "axis": [
            {"position": "BOTTOM_AXIS", "title": "day the claim began (UTC)"},
            {"position": "LEFT_AXIS", "title": "videos"},
            {"position": "RIGHT_AXIS", "title": "hours"},
        ],
        "domains": [{"domain": _source(rows, 0)}],
        "series": [
            {"series": _source(rows, at), "targetAxis": axis, "type": kind}
            for at, (axis, kind) in enumerate(series, start=1)
        ],
    }
    anchor = {"sheetId": SHEET_ID, "rowIndex": 0, "columnIndex": DAYS_COLUMN}
    width, height = CHART_PIXELS
    overlay = {"anchorCell": anchor, "widthPixels": width, "heightPixels": height}
    chart = {"title": "Videos and hours done each day", "basicChart": spec}
    return {"spec": chart, "position": {"overlayPosition": overlay}}


def _source(rows: int, column: int) -> Json:
    return {"sourceRange": {"sources": [_days_area(rows, column, 1)]}}
