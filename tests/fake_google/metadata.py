"""Developer metadata, and data filters, which find ranges by A1 notation, as a GridRange or by metadata on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fake_google.errors import ApiError, Json, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.masks import merge
from tests.fake_google.ranges import Rect
from tests.fake_google.requests_grid import sheet_of
from tests.fake_google.writing import fields_mask


def create(draft: Contents, request: Json) -> Json:
    """Create metadata on the spreadsheet, a sheet, or a row or column; its ID is unique, its key need not be."""
    given = {"metadataId": draft.new_id(), **request.get("developerMetadata", {})}
    if not given.get("metadataKey") or "visibility" not in given or not given.get("location"):
        raise invalid("developerMetadata must have a metadataKey, a visibility and a location.")
    if any(kept["metadataId"] == given["metadataId"] for kept in draft.metadata):
        raise invalid(f"Developer metadata with ID {given['metadataId']} already exists.")
    given["location"] = _located(draft, given["location"])
    draft.metadata.append(given)
    return {"createDeveloperMetadata": {"developerMetadata": given}}


def _located(draft: Contents, location: Json) -> Json:
    if location.get("spreadsheet"):
        return {"locationType": "SPREADSHEET", "spreadsheet": True}
    if "dimensionRange" in location:
        area = location["dimensionRange"]
        draft.sheet(area.get("sheetId", 0))
        if area.get("endIndex", 0) - area.get("startIndex", 0) != 1:
            raise invalid("Developer metadata can be on a single row or column only.")
        return {"locationType": "ROW" if area.get("dimension") == "ROWS" else "COLUMN", "dimensionRange": area}
    return {"locationType": "SHEET", "sheetId": draft.sheet(location.get("sheetId", 0)).sheet_id}


def update(draft: Contents, request: Json) -> Json:
    """Update all metadata that one of the filters finds."""
    mask = fields_mask(request, "DeveloperMetadata")
    chosen = matching(draft, request.get("dataFilters", []))
    if not chosen:
        raise invalid("No developer metadata matches the filters.")
    new = {kept["metadataId"]: merge(mask, kept, request.get("developerMetadata", {})) for kept in chosen}
    draft.metadata = [new.get(kept["metadataId"], kept) for kept in draft.metadata]
    return {"updateDeveloperMetadata": {"developerMetadata": list(new.values())}}


def delete(draft: Contents, request: Json) -> Json:
    """Delete all metadata that the filter finds."""
    chosen = matching(draft, [request.get("dataFilter", {})])
    draft.metadata = [kept for kept in draft.metadata if kept not in chosen]
    return {"deleteDeveloperMetadata": {"deletedDeveloperMetadata": chosen}}


def matching(contents: Contents, filters: Sequence[Json]) -> list[Json]:
    """Return the metadata that one of the filters finds."""
    return [kept for kept in contents.metadata if any(_matches(kept, one) for one in filters)]


def _matches(kept: Json, data_filter: Json) -> bool:
    lookup = data_filter.get("developerMetadataLookup")
    if lookup is None:
        return "gridRange" in data_filter and sheet_of(kept) == data_filter["gridRange"].get("sheetId", 0)
    if any(name in lookup and kept.get(name) != lookup[name] for name in _FIELDS):
        return False
    if "locationType" in lookup and kept["location"]["locationType"] != lookup["locationType"]:
        return False
    place = lookup.get("metadataLocation")
    return place is None or sheet_of(kept) == sheet_of({"location": place})


_FIELDS = ("metadataId", "metadataKey", "metadataValue", "visibility")


def get(contents: Contents, metadata_id: int) -> Json:
    """Return the metadata with an ID."""
    for kept in contents.metadata:
        if kept["metadataId"] == metadata_id:
            return kept
    raise ApiError(404, "NOT_FOUND", f"No developer metadata with id: {metadata_id}")


def search(contents: Contents, filters: Sequence[Json]) -> Json:
    """Answer developerMetadata.search: each metadata with the filters that found it."""
    answers: list[Any] = [
        {"developerMetadata": kept, "dataFilters": [one for one in filters if _matches(kept, one)]}
        for kept in matching(contents, filters)
    ]
    return {"matchedDeveloperMetadata": answers} if answers else {}


def areas_of(contents: Contents, data_filter: Json) -> list[tuple[Sheet, Rect]]:
    """Return the areas that a data filter finds. A sheet that does not exist is refused, metadata that does not is not."""
    if "a1Range" in data_filter:
        return [contents.rect(data_filter["a1Range"])]
    if "gridRange" in data_filter:
        sheet = contents.sheet(data_filter["gridRange"].get("sheetId", 0))
        return [(sheet, sheet.rect(data_filter["gridRange"]))]
    return [_area(contents, kept) for kept in matching(contents, [data_filter]) if sheet_of(kept) is not None]


def _area(contents: Contents, kept: Json) -> tuple[Sheet, Rect]:
    sheet = contents.sheet(sheet_of(kept) or 0)
    area = kept["location"].get("dimensionRange")
    if area is None:
        return sheet, sheet.rect({})
    start, end = area.get("startIndex", 0), area.get("endIndex", 0)
    edges = ("startRowIndex", "endRowIndex") if area["dimension"] == "ROWS" else ("startColumnIndex", "endColumnIndex")
    return sheet, sheet.rect(dict(zip(edges, (start, end), strict=True)))
