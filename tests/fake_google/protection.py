"""Protected ranges: an account that is not one of the editors may not change their cells."""

from __future__ import annotations

from tests.fake_google.errors import Json, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.merging import overlap
from tests.fake_google.ranges import Rect

_TEXT = (
    "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to remove protection if you"
    " need to edit."
)


def may_edit(protected: Json, account: str) -> bool:
    """Return whether an account may edit what is protected. The owner may, and anybody where it only warns."""
    return not account or bool(protected.get("warningOnly")) or account in protected.get("editors", {}).get("users", [])


def check_editable(draft: Contents, sheet: Sheet, area: Rect) -> None:
    """Raise a 400 where an area touches cells that are protected against the account."""
    for protected in sheet.protected_ranges:
        if not may_edit(protected, draft.account) and overlap(sheet.rect(protected["range"]), area):
            raise invalid(_TEXT)


def guard(draft: Contents, request: Json) -> None:
    """Check the cells that one request of a batch writes."""
    ((kind, body),) = request.items()
    for sheet, area in _written(draft, kind, body):
        check_editable(draft, sheet, area)


def _written(draft: Contents, kind: str, body: Json) -> list[tuple[Sheet, Rect]]:
    if kind in ("updateCells", "repeatCell", "setDataValidation", "sortRange", "mergeCells", "unmergeCells"):
        place = body.get("range") or body.get("start") or {}
        return [_place(draft, place, body)]
    if kind in ("copyPaste", "cutPaste"):
        places = [body.get("destination", {}), *([body.get("source", {})] if kind == "cutPaste" else [])]
        return [_place(draft, place, body) for place in places]
    if kind in ("deleteDimension", "moveDimension"):
        return [_lines(draft, body.get("range") or body.get("source") or {})]
    if kind == "deleteSheet":
        sheet = draft.sheet(body.get("sheetId", 0))
        return [(sheet, sheet.rect({}))]
    return []


def _place(draft: Contents, place: Json, body: Json) -> tuple[Sheet, Rect]:
    sheet = draft.sheet(place.get("sheetId", 0))
    if "rowIndex" not in place and "columnIndex" not in place:
        return sheet, sheet.rect(place)
    rows = body.get("rows", [])
    width = max((len(row.get("values", [])) for row in rows), default=1)
    top, left = place.get("rowIndex", 0), place.get("columnIndex", 0)
    return sheet, Rect(top, top + max(1, len(rows)), left, left + width)


def _lines(draft: Contents, given: Json) -> tuple[Sheet, Rect]:
    sheet = draft.sheet(given.get("sheetId", 0))
    start, end = given.get("startIndex", 0), given.get("endIndex", 10**9)
    if given.get("dimension") == "COLUMNS":
        return sheet, Rect(0, sheet.rows, start, end)
    return sheet, Rect(start, end, 0, sheet.columns)
