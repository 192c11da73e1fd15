"""Read the contents of the tabs for `ydc doctor`, without adopting, repairing or caching anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from youtube_download_coordinator.models import Control, Row
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.stores.sheets.cells import read_row
from youtube_download_coordinator.stores.sheets.control_tab import until_of, value_and_until
from youtube_download_coordinator.stores.sheets.layout import Tab
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease
from youtube_download_coordinator.stores.sheets.snapshot import ControlSnapshot


def row_in(table: Table[Any], tab: Tab, cells: Sequence[str], row_number: int) -> Row | str | None:
    """Return the row in a line, a text if its Lease cell cannot be read, or None if the cell is empty."""
    row: Row | None = read_row(table, tab, cells)
    lease = dict(zip(tab.header, cells, strict=False)).get("Lease", "")
    if row is not None or not lease.strip() or decode_lease(lease):
        return row
    return f"line {row_number} of {tab.title!r}: its Lease cell cannot be read, so workers set the row apart: {lease}"


def lines_of_control(rows: Sequence[Sequence[str]]) -> Iterator[Control | str]:
    """Yield the lines of Control that affect workers, or a text if Until is not a time."""
    snapshot = ControlSnapshot(time.monotonic)
    snapshot.load(rows, 0)
    for line in snapshot.lines():
        value, until = value_and_until(line)
        if until.strip() and until_of(until) is None:
            yield f"Control, {line.name}: Until {until!r} is not a time and is ignored: write 2026-11-25 14:30 (UTC)"
        elif line.is_steering:
            yield Control.read(name=line.name, value=value, until=until_of(until), reason="", pause_seconds=0)
