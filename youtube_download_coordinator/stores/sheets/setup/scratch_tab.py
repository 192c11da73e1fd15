"""Create a temporary tab in the user's spreadsheet for tests, and always remove it again."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.layout import letters, quoted, text_cell

log = logging.getLogger(__name__)

ROWS, COLUMNS = 20, 4
LEFTOVER_AGE = timedelta(hours=1)
"""The age from which a scratch tab is treated as left over by a killed process. The next process removes it."""
REMOVALS = 3
_TITLE = re.compile(r"ydc doctor (?P<made>\d{4}-\d\d-\d\dT\d{6}) (?P<nonce>[0-9a-f]{8})")
_MADE = "%Y-%m-%dT%H%M%S"


@contextmanager
def scratch_tab(connection: Connection, *, races: int = 2) -> Iterator[ScratchTab]:
    """Create a scratch tab, and remove it with its named ranges at the end. Raises StoreError if that fails."""
    scratch = ScratchTab(connection, races)
    try:
        _remove(connection, lambda title: _is_leftover(title, connection.now()))
        grid = {"rowCount": ROWS, "columnCount": COLUMNS}
        sheet = {"sheetId": scratch.sheet_id, "title": scratch.title, "gridProperties": grid}
        connection.write([{"addSheet": {"properties": sheet}}])
        yield scratch
    finally:
        scratch.remove()


class ScratchTab:
    """A scratch tab. Lines are counted from 1, below an empty header, and columns from 0."""

    def __init__(self, connection: Connection, races: int) -> None:
        self.connection = connection
        self.races = races
        """The number of runs of each race."""
        self.nonce = f"{connection.environment.randomness.getrandbits(32):08x}"
        self.sheet_id = connection.environment.randomness.randrange(1, 2**31 - 1)
        self.title = f"ydc doctor {connection.now():{_MADE}} {self.nonce}"

    def write(self, changes: Sequence[Json], *, show: Sequence[str] = ()) -> Json:
        return self.connection.write(changes, show=show)

    def put(self, *columns: Sequence[str]) -> None:
        """Replace the contents of the tab."""
        self.write([self.contents(*columns)])

    def contents(self, *columns: Sequence[str]) -> Json:
        """Return the request that replaces the contents of the tab."""
        lines = [[], *zip_longest(*columns, fillvalue="")]
        rows = [{"values": [text_cell(text) for text in line]} for line in lines]
        whole_tab = {"sheetId": self.sheet_id}
        return {"updateCells": {"range": whole_tab, "rows": rows, "fields": "userEnteredValue"}}

    def area(self, column: int, line: int | None = None) -> Json:
        """Return the GridRange of a column, or of one of its cells."""
        rows = {"startRowIndex": 1} if line is None else {"startRowIndex": line, "endRowIndex": line + 1}
        return {"sheetId": self.sheet_id, "startColumnIndex": column, "endColumnIndex": column + 1, **rows}

    def a1(self, column: int) -> str:
        return f"{quoted(self.title)}!{letters(column)}2:{letters(column)}"

    def texts(self, column: int) -> list[str]:
        """Return the stored cells of a column, without trailing empty ones. Cells that are not text are Google's JSON."""
        fields = "sheets(properties.sheetId,data(startRow,rowData.values.userEnteredValue))"
        return self.read_cells(self.connection.properties(fields, [self.a1(column)]))

    def read_cells(self, spreadsheet: Json) -> list[str]:
        """Return the first column of the tab in a response."""
        sheets = spreadsheet.get("sheets", [])
        shown = [sheet for sheet in sheets if sheet.get("properties", {}).get("sheetId") == self.sheet_id]
        rows = [row for sheet in shown for block in sheet.get("data", []) for row in block.get("rowData", [])]
        texts = [_text((row.get("values") or [{}])[0].get("userEnteredValue", {})) for row in rows]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def hide(self, *, column: int, lines_with: str) -> None:
        """Hide a column, and filter out lines by their text in the first column. Raises StoreError if that fails."""
        columns = {"sheetId": self.sheet_id, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
        spec = {"columnIndex": 0, "filterCriteria": {"hiddenValues": [lines_with]}}
        basic_filter = {"range": {"sheetId": self.sheet_id}, "filterSpecs": [spec]}
        hidden = {"range": columns, "properties": {"hiddenByUser": True}, "fields": "hiddenByUser"}
        self.write([{"updateDimensionProperties": hidden}, {"setBasicFilter": {"filter": basic_filter}}])
        fields = "sheets(data(rowMetadata.hiddenByFilter,columnMetadata.hiddenByUser))"
        metadata = json.dumps(self.connection.properties(fields, [quoted(self.title)]))
        if "hiddenByFilter" not in metadata or "hiddenByUser" not in metadata:
            raise StoreError("not tested: Google did not hide the column and the lines")

    def show(self) -> None:
        """Remove the filter."""
        self.write([{"clearBasicFilter": {"sheetId": self.sheet_id}}])

    def add_range(self, name: str) -> Json:
        """Return the request that adds a named range. Two ranges with the same `name` have one ID and different titles."""
        displayed = f"ydc_doctor_{self.nonce}_{self.connection.environment.randomness.getrandbits(32):08x}"
        named = {"namedRangeId": self._range_id(name), "name": displayed, "range": {"sheetId": self.sheet_id}}
        return {"addNamedRange": {"namedRange": named}}

    def delete_range(self, name: str) -> Json:
        return {"deleteNamedRange": {"namedRangeId": self._range_id(name)}}

    def add_token(self, number: int) -> Json:
        """Return the request that adds a token. Its ID looks like a queue's token, `ydc-<n>`, but never equals one."""
        displayed = f"ydc_doctor_{self.nonce}_{self.connection.environment.randomness.getrandbits(32):08x}"
        named = {"namedRangeId": self._token_id(number), "name": displayed, "range": {"sheetId": self.sheet_id}}
        return {"addNamedRange": {"namedRange": named}}

    def delete_token(self, number: int) -> Json:
        return {"deleteNamedRange": {"namedRangeId": self._token_id(number)}}

    def _token_id(self, number: int) -> str:
        return f"ydc{int(self.nonce, 16)}-{number}"

    def append(self, text: str) -> Json:
        """Return the request that appends a line."""
        return append_lines(self.sheet_id, [{"values": [text_cell(text)]}])

    def merge(self, *, line: int) -> Json:
        """Return the request that merges the first two cells of a line."""
        area = {**self.area(0, line), "endColumnIndex": 2}
        return {"mergeCells": {"range": area, "mergeType": "MERGE_ALL"}}

    def unmerge(self) -> Json:
        return {"unmergeCells": {"range": {"sheetId": self.sheet_id}}}

    def fill(self, lines: int, text: str, *, last: str) -> None:
        """Make the tab as long as a real queue, with one text in the first column and another in the last line."""
        grow = {"sheetId": self.sheet_id, "dimension": "ROWS", "length": lines}
        column = {**self.area(0), "startRowIndex": ROWS, "endRowIndex": ROWS + lines}
        end = {"sheetId": self.sheet_id, "rowIndex": ROWS + lines - 1, "columnIndex": 0}
        cell = {"cell": text_cell(text), "fields": "userEnteredValue"}
        line = {"rows": [{"values": [text_cell(last)]}], "fields": "userEnteredValue"}
        self.write(
            [
                {"appendDimension": grow},
                {"repeatCell": {"range": column, **cell}},
                {"updateCells": {"start": end, **line}},
            ]
        )

    def _range_id(self, name: str) -> str:
        return f"ydc-doctor-{self.nonce}-{name}"

    def remove(self) -> None:
        """Remove the tab and its named ranges. Raises StoreError if that fails."""
        for round_number in range(REMOVALS):
            try:
                _remove(self.connection, lambda title: title == self.title)
            except StoreError as error:
                log.info("the scratch tab is not removed yet: %s", error)
                problem = error
                self.connection.pause(float(round_number))
            else:
                return
        raise StoreError(f"the tab {self.title!r} could not be removed ({problem}): delete it by hand") from problem


def _remove(connection: Connection, is_unwanted: Callable[[str], bool]) -> None:
    """Remove scratch tabs by title. Their named ranges are deleted first, because that is impossible without the tab."""
    spreadsheet = connection.properties("namedRanges.namedRangeId,sheets.properties(sheetId,title)")
    properties = (sheet["properties"] for sheet in spreadsheet.get("sheets", []))
    tabs = {tab["title"]: tab.get("sheetId", 0) for tab in properties}
    removed = {title: sheet_id for title, sheet_id in tabs.items() if _TITLE.fullmatch(title) and is_unwanted(title)}
    prefixes = tuple(
        prefix for title in removed for prefix in (f"ydc-doctor-{title[-8:]}-", f"ydc{int(title[-8:], 16)}-")
    )
    range_ids = [named_range["namedRangeId"] for named_range in spreadsheet.get("namedRanges", [])]
    requests: list[Json] = [
        {"deleteNamedRange": {"namedRangeId": range_id}} for range_id in range_ids if range_id.startswith(prefixes)
    ]
    requests += [{"deleteSheet": {"sheetId": sheet_id}} for sheet_id in removed.values()]
    if requests:
        connection.write(requests)


def _is_leftover(title: str, now: datetime) -> bool:
    match = _TITLE.fullmatch(title)
    return match is not None and now - datetime.strptime(match["made"], _MADE).replace(tzinfo=UTC) > LEFTOVER_AGE


def _text(value: Json) -> str:
    return str(value["stringValue"]) if "stringValue" in value else json.dumps(value) if value else ""
