"""Write the report into the tab Dashboard. Each report overwrites the previous one.

Only the columns A to K are written. Cells to the right and all charts are kept. The tab is found by its number, so it may be
renamed, hidden or moved, and a person's own tab named Dashboard is not changed. Workers do not read the tab.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import STATUS, State, Status
from youtube_download_coordinator.status_page import Cell, Page, Section
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Environment, Json, Refused
from youtube_download_coordinator.stores.sheets.layout import folded, text_cell
from youtube_download_coordinator.stores.sheets.setup.formatting import COLOURS

TITLE = "Dashboard"
SHEET_ID = 796_463_001
"""The tab's number in every spreadsheet. If two reports create the tab at the same time, Google refuses the second."""
ROUNDS = 4
"""The number of attempts to write while others change the spreadsheet."""
PAUSE_SECONDS = 2.0
"""The pause before a write whose answer was lost is sent again."""
GRID_ROWS, GRID_COLUMNS = 220, 26
WIDTH = 7
"""The number of columns of the tables. If the last column of a narrower table has numbers, it becomes the last of these."""
DAYS_COLUMN, DAYS_ROW = WIDTH + 1, 19
"""The position of the table of days, below its chart."""
DAYS_WIDTH = 3
WRITTEN_COLUMNS = DAYS_COLUMN + DAYS_WIDTH
WIDTHS_PIXELS = {0: 230, 1: 90, 2: 160, DAYS_COLUMN: 160, DAYS_COLUMN + 1: 160, DAYS_COLUMN + 2: 160}
CHART_PIXELS = (480, 375)
_FIELDS = "userEnteredValue,userEnteredFormat.textFormat.bold,userEnteredFormat.horizontalAlignment"
_BOLD: Json = {"textFormat": {"bold": True}}
_STATUS_OF_VALUE: Mapping[str, Status] = {
    "running": Status.DONE,
    "clear": Status.DONE,
    "paused": Status.ERROR,
    "cooling": Status.ERROR,
    "probing": Status.IN_PROGRESS,
}
"""The colours of the values of Control, by the Status with the same colour."""


def show_dashboard(config: Config, page: Page, environment: Environment | None = None) -> None:
    """Write the report into the tab, with one write request. If the tab is missing, create it with one more read and write.

    Raises StoreError if the tab cannot be written, and ConfigError if a person must fix something.
    """
    connection = Connection(config, environment)
    try:
        _write(connection, [_tables(page), _days(page)], len(page.days.rows))
    finally:
        connection.close()


def _write(connection: Connection, cells: Sequence[Json], days: int) -> None:
    changes, problem = list(cells), ""
    for _ in range(ROUNDS):
        try:
            connection.write(changes)
        except AnswerLost as error:  # writing it twice is harmless
            problem = str(error)
            connection.pause(PAUSE_SECONDS)
        except Refused as error:  # the tab is missing or too small
            problem = str(error)
            changes = [*_missing(connection, days), *cells]
        else:
            return
    raise StoreError(f"the tab {TITLE} could not be written: {problem}")


def _missing(connection: Connection, days: int) -> list[Json]:
    """Return the requests that create the tab or enlarge it."""
    sheets = connection.properties("sheets.properties(sheetId,title,gridProperties)").get("sheets", [])
    tabs = {sheet["properties"].get("sheetId", 0): sheet["properties"] for sheet in sheets}
    if SHEET_ID not in tabs:
        return _new_tab(_free_title([str(tab["title"]) for tab in tabs.values()]), days)
    grid = tabs[SHEET_ID].get("gridProperties", {})
    sizes = {"ROWS": GRID_ROWS - grid.get("rowCount", 0), "COLUMNS": WRITTEN_COLUMNS - grid.get("columnCount", 0)}
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
    """Return the request that writes all tables except the days below each other, and clears the cells below them."""
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
    """Widen a row to the tables' width, and move its last cell to the last column."""
    return [*row[:-1], *[""] * (WIDTH - len(row)), row[-1]]


def _days(page: Page) -> Json:
    rows = [_header(page.days.header, page.days.rows[0]), *map(_row, page.days.rows)]
    return {"updateCells": {"range": _days_area(len(rows)), "rows": rows, "fields": _FIELDS}}


def _days_area(rows: int, column: int = 0, columns: int = DAYS_WIDTH) -> Json:
    """Return the GridRange of columns of the table of days, including its header."""
    start = DAYS_COLUMN + column
    return {
        "sheetId": SHEET_ID,
        "startRowIndex": DAYS_ROW,
        "endRowIndex": DAYS_ROW + rows,
        "startColumnIndex": start,
        "endColumnIndex": start + columns,
    }


def _header(names: Sequence[Cell], below: Sequence[Cell]) -> Json:
    """Return a row of column names, aligned to the right above numbers."""
    row = _row(names, bold=True)
    for cell, first in zip(row["values"], below, strict=True):
        if not isinstance(first, str):
            cell["userEnteredFormat"] = {**_BOLD, "horizontalAlignment": "RIGHT"}
    return row


def _row(cells: Sequence[Cell], *, bold: bool = False) -> Json:
    style = {"userEnteredFormat": _BOLD} if bold else {}
    return {"values": [{**_cell(cell), **style} for cell in cells]}


def _cell(cell: Cell) -> Json:
    return text_cell(cell) if isinstance(cell, str) else {"userEnteredValue": {"numberValue": cell}}


# --- the tab, once ---------------------------------------------------------------------------------------------------


def _new_tab(title: str, days: int) -> list[Json]:
    grid = {"rowCount": GRID_ROWS, "columnCount": GRID_COLUMNS, "hideGridlines": True}
    columns = {"sheetId": SHEET_ID, "startColumnIndex": 0, "endColumnIndex": WRITTEN_COLUMNS}
    # The number of rows in a state has the colour of that state, unless it is zero.
    rules = [
        _colour(column, {"type": "NUMBER_GREATER", "values": [{"userEnteredValue": "0"}]}, STATUS[state])
        for column, state in enumerate(State, start=1)
    ]
    rules += [
        _colour(1, {"type": "TEXT_EQ", "values": [{"userEnteredValue": value}]}, status)
        for value, status in _STATUS_OF_VALUE.items()
    ]
    warning = {"range": columns, "description": "Overwritten by each report.", "warningOnly": True}
    return [
        {"addSheet": {"properties": {"sheetId": SHEET_ID, "title": title, "gridProperties": grid}}},
        *(_wide(column, pixels) for column, pixels in WIDTHS_PIXELS.items()),
        *({"addConditionalFormatRule": {"rule": rule, "index": index}} for index, rule in enumerate(rules)),
        {"addProtectedRange": {"protectedRange": warning}},
        {"addChart": {"chart": _chart(days + 1)}},
    ]


def _wide(column: int, pixels: int) -> Json:
    columns = {"sheetId": SHEET_ID, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
    return {"updateDimensionProperties": {"range": columns, "properties": {"pixelSize": pixels}, "fields": "pixelSize"}}


def _colour(column: int, condition: Json, status: Status) -> Json:
    area = {"sheetId": SHEET_ID, "startColumnIndex": column, "endColumnIndex": column + 1}
    style = {"backgroundColorStyle": {"rgbColor": dict(COLOURS[status])}}
    return {"ranges": [area], "booleanRule": {"condition": condition, "format": style}}


def _chart(rows: int) -> Json:
    """Return a chart of the table of days, with columns for videos, and with a line and a second axis for hours."""
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
            {"series": _source(rows, column), "targetAxis": axis, "type": kind}
            for column, (axis, kind) in enumerate(series, start=1)
        ],
    }
    anchor = {"sheetId": SHEET_ID, "rowIndex": 0, "columnIndex": DAYS_COLUMN}
    width, height = CHART_PIXELS
    overlay = {"anchorCell": anchor, "widthPixels": width, "heightPixels": height}
    chart = {"title": "Videos and hours done each day", "basicChart": spec}
    return {"spec": chart, "position": {"overlayPosition": overlay}}


def _source(rows: int, column: int) -> Json:
    return {"sourceRange": {"sources": [_days_area(rows, column, 1)]}}
