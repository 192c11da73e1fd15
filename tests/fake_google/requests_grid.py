"""The requests of a batch that change sheets, and rows and columns as such."""

from __future__ import annotations

from typing import Any

from tests.fake_google.errors import Json, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.leaving_out import lean
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
    """Give a sheet's properties with its index, as they are answered."""
    properties: Json = lean(
        {**sheet.properties, "index": draft.sheets.index(sheet)}, keep=("sheetId", "index", "rgbColor")
    )
    return properties


def delete_sheet(draft: Contents, request: Json) -> Json:
    """Delete a sheet; its named ranges break."""
    sheet = draft.sheet(request.get("sheetId", 0))
    if len(draft.sheets) == 1:
        raise invalid("You can't remove all the sheets in a document.")
    if all(other.properties.get("hidden") for other in draft.sheets if other is not sheet):
        raise invalid("You can't remove all the visible sheets in a document.")
    draft.sheets.remove(sheet)
    draft.move_named_ranges(sheet, lambda _given: None)
    draft.metadata = [kept for kept in draft.metadata if sheet_of(kept) != sheet.sheet_id]
    return {}


def sheet_of(metadata: Json) -> int | None:
    """Return the sheet on which developer metadata is; None for that of the spreadsheet."""
    location = metadata.get("location", {})
    if location.get("spreadsheet"):
        return None
    sheet_id: int = location.get("sheetId", location.get("dimensionRange", {}).get("sheetId", 0))
    return sheet_id


def duplicate_sheet(draft: Contents, request: Json) -> Json:
    """Duplicate a sheet with its contents, filters and protection. Named ranges and developer metadata stay with the original."""
    source = draft.sheet(request.get("sourceSheetId", 0))
    copied, index = source.copy(), request.get("insertSheetIndex", len(draft.sheets))
    title = request.get("newSheetName") or _copy_title(draft, source.title)
    _check_title(draft, title, None)
    new_id = request.get("newSheetId") or draft.new_id()
    if new_id < 0 or any(sheet.sheet_id == new_id for sheet in draft.sheets):
        raise invalid(f"Sheet ID {new_id} is negative or exists already.")
    copied.properties = {**source.properties, "sheetId": new_id, "title": title}
    copied.merges = [{**merge, "sheetId": new_id} for merge in source.merges]
    copied.protected_ranges = [
        {**kept, "protectedRangeId": draft.new_id(), "range": {**kept["range"], "sheetId": new_id}}
        for kept in source.protected_ranges
    ]
    if source.basic_filter is not None:
        area = {**source.basic_filter.get("range", {}), "sheetId": new_id}
        copied.basic_filter = {**source.basic_filter, "range": area}
    copied.conditional_formats = [
        {**rule, "ranges": [{**area, "sheetId": new_id} for area in rule.get("ranges", [])]}
        for rule in source.conditional_formats
    ]
    copied.charts = []
    draft.sheets.insert(index, copied)
    draft.check_size(copied)
    return {"duplicateSheet": {"properties": sheet_properties(draft, copied)}}


def _copy_title(draft: Contents, title: str) -> str:
    titles = (f"Copy of {title}" + (f" {number}" if number > 1 else "") for number in range(1, 10_000))
    return next(text for text in titles if draft.titled(text) is None)


def update_sheet_properties(draft: Contents, request: Json) -> Json:
    """Update title, index, hidden, tab colour, frozen rows and the size of a sheet."""
    mask = fields_mask(request, "SheetProperties")
    given = request.get("properties", {})
    sheet = draft.sheet(given.get("sheetId", 0))
    merged = merge(mask, sheet.properties, given)
    _check_title(draft, merged.get("title", ""), sheet)
    index = merged.pop("index", None)
    size = _grid_of(merged, sheet)
    if merged.get("hidden") and all(other.properties.get("hidden") or other is sheet for other in draft.sheets):
        raise invalid("You can't hide all the sheets in a document.")
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


def auto_resize_dimensions(draft: Contents, request: Json) -> Json:
    """Fit columns to their longest text, at seven pixels a character; rows get their default height."""
    sheet, dimension, start, end = _dimension(draft, request.get("dimensions", {}))
    layer = sheet.dimensions[dimension]
    for index in range(start, min(end, sheet.size(dimension))):
        kept = {name: value for name, value in (layer.get(index, 0) or {}).items() if name != "pixelSize"}
        if dimension == "COLUMNS":
            rows = range(len(sheet.values.column(index)))
            kept["pixelSize"] = max([21, *(7 * len(sheet.text_at(row, index)) + 7 for row in rows)])
        layer.put(index, 0, kept or None)
    return {}


def add_dimension_group(draft: Contents, request: Json) -> Json:
    """Group rows or columns; a group inside another one is a level deeper."""
    sheet, dimension, start, end = _dimension(draft, request.get("range", {}))
    depths = sheet.depths[dimension]
    for index in range(start, end):
        depths[index] = depths.get(index, 0) + 1
    sheet.set_grid(**{"rowGroupControlAfter" if dimension == "ROWS" else "columnGroupControlAfter": True})
    return {"addDimensionGroup": {"dimensionGroups": dimension_groups(sheet, dimension)}}


def delete_dimension_group(draft: Contents, request: Json) -> Json:
    """Take rows or columns out of their innermost group."""
    sheet, dimension, start, end = _dimension(draft, request.get("range", {}))
    depths = sheet.depths[dimension]
    if not all(depths.get(index) for index in range(start, end)):
        raise invalid("Cannot delete a dimension group that does not exist.")
    for index in range(start, end):
        depths[index] -= 1
    groups = dimension_groups(sheet, dimension)
    return {"deleteDimensionGroup": {"dimensionGroups": groups} if groups else {}}


def dimension_groups(sheet: Sheet, dimension: Dimension) -> list[Json]:
    """Give the groups of rows or columns, outer ones first."""
    depths = sheet.depths[dimension]
    groups: list[Json] = []
    for depth in range(1, max(depths.values(), default=0) + 1):
        inside = sorted(index for index, count in depths.items() if count >= depth)
        starts = [index for index in inside if depths.get(index - 1, 0) < depth]
        ends = [index + 1 for index in inside if depths.get(index + 1, 0) < depth]
        for start, end in zip(starts, ends, strict=True):
            area = {"sheetId": sheet.sheet_id, "dimension": dimension, "startIndex": start, "endIndex": end}
            groups.append({"range": lean(area, keep=("startIndex",)), "depth": depth})
    return groups


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
