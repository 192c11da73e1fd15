"""Read the layout: the tab of each table, the positions of its columns, and problems that a person must undo.

Tabs are identified by their marks (tab_marks.py). Titles are used only if the spreadsheet is not in use yet, or was used by
version 0.1.0, which made no marks. If a tab is gone from a spreadsheet in use, a person must decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import SHEET_COLUMNS
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.batch_token import restarted, token_of
from youtube_download_coordinator.stores.sheets.column_search import column_problem
from youtube_download_coordinator.stores.sheets.layout import (
    COLUMNS,
    CONTROL,
    Layout,
    Tab,
    check_duplicates,
    folded,
    header_of,
    read_tab,
    titles,
    with_used_columns,
)
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease
from youtube_download_coordinator.stores.sheets.pause_mark import pause_mark_of
from youtube_download_coordinator.stores.sheets.snapshot import ControlSnapshot
from youtube_download_coordinator.stores.sheets.tab_marks import marked_sheets, sheet_number

log = logging.getLogger(__name__)

READ_ROUNDS = 4
"""How often the layout is read again if a person renames or deletes a tab meanwhile."""
_CONTROL_COLUMNS = frozenset({"Name", "Value", "Lease", "Slot"})
"""A tab with these columns may be Control."""

Rows = Sequence[Sequence[str]]


def read_layout(connection: Connection, config: Config, *, new_tabs: bool = False) -> Layout:
    """Read the layout with two requests, or more if a tab has no mark or a column is missing.

    `new_tabs`: replace tabs that are gone by the tabs with the usual titles, or by empty ones.

    Raises LayoutProblem if a column of the coordinator exists twice.
    """
    for _ in range(READ_ROUNDS):
        try:
            return _read_layout(connection, config, new_tabs=new_tabs)
        except Refused as error:  # a tab was renamed or deleted between two requests
            log.info("reading the layout again: %s", error)
            problem = error
    raise problem


def _read_layout(connection: Connection, config: Config, *, new_tabs: bool) -> Layout:
    fields = "properties.title,namedRanges,sheets.properties(sheetId,title,gridProperties)"
    properties = connection.properties(fields)
    connection.title = str(properties.get("properties", {}).get("title", ""))
    search = _Search(connection, config, properties)
    search.find_tabs(new_tabs=new_tabs)
    tabs = {name: search.tab(name) for name in search.sheet_ids}
    for tab in tabs.values():
        check_duplicates(tab)
    control = search.control
    problem = search.problem or _column_problem(connection, tabs, control.rows, is_used=search.is_used)
    token = token_of(search.properties)
    if not token.range_id and search.is_used:
        token = restarted(control.change().number, connection.now())
    # Add new columns to the right of all data, including the data of columns without a name.
    tabs |= with_used_columns(connection, {name: tab for name, tab in tabs.items() if tab.missing})
    return Layout(
        tabs=tabs,
        token=token,
        failed_guarantees=control.failed_guarantees(),
        control=search.control_rows,
        is_used=search.is_used,
        problem=problem,
        unmarked=tuple(name for name, tab in tabs.items() if tab.sheet_id not in search.marked.get(name, ())),
        pause_mark=pause_mark_of(search.properties),
        numbers=control.numbers(),
    )


def copies(connection: Connection, layout: Layout) -> list[str]:
    """Return the titles of other tabs that have the coordinator's columns. Workers ignore these tabs."""
    sheets = _sheets(connection.properties("sheets.properties(sheetId,title,gridProperties)"))
    known = {tab.sheet_id for tab in layout.tabs.values()}
    others = [sheet_id for sheet_id in sheets if sheet_id not in known]
    headers = (
        [values.rows[0] if values.rows else [] for values in connection.values(map_headers(others))] if others else []
    )
    return [
        str(sheets[sheet_id]["title"])
        for sheet_id, header in zip(others, headers, strict=True)
        if _has_leases(header) or set(header_of(CONTROL, header)) >= _CONTROL_COLUMNS
    ]


def map_headers(sheet_ids: Iterable[int]) -> list[Json]:
    """Return the GridRanges of the header rows."""
    return [{"sheetId": sheet_id, "endRowIndex": 1} for sheet_id in sheet_ids]


def _sheets(properties: Mapping[str, Any]) -> dict[int, Json]:
    """Return the properties of the tabs with cells, by sheetId."""
    sheets = [sheet["properties"] for sheet in properties.get("sheets", [])]
    return {sheet.get("sheetId", 0): sheet for sheet in sheets if "gridProperties" in sheet}


@dataclass(slots=True)
class _Search:
    """A search for the tabs of a spreadsheet."""

    connection: Connection
    config: Config
    properties: Json
    sheet_ids: dict[str, int] = field(default_factory=dict)
    """The tabs by table."""
    problem: str = ""
    headers: dict[int, Sequence[str]] = field(default_factory=dict)
    control_rows: Rows = ()
    is_used: bool = False
    """Whether workers have used the spreadsheet."""
    sheets: dict[int, Json] = field(init=False)
    marked: dict[str, set[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.sheets = _sheets(self.properties)
        self.marked = marked_sheets(self.properties)

    @property
    def control(self) -> ControlSnapshot:
        return _control_of(self.control_rows)

    def tab(self, name: str) -> Tab:
        sheet_id = self.sheet_ids[name]
        return read_tab(name, self.sheets[sheet_id], self.headers.get(sheet_id, ()))

    def find_tabs(self, *, new_tabs: bool) -> None:
        """Find the tab of each table, and read the headers and Control."""
        self.is_used = bool(self.marked or token_of(self.properties).range_id)
        for name in COLUMNS:
            if sheet_ids := sorted(self.marked.get(name, set()) & self.sheets.keys()):
                self.sheet_ids[name] = sheet_ids[0]
        if len(self.sheet_ids) == len(COLUMNS):
            self._read(list(self.sheet_ids.values()))
            return
        self._read(list(self.sheets))
        self._find_without_marks(new_tabs=new_tabs)

    def _read(self, sheet_ids: Sequence[int]) -> None:
        """Read header rows, and the whole of Control if its tab is known."""
        if not sheet_ids:
            return
        control = [{"sheetId": self.sheet_ids[CONTROL]}] if CONTROL in self.sheet_ids else []
        areas = self.connection.values([*map_headers(sheet_ids), *control])
        self.headers = {
            sheet_id: header_values.rows[0] if header_values.rows else []
            for sheet_id, header_values in zip(sheet_ids, areas, strict=False)
        }
        if control:
            self.control_rows = areas[-1].rows

    def _find_without_marks(self, *, new_tabs: bool) -> None:
        controls = self._read_controls()
        is_numbered = self._find_by_numbers(controls)
        if self.marked or is_numbered:
            self.is_used = True
            if new_tabs:
                self._find_by_titles()
        else:
            self.is_used = self.is_used or self._contains_leases()
            self._find_by_titles()
            if self.is_used:
                self._find_by_columns()
        if self.is_used and not new_tabs:
            self._require_all()
        if CONTROL in self.sheet_ids and not self.control_rows:
            self.control_rows = controls.get(self.sheet_ids[CONTROL], ())

    def _read_controls(self) -> dict[int, Rows]:
        """Return the contents of all tabs that might be Control."""
        if CONTROL in self.sheet_ids:
            return {self.sheet_ids[CONTROL]: self.control_rows}
        sheet_ids = [
            sheet_id for sheet_id, header in self.headers.items() if set(header_of(CONTROL, header)) >= _CONTROL_COLUMNS
        ]
        if not sheet_ids:
            return {}
        areas = self.connection.values([{"sheetId": sheet_id} for sheet_id in sheet_ids])
        return {sheet_id: values.rows for sheet_id, values in zip(sheet_ids, areas, strict=True)}

    def _find_by_numbers(self, controls: Mapping[int, Rows]) -> bool:
        """Find tabs by the sheetIds in Control. Return whether there are any.

        A copy of Control contains the original's sheetId and not its own.
        """
        numbers = {sheet_id: _control_of(rows).numbers() for sheet_id, rows in controls.items()}
        for sheet_id, in_control in numbers.items():
            if in_control.get(sheet_number(CONTROL)) == sheet_id:
                self.sheet_ids.setdefault(CONTROL, sheet_id)
        if CONTROL in self.sheet_ids:
            for name in COLUMNS:
                sheet_id = numbers.get(self.sheet_ids[CONTROL], {}).get(sheet_number(name), -1)
                if sheet_id in self.sheets:
                    self.sheet_ids.setdefault(name, sheet_id)
        return any(sheet_number(CONTROL) in in_control for in_control in numbers.values())

    def _find_by_titles(self) -> None:
        sheet_ids = {folded(sheet["title"]): sheet_id for sheet_id, sheet in self.sheets.items()}
        for name, title in titles(self.config).items():
            if folded(title) in sheet_ids and sheet_ids[folded(title)] not in self.sheet_ids.values():
                self.sheet_ids.setdefault(name, sheet_ids[folded(title)])

    def _contains_leases(self) -> bool:
        """Return whether a tab contains leases, because it was imported or a person has deleted all named ranges."""
        tabs = {
            sheet_id: header_of(VIDEO_TASKS.name, header)
            for sheet_id, header in self.headers.items()
            if _has_leases(header)
        }
        if not tabs:
            return False
        columns = self.connection.values(
            [_column(sheet_id, header.index("Lease")) for sheet_id, header in tabs.items()]
        )
        return any(decode_lease(cell) for column in columns for row in column.rows for cell in row)

    def _find_by_columns(self) -> None:
        """Find the tabs that were renamed while version 0.1.0 was in use. Each must be the only candidate for its table."""
        for name in COLUMNS:
            others = self._candidates(name)
            is_found = name in self.sheet_ids and (name == CONTROL or _has_leases(self.headers[self.sheet_ids[name]]))
            if is_found or not others:
                continue
            rivals = [other for other in COLUMNS if other not in self.sheet_ids and _kind(other) == _kind(name)]
            if name in self.sheet_ids or len(others) > 1 or len(rivals) > 1:
                candidates = " or ".join(repr(str(self.sheets[sheet_id]["title"])) for sheet_id in others)
                title = titles(self.config)[name]
                self.problem = (
                    f"it is not clear which tab is {title!r}, because tabs were renamed: it may be {candidates};"
                    f" give that tab the name {title!r} again"
                )
                return
            self.sheet_ids[name] = others[0]

    def _candidates(self, name: str) -> list[int]:
        """Return the unassigned tabs whose columns match a table."""
        taken = set(self.sheet_ids.values())
        return [
            sheet_id
            for sheet_id, header in self.headers.items()
            if sheet_id not in taken and _kind_of(header) == _kind(name)
        ]

    def _require_all(self) -> None:
        """Set the problem if a tab is gone."""
        gone = [name for name in COLUMNS if name not in self.sheet_ids]
        if not gone or self.problem:
            return
        title = titles(self.config)[gone[0]]
        if folded(title) in {folded(sheet["title"]) for sheet in self.sheets.values()}:
            self.problem = (
                f"the tab that contained {title!r} is gone, and the tab of that name now is another one, maybe an older"
                " copy: restore the first one (Undo, or File, Version history), or use this one: `ydc init --new-tabs`"
            )
        else:
            self.problem = (
                f"the tab {title!r} is gone: restore it (Undo, or File, Version history), or continue with an empty one:"
                " `ydc init --new-tabs`"
            )


def _column(sheet_id: int, column: int) -> Json:
    return {"sheetId": sheet_id, "startColumnIndex": column, "endColumnIndex": column + 1}


def _control_of(rows: Rows) -> ControlSnapshot:
    control = ControlSnapshot(lambda: 0.0)
    control.load(rows, 0.0)
    return control


def _has_leases(header: Sequence[str]) -> bool:
    return {folded(name) for name in header} >= {folded(name) for name in SHEET_COLUMNS}


def _kind(name: str) -> str:
    return name if name in {SOURCES.name, CONTROL} else "videos"


def _kind_of(header: Sequence[str]) -> str:
    """Return the kind of table that a tab's column names match, or an empty text."""
    if _has_leases(header):
        return "videos" if "SourceID" in header else SOURCES.name
    return CONTROL if set(header_of(CONTROL, header)) >= _CONTROL_COLUMNS else ""


def _column_problem(connection: Connection, tabs: Mapping[str, Tab], control: Rows, *, is_used: bool) -> str:
    """Return what a person must undo in the header rows, or an empty text."""
    for name, tab in tabs.items():
        if name == CONTROL:
            if is_used and tab.missing and (tab.header or control):
                return (
                    f"the tab {tab.title!r} lacks the column names {', '.join(tab.missing)}: undo that, or type them into"
                    " its first row again"
                )
        elif problem := column_problem(connection, tab, is_used=is_used):
            return problem
    return ""
