"""spreadsheets.values: reading and writing plain values in A1 notation ("Read & write cell values").

RAW stores what it is given; USER_ENTERED parses it as the UI would (cells.py). In answers "empty trailing rows and
columns are not included".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fake_google.cells import Formula, Value, number_type, shown
from tests.fake_google.errors import ApiError, Json, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.protection import check_editable
from tests.fake_google.ranges import Rect, Span, a1, column_name
from tests.fake_google.writing import enter

_MOMENTS = ("DATE", "TIME", "DATE_TIME")


@dataclass(frozen=True)
class Rendering:
    """The options for reading values: ValueRenderOption, DateTimeRenderOption and majorDimension."""

    value: str = "FORMATTED_VALUE"
    moment: str = "SERIAL_NUMBER"
    dimension: str = "ROWS"


@dataclass(frozen=True)
class Writing:
    """The options for writing values, and whether the answer contains them."""

    raw: bool
    include: bool
    rendering: Rendering


def reading_of(options: Json) -> Rendering:
    """Read the options of a get."""
    return Rendering(
        options.get("valueRenderOption", "FORMATTED_VALUE"),
        options.get("dateTimeRenderOption", "SERIAL_NUMBER"),
        _dimension(options),
    )


def writing_of(options: Json) -> Writing:
    """Read the options of a write; "this must be set" is said of valueInputOption."""
    given = options.get("valueInputOption", "INPUT_VALUE_OPTION_UNSPECIFIED")
    if given not in ("RAW", "USER_ENTERED"):
        raise invalid("'valueInputOption' is required but not specified")
    rendering = Rendering(
        options.get("responseValueRenderOption", "FORMATTED_VALUE"),
        options.get("responseDateTimeRenderOption", "SERIAL_NUMBER"),
    )
    return Writing(given == "RAW", bool(options.get("includeValuesInResponse")), rendering)


def _dimension(options: Json) -> str:
    given = options.get("majorDimension", "ROWS")
    return "COLUMNS" if given == "COLUMNS" else "ROWS"


def get(contents: Contents, written: str, rendering: Rendering) -> Json:
    """Give a ValueRange; its range is "the entire requested range" within the grid, `values` is left out if empty."""
    return get_rect(*contents.rect(written), rendering)


def get_rect(sheet: Sheet, area: Rect, rendering: Rendering) -> Json:
    """Give the ValueRange of some cells."""
    answer: Json = {"range": a1(sheet.title, area), "majorDimension": rendering.dimension}
    values = _rendered(sheet, area, rendering)
    return answer | ({"values": values} if values else {})


def _rendered(sheet: Sheet, area: Rect, rendering: Rendering) -> list[list[Any]]:
    rows = [
        _rendered_row(sheet, row, area, rendering) for row in range(area.top, min(area.bottom, sheet.values.height))
    ]
    if rendering.dimension == "COLUMNS":
        width = max(map(len, rows), default=0)
        rows = [_without_tail([row[column] if column < len(row) else "" for row in rows]) for column in range(width)]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _rendered_row(sheet: Sheet, row: int, area: Rect, rendering: Rendering) -> list[Any]:
    cells = sheet.values.row(row, area.left, area.right)
    return _without_tail(
        [
            value if isinstance(value, str) else _render(value, sheet, row, column, rendering)
            for column, value in enumerate(cells, area.left)
        ]
    )


def _render(value: Value | None, sheet: Sheet, row: int, column: int, rendering: Rendering) -> Any:
    if value is None:
        return ""
    cell_format = sheet.formats.get(row, column)
    if isinstance(value, Formula):
        if rendering.value == "FORMULA":
            return value.text
        value = value.result
    if rendering.value == "FORMATTED_VALUE":
        return shown(value, cell_format)
    if rendering.moment == "FORMATTED_STRING" and number_type(cell_format) in _MOMENTS:
        return shown(value, cell_format)
    return value


def _without_tail(row: list[Any]) -> list[Any]:
    while row and row[-1] == "":
        row.pop()
    return row


def update(draft: Contents, spreadsheet_id: str, written: str, body: Json, writing: Writing) -> Json:
    """Write values from the first cell of a range on; data may not reach beyond the range, nor beyond the grid.

    A single cell is only a place to start at. Null is skipped, "" empties a cell.
    """
    sheet, span = draft.place(written)
    area = draft.rect(written)[1]
    if body.get("range") and draft.place(body["range"]) != (sheet, span):
        raise invalid(f"Requested writing within range [{written}], but the body names range [{body['range']}]")
    rows = _as_rows(body)
    _check_reach(sheet, area, span, rows)
    width = max(map(len, rows), default=0)
    check_editable(draft, sheet, Rect(area.top, area.top + len(rows), area.left, area.left + width))
    for row, cells in enumerate(rows, area.top):
        for column, given in enumerate(cells, area.left):
            enter(sheet, row, column, given, raw=writing.raw)
    return _updated(spreadsheet_id, sheet, area, rows, writing, single=span.single)


def _as_rows(body: Json) -> list[list[Any]]:
    values: list[list[Any]] = body.get("values", [])
    if any(not isinstance(line, list) for line in values):
        raise invalid("Invalid values: each row must be a list.")
    if any(isinstance(item, list | dict) for line in values for item in line):
        raise invalid("Invalid values: list_value and struct_value are not supported.")
    if _dimension(body) == "ROWS":
        return values
    width = max(map(len, values), default=0)
    return [[line[row] if row < len(line) else None for line in values] for row in range(width)]


def _check_reach(sheet: Sheet, area: Rect, span: Span, rows: list[list[Any]]) -> None:
    bottom, right = area.top + len(rows), area.left + max(map(len, rows), default=0)
    if bottom > sheet.rows or right > sheet.columns:
        reach = a1(sheet.title, Rect(area.top, bottom, area.left, right))
        raise invalid(f"Range ({reach}) exceeds grid limits. Max rows: {sheet.rows}, max columns: {sheet.columns}")
    if span.single:
        return
    within = f"Requested writing within range [{a1(sheet.title, area)}], but tried writing to"
    if bottom > area.bottom:
        raise invalid(f"{within} row [{area.bottom + 1}]")
    if right > area.right:
        raise invalid(f"{within} column [{column_name(area.right)}]")


def _updated(
    spreadsheet_id: str, sheet: Sheet, area: Rect, rows: list[list[Any]], writing: Writing, *, single: bool
) -> Json:
    reach = Rect(area.top, area.top + max(1, len(rows)), area.left, area.left + max([1, *map(len, rows)]))
    cells = _written(rows)
    counts = {
        "updatedRows": len({row for row, _column in cells}),
        "updatedColumns": len({column for _row, column in cells}),
        "updatedCells": len(cells),
    }
    answer: Json = {"spreadsheetId": spreadsheet_id, "updatedRange": a1(sheet.title, reach)}
    answer |= {name: count for name, count in counts.items() if count}
    if writing.include:
        whole = reach if single else area
        values = _rendered(sheet, whole, writing.rendering)
        data: Json = {"range": a1(sheet.title, whole), "majorDimension": "ROWS"}
        answer["updatedData"] = data | ({"values": values} if values else {})
    return answer


def _written(rows: list[list[Any]]) -> set[tuple[int, int]]:
    """Return the places that were written, counted from the first; null writes nothing."""
    return {(row, column) for row, cells in enumerate(rows) for column, given in enumerate(cells) if given is not None}


def append(draft: Contents, spreadsheet_id: str, written: str, body: Json, options: Json) -> Json:
    """Append after a table: "the input range is used to search for existing data and find a table within that range".

    "Values will be appended to the next row of the table, starting with the first column of the table." The table is
    the block of cells around the rightmost filled cell of the range's last filled row, as recorded on a row with a gap. The grid
    grows as needed.
    """
    writing = writing_of(options)
    sheet, area = draft.rect(written)
    table = _table(sheet, area)
    rows = _as_rows(body)
    top, left = (table.bottom, table.left) if table else (area.top, area.left)
    _make_room(draft, sheet, top, left, rows, insert=options.get("insertDataOption") == "INSERT_ROWS" and bool(table))
    for row, cells in enumerate(rows, top):
        for column, given in enumerate(cells, left):
            enter(sheet, row, column, given, raw=writing.raw)
    written_area = Rect(top, top + max(1, len(rows)), left, left + max([1, *map(len, rows)]))
    updates = _updated(spreadsheet_id, sheet, written_area, rows, writing, single=True)
    answer: Json = {"spreadsheetId": spreadsheet_id, "updates": updates}
    return answer | ({"tableRange": a1(sheet.title, table)} if table else {})


def _make_room(draft: Contents, sheet: Sheet, top: int, left: int, rows: list[list[Any]], *, insert: bool) -> None:
    if insert and rows:
        draft.insert(sheet, "ROWS", top, len(rows), inherit_from_before=True)
    missing_rows = top + len(rows) - sheet.rows
    missing_columns = left + max(map(len, rows), default=0) - sheet.columns
    if missing_rows > 0:
        draft.insert(sheet, "ROWS", sheet.rows, missing_rows, inherit_from_before=True)
    if missing_columns > 0:
        draft.insert(sheet, "COLUMNS", sheet.columns, missing_columns, inherit_from_before=True)


def _table(sheet: Sheet, area: Rect) -> Rect | None:
    last = _last_filled(sheet, area)
    if last is None:
        return None
    found = Rect(last, last + 1, *_filled_columns(sheet, last, area))
    while True:
        grown = _grown(sheet, found)
        if grown == found:
            return found
        found = grown


def _last_filled(sheet: Sheet, area: Rect) -> int | None:
    for row in range(min(area.bottom, sheet.values.height) - 1, area.top - 1, -1):
        if any(item is not None for item in sheet.values.row(row, area.left, area.right)):
            return row
    return None


def _filled_columns(sheet: Sheet, row: int, area: Rect) -> tuple[int, int]:
    filled = [i for i, item in enumerate(sheet.values.row(row, area.left, area.right), area.left) if item is not None]
    return filled[-1], filled[-1] + 1


def _grown(sheet: Sheet, area: Rect) -> Rect:
    """Grow by each side along which, corners included, a cell is filled."""
    left, right = max(0, area.left - 1), min(sheet.columns, area.right + 1)
    top, bottom = area.top, area.bottom
    while top > 0 and any(item is not None for item in sheet.values.row(top - 1, left, right)):
        top -= 1
    while bottom < sheet.rows and any(item is not None for item in sheet.values.row(bottom, left, right)):
        bottom += 1
    rows = (max(0, top - 1), min(sheet.rows, bottom + 1))
    new_left = left if _filled_between(sheet, left, rows) else area.left
    new_right = right if _filled_between(sheet, right - 1, rows) else area.right
    return Rect(top, bottom, new_left, new_right)


def _filled_between(sheet: Sheet, column: int, rows: tuple[int, int]) -> bool:
    return any(item is not None for item in sheet.values.column(column)[rows[0] : rows[1]])


def clear(draft: Contents, spreadsheet_id: str, written: str) -> Json:
    """Clear values; "all other properties of the cell (such as formatting and data validation) are kept"."""
    sheet, area = draft.rect(written)
    check_editable(draft, sheet, area)
    for column in range(area.left, area.right):
        for row in range(area.top, min(area.bottom, len(sheet.values.column(column)))):
            sheet.values.put(row, column, None)
    return {"spreadsheetId": spreadsheet_id, "clearedRange": a1(sheet.title, area)}


def batch_update(draft: Contents, spreadsheet_id: str, body: Json) -> Json:
    """Write several ranges; one that is invalid refuses all."""
    writing = writing_of(body)
    responses = []
    for index, data in enumerate(body.get("data", [])):
        try:
            plain = {name: item for name, item in data.items() if name != "range"}
            responses.append(update(draft, spreadsheet_id, data.get("range", ""), plain, writing))
        except ApiError as error:
            raise ApiError(error.code, error.status, f"Invalid data[{index}]: {error.message}") from error
    places = [place for data in body.get("data", []) for place in _places(draft, data)]
    totals = {
        "totalUpdatedRows": len({(sheet, row) for sheet, row, _column in places}),
        "totalUpdatedColumns": len({(sheet, column) for sheet, _row, column in places}),
        "totalUpdatedCells": sum(answer.get("updatedCells", 0) for answer in responses),
        "totalUpdatedSheets": len({sheet for sheet, _row, _column in places}),
    }
    counted = {name: count for name, count in totals.items() if count}
    return {"spreadsheetId": spreadsheet_id, "responses": responses, **counted}


def _places(draft: Contents, data: Json) -> list[tuple[int, int, int]]:
    """Return (sheet ID, row, column) of the cells that one range of a batch wrote."""
    sheet, area = draft.rect(data.get("range", ""))
    return [(sheet.sheet_id, area.top + row, area.left + column) for row, column in _written(_as_rows(data))]
