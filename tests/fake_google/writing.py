"""Ways of writing cells that several requests, the values API and a person at the sheet share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fake_google.cells import Formula, Value, from_extended, raw_value, shown, user_entered
from tests.fake_google.discovery import check_mask
from tests.fake_google.errors import Json, NotSimulatedError, invalid
from tests.fake_google.grid import Sheet
from tests.fake_google.masks import WHOLE, Mask, merge, parse_mask
from tests.fake_google.merging import check_sortable, is_covered
from tests.fake_google.ranges import Rect

CELL_FIELDS = {
    "userEnteredValue": "values",
    "userEnteredFormat": "formats",
    "note": "notes",
    "dataValidation": "validations",
    "textFormatRuns": "runs",
    "chipRuns": "chips",
}
"""The fields of CellData that are kept, and the layer that keeps each."""


def fields_mask(request: Json, schema: str) -> Mask:
    """Read the `fields` of an update request ("at least one field must be specified")."""
    if not request.get("fields"):
        raise invalid("At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)")
    mask = parse_mask(request["fields"])
    check_mask(schema, mask)
    return mask


def write_cell(sheet: Sheet, row: int, column: int, cell: Json, mask: Mask) -> None:
    """Write the masked fields of a CellData; a field that is masked and absent is cleared."""
    if is_covered(sheet, row, column):
        return
    for field in CELL_FIELDS if "*" in mask else mask:
        if field not in CELL_FIELDS:
            raise NotSimulatedError(f"CellData.{field}")
        layer = getattr(sheet, CELL_FIELDS[field])
        item: Any = cell.get(field)
        if field == "userEnteredValue":
            item = from_extended(item)
            for runs in (sheet.runs, sheet.chips):  # "When writing a new userEnteredValue, previous runs are erased."
                runs.put(row, column, None)
        elif field == "userEnteredFormat":
            item = merge(mask.get(field, WHOLE), layer.get(row, column) or {}, item or {})
        layer.put(row, column, None if item in ({}, "", []) else item)


def type_into(sheet: Sheet, row: int, column: int, given: Any) -> None:
    """Enter something as if typed into the UI."""
    if is_covered(sheet, row, column):
        return
    sheet.runs.put(row, column, None)
    sheet.chips.put(row, column, None)
    old_format = sheet.formats.get(row, column)
    value, number_format = user_entered(given, old_format)
    sheet.values.put(row, column, value)
    if number_format is not None:
        sheet.formats.put(row, column, {**(old_format or {}), "numberFormat": number_format})


def enter(sheet: Sheet, row: int, column: int, given: Any, *, raw: bool) -> None:
    """Write a value of the values API; null is skipped ("Null values will be skipped")."""
    if given is None:
        return
    if raw and not is_covered(sheet, row, column):
        sheet.values.put(row, column, raw_value(given))
    elif not raw:
        type_into(sheet, row, column, given)


def sort_rows(sheet: Sheet, area: Rect, specs: Sequence[tuple[int, bool]]) -> None:
    """Sort an area by (column, descending): numbers, then text without case, then booleans, empty cells last.

    Values, formats, notes, links and chips move, data validation stays.
    """
    check_sortable(sheet, area)
    order = list(range(area.top, area.bottom))
    for column, descending in reversed(specs):
        cells = {row: sheet.values.get(row, column) for row in order}
        filled = sorted((row for row in order if cells[row] is not None), key=lambda row: _rank(cells[row]))
        if descending:
            filled = sorted(filled, key=lambda row: _rank(cells[row]), reverse=True)
        order = filled + [row for row in order if cells[row] is None]
    for layer in (sheet.values, sheet.formats, sheet.notes, sheet.runs, sheet.chips):
        layer.reorder_rows(area.top, order, area.left, area.right)


def _rank(value: Value | None) -> tuple[int, float, str]:
    if isinstance(value, bool):
        return 2, float(value), ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, (shown(value) if isinstance(value, Formula) else str(value)).lower()
