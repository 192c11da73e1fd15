"""The Spreadsheet resource, as spreadsheets.get and a batchUpdate with `includeSpreadsheetInResponse` give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fake_google.cells import Formula, effective, shown, to_extended
from tests.fake_google.errors import Json
from tests.fake_google.formulas import link_of
from tests.fake_google.grid import Contents, Sheet, Spreadsheet
from tests.fake_google.leaving_out import INDEXES, lean
from tests.fake_google.masks import WHOLE, Mask, below
from tests.fake_google.protection import may_edit
from tests.fake_google.ranges import Rect
from tests.fake_google.requests_grid import dimension_groups, sheet_of, sheet_properties

ROW_PIXELS, COLUMN_PIXELS = 21, 100


def spreadsheet_resource(
    book: Spreadsheet, contents: Contents, ranges: Sequence[str], grid_mask: Mask | None, account: str = ""
) -> Json:
    """Give the resource; with ranges only the sheets that they touch. `grid_mask` None leaves the grid data out."""
    areas: dict[int, list[Rect]] = {}
    for written in ranges:
        sheet, area = contents.rect(written)
        areas.setdefault(sheet.sheet_id, []).append(area)
    shown_sheets = [sheet for sheet in contents.sheets if not ranges or sheet.sheet_id in areas]
    answer: Json = {
        "spreadsheetId": book.spreadsheet_id,
        "properties": contents.properties,
        "sheets": [
            _sheet(contents, sheet, areas.get(sheet.sheet_id, []), grid_mask, account) for sheet in shown_sheets
        ],
        "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{book.spreadsheet_id}/edit",
    }
    metadata = [kept for kept in contents.metadata if sheet_of(kept) is None]
    if metadata:
        answer["developerMetadata"] = metadata
    if contents.named_ranges:
        answer["namedRanges"] = [lean(named, keep=(*INDEXES, "range")) for named in contents.named_ranges.values()]
    return answer


def grid_mask_of(mask: Mask | None, *path: str, include: bool) -> Mask | None:
    """Say which grid data to give: by the field mask if there is one, else by the flag.

    "If a field mask is set, the `includeGridData` parameter is ignored" (spreadsheets.get).
    """
    if mask is None:
        return WHOLE if include else None
    return below(mask, *path)


def _sheet(contents: Contents, sheet: Sheet, areas: list[Rect], grid_mask: Mask | None, account: str) -> Json:
    answer: Json = {"properties": sheet_properties(contents, sheet)}
    if sheet.basic_filter is not None:
        specs = sheet.basic_filter.get("filterSpecs", [])
        criteria = {str(spec.get("columnIndex", 0)): spec.get("filterCriteria", {}) for spec in specs}
        answer["basicFilter"] = lean({**sheet.basic_filter, "criteria": criteria}, keep=(*INDEXES, "range"))
    objects = {
        "protectedRanges": [_protected(kept, account) for kept in sheet.protected_ranges],
        "merges": [lean(merge, keep=INDEXES) for merge in sheet.merges],
        "rowGroups": dimension_groups(sheet, "ROWS"),
        "columnGroups": dimension_groups(sheet, "COLUMNS"),
        "developerMetadata": [kept for kept in contents.metadata if sheet_of(kept) == sheet.sheet_id],
        "conditionalFormats": sheet.conditional_formats,
        "charts": sheet.charts,
    }
    answer |= {name: list(items) for name, items in objects.items() if items}
    if grid_mask is not None:
        whole = [Rect(0, sheet.rows, 0, sheet.columns)]
        answer["data"] = [_grid_data(sheet, area, grid_mask) for area in areas or whole]
    return answer


def _protected(kept: Json, account: str) -> Json:
    """Give a protected range as an account sees it: its editors only if it is one of them."""
    answer: Json = lean(kept, keep=(*INDEXES, "range"))
    if not may_edit(kept, account):
        answer.pop("editors", None)
        return answer
    return answer | {"requestingUserCanEdit": True}


def _grid_data(sheet: Sheet, area: Rect, mask: Mask) -> Json:
    answer: Json = {}
    if area.top:
        answer["startRow"] = area.top
    if area.left:
        answer["startColumn"] = area.left
    rows = _row_data(sheet, area) if below(mask, "rowData") is not None else []
    if rows:
        answer["rowData"] = rows
    if below(mask, "rowMetadata") is not None:
        answer["rowMetadata"] = [_row_properties(sheet, row) for row in range(area.top, area.bottom)]
    if below(mask, "columnMetadata") is not None:
        widths = sheet.dimensions["COLUMNS"]
        columns = range(area.left, area.right)
        answer["columnMetadata"] = [{"pixelSize": COLUMN_PIXELS} | (widths.get(index, 0) or {}) for index in columns]
    return answer


def _row_properties(sheet: Sheet, row: int) -> Json:
    given = {"pixelSize": ROW_PIXELS} | (sheet.dimensions["ROWS"].get(row, 0) or {})
    return given | ({"hiddenByFilter": True} if sheet.hidden_by_filter(row) else {})


def _row_data(sheet: Sheet, area: Rect) -> list[Json]:
    height = max(layer.height for layer in sheet.layers)
    rows = [_cells(sheet, row, area) for row in range(area.top, min(area.bottom, height))]
    while rows and not rows[-1]:
        rows.pop()
    return [{"values": cells} if cells else {} for cells in rows]


def _cells(sheet: Sheet, row: int, area: Rect) -> list[Json]:
    layers = [layer.row(row, area.left, area.right) for layer in sheet.layers]
    width = max(map(len, layers))
    padded = [[*line, *[None] * (width - len(line))] for line in layers]
    cells = [_cell(*items) for items in zip(*padded, strict=True)]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _cell(
    value: Any, cell_format: Json | None, note: str | None, validation: Json | None, runs: Any, chips: Any
) -> Json:
    cell: Json = {}
    if value is not None:
        cell["userEnteredValue"] = to_extended(value)
        cell["effectiveValue"] = effective(value)
        cell["formattedValue"] = shown(value, cell_format)
    if cell_format:
        cell["userEnteredFormat"] = cell["effectiveFormat"] = cell_format
    if note:
        cell["note"] = note
    if validation:
        cell["dataValidation"] = validation
    if runs:
        cell["textFormatRuns"] = runs
    if chips:
        cell["chipRuns"] = chips
    if address := _hyperlink(value, cell_format or {}, runs or []):
        cell["hyperlink"] = address
    return cell


def _hyperlink(value: Any, cell_format: Json, runs: list[Json]) -> str:
    """Give the link of a cell; "if the cell contains multiple hyperlinks, this field will be empty"."""
    if isinstance(value, Formula):
        return (link_of(value.text) or ("", ""))[0]
    links = {run.get("format", {}).get("link", {}).get("uri", "") for run in runs} - {""}
    if len(links) > 1:
        return ""
    address: str = next(iter(links), cell_format.get("textFormat", {}).get("link", {}).get("uri", ""))
    return address
