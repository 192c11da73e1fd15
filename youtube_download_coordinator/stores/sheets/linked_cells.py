"""Read the addresses behind the text of a URL cell: linked text, smart chips and HYPERLINK formulas.

If the cell of a new row shows a title instead of an address, its link is read when the row is adopted. The address then replaces
the title, which moves to Title if that is empty, so that later reads need no further request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from youtube_download_coordinator.models import NO_KEY
from youtube_download_coordinator.stores.sheets.api import AnswerLost, Json, Refused
from youtube_download_coordinator.stores.sheets.cells import write_cells
from youtube_download_coordinator.stores.sheets.snapshot import ranges
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, Spreadsheet, group_of

LINKED_ROWS_MAX = 500
"""The number of rows without an address in one batch. Each of their drafts needs a separate request."""
CHECK_ROUNDS = 5
"""How often addresses are written again while a person sorts the tab."""
ONE_LINK = "paste the address itself into URL, and type pending into Status"

_RowId = tuple[str, int]
"""A group of tabs, and an ID in this group."""


class CellLink(NamedTuple):
    """The link of a cell, or the reason why it has no usable link."""

    address: str = ""
    problem: str = ""


def may_be_a_title(key: str, text: str) -> bool:
    """Return whether a cell may show a title: its text has no key, or is a word with the length of a video's ID."""
    is_word = text.isalpha() and text in (text.lower(), text.upper(), text.capitalize())
    return key == NO_KEY or (is_word and key == f"yt:v:{text}")


def read_links(spreadsheet: Spreadsheet, wanted: Mapping[str, Sequence[int]]) -> dict[str, dict[int, CellLink]]:
    """Return the links of URL cells by tab and line, with one request. Omit cells without a link."""
    areas = {name: ranges(positions) for name, positions in wanted.items() if positions}
    if not areas:
        return {}
    tabs = {name: spreadsheet.tab(name) for name in areas}
    columns = [
        {**tabs[name].area("URL"), "startRowIndex": start, "endRowIndex": end}
        for name, spans in areas.items()
        for start, end in spans
    ]
    cells = spreadsheet.connection.cells(columns, _FIELDS)
    return {
        name: {
            position: link
            for position, cell in cells.get(tabs[name].sheet_id, {}).items()
            if position in wanted[name] and (link := _link(cell)) is not None
        }
        for name in areas
    }


_FIELDS = "userEnteredValue,hyperlink,chipRuns.chip.richLinkProperties.uri,textFormatRuns.format.link.uri"


def _link(cell: Json) -> CellLink | None:
    addresses = list(dict.fromkeys(filter(None, _addresses(cell))))
    if not addresses:
        return None
    if len(addresses) > 1:
        return CellLink(problem=f"the cell has {len(addresses)} links; {ONE_LINK}")
    if not cell.get("userEnteredValue") and not cell.get("chipRuns"):
        return CellLink(problem=f"the cell is filled by a formula in another one; {ONE_LINK}")
    return CellLink(addresses[0])


def _addresses(cell: Json) -> Iterator[str]:
    yield str(cell.get("hyperlink", ""))
    for run in cell.get("chipRuns", []):
        yield str(run.get("chip", {}).get("richLinkProperties", {}).get("uri", ""))
    for run in cell.get("textFormatRuns", []):
        yield str(run.get("format", {}).get("link", {}).get("uri", ""))


@dataclass(slots=True)
class WrittenAddresses:
    """The addresses that a batch has written into URL cells by line. A person may have sorted other rows there meanwhile."""

    wanted: dict[_RowId, str] = field(default_factory=dict)
    before: dict[_RowId, str] = field(default_factory=dict)
    """The URL cells of all rows before the batch."""

    def add(self, spreadsheet: Spreadsheet, name: str, row_id: int, address: str) -> None:
        """Add an address that the batch will write."""
        if not self.wanted:
            self.before = {row: url for _, _, row, url in _url_cells(spreadsheet)}
        self.wanted[group_of(name), row_id] = address

    def correct(self, spreadsheet: Spreadsheet) -> None:
        """Compare the tabs, which were loaded since. If an address is on another row's line, write both cells again."""
        addresses = set(self.wanted.values())
        texts = self.before | self.wanted
        for _ in range(CHECK_ROUNDS if self.wanted else 0):
            wrong = [
                request
                for name, position, row, url in _url_cells(spreadsheet)
                if (row in self.wanted or url in addresses) and url != texts.get(row, url)
                for request in write_cells(spreadsheet.tab(name), position, {"URL": texts[row]})
            ]
            if not wrong:
                return
            with suppress(Refused, AnswerLost):
                spreadsheet.write(wrong)
            spreadsheet.reload(if_older_than_seconds=0)


def _url_cells(spreadsheet: Spreadsheet) -> Iterator[tuple[str, int, _RowId, str]]:
    """Yield the tab, the line, the row and the text of every URL cell whose row has a lease or a draft."""
    for name in DATA_TABS:
        snapshot = spreadsheet.snapshot(name)
        for position, encoded in snapshot.leases():
            yield name, position, (group_of(name), encoded.row_id), snapshot.key_cells[position].url
