"""Access a spreadsheet in use: its tabs, the positions of their columns, and a snapshot of each tab.

Columns are found by name. Every read includes the header rows, and the layout is read again if one of them has changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadUrl, StoreError, StoreUnavailable
from youtube_download_coordinator.models import NO_KEY
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets.api import (
    AnswerLost,
    Connection,
    Json,
    Refused,
    SpreadsheetFull,
    Values,
)
from youtube_download_coordinator.stores.sheets.batch_token import Token, advance_token, token_of
from youtube_download_coordinator.stores.sheets.column_search import misnamed_columns
from youtube_download_coordinator.stores.sheets.guarantee_line import (
    FAILED,
    GuaranteesFailed,
    not_safe,
    write_guarantees,
)
from youtube_download_coordinator.stores.sheets.layout import (
    CONTROL,
    Layout,
    LayoutProblem,
    Tab,
    header_of,
    letters,
    prepare,
    quoted,
    text_cell,
    titles,
)
from youtube_download_coordinator.stores.sheets.pause_mark import pause_mark_of
from youtube_download_coordinator.stores.sheets.playing_cells import PLAYING_COLUMNS
from youtube_download_coordinator.stores.sheets.snapshot import (
    KEY_COLUMNS,
    RANGES_MAX,
    ControlSnapshot,
    TabSnapshot,
    ranges,
)
from youtube_download_coordinator.stores.sheets.tab_search import read_layout
from youtube_download_coordinator.text import format_utc

log = logging.getLogger(__name__)

PREPARE_ROUNDS = 20
"""How often the creation of missing tabs and columns is repeated if another process was first."""
RELOAD_ROUNDS = 5
"""How often columns are searched again while a person moves them."""
FRESH_SECONDS = 1.0
"""The age up to which a snapshot is not reloaded, so that a step with three questions reloads once."""
EXTRA_CONTROL_LINES = 20
"""The number of additional lines of Control in a response. Not all lines are requested, because an empty tab has a thousand."""
DATA_TABS = (SOURCES.name, VIDEO_TASKS.name, DEAD_LETTERS.name)
GROUPS = {SOURCES.name: (SOURCES.name,), VIDEO_TASKS.name: (VIDEO_TASKS.name, DEAD_LETTERS.name)}
"""Groups of tabs that share IDs and keys, by the name of the first tab."""
NO_COLUMNS: Mapping[str, Sequence[str]] = {}
Columns = dict[str, list[Sequence[Sequence[str]]]]
"""The rows of each column that was read, by tab, as values.batchGet returns them."""


def group_of(name: str) -> str:
    return SOURCES.name if name == SOURCES.name else VIDEO_TASKS.name


class Spreadsheet:
    """One spreadsheet. Callers must hold `lock`."""

    def __init__(self, config: Config, connection: Connection) -> None:
        self.config = config
        self.connection = connection
        self.lock = threading.RLock()
        self.environment = connection.environment
        self.random = self.environment.randomness
        self.snapshots: dict[str, TabSnapshot] = {}
        self.control = ControlSnapshot(self.environment.monotonic)
        self.pause_mark = ""
        """The mark of a pause when it was last read (pause_mark.py)."""
        self.reads_playing_cells = bool(config.target_hours)
        """Whether the accents and durations of the videos are read with their leases."""
        self.is_new = False
        """Whether this process has created the coordinator's tabs."""
        self._layout: Layout | None = None
        self._compared_names: set[str] = set()
        """The tabs whose column names were compared with the contents below."""
        self._titles = titles(config)
        """The titles that were logged last, by table."""

    # --- tabs and columns --------------------------------------------------------------------------------------------

    def tab(self, name: str) -> Tab:
        return self.layout().tabs[name]

    def layout(self) -> Layout:
        """Return the layout. Read it if it is not known. Raises LayoutProblem if a person must undo something."""
        if self._layout is None:
            requested_at = self.environment.monotonic()
            layout = self._layout = self.prepared()
            self.control.load(layout.control, requested_at)
            self.pause_mark = layout.pause_mark
            self.snapshots = {name: TabSnapshot(layout.tabs[name], self.environment.monotonic) for name in DATA_TABS}
            for tab in layout.tabs.values():
                self._follow_title(tab, tab.title)
        return self._layout

    def prepared(self, *, new_tabs: bool = False) -> Layout:
        """Create missing tabs, columns and marks. Return the layout.

        A tab that is gone from a spreadsheet in use is created again only with `new_tabs`, because its rows are lost.
        """
        problem = seen = ""
        for _ in range(PREPARE_ROUNDS):
            layout = read_layout(self.connection, self.config, new_tabs=new_tabs)
            if layout.problem:
                if layout.problem == seen:
                    raise LayoutProblem(seen)
                seen = layout.problem  # another process may have made the tabs between two requests: read them again
                continue
            if layout.is_ready:
                return layout
            if self.snapshots and not layout.is_used:
                raise LayoutProblem(
                    "all tabs are gone from the spreadsheet: restore them (Undo, or File, Version history)"
                )
            self.is_new = self.is_new or not set(DATA_TABS) & set(layout.tabs)
            log.info("making missing tabs and columns in the spreadsheet %s", self.config.spreadsheet_id)
            problem = self._make_missing(layout)
        if seen:
            raise LayoutProblem(seen)
        raise StoreError(f"tabs or columns are missing in the spreadsheet, and cannot be made: {problem}")

    def _make_missing(self, layout: Layout) -> str:
        """Create everything that is missing. Return Google's message if the request was refused or its response was lost."""
        sheet_ids = {name: self.random.randrange(1, 2**31 - 1) for name in (*DATA_TABS, CONTROL)}
        requests = prepare(layout, self.config, sheet_ids, self.nonce())
        control = layout.tabs[CONTROL].sheet_id if CONTROL in layout.tabs else sheet_ids[CONTROL]
        guard = advance_token(layout.token, control, keep=CONTROL not in layout.tabs)
        try:
            self.connection.write([*requests, *guard])
        except SpreadsheetFull:
            raise
        except (Refused, AnswerLost) as error:
            return str(error)  # another process was first, or the request was applied
        return ""

    def _follow_title(self, tab: Tab, title: str) -> Tab:
        """Return the tab with its current title. Log once that a person has renamed it."""
        if title != self._titles[tab.name]:
            log.warning("the tab %r is called %r now, and is used as before", self._titles[tab.name], title)
            self._titles[tab.name] = title
        return tab if title == tab.title else replace(tab, title=title)

    def forget_layout(self) -> None:
        """Read the layout again before its next use, because a header row has changed."""
        self._layout = None
        self._compared_names.clear()

    def nonce(self) -> str:
        return f"{self.random.getrandbits(32):08x}"

    def key_of(self, name: str, url: str) -> str:
        """Return the key of a URL in a tab. Raises BadUrl."""
        target = source_target if name == SOURCES.name else video_target
        return target(url, allow_other_sites=self.config.allow_other_sites).key

    def key_or_none(self, name: str, url: str) -> str:
        """Return the key of a URL in a tab, or NO_KEY if it is not an address."""
        try:
            return self.key_of(name, url)
        except BadUrl:
            return NO_KEY

    # --- reading -----------------------------------------------------------------------------------------------------

    def snapshot(self, name: str) -> TabSnapshot:
        self.layout()
        return self.snapshots[name]

    def reload(self, names: Iterable[str] = DATA_TABS, *, if_older_than_seconds: float = FRESH_SECONDS) -> None:
        """Load the key cells of tabs with one request, which also reloads the tabs that are stale."""
        old = [name for name in names if self.snapshot(name).is_older_than(if_older_than_seconds)]
        if old:
            self._reload([name for name in DATA_TABS if name in old or self.snapshot(name).is_stale])

    def reload_control(self) -> None:
        """Load Control with one request, which also reloads the tabs that are stale."""
        self._reload([name for name in DATA_TABS if self.snapshot(name).is_stale])

    def reload_with(self, columns: Mapping[str, Sequence[str]]) -> dict[str, list[list[str]]]:
        """Load tabs and further columns of each with one request. Return the cells of these columns by tab and line."""
        tabs = self._reload(list(columns), columns)
        return {name: [[row[0] if row else "" for row in rows] for rows in cells] for name, cells in tabs.items()}

    def _reload(self, names: Sequence[str], more: Mapping[str, Sequence[str]] = NO_COLUMNS) -> Columns:
        """Load tabs and Control. Return the columns of `more`."""
        began = self.environment.monotonic()
        playing = {name: PLAYING_COLUMNS for name in names if name == VIDEO_TASKS.name and self.reads_playing_cells}
        own = {name: (*KEY_COLUMNS, *playing.get(name, ())) for name in names}
        tabs = self._read_columns({name: (*own[name], *more.get(name, ())) for name in names})
        for name, columns in tabs.items():
            self.snapshots[name].load(
                columns[: len(KEY_COLUMNS)], columns[-1], columns[len(KEY_COLUMNS) : len(own[name])]
            )
        for name in tabs:
            self.snapshots[name].load_seconds = self.environment.monotonic() - began
        for name in tabs:
            if self.snapshots[name].has_strange_lines:
                self.require_column_names(name)
        return {name: columns[len(own[name]) : -1] for name, columns in tabs.items()}

    def require_column_names(self, name: str) -> None:
        """Raise LayoutProblem if a person has exchanged names of columns. They are compared once for each layout."""
        if name in self._compared_names:
            return
        try:
            problem = misnamed_columns(self.connection, [self.tab(name)])
        except Refused:  # the tab is shorter now: compare them at the next read
            self.forget_layout()
            return
        if problem:
            self.forget_layout()
            raise LayoutProblem(problem)
        self._compared_names.add(name)

    def _read_columns(self, wanted: Mapping[str, Sequence[str]]) -> Columns:
        """Read columns of several tabs, with their column of priorities last, with one request.

        If somebody has moved columns, find them again by name. A tab without priorities has no cells for them.
        """
        names = list(wanted)
        for _ in range(RELOAD_ROUNDS):
            headers = [self.tab(name).header_area for name in names]
            priorities = {name: column for name in names if (column := self.tab(name).priority_column)}
            columns = [
                self.tab(name).area(column)
                for name in names
                for column in [*wanted[name], *([priorities[name]] if name in priorities else [])]
            ]
            requested_at = self.environment.monotonic()
            try:
                *values, control = self.connection.values([*headers, *columns, self._control_area])
            except Refused as error:
                log.info("reading the layout again: %s", error)
                self.forget_layout()
                continue
            if self._headers_match([*names, CONTROL], [*values[: len(names)], control]):
                self.control.load(control.rows, requested_at)
                rest = (column.rows for column in values[len(names) :])
                return {
                    name: [*(next(rest) for _ in wanted[name]), next(rest) if name in priorities else []]
                    for name in names
                }
        raise StoreUnavailable("the columns of the spreadsheet change all the time")

    def read_lines(self, name: str, positions: Sequence[int]) -> dict[int, list[str]]:
        """Return whole lines by position, or none if the tab has changed since its snapshot was loaded."""
        tab = self.tab(name)
        spans = ranges(positions)
        lines: dict[int, list[str]] = {}
        for first in range(0, len(spans), RANGES_MAX):
            part, requested_at = spans[first : first + RANGES_MAX], self.environment.monotonic()
            try:
                areas = [tab.header_area, *(tab.whole_rows(*span) for span in part)]
                *values, control = self.connection.values([*areas, self._control_area])
            except Refused:  # the tab is shorter now, or gone
                self.snapshot(name).loaded_at = None
                return {}
            if not self._headers_match([name, CONTROL], [values[0], control]):
                return {}
            self.control.load(control.rows, requested_at)
            for (start, end), (rows, _) in zip(part, values[1:], strict=True):
                lines |= dict(
                    zip(range(start, end), [*map(list, rows), *[[]] * (end - start - len(rows))], strict=True)
                )
        return {position: lines[position] for position in positions}

    @property
    def _control_area(self) -> Json:
        return {"sheetId": self.tab(CONTROL).sheet_id}

    def _headers_match(self, names: Sequence[str], headers: Sequence[Values]) -> bool:
        """Return whether the header rows match the layout, and adopt new titles. If they do not match, forget the layout."""
        headers_read = [
            header_of(name, values.rows[0] if values.rows else []) for name, values in zip(names, headers, strict=True)
        ]
        if any(header != self.tab(name).header for name, header in zip(names, headers_read, strict=True)):
            log.warning("the columns of the spreadsheet have changed: finding them again by name")
            self.forget_layout()
            return False
        layout = self.layout()
        renamed = {
            name: self._follow_title(tab, values.title)
            for name, values in zip(names, headers, strict=True)
            if values.title not in ("", (tab := layout.tabs[name]).title)
        }
        if renamed:
            self._layout = replace(layout, tabs={**layout.tabs, **renamed})
        return True

    def read_named_ranges(self) -> Token:
        """Read the named ranges. Return the current token, and record whether the fleet is marked as paused."""
        properties = self.connection.properties("namedRanges")
        self.pause_mark = pause_mark_of(properties)
        return token_of(properties)

    # --- guarantees --------------------------------------------------------------------------------------------------

    def require_guarantees(self) -> None:
        """Raise GuaranteesFailed if claiming is known to be unsafe on this spreadsheet."""
        if failed := self.control.failed_guarantees():
            raise not_safe(failed)

    def alarm(self, sign: str) -> GuaranteesFailed:
        """Stop the fleet: log the error, and record in Control that a guarantee does not hold. Return the error to raise."""
        log.error(
            "%s: Google has accepted two changes of which it must accept one, or somebody has restored an old version of the"
            " spreadsheet; nothing is claimed until `ydc doctor` finds that all is well",
            sign,
        )
        reason = f"{format_utc(self.connection.now().replace(microsecond=0))}, on {self.connection.spreadsheet_id}"
        try:
            write_guarantees(self.connection, self.tab(CONTROL), f"{FAILED}{sign}", reason)
            self.reload_control()
        except StoreError as error:
            log.warning("the other workers do not know it: %s", error)
        return not_safe(sign)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, requests: Sequence[Json], *, show: Sequence[str] = ()) -> Json:
        """Send a batch like Connection.write. Its answer also shows Control."""
        control, lines = self.tab(CONTROL), len(self.control.rows) + 1
        last = max(lines, min(lines + EXTRA_CONTROL_LINES, control.grid_rows))
        area = f"{quoted(control.title)}!A1:{letters(max(len(control.header) - 1, 0))}{last}"
        requested_at = self.environment.monotonic()
        answer = self.connection.write(requests, show=[*show, area])
        if rows := shown_rows(answer, control.sheet_id):
            self.control.load([rows.get(position, []) for position in range(max(rows) + 1)], requested_at)
        return answer


def shown_rows(answer: Json, sheet_id: int) -> dict[int, list[str]]:
    """Return the texts of a tab's cells in the response to a write, by row."""
    rows: dict[int, list[str]] = {}
    for sheet in answer.get("updatedSpreadsheet", {}).get("sheets", []):
        if sheet.get("properties", {}).get("sheetId", 0) != sheet_id:
            continue
        for block in sheet.get("data", []):
            for offset, row in enumerate(block.get("rowData", [])):
                cells = (cell.get("userEnteredValue", {}) for cell in row.get("values", []))
                rows[block.get("startRow", 0) + offset] = [str(next(iter(cell.values()), "")) for cell in cells]
    return rows


def control_line(tab: Tab, values: Mapping[str, Any]) -> Json:
    """Return a line of Control as RowData."""
    return {"values": [text_cell(str(values.get(name, ""))) for name in tab.header]}
