"""The requests of a batch about named ranges, protected ranges, filters, conditional formats and charts."""

from __future__ import annotations

import re

from tests.fake_google.errors import Json, NotSimulatedError, invalid
from tests.fake_google.grid import Contents, Sheet
from tests.fake_google.leaving_out import INDEXES, lean
from tests.fake_google.masks import merge
from tests.fake_google.protection import may_edit
from tests.fake_google.ranges import COLUMN_LIMIT, column_index, grid_range
from tests.fake_google.writing import fields_mask

_R1C1 = re.compile(r"R\d*C\d*", re.IGNORECASE)
_CELL = re.compile(r"([A-Za-z]{1,3})\d+")


def add_named_range(draft: Contents, request: Json) -> Json:
    """Add a named range ("it is an error to specify the ID of a range that already exists"); names are unique too."""
    given = dict(request.get("namedRange", {}))
    given.setdefault("namedRangeId", str(draft.new_id()))
    taken = {**draft.named_ranges, **draft.broken_ranges}
    if given["namedRangeId"] in taken:
        named = f"Cannot add named range with ID: {given['namedRangeId']}"
        raise invalid(f"{named}, a named range with that ID already exists.")
    _check_name(draft, given.get("name", ""), None)
    area = given.setdefault("range", {})
    draft.sheet(area.get("sheetId", 0)).rect(area)
    draft.named_ranges[given["namedRangeId"]] = given
    return {"addNamedRange": {"namedRange": lean(given, keep=INDEXES)}}


def _check_name(draft: Contents, name: str, own: str | None) -> None:
    """Check a name as the help page "Name a range of cells" says.

    Letters, numbers and underscores; no number and no `true` or `false` at the start; at most 250 characters; neither
    A1 nor R1C1 notation.
    """
    cell = _CELL.fullmatch(name)
    like_a1 = cell is not None and column_index(cell[1]) < COLUMN_LIMIT
    wrong_start = name[:1].isdigit() or name.lower().startswith(("true", "false"))
    if not re.fullmatch(r"\w{1,250}", name) or wrong_start or like_a1 or _R1C1.fullmatch(name):
        raise invalid(f"The name of the named range is invalid: {name}")
    for key, named in {**draft.named_ranges, **draft.broken_ranges}.items():
        if key != own and named["name"].lower() == name.lower():
            raise invalid(f"Cannot add named range with name: {name}, a named range with that name already exists.")


def update_named_range(draft: Contents, request: Json) -> Json:
    """Update the name or the range of a named range."""
    mask = fields_mask(request, "NamedRange")
    given = request.get("namedRange", {})
    key = given.get("namedRangeId", "")
    merged = {**merge(mask, _named(draft, key), given), "namedRangeId": key}
    _check_name(draft, merged.get("name", ""), key)
    area = merged.setdefault("range", {})
    draft.sheet(area.get("sheetId", 0)).rect(area)
    draft.named_ranges[key] = merged
    return {}


def delete_named_range(draft: Contents, request: Json) -> Json:
    """Remove the named range with an ID; an unknown one is refused, and so is a broken one."""
    key = request.get("namedRangeId", "")
    _named(draft, key)
    del draft.named_ranges[key]
    return {}


def _named(draft: Contents, key: str) -> Json:
    if key not in draft.named_ranges:
        raise invalid(f"No named range with id: {key}")
    return draft.named_ranges[key]


def add_protected_range(draft: Contents, request: Json) -> Json:
    """Add a protected range. Whoever adds it is one of its editors."""
    given = {"protectedRangeId": draft.new_id(), **request.get("protectedRange", {})}
    given.pop("requestingUserCanEdit", None)
    if "range" not in given:
        raise NotSimulatedError("a protected range that is backed by a named range or a table")
    sheet = draft.sheet(given["range"].get("sheetId", 0))
    sheet.rect(given["range"])
    if any(given["protectedRangeId"] == kept["protectedRangeId"] for kept in sheet.protected_ranges):
        raise invalid(f"A protected range with ID {given['protectedRangeId']} exists already.")
    asked = lean(given.get("editors", {}))
    users = [*asked.get("users", []), *([draft.account] if draft.account else [])]
    sheet.protected_ranges.append({**given, "editors": {**asked, "users": list(dict.fromkeys(users))}})
    shown = lean(given, keep=INDEXES) | {"requestingUserCanEdit": True, "editors": asked}
    return {"addProtectedRange": {"protectedRange": shown}}


def _protected(draft: Contents, protected_range_id: int) -> tuple[Sheet, Json]:
    for sheet in draft.sheets:
        for kept in sheet.protected_ranges:
            if kept["protectedRangeId"] == protected_range_id:
                return sheet, kept
    raise invalid(f"No protected range with id: {protected_range_id}")


def _editable(draft: Contents, protected_range_id: int) -> tuple[Sheet, Json]:
    sheet, old = _protected(draft, protected_range_id)
    if not may_edit(old, draft.account):
        raise invalid("You can't change or remove a protected range that you can't edit.")
    return sheet, old


def update_protected_range(draft: Contents, request: Json) -> Json:
    """Update a protected range."""
    mask = fields_mask(request, "ProtectedRange")
    given = request.get("protectedRange", {})
    sheet, old = _editable(draft, given.get("protectedRangeId", 0))
    new = {"range": old["range"], **merge(mask, old, given), "protectedRangeId": old["protectedRangeId"]}
    sheet.protected_ranges = [new if kept is old else kept for kept in sheet.protected_ranges]
    return {}


def delete_protected_range(draft: Contents, request: Json) -> Json:
    """Delete the protected range with an ID."""
    sheet, old = _editable(draft, request.get("protectedRangeId", 0))
    sheet.protected_ranges = [kept for kept in sheet.protected_ranges if kept is not old]
    return {}


def set_basic_filter(draft: Contents, request: Json) -> Json:
    """Set the basic filter of a sheet; `criteria` and `filterSpecs` are two spellings. It sorts nothing here."""
    given = dict(request.get("filter", {}))
    sheet = draft.sheet(given.get("range", {}).get("sheetId", 0))
    area = sheet.rect(given.get("range", {}))
    given["range"] = grid_range(sheet.sheet_id, area)
    criteria = given.get("criteria", {}).items()
    specs = [{"columnIndex": int(column), "filterCriteria": criterion} for column, criterion in criteria]
    given.setdefault("filterSpecs", specs)
    sheet.basic_filter = {name: item for name, item in given.items() if name != "criteria"}
    return {}


def clear_basic_filter(draft: Contents, request: Json) -> Json:
    """Clear the basic filter, "if any exists on the sheet"."""
    draft.sheet(request.get("sheetId", 0)).basic_filter = None
    return {}


def add_conditional_format_rule(draft: Contents, request: Json) -> Json:
    """Add a rule at an index; the rules after it move on."""
    rule = request.get("rule", {})
    if not rule.get("ranges"):
        raise invalid("rule.ranges must be specified.")
    sheet = draft.sheet(rule["ranges"][0].get("sheetId", 0))
    for area in rule["ranges"]:
        sheet.rect(area)
    index = request.get("index", 0)
    if not 0 <= index <= len(sheet.conditional_formats):
        raise invalid(f"index[{index}] is beyond the rules of the sheet.")
    sheet.conditional_formats.insert(index, rule)
    return {}


def delete_conditional_format_rule(draft: Contents, request: Json) -> Json:
    """Delete the rule at an index and give it back."""
    sheet = draft.sheet(request.get("sheetId", 0))
    index = request.get("index", 0)
    if not 0 <= index < len(sheet.conditional_formats):
        raise invalid(f"No conditional format on sheet: {sheet.sheet_id} at index: {index}")
    return {"deleteConditionalFormatRule": {"rule": sheet.conditional_formats.pop(index)}}


def add_chart(draft: Contents, request: Json) -> Json:
    """Add a chart, kept as it came."""
    chart = {"chartId": draft.new_id(), **request.get("chart", {})}
    anchor = chart.get("position", {}).get("overlayPosition", {}).get("anchorCell")
    if anchor is None:
        raise NotSimulatedError("a chart that is not placed over the cells of a sheet")
    draft.sheet(anchor.get("sheetId", 0)).charts.append(chart)
    return {"addChart": {"chart": chart}}


def _chart(draft: Contents, chart_id: int) -> tuple[Sheet, Json]:
    for sheet in draft.sheets:
        for chart in sheet.charts:
            if chart["chartId"] == chart_id:
                return sheet, chart
    raise invalid(f"No embedded object with id: {chart_id}")


def update_chart_spec(draft: Contents, request: Json) -> Json:
    """Replace the specification of a chart."""
    sheet, old = _chart(draft, request.get("chartId", 0))
    sheet.charts = [{**kept, "spec": request.get("spec", {})} if kept is old else kept for kept in sheet.charts]
    return {}


def delete_embedded_object(draft: Contents, request: Json) -> Json:
    """Delete a chart."""
    sheet, old = _chart(draft, request.get("objectId", 0))
    sheet.charts = [kept for kept in sheet.charts if kept is not old]
    return {}
