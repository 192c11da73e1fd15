"""The requests of a batch that write cells ("Requests", the reference of spreadsheets.batchUpdate)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fake_google.cells import Formula, shown
from tests.fake_google.errors import Json, NotSimulatedError, invalid
from tests.fake_google.grid import ATTRIBUTES, Contents, Sheet
from tests.fake_google.protection import check_editable
from tests.fake_google.ranges import Rect
from tests.fake_google.writing import fields_mask, sort_rows, type_into, write_cell

PASTED = {
    "PASTE_NORMAL": ATTRIBUTES,
    "PASTE_NO_BORDERS": ATTRIBUTES,
    "PASTE_VALUES": ("values",),
    "PASTE_FORMULA": ("values",),
    "PASTE_FORMAT": ("formats",),
    "PASTE_DATA_VALIDATION": ("validations",),
    "PASTE_CONDITIONAL_FORMATTING": (),
}
"""What each PasteType pastes. Formulas are pasted as they are: references in them do not shift."""


def update_cells(draft: Contents, request: Json) -> Json:
    """Update "all cells in a range with new data": from `start` on, or a `range` whose rest is cleared."""
    mask = fields_mask(request, "CellData")
    rows = [row.get("values", []) for row in request.get("rows", [])]
    if "start" in request:
        start = request["start"]
        sheet = draft.sheet(start.get("sheetId", 0))
        top, left = start.get("rowIndex", 0), start.get("columnIndex", 0)
        _write_rows(sheet, Rect(top, sheet.rows, left, sheet.columns), rows, mask)
        return {}
    sheet, area = _area(draft, request, "range")
    padded = [[*row, *[{}] * (area.width - len(row))] for row in rows]
    padded.extend([{}] * area.width for _ in range(area.height - len(rows)))
    _write_rows(sheet, area, padded, mask)
    return {}


def _write_rows(sheet: Sheet, area: Rect, rows: Sequence[Sequence[Json]], mask: dict[str, Any]) -> None:
    beyond = "Attempting to write {}: {}, beyond the last requested {} of: {}"
    for row, cells in enumerate(rows, area.top):
        if row >= area.bottom and cells:
            raise invalid(beyond.format("row", row, "row", area.bottom - 1))
        for column, cell in enumerate(cells, area.left):
            if column >= area.right:
                raise invalid(beyond.format("column", column, "column", area.right - 1))
            write_cell(sheet, row, column, cell, mask)


def append_cells(draft: Contents, request: Json) -> Json:
    """Add cells "after the last row with data in a sheet, inserting new rows into the sheet if necessary".

    Rows are added, columns never: too wide a row was seen to be refused.
    """
    if "tableId" in request:
        raise NotSimulatedError("appendCells.tableId")
    mask = fields_mask(request, "CellData")
    sheet = draft.sheet(request.get("sheetId", 0))
    rows = [row.get("values", []) for row in request.get("rows", [])]
    start = sheet.values.height
    if start + len(rows) > sheet.rows:
        draft.insert(sheet, "ROWS", sheet.rows, start + len(rows) - sheet.rows, inherit_from_before=True)
    _write_rows(sheet, Rect(start, sheet.rows, 0, sheet.columns), rows, mask)
    return {}


def repeat_cell(draft: Contents, request: Json) -> Json:
    """Write one CellData into every cell of a range. References in a formula do not increment here."""
    mask = fields_mask(request, "CellData")
    sheet, area = _area(draft, request, "range")
    for row, column in _cells(area):
        write_cell(sheet, row, column, request.get("cell", {}), mask)
    return {}


def set_data_validation(draft: Contents, request: Json) -> Json:
    """Set a rule on every cell of a range, or clear it "with no rule specified". Rules are never enforced here."""
    sheet, area = _area(draft, request, "range")
    for row, column in _cells(area):
        sheet.validations.put(row, column, request.get("rule"))
    return {}


def sort_range(draft: Contents, request: Json) -> Json:
    """Sort rows; "later specifications are used when values are equal in the earlier specifications"."""
    sheet, area = _area(draft, request, "range")
    specs = [
        (spec.get("dimensionIndex", 0), spec.get("sortOrder") == "DESCENDING") for spec in request.get("sortSpecs", [])
    ]
    if any(not area.left <= column < area.right for column, _descending in specs):
        raise invalid("The sort index must be in the range")
    sort_rows(sheet, area, specs)
    return {}


def copy_paste(draft: Contents, request: Json) -> Json:
    """Copy a range; the source is repeated where the destination "covers a span that's a multiple" of it."""
    sheet, source = _area(draft, request, "source")
    target_sheet, target = _area(draft, request, "destination")
    kind = request.get("pasteType", "PASTE_NORMAL")
    for attribute in PASTED[kind]:
        block = [
            getattr(sheet, attribute).row(row, source.left, source.right) for row in range(source.top, source.bottom)
        ]
        block = [[*line, *[None] * (source.width - len(line))] for line in block]
        if kind == "PASTE_VALUES":
            block = [[item.result if isinstance(item, Formula) else item for item in line] for line in block]
        if request.get("pasteOrientation") == "TRANSPOSE":
            block = [list(line) for line in zip(*block, strict=True)]
        _paste(target_sheet, target, attribute, block)
    return {}


def _paste(sheet: Sheet, target: Rect, attribute: str, block: list[list[Any]]) -> None:
    if not block or not block[0]:
        raise invalid("The source range is empty.")
    height, width = len(block), len(block[0])
    down = target.height // height if target.height and target.height % height == 0 else 1
    across = target.width // width if target.width and target.width % width == 0 else 1
    if target.top + height * down > sheet.rows or target.left + width * across > sheet.columns:
        raise invalid("The destination range exceeds the grid limits.")
    layer = getattr(sheet, attribute)
    for row in range(height * down):
        for column in range(width * across):
            layer.put(target.top + row, target.left + column, block[row % height][column % width])


def cut_paste(draft: Contents, request: Json) -> Json:
    """Move data: "all the source data will be cut, regardless of what is pasted"."""
    sheet, source = _area(draft, request, "source")
    place = request.get("destination", {})
    target_sheet = draft.sheet(place.get("sheetId", 0))
    corner = Rect(place.get("rowIndex", 0), place.get("rowIndex", 0) + 1, place.get("columnIndex", 0), 0)
    for attribute in ATTRIBUTES:
        layer = getattr(sheet, attribute)
        block = [[layer.get(row, column) for column in range(source.left, source.right)] for row in _rows(source)]
        for row, column in _cells(source):
            layer.put(row, column, None)
        if attribute in PASTED[request.get("pasteType", "PASTE_NORMAL")]:
            _paste(target_sheet, Rect(corner.top, corner.top, corner.left, corner.left), attribute, block)
    return {}


@dataclass(frozen=True)
class Search:
    """The search text and the replacement of a findReplace."""

    pattern: re.Pattern[str]
    replacement: str
    literal: str | None  # the text to find, when a whole cell must be equal to it, case and all
    entire: bool
    regex: bool
    include_formulas: bool

    def replaced(self, text: str) -> tuple[str, int]:
        """Give the new text of a cell and the number of occurrences."""
        template: Any = self.replacement if self.regex else lambda _found: self.replacement
        if not self.entire:
            return self.pattern.subn(template, text)
        found = self.pattern.fullmatch(text)
        if found is None:
            return text, 0
        return (found.expand(self.replacement) if self.regex else self.replacement), 1


def _search(request: Json) -> Search:
    find, regex = request.get("find", ""), request.get("searchByRegex", False)
    entire, match_case = request.get("matchEntireCell", False), request.get("matchCase", False)
    replacement = request.get("replacement", "")
    try:
        pattern = re.compile(find if regex else re.escape(find), 0 if match_case else re.IGNORECASE)
    except re.error as error:
        raise invalid(f"Invalid regular expression: {error}") from error
    if regex:  # Java writes a group as $1, Python as \g<1>
        replacement = re.sub(r"\$(\d+)", r"\\g<\1>", replacement.replace("\\", "\\\\"))
    literal = find if entire and match_case and not regex else None
    return Search(pattern, replacement, literal, entire, regex, request.get("includeFormulas", False))


def find_replace(draft: Contents, request: Json) -> Json:
    """Find and replace "over a range, sheet, or all sheets"; hidden and filtered rows are searched too.

    The replacement is parsed as if it were typed (USER_ENTERED). Google does not document whether it is; this is the
    worst case, chosen on purpose: "123" becomes a number, "=A1" a formula, "1/2" a date. A count of zero is left out
    of the answer, as in all answers of the API.
    """
    if not request.get("find"):
        raise invalid("The find value must not be empty.")
    search = _search(request)
    counts: Counter[str] = Counter()
    for sheet, area in _scope(draft, request):
        changed_rows: set[int] = set()
        for column in range(area.left, area.right):
            changed_rows.update(_replace_in_column(draft, sheet, area, column, search, counts))
        counts["rowsChanged"] += len(changed_rows)
        counts["sheetsChanged"] += bool(changed_rows)
    return {"findReplace": {name: count for name, count in counts.items() if count}}


def _scope(draft: Contents, request: Json) -> Iterable[tuple[Sheet, Rect]]:
    if "range" in request:
        return [_area(draft, request, "range")]
    if "sheetId" not in request and not request.get("allSheets"):
        raise invalid("No scope specified: set range, sheetId or allSheets.")
    sheets = [draft.sheet(request["sheetId"])] if "sheetId" in request else draft.sheets
    return [(sheet, sheet.rect({})) for sheet in sheets]


def _replace_in_column(
    draft: Contents, sheet: Sheet, area: Rect, column: int, search: Search, counts: Counter[str]
) -> list[int]:
    changed = []
    for row in list(_candidates(sheet.values.column(column), area, search)):
        value = sheet.values.get(row, column)
        is_formula = isinstance(value, Formula)
        if value is None or (is_formula and not search.include_formulas):
            continue
        text = value.text if isinstance(value, Formula) else shown(value, sheet.formats.get(row, column))
        replaced, occurrences = search.replaced(text)
        if occurrences:
            check_editable(draft, sheet, Rect(row, row + 1, column, column + 1))
            type_into(sheet, row, column, replaced)
            counts["occurrencesChanged"] += occurrences
            counts["formulasChanged" if is_formula else "valuesChanged"] += 1
            changed.append(row)
    return changed


def _candidates(cells: Sequence[Any], area: Rect, search: Search) -> Iterator[int]:
    """Give the rows that may match. What only text can show is searched for at the speed of `list.index`."""
    bottom = min(area.bottom, len(cells))
    if search.literal is None or not search.literal[0].isalpha() or search.literal in ("TRUE", "FALSE"):
        yield from range(area.top, bottom)
        return
    row = area.top - 1
    try:
        while True:
            row = cells.index(search.literal, row + 1, bottom)
            yield row
    except ValueError:
        return


def _area(draft: Contents, request: Json, field: str) -> tuple[Sheet, Rect]:
    if field not in request:
        raise invalid(f"{field} must be specified.")
    sheet = draft.sheet(request[field].get("sheetId", 0))
    return sheet, sheet.rect(request[field])


def _rows(area: Rect) -> range:
    return range(area.top, area.bottom)


def _cells(area: Rect) -> Iterator[tuple[int, int]]:
    return ((row, column) for column in range(area.left, area.right) for row in _rows(area))
