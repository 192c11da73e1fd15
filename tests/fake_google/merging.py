"""Merged cells: only the first cell of a merged area holds anything.

What Google does with a write to one of the others is not documented and in no recording; here it is dropped, the worst case.
"""

from __future__ import annotations

from tests.fake_google.errors import Json, invalid
from tests.fake_google.grid import ATTRIBUTES, Contents, Sheet
from tests.fake_google.ranges import Rect, grid_range

_PARTLY = "You must select all cells in a merged range to merge or unmerge them."


def merge_cells(draft: Contents, request: Json) -> Json:
    """Merge the cells of a range: all of them, or each row or column of it. What is in the other cells is lost."""
    sheet, area = _area(draft, request)
    _unmerge(sheet, area)
    kind = request.get("mergeType", "MERGE_ALL")
    areas = [area]
    if kind == "MERGE_ROWS":
        areas = [Rect(row, row + 1, area.left, area.right) for row in range(area.top, area.bottom)]
    elif kind == "MERGE_COLUMNS":
        areas = [Rect(area.top, area.bottom, column, column + 1) for column in range(area.left, area.right)]
    for merged in areas:
        if merged.height * merged.width > 1:
            _keep_first(sheet, merged)
            sheet.merges.append(grid_range(sheet.sheet_id, merged))
    return {}


def _keep_first(sheet: Sheet, area: Rect) -> None:
    """Keep the first value of an area in its first cell."""
    places = [(row, column) for row in range(area.top, area.bottom) for column in range(area.left, area.right)]
    for attribute in ATTRIBUTES:
        layer = getattr(sheet, attribute)
        first = next((item for place in places if (item := layer.get(*place)) is not None), None)
        for place in places:
            if attribute not in ("formats", "validations"):
                layer.put(*place, first if place == places[0] else None)


def unmerge_cells(draft: Contents, request: Json) -> Json:
    """Unmerge all merged areas in a range."""
    _unmerge(*_area(draft, request))
    return {}


def _area(draft: Contents, request: Json) -> tuple[Sheet, Rect]:
    if "range" not in request:
        raise invalid("range must be specified.")
    sheet = draft.sheet(request["range"].get("sheetId", 0))
    return sheet, sheet.rect(request["range"])


def _unmerge(sheet: Sheet, area: Rect) -> None:
    touched = [merge for merge in sheet.merges if overlap(sheet.rect(merge), area)]
    if any(not _within(sheet.rect(merge), area) for merge in touched):
        raise invalid(_PARTLY)
    sheet.merges = [merge for merge in sheet.merges if merge not in touched]


def overlap(one: Rect, other: Rect) -> bool:
    """Return whether two areas have a cell in common."""
    rows = one.top < other.bottom and other.top < one.bottom
    return rows and one.left < other.right and other.left < one.right


def _within(inner: Rect, outer: Rect) -> bool:
    rows = outer.top <= inner.top and inner.bottom <= outer.bottom
    return rows and outer.left <= inner.left and inner.right <= outer.right


def is_covered(sheet: Sheet, row: int, column: int) -> bool:
    """Return whether a cell is behind the first one of a merged area."""
    for merge in sheet.merges:
        area = sheet.rect(merge)
        if area.top <= row < area.bottom and area.left <= column < area.right:
            return (row, column) != (area.top, area.left)
    return False


def check_sortable(sheet: Sheet, area: Rect) -> None:
    """Raise what Google answers when merged cells are to be sorted."""
    if any(overlap(sheet.rect(merge), area) for merge in sheet.merges):
        raise invalid("You can't sort a range with merged cells.")
