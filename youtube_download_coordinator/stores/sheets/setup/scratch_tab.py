"""A tab of its own in the user's spreadsheet, to try things on: made, used, and removed again whatever happens."""

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
from youtube_download_coordinator.stores.sheets.layout import letters, quoted, text_cell

log = logging.getLogger(__name__)

ROWS, COLUMNS = 20, 4
LEFT_BEHIND = timedelta(hours=1)
"""A scratch tab that is older was left by a process that was killed, and is removed by the next one."""
REMOVALS = 3
_TITLE = re.compile(r"ydc doctor (?P<made>\d{4}-\d\d-\d\dT\d{6}) (?P<nonce>[0-9a-f]{8})")
_MADE = "%Y-%m-%dT%H%M%S"


@contextmanager
def scratch_tab(connection: Connection) -> Iterator[ScratchTab]:
    """A scratch tab that is removed at the end, with its named ranges. Raises StoreError when that is not possible."""
    scratch = ScratchTab(connection)
    try:
        _remove(connection, lambda title: _is_left_behind(title, connection.now()))
        grid = {"rowCount": ROWS, "columnCount": COLUMNS}
        sheet = {"sheetId": scratch.sheet_id, "title": scratch.title, "gridProperties": grid}
        connection.write([{"addSheet": {"properties": sheet}}])
        yield scratch
    finally:
        scratch.remove()


class ScratchTab:
    """The tab: its lines are counted from 1, below a header that stays empty; its columns from 0."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.nonce = f"{connection.outside.randomness.getrandbits(32):08x}"
        self.sheet_id = connection.outside.randomness.randrange(1, 2**31 - 1)
        self.title = f"ydc doctor {connection.now():{_MADE}} {self.nonce}"

    def write(self, changes: Sequence[Json], *, show: Sequence[str] = ()) -> Json:
        return self.connection.write(changes, show=show)

    def put(self, *columns: Sequence[str]) -> None:
        """Make these the contents of the tab, and nothing else."""
        lines = [[], *zip_longest(*columns, fillvalue="")]
        rows = [{"values": [text_cell(text) for text in line]} for line in lines]
        everything = {"sheetId": self.sheet_id}
        self.write([{"updateCells": {"range": everything, "rows": rows, "fields": "userEnteredValue"}}])

    def area(self, column: int, line: int | None = None) -> Json:
        """A GridRange: a column, or one cell of it."""
        rows = {"startRowIndex": 1} if line is None else {"startRowIndex": line, "endRowIndex": line + 1}
        return {"sheetId": self.sheet_id, "startColumnIndex": column, "endColumnIndex": column + 1, **rows}

    def a1(self, column: int) -> str:
        return f"{quoted(self.title)}!{letters(column)}2:{letters(column)}"

    def texts(self, column: int) -> list[str]:
        """A column without its empty end, as it is stored: what is no text is shown as Google's JSON of it."""
        fields = "sheets(properties.sheetId,data(startRow,rowData.values.userEnteredValue))"
        return self.read_cells(self.connection.properties(fields, [self.a1(column)]))

    def read_cells(self, spreadsheet: Json) -> list[str]:
        """The first column that an answer shows of the tab."""
        sheets = spreadsheet.get("sheets", [])
        mine = [sheet for sheet in sheets if sheet.get("properties", {}).get("sheetId") == self.sheet_id]
        rows = [row for sheet in mine for block in sheet.get("data", []) for row in block.get("rowData", [])]
        texts = [_text((row.get("values") or [{}])[0].get("userEnteredValue", {})) for row in rows]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def hide(self, *, column: int, lines_with: str) -> None:
        """Hide a column, and filter away the lines with that text in the first one. Raises StoreError when Google does not."""
        columns = {"sheetId": self.sheet_id, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
        spec = {"columnIndex": 0, "filterCriteria": {"hiddenValues": [lines_with]}}
        kept = {"range": {"sheetId": self.sheet_id}, "filterSpecs": [spec]}
        hidden = {"range": columns, "properties": {"hiddenByUser": True}, "fields": "hiddenByUser"}
        self.write([{"updateDimensionProperties": hidden}, {"setBasicFilter": {"filter": kept}}])
        fields = "sheets(data(rowMetadata.hiddenByFilter,columnMetadata.hiddenByUser))"
        seen = json.dumps(self.connection.properties(fields, [quoted(self.title)]))
        if "hiddenByFilter" not in seen or "hiddenByUser" not in seen:
            raise StoreError("it could not be tried: Google did not hide what it was asked to hide")

    def show(self) -> None:
        """Take the filter away."""
        self.write([{"clearBasicFilter": {"sheetId": self.sheet_id}}])

    def add_range(self, name: str) -> Json:
        """The request that adds a named range; two of the same name have one ID and differ in what people see."""
        shown = f"ydc_doctor_{self.nonce}_{self.connection.outside.randomness.getrandbits(32):08x}"
        named = {"namedRangeId": self._range_id(name), "name": shown, "range": {"sheetId": self.sheet_id}}
        return {"addNamedRange": {"namedRange": named}}

    def delete_range(self, name: str) -> Json:
        return {"deleteNamedRange": {"namedRangeId": self._range_id(name)}}

    def _range_id(self, name: str) -> str:
        return f"ydc-doctor-{self.nonce}-{name}"

    def remove(self) -> None:
        """Remove the tab and its named ranges. Raises StoreError that says how to do it by hand."""
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


def _remove(connection: Connection, is_to_go: Callable[[str], bool]) -> None:
    """Remove scratch tabs by title; their named ranges first, which could not be deleted without their tab."""
    found = connection.properties("namedRanges.namedRangeId,sheets.properties(sheetId,title)")
    titles = {sheet["properties"]["title"]: sheet["properties"].get("sheetId", 0) for sheet in found.get("sheets", [])}
    gone = {title: sheet_id for title, sheet_id in titles.items() if _TITLE.fullmatch(title) and is_to_go(title)}
    nonces = tuple(f"ydc-doctor-{title[-8:]}-" for title in gone)
    ranges = [each["namedRangeId"] for each in found.get("namedRanges", []) if each["namedRangeId"].startswith(nonces)]
    requests: list[Json] = [{"deleteNamedRange": {"namedRangeId": each}} for each in ranges]
    requests += [{"deleteSheet": {"sheetId": sheet_id}} for sheet_id in gone.values()]
    if requests:
        connection.write(requests)


def _is_left_behind(title: str, now: datetime) -> bool:
    match = _TITLE.fullmatch(title)
    return match is not None and now - datetime.strptime(match["made"], _MADE).replace(tzinfo=UTC) > LEFT_BEHIND


def _text(value: Json) -> str:
    return str(value["stringValue"]) if "stringValue" in value else json.dumps(value) if value else ""
