"""A spreadsheet in use: its connection, where everything stands, what was seen of it, and the two things that are atomic.

A *swap* finds a word by its content. A *token batch* adds, moves or adopts rows: a named range whose ID carries a number is the
token, every such batch deletes it and adds the next one, and Google refuses the whole batch when either is not possible. So of
two that began from the same number one is refused and reads again; nothing expires, and a batch that arrives late is refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadUrl, StoreError, StoreUnavailable
from youtube_download_coordinator.models import DUPLICATE
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Connection, Json, Refused, SpreadsheetFull
from youtube_download_coordinator.stores.sheets.cells import whole_number
from youtube_download_coordinator.stores.sheets.layout import (
    CONTROL,
    Layout,
    Tab,
    header_of,
    letters,
    new_columns,
    number_of,
    prepare,
    quoted,
    read_layout,
    text_cell,
    token_of,
    trusted,
    with_used_columns,
)
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease
from youtube_download_coordinator.stores.sheets.snapshot import (
    KEY_COLUMNS,
    RANGES_MAX,
    ControlSnapshot,
    TabSnapshot,
    ranges,
)

log = logging.getLogger(__name__)

GUARDED_BATCH_ROUNDS = 20
"""How often a token batch is made anew because others were first, before that is called a failure."""
GUARDED_BATCH_MISTAKES = 3
"""How often Google may refuse one although nobody was first: lines may have gone; more is a mistake of ours."""
ROW_INDEX_SECONDS = 30.0
"""What was known at a token may be used again for this long, as long as nobody takes the token."""
LOOK_ROUNDS = 5
"""How often columns are found again while somebody moves them."""
FRESH_SECONDS = 1.0
"""A look is not repeated within this: a step that asks three questions looks once."""
SPARE_CONTROL_LINES = 20
"""An answer shows so many lines of Control more than there were: an empty tab has a thousand."""
DATA_TABS = (SOURCES.name, VIDEO_TASKS.name, DEAD_LETTERS.name)
GROUPS = {SOURCES.name: (SOURCES.name,), VIDEO_TASKS.name: (VIDEO_TASKS.name, DEAD_LETTERS.name)}
"""Tabs that share IDs and keys, under the name of the first."""
NO_MORE: Mapping[str, Sequence[str]] = {}
IMPORTED_COLUMNS = ("ID", "RetryCount")
"""The columns of which a row that is taken in keeps what stands there."""
IMPORTED_ID_MAX = 10_000_000
"""No spreadsheet has more cells: a greater number in an ID cell is none that counts rows."""
IMPORTED_TRIES_MAX = 1000
Columns = dict[str, list[list[list[str]]]]
"""By tab: the rows of each column that was read, as values.batchGet gives them."""


def group_of(name: str) -> str:
    return SOURCES.name if name == SOURCES.name else VIDEO_TASKS.name


class IndexEntry(NamedTuple):
    """A row by its key; the nonce tells whose insertion it was."""

    row_id: int
    nonce: str


class ImportedCells(NamedTuple):
    """What a line without a lease has in the cells of BROUGHT."""

    row_id: int | None = None
    tries: int = 0

    @classmethod
    def read(cls, row_id: str, tries: str) -> ImportedCells:
        number = whole_number(row_id)
        is_id = number is not None and 0 < number <= IMPORTED_ID_MAX
        return cls(number if is_id else None, min(whole_number(tries) or 0, IMPORTED_TRIES_MAX))


@dataclass(slots=True)
class RowIndex:
    """What was true when the token had this ID: valid as long as it has."""

    token: str
    next_ids: dict[str, int]
    keys: dict[str, dict[str, IndexEntry]]
    """Every key, by group."""
    slots: list[str]
    """What the lines that are being adopted had in their Lease cells."""
    said: dict[str, int]
    """The numbers in Control."""
    imported: Mapping[str, Mapping[int, ImportedCells]]
    """By tab and line: what each row brings along that is not taken in yet."""
    typed: Mapping[str, set[str]]
    """Their keys, by group: whoever would insert one finds it known."""
    read_at: float


class NothingToDo(Exception):
    """Raised while a token batch is built: there is nothing to do."""


class Spreadsheet:
    """One spreadsheet; used from one thread at a time (`turn`)."""

    def __init__(self, config: Config, connection: Connection) -> None:
        self.config = config
        self.connection = connection
        self.turn = threading.RLock()
        self.outside = connection.outside
        self.random = self.outside.randomness
        self.views: dict[str, TabSnapshot] = {}
        self.control = ControlSnapshot(self.outside.monotonic)
        self._layout: Layout | None = None
        self._ledger: RowIndex | None = None

    # --- what is there -----------------------------------------------------------------------------------------------

    def tab(self, name: str) -> Tab:
        """Where a table stands; prepares the spreadsheet when something is missing."""
        return self.layout().tabs[name]

    def layout(self) -> Layout:
        if self._layout is None:
            asked_at = self.outside.monotonic()
            self._layout = trusted(self.prepared())
            self.control.load(self._layout.control, asked_at)
            self.views = {name: TabSnapshot(self._layout.tabs[name], self.outside.monotonic) for name in DATA_TABS}
            self._ledger = None
        return self._layout

    def prepared(self) -> Layout:
        """Where everything stands; what is missing is made before."""
        problem = ""
        for _ in range(GUARDED_BATCH_ROUNDS):
            layout = read_layout(self.connection, self.config)
            if layout.is_ready:
                return layout
            log.info(
                "preparing the spreadsheet %s: making the tabs and columns that are missing", self.config.spreadsheet_id
            )
            problem = self._prepare(layout)
        raise StoreError(f"tabs or columns are missing in the spreadsheet, and cannot be made: {problem}")

    def _prepare(self, layout: Layout) -> str:
        """Make what is missing; what Google said against it."""
        sheet_ids = {name: self.random.randrange(1, 2**31 - 1) for name in (*DATA_TABS, CONTROL)}
        changes = prepare(layout, self.config, sheet_ids)
        control = layout.tabs[CONTROL].sheet_id if CONTROL in layout.tabs else sheet_ids[CONTROL]
        try:
            self.connection.write([*changes, *next_token(layout.token, control, self.nonce())])
        except SpreadsheetFull:
            raise
        except (Refused, AnswerLost) as error:
            return str(error)  # somebody was first, or it may have been applied: look again
        return ""

    def add_columns(self, name: str, names: Sequence[str]) -> None:
        """Add a person's own columns to a tab, behind everything that is there; those that are there are left alone."""

        def missing(ledger: RowIndex) -> list[Json]:
            tab = read_layout(self.connection, self.config).tabs[name]
            new = [column for column in names if column not in tab.header]
            if not new:
                raise NothingToDo
            return new_columns(with_used_columns(self.connection, {name: tab})[name], new)

        with suppress(NothingToDo):  # they are there
            self.guarded_batch(missing, by_line=False)
        self.forget_layout()

    def forget_layout(self) -> None:
        """Somebody has changed a header row: find the columns again."""
        self._layout = None

    def nonce(self) -> str:
        return f"{self.random.getrandbits(32):08x}"

    # --- looking -----------------------------------------------------------------------------------------------------

    def snapshot(self, name: str) -> TabSnapshot:
        self.layout()
        return self.views[name]

    def reload(self, names: Iterable[str] = DATA_TABS, *, if_older_than_seconds: float = FRESH_SECONDS) -> None:
        """Read the telling columns of tabs, whole, in one request; tabs that are to be looked at soon come along."""
        old = [name for name in names if self.snapshot(name).is_older_than(if_older_than_seconds)]
        if old:
            self._reload([name for name in DATA_TABS if name in old or self.snapshot(name).is_stale])

    def reload_control(self) -> None:
        """Read Control, now; tabs that are to be looked at soon come along."""
        self._reload([name for name in DATA_TABS if self.snapshot(name).is_stale])

    def reload_with(self, columns: Mapping[str, Sequence[str]]) -> dict[str, list[list[str]]]:
        """Look at tabs, now, and with the same request at more columns of each: what stands in them, line by line."""
        found = self._reload(list(columns), columns)
        return {name: [[row[0] if row else "" for row in rows] for rows in cells] for name, cells in found.items()}

    def _reload(self, names: Sequence[str], beside: Mapping[str, Sequence[str]] = NO_MORE) -> Columns:
        """Look at tabs and at Control, now; what was read beside the telling columns."""
        began = self.outside.monotonic()
        found = self._columns({name: (*KEY_COLUMNS, *beside.get(name, ())) for name in names})
        for name, columns in found.items():
            self.views[name].load(columns[: len(KEY_COLUMNS)])
        for name in found:
            self.views[name].took_seconds = self.outside.monotonic() - began
        return {name: columns[len(KEY_COLUMNS) :] for name, columns in found.items()}

    def _columns(self, wanted: Mapping[str, Sequence[str]]) -> Columns:
        """Columns of several tabs, with one request; found again by name when somebody has moved them."""
        names = list(wanted)
        for _ in range(LOOK_ROUNDS):
            headers = [f"{quoted(self.tab(name).title)}!1:1" for name in names]
            columns = [self.tab(name).a1(column) for name in names for column in wanted[name]]
            asked_at = self.outside.monotonic()
            try:
                *found, control = self.connection.values([*headers, *columns, quoted(self.tab(CONTROL).title)])
            except Refused as error:
                log.info("the tabs are found again: %s", error)
                self.forget_layout()
                continue
            if self._headers_hold([*names, CONTROL], [*found[: len(names)], control]):
                self.control.load(control, asked_at)
                rest = iter(found[len(names) :])
                return {name: [next(rest) for _ in wanted[name]] for name in names}
        raise StoreUnavailable("somebody is changing the columns of the spreadsheet")

    def read(self, name: str, positions: Sequence[int]) -> dict[int, list[str]]:
        """Whole lines; none when the look that found them no longer holds."""
        tab = self.tab(name)
        spans = ranges(positions)
        lines: dict[int, list[str]] = {}
        for first in range(0, len(spans), RANGES_MAX):
            part, asked_at = spans[first : first + RANGES_MAX], self.outside.monotonic()
            try:
                areas = [f"{quoted(tab.title)}!1:1", *(tab.whole_rows(*span) for span in part)]
                *found, control = self.connection.values([*areas, quoted(self.tab(CONTROL).title)])
            except Refused:  # the tab has become shorter, or has another name
                self.snapshot(name).looked_at = None
                return {}
            if not self._headers_hold([name, CONTROL], [found[0], control]):
                return {}
            self.control.load(control, asked_at)
            for (start, end), rows in zip(part, found[1:], strict=True):
                lines |= dict(zip(range(start, end), [*rows, *[[]] * (end - start - len(rows))], strict=True))
        return {position: lines[position] for position in positions}

    def _headers_hold(self, names: Sequence[str], headers: Sequence[Sequence[Sequence[str]]]) -> bool:
        seen = [header_of(name, rows[0] if rows else []) for name, rows in zip(names, headers, strict=True)]
        if all(header == self.tab(name).header for name, header in zip(names, seen, strict=True)):
            return True
        log.warning("the columns of the spreadsheet have changed; they are found again by their names")
        self.forget_layout()
        return False

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, changes: Sequence[Json], *, show: Sequence[str] = ()) -> Json:
        """As Connection.write; the answer shows Control, too."""
        control, seen = self.tab(CONTROL), len(self.control.rows) + 1
        last = max(seen, min(seen + SPARE_CONTROL_LINES, control.grid_rows))
        area = f"{quoted(control.title)}!A1:{letters(max(len(control.header) - 1, 0))}{last}"
        asked_at = self.outside.monotonic()
        answer = self.connection.write(changes, show=[*show, area])
        if shown := shown_rows(answer, control.sheet_id):
            self.control.load([shown.get(at, []) for at in range(max(shown) + 1)], asked_at)
        return answer

    def append(self, name: str, line: Json) -> Json:
        """The request that puts a line behind everything that stands in a tab."""
        return {"appendCells": {"sheetId": self.tab(name).sheet_id, "rows": [line], "fields": "userEnteredValue"}}

    # --- token batches -----------------------------------------------------------------------------------------------

    def guarded_batch(self, build: Callable[[RowIndex], list[Json]], *, by_line: bool = True) -> Json:
        """Make a change of rows from what is true at a token. `build` is asked again each time that somebody was first.

        Returns Google's answer; nothing where the answer was lost and the batch turned out to be applied. `build` may raise
        NotNow. Raises StoreFull where there is no room.

        `by_line`: the change names lines, which have to be looked at behind the token; keys are known from before.
        """
        ledger = self.read_row_index() if by_line else self._recent_row_index()
        mistakes = 0
        for round_number in range(GUARDED_BATCH_ROUNDS):
            changes, nonce = build(ledger), self.nonce()
            token = next_token(ledger.token, self.tab(CONTROL).sheet_id, nonce)
            self._ledger = None
            try:
                answer = self.write([*token, *changes])
            except SpreadsheetFull:  # the token was ours: nobody was first
                raise
            except (Refused, AnswerLost) as error:
                # Refused: somebody was first, or a line is gone. Lost: applied, never, or later: then it is refused.
                log.info("a change of rows is made anew: %s", error)
                before, problem, ledger = ledger, error, self.read_row_index()
                if self._token_name == _token_name(number_of(before.token) + 1, nonce):
                    return {}
                mistakes = mistakes + 1 if ledger.token == before.token and isinstance(error, Refused) else 0
                if mistakes > GUARDED_BATCH_MISTAKES:
                    break
                self._pause(round_number)
            else:
                ledger.token = f"ydc-{number_of(ledger.token) + 1}"
                self._ledger = ledger
                return answer
        raise StoreError(f"Google refused a change of rows: {problem}")

    def _pause(self, round_number: int) -> None:
        if round_number > 2:  # others are busy: let them pass
            self.connection.pause(self.random.uniform(0, min(0.2 * round_number, 2.0)))

    def _recent_row_index(self) -> RowIndex:
        ledger = self._ledger
        if ledger is None or self.outside.monotonic() - ledger.read_at > ROW_INDEX_SECONDS:
            return self.read_row_index()
        return ledger

    def read_row_index(self) -> RowIndex:
        """Read the token, *then* the rows."""
        properties = self.connection.properties("namedRanges")
        token = token_of(properties)
        if not token:
            self.forget_layout()
            token = self.layout().token
        self._token_name = next(
            (e["name"] for e in properties.get("namedRanges", []) if e["namedRangeId"] == token), ""
        )
        return self._read_row_index_of(token)

    def _read_row_index_of(self, token: str) -> RowIndex:
        read_at = self.outside.monotonic()
        brought = self._reload_imported()
        said, slots = self.control.values(), self.control.column("Slot")
        highest = {group: self._highest(names, brought) for group, names in GROUPS.items()}
        return RowIndex(
            token=token,
            next_ids={group: max(said.get(f"next {group}", 1), highest[group] + 1) for group in GROUPS},
            keys={group: self._covered(names, slots) | self._keys(names) for group, names in GROUPS.items()},
            slots=slots,
            said=said,
            imported=brought,
            typed={group: self._typed(names, brought) for group, names in GROUPS.items()},
            read_at=read_at,
        )

    def _reload_imported(self) -> dict[str, dict[int, ImportedCells]]:
        """Look at every tab, and where rows are not taken in yet, with the same request, at what they bring along."""
        if not self._imported_cells():
            self._reload(DATA_TABS)
            if not self._imported_cells():
                return {}
        cells = self.reload_with(dict.fromkeys(DATA_TABS, IMPORTED_COLUMNS))
        lines = {name: list(zip_longest(*columns, fillvalue="")) for name, columns in cells.items()}
        return {
            name: {
                at: ImportedCells.read(*lines[name][at - 1]) if at <= len(lines[name]) else ImportedCells()
                for at in positions
            }
            for name, positions in self._imported_cells().items()
        }

    def _imported_cells(self) -> dict[str, list[int]]:
        """By tab: lines with a URL and no lease."""
        found = {name: view.without_lease() for name, view in self.views.items()}
        return {name: positions for name, positions in found.items() if positions}

    def _keys(self, names: Iterable[str]) -> dict[str, IndexEntry]:
        """Every key, with the row that has it; duplicates do not count."""
        words = (word for name in names for _, word in self.snapshot(name).leases())
        return {
            word.key: IndexEntry(word.row_id, word.lease.nonce)
            for word in words
            if word.lease and not word.lease.detail.startswith(DUPLICATE)
        }

    def _typed(self, names: Iterable[str], brought: Mapping[str, Mapping[int, ImportedCells]]) -> set[str]:
        """The keys of lines that are not taken in yet."""
        urls = ((name, self.snapshot(name).key_cells[at].url) for name in names for at in brought.get(name, ()))
        return {key for name, url in urls if (key := self._typed_key(name, url))}

    def _typed_key(self, name: str, url: str) -> str:
        try:
            return self.key(name, url)
        except BadUrl:
            return ""

    def key(self, name: str, url: str) -> str:
        """The key of a URL in a tab. Raises BadUrl."""
        target = source_target if name == SOURCES.name else video_target
        return target(url, allow_other_sites=self.config.allow_other_sites).key

    def _covered(self, names: Iterable[str], slots: Sequence[str]) -> dict[str, IndexEntry]:
        """The keys of rows whose words a draft covers at this moment: they are as known as all others."""
        if not any(word.lease is None for name in names for _, word in self.snapshot(name).leases()):
            return {}
        words = (decode_lease(text) for text in slots if text)
        return {word.key: IndexEntry(word.row_id, word.lease.nonce) for word in words if word and word.lease}

    def _highest(self, names: Iterable[str], brought: Mapping[str, Mapping[int, ImportedCells]]) -> int:
        """No new ID is one that a row has, or brings along."""
        typed = (each.row_id or 0 for name in names for each in brought.get(name, {}).values())
        return max(chain((word.row_id for name in names for _, word in self.snapshot(name).leases()), typed), default=0)

    def take_ids(self, ledger: RowIndex, group: str, count: int) -> tuple[int, list[Json]]:
        """The first of that many new IDs, and the requests that let IDs go on behind them.

        They stand in Control, so that deleting the last row does not free its ID.
        """
        first = ledger.next_ids[group]
        ledger.next_ids[group] = first + count
        return first, self.say(ledger, f"next {group}", first + count)

    def say(self, ledger: RowIndex, what: str, number: int) -> list[Json]:
        """Put a number into Control, found by its content; on a new line when it is not there."""
        control = self.tab(CONTROL)
        before, ledger.said[what] = ledger.said.get(what), number
        if before is None:
            line = control_line(control, {"Name": what, "Lease": f"{what} {number}"})
            return [self.append(CONTROL, line)]
        return [find_replace(f"{what} {before}", f"{what} {number}", control.area("Lease"))]

    _token_name = ""


def next_token(token: str, control_sheet_id: int, nonce: str) -> list[Json]:
    """The requests that make a batch a token batch: it is refused when somebody was first."""
    number = number_of(token)
    named = {
        "namedRangeId": f"ydc-{number + 1}",
        "name": _token_name(number + 1, nonce),
        "range": {"sheetId": control_sheet_id},
    }
    requests: list[Json] = [{"addNamedRange": {"namedRange": named}}]
    return [{"deleteNamedRange": {"namedRangeId": token}}, *requests] if token else requests


def _token_name(number: int, nonce: str) -> str:
    """Letters, digits and underscores; nothing that could be a cell's address."""
    return f"ydc_change_{number}_{nonce}"


def shown_rows(answer: Json, sheet_id: int) -> dict[int, list[str]]:
    """What an answer to a write shows of a tab: the texts of a row's cells, by row."""
    rows: dict[int, list[str]] = {}
    for sheet in answer.get("updatedSpreadsheet", {}).get("sheets", []):
        if sheet.get("properties", {}).get("sheetId", 0) != sheet_id:
            continue
        for block in sheet.get("data", []):
            for offset, row in enumerate(block.get("rowData", [])):
                cells = (cell.get("userEnteredValue", {}) for cell in row.get("values", []))
                rows[block.get("startRow", 0) + offset] = [str(next(iter(cell.values()), "")) for cell in cells]
    return rows


def find_replace(find: str, replacement: str, area: Json) -> Json:
    """Put text in the place of exactly that text, wherever in the area it stands."""
    return {
        "findReplace": {
            "find": find,
            "replacement": replacement,
            "matchEntireCell": True,
            "matchCase": True,
            "range": area,
        }
    }


def control_line(tab: Tab, values: Mapping[str, Any]) -> Json:
    """A line of Control."""
    return {"values": [text_cell(str(values.get(name, ""))) for name in tab.header]}
