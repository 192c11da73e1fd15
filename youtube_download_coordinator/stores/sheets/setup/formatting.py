"""Format tabs for people: frozen header, drop-down and colours for Status, notes, warnings on the workers' columns.

The store does not need the formatting. A person's own drop-down, colours and notes are kept: each function returns requests only
for missing parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from youtube_download_coordinator.models import SHEET_COLUMNS, Status
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.batch_token import Token, token_of
from youtube_download_coordinator.stores.sheets.layout import Layout, Tab, letters, quoted

LEASE_WIDTH_PIXELS = 40
_GREY = {"red": 0.6, "green": 0.6, "blue": 0.6}
COLOURS: Mapping[Status, Mapping[str, float]] = {
    Status.PENDING: {"red": 0.93, "green": 0.93, "blue": 0.93},
    Status.IN_PROGRESS: {"red": 1.0, "green": 0.95, "blue": 0.75},
    Status.DONE: {"red": 0.82, "green": 0.93, "blue": 0.82},
    Status.ERROR: {"red": 0.97, "green": 0.83, "blue": 0.8},
}
_STATUS = (
    "Set a Status to say what should happen:\n"
    "pending - run it (again)\n"
    "done - skip it\n"
    "error - keep it away\n"
    "While a row is in-progress, or its cells are being rewritten, what you set here is ignored."
)
_DEAD_STATUS = (
    "These videos failed for good. Set Status to pending to move a row back to the videos, with no attempts counted."
)
_WORKERS_OWN = "For workers only: do not edit, copy or paste this cell. It decides which worker has the row."
_SHOWN = "For workers only: do not edit. The version of the row that the other cells show."
_URL = "To add a row by hand, type its address here; the workers fill in the rest."
_NOTES: Mapping[str, Mapping[str, str]] = {
    SOURCES.name: {"URL": _URL, "Status": _STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    VIDEO_TASKS.name: {"URL": _URL, "Status": _STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    DEAD_LETTERS.name: {"Status": _DEAD_STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    "control": {
        "Name": "Settings and states that all workers share. You may sort the lines, but do not delete any.",
        "Value": "The value of this line. For `guarantees`: the result of `ydc doctor`.",
        "Until": "The end of this state, in UTC.",
        "Reason": "The reason, and who wrote the line.",
        "Lease": "For workers only: do not edit. This column contains the next IDs, which must never decrease.",
        "Slot": "For workers only: do not edit. Workers use this column to adopt the rows that you have typed in.",
    },
}
_WORKERS_COLUMNS = {"control": ("Lease", "Slot")}
"""The columns that only workers should edit, in tabs whose columns are not Lease and Shown."""


@dataclass(frozen=True, slots=True)
class TabFormatting:
    """The current formatting of a tab."""

    tab: Tab
    frozen_rows: int
    notes: Sequence[str]
    """The notes of the header's cells."""
    first_rule: Json
    last_rule: Json
    """The data validation of the last cell of Status; empty if any text may be typed."""
    colours: Sequence[Json]
    protections: Sequence[Json]

    def note(self, column: str) -> str:
        index = self.tab.column(column)
        return self.notes[index] if index < len(self.notes) else ""


class Step(NamedTuple):
    """A change of a tab, with its description for people."""

    what: str
    requests: list[Json]


def read_formatting(connection: Connection, layout: Layout) -> tuple[Token, list[TabFormatting]]:
    """Return the token, and the formatting of every tab at that time, with one request."""
    ranges: list[str] = []
    for tab in layout.tabs.values():
        ranges.append(f"{quoted(tab.title)}!1:2")  # the header, and the line below it
        if "Status" in tab.header:  # its last cell
            ranges.append(f"{quoted(tab.title)}!{letters(tab.column('Status'))}{tab.grid_rows}")
    cells = "data(startRow,rowData.values(note,dataValidation))"
    fields = f"namedRanges,sheets(properties(sheetId,gridProperties),conditionalFormats,protectedRanges,{cells})"
    spreadsheet = connection.properties(fields, ranges)
    sheets = {sheet["properties"].get("sheetId", 0): sheet for sheet in spreadsheet.get("sheets", [])}
    tabs = [tab for tab in layout.tabs.values() if tab.sheet_id in sheets]
    return token_of(spreadsheet), [_formatting(tab, sheets[tab.sheet_id]) for tab in tabs]


def _formatting(tab: Tab, sheet: Json) -> TabFormatting:
    blocks = [[row.get("values", []) for row in block.get("rowData", [])] for block in sheet.get("data", [])]
    header, first = [*blocks[0], [], []][:2] if blocks else ([], [])
    last = blocks[1][0] if len(blocks) > 1 and blocks[1] else []
    status = tab.column("Status") if "Status" in tab.header else 0
    return TabFormatting(
        tab=tab,
        frozen_rows=sheet["properties"].get("gridProperties", {}).get("frozenRowCount", 0),
        notes=[cell.get("note", "") for cell in header],
        first_rule=first[status].get("dataValidation", {}) if status < len(first) else {},
        last_rule=last[0].get("dataValidation", {}) if last else {},
        colours=sheet.get("conditionalFormats", []),
        protections=sheet.get("protectedRanges", []),
    )


def steps(formatting: TabFormatting) -> list[Step]:
    """Return the missing changes of a tab."""
    wanted = [
        Step("froze the header", _freeze(formatting)),
        Step("made a drop-down for Status", _drop_down(formatting)),
        Step("coloured Status", _colours(formatting)),
        Step("made the workers' columns narrow and grey", _grey(formatting)),
        Step("wrote notes", _notes(formatting)),
        Step("added edit warnings for the header and the workers' columns", _protections(formatting)),
    ]
    return [step for step in wanted if step.requests]


def _freeze(formatting: TabFormatting) -> list[Json]:
    if formatting.frozen_rows:
        return []
    properties = {"sheetId": formatting.tab.sheet_id, "gridProperties": {"frozenRowCount": 1}}
    return [{"updateSheetProperties": {"properties": properties, "fields": "gridProperties.frozenRowCount"}}]


def _drop_down(formatting: TabFormatting) -> list[Json]:
    """Add a drop-down that also accepts other text. If the tab has grown, extend the drop-down to its end."""
    if (
        "Status" not in formatting.tab.header
        or formatting.last_rule
        or (formatting.first_rule and not _is_ours(formatting.first_rule))
    ):
        return []
    note = _DEAD_STATUS if formatting.tab.name == DEAD_LETTERS.name else _STATUS
    condition = {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": status.value} for status in Status]}
    rule = {"condition": condition, "inputMessage": note, "strict": False, "showCustomUi": True}
    return [{"setDataValidation": {"range": formatting.tab.area("Status"), "rule": rule}}]


def _is_ours(rule: Json) -> bool:
    values = [value.get("userEnteredValue") for value in rule.get("condition", {}).get("values", [])]
    return values == [status.value for status in Status]


def _colours(formatting: TabFormatting) -> list[Json]:
    if "Status" not in formatting.tab.header:
        return []
    missing = [
        status for status in Status if not any(_is_about(rule, status, formatting.tab) for rule in formatting.colours)
    ]
    return [
        {
            "addConditionalFormatRule": {
                "rule": _colour(formatting.tab, status),
                "index": len(formatting.colours) + index,
            }
        }
        for index, status in enumerate(missing)
    ]


def _colour(tab: Tab, status: Status) -> Json:
    condition = {"type": "TEXT_EQ", "values": [{"userEnteredValue": status.value}]}
    colour = {"backgroundColorStyle": {"rgbColor": dict(COLOURS[status])}}
    return {"ranges": [tab.area("Status")], "booleanRule": {"condition": condition, "format": colour}}


def _is_about(rule: Json, status: Status, tab: Tab) -> bool:
    """Return whether a rule colours that status, in any colour."""
    condition = rule.get("booleanRule", {}).get("condition", {})
    values = [value.get("userEnteredValue") for value in condition.get("values", [])]
    index = tab.column("Status")
    columns = [
        (area.get("startColumnIndex", 0), area.get("endColumnIndex", index + 1)) for area in rule.get("ranges", [])
    ]
    return (
        condition.get("type") == "TEXT_EQ"
        and values == [status.value]
        and any(start <= index < end for start, end in columns)
    )


def _workers_columns(tab: Tab) -> list[str]:
    return [name for name in _WORKERS_COLUMNS.get(tab.name, SHEET_COLUMNS) if name in tab.header]


def _grey(formatting: TabFormatting) -> list[Json]:
    """Make columns narrow and grey once. A column with a note is skipped, because a person may have widened it since."""
    return [
        request
        for name in _workers_columns(formatting.tab)
        if not formatting.note(name)
        for request in _grey_column(formatting.tab, name)
    ]


def _grey_column(tab: Tab, name: str) -> list[Json]:
    index = tab.column(name)
    columns = {"sheetId": tab.sheet_id, "dimension": "COLUMNS", "startIndex": index, "endIndex": index + 1}
    narrow = {"range": columns, "properties": {"pixelSize": LEASE_WIDTH_PIXELS}, "fields": "pixelSize"}
    # As plain text, so that Sheets never converts the contents.
    style = {
        "textFormat": {"foregroundColorStyle": {"rgbColor": _GREY}},
        "wrapStrategy": "CLIP",
        "numberFormat": {"type": "TEXT"},
    }
    fields = "userEnteredFormat(textFormat.foregroundColorStyle,wrapStrategy,numberFormat)"
    grey = {"range": tab.area(name), "cell": {"userEnteredFormat": style}, "fields": fields}
    return [{"updateDimensionProperties": narrow}, {"repeatCell": grey}]


def _notes(formatting: TabFormatting) -> list[Json]:
    """Write notes, except in cells that already have one."""
    missing = {name: text for name, text in _NOTES[formatting.tab.name].items() if not formatting.note(name)}
    return [
        {"repeatCell": {"range": formatting.tab.area(name, 0), "cell": {"note": text}, "fields": "note"}}
        for name, text in missing.items()
    ]


def _protections(formatting: TabFormatting) -> list[Json]:
    """Add warnings before an edit. Nothing is locked."""
    tab = formatting.tab
    header = {"sheetId": tab.sheet_id, "startRowIndex": 0, "endRowIndex": 1}
    wanted = {"Do not rename: workers find their columns by these names.": header}
    wanted |= {f"{name}: for workers only, do not edit.": tab.area(name) for name in _workers_columns(tab)}
    return [
        {"addProtectedRange": {"protectedRange": {"range": area, "description": text, "warningOnly": True}}}
        for text, area in wanted.items()
        if not any(
            protection.get("description") == text or _covers(protection.get("range", {}), area)
            for protection in formatting.protections
        )
    ]


def _covers(outer: Json, inner: Json) -> bool:
    """Return whether a range contains another one. A missing index means no bound."""
    endless = float("inf")
    return all(
        outer.get(f"start{side}Index", 0) <= inner.get(f"start{side}Index", 0)
        and outer.get(f"end{side}Index", endless) >= inner.get(f"end{side}Index", endless)
        for side in ("Row", "Column")
    )
