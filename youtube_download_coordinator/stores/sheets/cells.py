"""Rows as cells: what is read from a line of a tab, and what is written into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from youtube_download_coordinator.models import STATUS, Row, Source, State, Status
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.layout import Tab, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_lease,
    version_text,
)
from youtube_download_coordinator.text import format_utc, parse_time

R = TypeVar("R", bound=Row)

SHOWS_THE_LEASE = ("ID", "Status", "RetryCount", "NotBefore", "LastError", "Result", "Key", "Shown")
"""Cells that can be rebuilt from the lease word alone."""
SHOWS_MORE = ("ClaimedBy", "ClaimedAt")
"""Cells that are written with a change of the lease, by the one who makes it."""
SHOWS_A_LISTING = ("Title", "Videos", "CheckedAt", "ListedWith")
"""The same, of a source. A video's title is what was inserted: written on a stranger's line it could not be rebuilt."""


def read_row(table: Table[R], tab: Tab, cells: Sequence[str]) -> R | None:
    """The row that stands in a line; None when its Lease cell holds no lease of ours."""
    values = dict(zip(tab.header, [*cells, *[""] * len(tab.header)], strict=False))
    word = decode_lease(values["Lease"])
    if word is None or word.lease is None:
        return None
    kind = _SOURCE_FIELDS if table.row_type is Source else _VIDEO_FIELDS
    return table.row_type(
        id=word.row_id,
        key=word.key,
        lease=word.lease,
        url=values["URL"],
        accent=values["Accent"],
        type=values["Type"],
        title=values["Title"],
        claimed_by=values["ClaimedBy"],
        claimed_at=parse_time(values["ClaimedAt"]),
        extra={name: values[name] for name in tab.custom_columns if values[name]},
        requested_status=requested_status(word, values["Status"], values["Shown"]),
        **{name: read(values[column]) for name, (column, read) in kind.items()},
    )


def requested_status(word: EncodedLease, status: str, shown: str) -> Status | None:
    """What a person said through Status: a person's word only when everything else shows the row as it is."""
    lease = word.lease
    if lease is None or lease.state is State.HELD or shown != version_text(word.row_id, lease):
        return None
    typed = status.strip().lower()
    if typed not in {Status.PENDING.value, Status.DONE.value, Status.ERROR.value} or typed == status_text(lease.state):
        return None
    return Status(typed)


def shows(word: EncodedLease, status: str, shown: str) -> bool:
    """Whether a line's cells say what its word says, or what a person has asked for."""
    lease = word.lease
    if lease is None:
        return True
    if shown != version_text(word.row_id, lease):
        return False
    return status == status_text(lease.state) or requested_status(word, status, shown) is not None


def status_text(state: State) -> str:
    """What stands in the Status cell."""
    return STATUS[state].value


def row_values(row: Row) -> dict[str, str]:
    """Every cell of a row, by column name."""
    named = {name: _text(value) for name, value in row.columns().items()}
    return named | {"Lease": encode_lease(row), "Shown": version_text(row.id, row.lease)}


def row_cells(tab: Tab, row: Row) -> Json:
    """A line to append: RowData in the order of the tab's header."""
    values = row_values(row)
    return {"values": [text_cell(values.get(name, "")) for name in tab.header]}


def projection(tab: Tab, position: int, row: Row, *, rebuilt: bool) -> list[Json]:
    """The requests that make a line show its lease. `rebuilt`: from the word alone, by somebody who knows no more."""
    values = row_values(row)
    more = () if rebuilt else (*SHOWS_MORE, *(SHOWS_A_LISTING if isinstance(row, Source) else ()))
    return write_cells(tab, position, {name: values[name] for name in (*SHOWS_THE_LEASE, *more) if name in values})


def blank(tab: Tab, position: int) -> list[Json]:
    """The requests that take away what was shown on a line by mistake."""
    return write_cells(tab, position, dict.fromkeys(SHOWS_THE_LEASE, ""))


def write_cells(tab: Tab, position: int, values: Mapping[str, str]) -> list[Json]:
    """The requests that write texts into the columns of these names that a line has."""
    columns = {tab.column(name): text_cell(text) for name, text in values.items() if name in tab.header}
    return [_write(tab, position, start, cells) for start, cells in _runs(columns)]


def _write(tab: Tab, position: int, column: int, cells: Sequence[Json]) -> Json:
    start = {"sheetId": tab.sheet_id, "rowIndex": position, "columnIndex": column}
    return {"updateCells": {"start": start, "rows": [{"values": list(cells)}], "fields": "userEnteredValue"}}


def _runs(columns: Mapping[int, Json]) -> Iterator[tuple[int, list[Json]]]:
    """Neighbouring columns together."""
    run: list[Json] = []
    for column in sorted(columns):
        run.append(columns[column])
        if column + 1 not in columns:
            yield column + 1 - len(run), run
            run = []


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, Enum):
        return str(value.value)
    return "" if value is None else str(value)


def whole_number(text: str) -> int | None:
    """The number in a cell; None where a person has written something else."""
    return int(text) if text.isdecimal() else None


_Read = Callable[[str], Any]
_VIDEO_FIELDS: dict[str, tuple[str, _Read]] = {
    "source_id": ("SourceID", whole_number),
    "duration_seconds": ("Duration", whole_number),
}
_SOURCE_FIELDS: dict[str, tuple[str, _Read]] = {
    "videos": ("Videos", whole_number),
    "checked_at": ("CheckedAt", parse_time),
    "listed_with": ("ListedWith", str),
}
