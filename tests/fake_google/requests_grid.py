"""The requests of a batch that change sheets, and rows and columns as such."""

from __future__ import annotations

from typing import Any

from tests.fake_google.errors import Json, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.masks import merge
from tests.fake_google.ranges import Dimension
from tests.fake_google.writing import fields_mask

NAMES = {"ROWS": "row", "COLUMNS": "column"}


def update_spreadsheet_properties(draft: Contents, request: Json) -> Json:
    """Update the title and the other properties of the spreadsheet."""
    mask = fields_mask(request, "SpreadsheetProperties")
    draft.properties = merge(mask, draft.properties, request.get("properties", {}))
    return {}


def add_sheet(draft: Contents, request: Json) -> Json:
    """Add a sheet; "it is an error to specify the ID of a sheet that already exists", and titles are unique."""
    given = dict(request.get("properties", {}))
    index = given.pop("index", len(draft.sheets))
    given.setdefault("sheetId", draft.new_id())
    given.setdefault("title", _free_title(draft))
    _check_title(draft, given["title"], None)
    if any(sheet.sheet_id == given["sheetId"] for sheet in draft.sheets) or given["sheetId"] < 0:
        raise invalid(f"Sheet ID {given['sheetId']} is negative or exists already.")
    sheet = Sheet(given)
    draft.sheets.insert(index, sheet)
    draft.check_size(sheet)
    return {"addSheet": {"properties": sheet_properties(draft, sheet)}}


def _free_title(draft: Contents) -> str:
    number = len(draft.sheets) + 1
    while draft.titled(f"Sheet{number}"):
        number += 1
    return f"Sheet{number}"


def _check_title(draft: Contents, title: str, own: Sheet | None) -> None:
    if not title:
        raise invalid("The title of a sheet must not be empty.")
    found = draft.titled(title)
    if found is not None and found is not own:
        raise invalid(f'A sheet with the name "{title}" already exists. Please enter another name.')


def sheet_properties(draft: Contents, sheet: Sheet) -> Json:
    """Give a sheet's properties with its index."""
    return {**sheet.properties, "index": draft.sheets.index(sheet)}


def delete_sheet(draft: Contents, request: Json) -> Json:
    """Delete a sheet; its named ranges break."""
    sheet = draft.sheet(request.get("sheetId", 0))
    if len(draft.sheets) == 1:
        raise invalid("You can't remove all the sheets in a document.")
    draft.sheets.remove(sheet)
    draft.move_named_ranges(sheet, lambda _given: None)
    return {}


def update_sheet_properties(draft: Contents, request: Json) -> Json:
    """Update title, index, hidden, tab colour, frozen rows and the size of a sheet."""
    mask = fields_mask(request, "SheetProperties")
    given = request.get("properties", {})
    sheet = draft.sheet(given.get("sheetId", 0))
    merged = merge(mask, sheet.properties, given)
    _check_title(draft, merged.get("title", ""), sheet)
    index = merged.pop("index", None)
    size = _grid_of(merged, sheet)
    sheet.properties = {**merged, "sheetId": sheet.sheet_id, "gridProperties": sheet.properties["gridProperties"]}
    for dimension in NAMES:
        _resize(draft, sheet, dimension, size)
    sheet.set_grid(**size)
    draft.check_size(sheet)
    if index is not None:
        draft.sheets.remove(sheet)
        draft.sheets.insert(index, sheet)
    return {}


def _grid_of(merged: Json, sheet: Sheet) -> dict[str, Any]:
    size: dict[str, Any] = {"rowCount": sheet.rows, "columnCount": sheet.columns} | merged.get("gridProperties", {})
    if size["rowCount"] <= size.get("frozenRowCount", 0) or size["columnCount"] <= size.get("frozenColumnCount", 0):
        raise invalid("You can't freeze all visible rows or columns on the sheet.")
    return size


def _resize(draft: Contents, sheet: Sheet, dimension: Any, size: dict[str, Any]) -> None:
    wanted = size["rowCount" if dimension == "ROWS" else "columnCount"]
    if wanted < sheet.size(dimension):
        draft.delete(sheet, dimension, wanted, sheet.size(dimension))


def _dimension(draft: Contents, given: Json) -> tuple[Sheet, Dimension, int, int]:
    sheet = draft.sheet(given.get("sheetId", 0))
    dimension: Dimension = given.get("dimension", "")
    if dimension not in NAMES:
        raise invalid("dimension must be ROWS or COLUMNS.")
    start, end = given.get("startIndex", 0), given.get("endIndex", sheet.size(dimension))
    if not 0 <= start < end:
        raise invalid(f"range.endIndex[{end}] must be greater than range.startIndex[{start}].")
    return sheet, dimension, start, end


def append_dimension(draft: Contents, request: Json) -> Json:
    """Append rows or columns to the end of a sheet."""
    dimension, length = request.get("dimension"), request.get("length", 0)
    sheet = draft.sheet(request.get("sheetId", 0))
    if dimension not in NAMES or length < 1:
        raise invalid("dimension must be ROWS or COLUMNS, and length positive.")
    draft.insert(sheet, dimension, sheet.size(dimension), length, inherit_from_before=True)
    return {}


def insert_dimension(draft: Contents, request: Json) -> Json:
    """Insert rows or columns; `inheritFromBefore` takes the format of those before instead of those after."""
    given, before = request.get("range", {}), request.get("inheritFromBefore", False)
    if "endIndex" not in given:
        raise invalid("range.endIndex must be specified.")  # "both the start and end indexes must be bounded"
    sheet, dimension, start, end = _dimension(draft, given)
    size = sheet.size(dimension)
    if start > size or (start == size and not before):
        raise invalid(
            f"range.startIndex[{start}] must be less than the grid size[{size}] if inheritFromBefore is false."
        )
    if start == 0 and before:
        raise invalid("inheritFromBefore cannot be true when inserting at index 0.")
    draft.insert(sheet, dimension, start, end - start, inherit_from_before=before)
    return {}


def delete_dimension(draft: Contents, request: Json) -> Json:
    """Delete rows or columns; one row that is not frozen must remain."""
    sheet, dimension, start, end = _dimension(draft, request.get("range", {}))
    size, frozen, name = sheet.size(dimension), sheet.frozen(dimension), NAMES[dimension]
    if end > size:
        tried = f"Tried to delete {name} index {max(start, size)} but there are only {size} {name}s."
        raise invalid(f"Cannot delete a {name} that doesn't exist. {tried}")
    if end - start == size:
        raise invalid(f"You can't delete all the {name}s on the sheet.")
    if frozen and start <= frozen and end == size:
        raise invalid(f"Sorry, it is not possible to delete all non-frozen {name}s.")
    draft.delete(sheet, dimension, start, end)
    return {}


def move_dimension(draft: Contents, request: Json) -> Json:
    """Move rows or columns; the destination is "based on the coordinates before the source data is removed"."""
    sheet, dimension, start, end = _dimension(draft, request.get("source", {}))
    destination = request.get("destinationIndex", 0)
    if end > sheet.size(dimension) or not 0 <= destination <= sheet.size(dimension):
        raise invalid("The source or the destination is beyond the grid.")
    if not start <= destination <= end:
        sheet.move(dimension, start, end, destination)
    return {}


def update_dimension_properties(draft: Contents, request: Json) -> Json:
    """Update `pixelSize` and `hiddenByUser` of rows or columns."""
    mask = fields_mask(request, "DimensionProperties")
    sheet, dimension, start, end = _dimension(draft, request.get("range", {}))
    layer = sheet.dimensions[dimension]
    for index in range(start, min(end, sheet.size(dimension))):
        layer.put(index, 0, merge(mask, layer.get(index, 0) or {}, request.get("properties", {})) or None)
    return {}
