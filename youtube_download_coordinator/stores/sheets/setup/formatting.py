"""What makes a tab easy for people: frozen header, drop-down and colours for Status, notes, warnings before our own columns.

Nothing in here is needed by the store. What a person has done already (an own drop-down, own colours, a note) is kept: each
function gives the requests for what is missing, and none when nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from youtube_download_coordinator.models import SHEET_COLUMNS, Status
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.layout import Layout, Tab, letters, quoted, token_of

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
    "These failed for good. Set Status to pending, and the row goes back to the videos with no attempts counted."
)
_WORKERS_OWN = "The workers' own: do not edit, copy or paste this cell. It decides who works on the row."
_SHOWN = "The workers' own: do not edit. It says which change of the row the other cells show."
_URL = "To add a row by hand, type its address here; the workers fill in the rest."
_NOTES: Mapping[str, Mapping[str, str]] = {
    SOURCES.name: {"URL": _URL, "Status": _STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    VIDEO_TASKS.name: {"URL": _URL, "Status": _STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    DEAD_LETTERS.name: {"Status": _DEAD_STATUS, "Lease": _WORKERS_OWN, "Shown": _SHOWN},
    "control": {
        "Name": "What the workers share. Lines may be sorted; do not delete any.",
        "Value": "What is said about it: of `guarantees`, what `ydc doctor` found.",
        "Until": "When that ends, UTC.",
        "Reason": "Why, and who said so.",
        "Lease": "The workers' own: do not edit. The next IDs stand here, and they must never fall.",
        "Slot": "The workers' own: do not edit. Rows that you typed in are taken in by way of this column.",
    },
}
_OWN = {"control": ("Lease", "Slot")}
"""The columns that nobody but the workers should edit, where they are not Lease and Shown."""


@dataclass(frozen=True, slots=True)
class TabFormatting:
    """How a tab looks now."""

    tab: Tab
    frozen_rows: int
    notes: Sequence[str]
    """Of the header's cells."""
    first_rule: Json
    last_rule: Json
    """What the first and the last cell of Status let in; nothing where a person may type anything."""
    colours: Sequence[Json]
    protections: Sequence[Json]

    def note(self, column: str) -> str:
        at = self.tab.column(column)
        return self.notes[at] if at < len(self.notes) else ""


class Step(NamedTuple):
    """Something that is done to a tab."""

    what: str
    requests: list[Json]


def read_formatting(connection: Connection, layout: Layout) -> tuple[str, list[TabFormatting]]:
    """The token, and how every tab looked when it was the token; one request."""
    ranges = [area for tab in layout.tabs.values() for area in _notes_for(tab)]
    cells = "data(startRow,rowData.values(note,dataValidation))"
    fields = f"namedRanges,sheets(properties(sheetId,gridProperties),conditionalFormats,protectedRanges,{cells})"
    found = connection.properties(fields, ranges)
    sheets = {sheet["properties"].get("sheetId", 0): sheet for sheet in found.get("sheets", [])}
    return token_of(found), [
        _dress(tab, sheets[tab.sheet_id]) for tab in layout.tabs.values() if tab.sheet_id in sheets
    ]


def _notes_for(tab: Tab) -> Iterator[str]:
    """The header and the line below it, and the last cell of Status."""
    yield f"{quoted(tab.title)}!1:2"
    if "Status" in tab.header:
        yield f"{quoted(tab.title)}!{letters(tab.column('Status'))}{tab.grid_rows}"


def _dress(tab: Tab, sheet: Json) -> TabFormatting:
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


def steps(dress: TabFormatting) -> list[Step]:
    """What is missing on a tab."""
    wanted = [
        Step("froze the header", _freeze(dress)),
        Step("made a drop-down for Status", _drop_down(dress)),
        Step("coloured Status", _colours(dress)),
        Step("made the workers' own columns narrow and grey", _grey(dress)),
        Step("wrote notes", _notes(dress)),
        Step("put warnings before the header and the workers' own columns", _protections(dress)),
    ]
    return [step for step in wanted if step.requests]


def _freeze(dress: TabFormatting) -> list[Json]:
    if dress.frozen_rows:
        return []
    properties = {"sheetId": dress.tab.sheet_id, "gridProperties": {"frozenRowCount": 1}}
    return [{"updateSheetProperties": {"properties": properties, "fields": "gridProperties.frozenRowCount"}}]


def _drop_down(dress: TabFormatting) -> list[Json]:
    """A list to choose from that lets other text in too; extended to the end when the tab has grown."""
    if "Status" not in dress.tab.header or dress.last_rule or (dress.first_rule and not _is_ours(dress.first_rule)):
        return []
    note = _DEAD_STATUS if dress.tab.name == DEAD_LETTERS.name else _STATUS
    condition = {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": status.value} for status in Status]}
    rule = {"condition": condition, "inputMessage": note, "strict": False, "showCustomUi": True}
    return [{"setDataValidation": {"range": dress.tab.area("Status"), "rule": rule}}]


def _is_ours(rule: Json) -> bool:
    values = [value.get("userEnteredValue") for value in rule.get("condition", {}).get("values", [])]
    return values == [status.value for status in Status]


def _colours(dress: TabFormatting) -> list[Json]:
    if "Status" not in dress.tab.header:
        return []
    missing = [status for status in Status if not any(_is_about(rule, status, dress.tab) for rule in dress.colours)]
    return [
        {"addConditionalFormatRule": {"rule": _colour(dress.tab, status), "index": len(dress.colours) + index}}
        for index, status in enumerate(missing)
    ]


def _colour(tab: Tab, status: Status) -> Json:
    condition = {"type": "TEXT_EQ", "values": [{"userEnteredValue": status.value}]}
    colour = {"backgroundColorStyle": {"rgbColor": dict(COLOURS[status])}}
    return {"ranges": [tab.area("Status")], "booleanRule": {"condition": condition, "format": colour}}


def _is_about(rule: Json, status: Status, tab: Tab) -> bool:
    """Whether a rule colours that status, in a colour of ours or of a person's own."""
    condition = rule.get("booleanRule", {}).get("condition", {})
    values = [value.get("userEnteredValue") for value in condition.get("values", [])]
    at = tab.column("Status")
    columns = [(area.get("startColumnIndex", 0), area.get("endColumnIndex", at + 1)) for area in rule.get("ranges", [])]
    return (
        condition.get("type") == "TEXT_EQ"
        and values == [status.value]
        and any(start <= at < end for start, end in columns)
    )


def _own(tab: Tab) -> list[str]:
    return [name for name in _OWN.get(tab.name, SHEET_COLUMNS) if name in tab.header]


def _grey(dress: TabFormatting) -> list[Json]:
    """Once: a column with a note has been dressed, and a person may have made it wide since."""
    return [request for name in _own(dress.tab) if not dress.note(name) for request in _grey_column(dress.tab, name)]


def _grey_column(tab: Tab, name: str) -> list[Json]:
    at = tab.column(name)
    columns = {"sheetId": tab.sheet_id, "dimension": "COLUMNS", "startIndex": at, "endIndex": at + 1}
    narrow = {"range": columns, "properties": {"pixelSize": LEASE_WIDTH_PIXELS}, "fields": "pixelSize"}
    # As plain text, so that nothing that is put there is ever read as something else.
    look = {
        "textFormat": {"foregroundColorStyle": {"rgbColor": _GREY}},
        "wrapStrategy": "CLIP",
        "numberFormat": {"type": "TEXT"},
    }
    fields = "userEnteredFormat(textFormat.foregroundColorStyle,wrapStrategy,numberFormat)"
    grey = {"range": tab.area(name), "cell": {"userEnteredFormat": look}, "fields": fields}
    return [{"updateDimensionProperties": narrow}, {"repeatCell": grey}]


def _notes(dress: TabFormatting) -> list[Json]:
    """Where a person has not written another."""
    missing = {name: text for name, text in _NOTES[dress.tab.name].items() if not dress.note(name)}
    return [
        {"repeatCell": {"range": dress.tab.area(name, 0), "cell": {"note": text}, "fields": "note"}}
        for name, text in missing.items()
    ]


def _protections(dress: TabFormatting) -> list[Json]:
    """A question before an edit, no more: people stay masters of their sheet."""
    tab = dress.tab
    header = {"sheetId": tab.sheet_id, "startRowIndex": 0, "endRowIndex": 1}
    wanted = {"Column names: workers find their columns by them.": header}
    wanted |= {f"{name}: the workers' own, do not edit.": tab.area(name) for name in _own(tab)}
    return [
        {"addProtectedRange": {"protectedRange": {"range": area, "description": text, "warningOnly": True}}}
        for text, area in wanted.items()
        if not any(
            each.get("description") == text or _covers(each.get("range", {}), area) for each in dress.protections
        )
    ]


def _covers(outer: Json, inner: Json) -> bool:
    """Whether every cell of a range is in another; no index is no bound."""
    endless = float("inf")
    return all(
        outer.get(f"start{side}Index", 0) <= inner.get(f"start{side}Index", 0)
        and outer.get(f"end{side}Index", endless) >= inner.get(f"end{side}Index", endless)
        for side in ("Row", "Column")
    )
