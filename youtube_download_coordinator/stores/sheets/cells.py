"""Convert rows to and from the cells of a tab."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from youtube_download_coordinator.models import (
    IN_THE_LEASE,
    INTEGER_MAX,
    LICENSE_COLUMN,
    LICENSES,
    STATUS,
    TRAINABLE_COLUMN,
    WRITTEN_BY_SWAPS,
    ColumnType,
    Row,
    State,
    Status,
    VideoTask,
    Writer,
    columns_of,
)
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.reasons import UNKNOWN_STATUS
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.layout import Tab, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_lease,
    version_text,
)
from youtube_download_coordinator.text import format_utc, parse_time, truncate

R = TypeVar("R", bound=Row)

FILLED_COLUMNS = frozenset(name.casefold() for name in (LICENSE_COLUMN, TRAINABLE_COLUMN))


def read_row(table: Table[R], tab: Tab, cells: Sequence[str]) -> R | None:
    """Return the row in a line, or None if its Lease cell does not contain a lease."""
    values = dict(zip(tab.header, [*cells, *[""] * len(tab.header)], strict=False))
    encoded = decode_lease(values["Lease"])
    if encoded is None or encoded.lease is None:
        return None
    columns = columns_of(table.row_type)
    in_cells = {name: columns.stored[name] for name in columns.shown if name in columns.stored}
    return table.row_type(
        **{name: _READERS[column.type](values[column.name]) for name, column in in_cells.items()}
        | {"id": encoded.row_id, "key": encoded.key},
        lease=encoded.lease,
        extra={name: values[name] for name in tab.custom_columns if values[name]},
        requested_status=requested_status(encoded, values["Status"], values["Shown"]),
    )


def requested_status(encoded: EncodedLease, status: str, shown: str) -> Status | None:
    """Return the Status that a person has set, or None. A cell that does not show the last change yet is not a request."""
    lease = encoded.lease
    if lease is None or lease.state is State.HELD or shown != version_text(encoded.row_id, lease):
        return None
    typed = status.strip().lower()
    if typed not in {Status.PENDING.value, Status.DONE.value, Status.ERROR.value} or typed == status_text(lease.state):
        return None
    return Status(typed)


def unknown_status(encoded: EncodedLease, status: str, shown: str) -> str:
    """Return why the text that a person typed into Status is ignored, or an empty text."""
    lease = encoded.lease
    if lease is None or shown != version_text(encoded.row_id, lease):
        return ""
    typed = status.strip().lower()
    if typed == status_text(lease.state) or requested_status(encoded, status, shown) is not None:
        return ""
    return f"{UNKNOWN_STATUS}: {describe_unknown_status(status, is_held=lease.state is State.HELD)}"


def describe_unknown_status(status: str, *, is_held: bool = False) -> str:
    """Return advice about a text in Status that is ignored."""
    if is_held:
        return "text typed while a row is in progress is ignored; type it again when the attempt has ended"
    words = "type pending, done or error"
    if not status.strip():
        return f"Status was emptied, which changes nothing; {words}"
    if status.strip().lower() == Status.IN_PROGRESS.value:
        return f"only workers set {Status.IN_PROGRESS.value}; {words}"
    return f"“{truncate(status, 40)}” is not a Status; {words}"


def shows(encoded: EncodedLease, status: str, shown: str) -> bool:
    """Return whether the cells of a line show its lease or a person's request."""
    lease = encoded.lease
    if lease is None:
        return True
    if shown != version_text(encoded.row_id, lease):
        return False
    return status == status_text(lease.state) or requested_status(encoded, status, shown) is not None


def status_text(state: State) -> str:
    """Return the text of the Status cell."""
    return STATUS[state].value


def row_values(row: Row) -> dict[str, str]:
    """Return the text of every cell of a row, by column name."""
    texts = {name: _text(value) for name, value in row.columns().items()}
    return texts | {"Lease": encode_lease(row), "Shown": version_text(row.id, row.lease)}


def row_cells(tab: Tab, row: Row) -> Json:
    """Return a line to append, as RowData in the order of the tab's header."""
    values = row_values(row)
    return {"values": [text_cell(values.get(name, "")) for name in tab.header]}


def projection(tab: Tab, position: int, row: Row, *, rebuilt: bool) -> list[Json]:
    """Return the requests that make a line show its lease.

    `rebuilt`: the row was rebuilt from the lease alone, so cells that the lease does not contain are kept. A duration is also
    kept until it is measured, because a person may have written it in an unknown format.
    """
    values = row_values(row)
    writers = IN_THE_LEASE if rebuilt else IN_THE_LEASE | WRITTEN_BY_SWAPS
    if row.lease.state is not State.DONE or getattr(row, "duration_seconds", None) is None:
        writers -= {Writer.MEASURE}
    names = names_of_columns(type(row), writers)
    filled = _filled_columns(tab, row) if row.lease.state is State.DONE and not rebuilt else {}
    return write_cells(tab, position, {name: values[name] for name in names} | filled)


def is_filled_by_workers(column: str) -> bool:
    """Return whether workers fill this column, which people may add."""
    return column.strip().casefold() in FILLED_COLUMNS


def _filled_columns(tab: Tab, row: Row) -> dict[str, str]:
    """Return the texts of the optional columns that workers fill. A person's own text is not overwritten."""
    if not isinstance(row, VideoTask):
        return {}
    texts = {name: row.custom_column(name) for name in tab.custom_columns if is_filled_by_workers(name)}
    return {name: text for name, text in texts.items() if text in LICENSES or (text and not _is_license(name))}


def _is_license(column: str) -> bool:
    return column.casefold() == LICENSE_COLUMN.casefold()


def blank(tab: Tab, position: int, kind: type[Row]) -> list[Json]:
    """Return the requests that clear the cells that show a lease, on a line without a lease."""
    return write_cells(tab, position, dict.fromkeys(names_of_columns(kind, IN_THE_LEASE), ""))


def names_of_columns(kind: type[Row], writers: Collection[Writer]) -> list[str]:
    """Return the names of the columns of some writers, plus Shown."""
    return [*(column.name for column in columns_of(kind).shown.values() if column.writer in writers), "Shown"]


def write_cells(tab: Tab, position: int, values: Mapping[str, str]) -> list[Json]:
    """Return the requests that write texts by column name. Columns that the tab lacks are skipped."""
    columns = {tab.column(name): text_cell(text) for name, text in values.items() if name in tab.header}
    return [_write(tab, position, start, cells) for start, cells in _runs(columns)]


def _write(tab: Tab, position: int, column: int, cells: Sequence[Json]) -> Json:
    start = {"sheetId": tab.sheet_id, "rowIndex": position, "columnIndex": column}
    return {"updateCells": {"start": start, "rows": [{"values": list(cells)}], "fields": "userEnteredValue"}}


def _runs(columns: Mapping[int, Json]) -> Iterator[tuple[int, list[Json]]]:
    """Yield runs of adjacent columns, as the first column and the cells."""
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


def whole_number(text: str, digits: int = 18) -> int | None:
    """Return the number in a cell, or None if the cell contains other text or a number with more digits."""
    return int(text) if text.isdecimal() and len(text) <= digits else None


def integer(text: str) -> int | None:
    """Return the number in a cell, or None if a row cannot have it."""
    number = whole_number(text)
    return number if number is None or number <= INTEGER_MAX else None


_READERS: Mapping[ColumnType | None, Callable[[str], Any]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: integer,
    ColumnType.ID: whole_number,
    ColumnType.TIME: parse_time,
}
