"""Ctrl-C and SIGTERM may interrupt the loading of a tab; claims are released after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.support.rows import Clock
from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.layout import Tab
from youtube_download_coordinator.stores.sheets.lease_codec import encode_text, version_text
from youtube_download_coordinator.stores.sheets.snapshot import TabSnapshot

Column = Sequence[Sequence[str]]
TAB = Tab(name="video_tasks", sheet_id=1, title="Video Tasks", header=(), grid_columns=20, grid_rows=100)
LINES, INTERRUPTED_AT = 5, 3


def columns() -> list[Column]:
    """Return the key columns of pending rows, without the header."""
    cells = []
    for row_id in range(1, LINES + 1):
        lease, key = Lease(nonce="n", state=State.PENDING), f"yt:v:{row_id:011}"
        url = f"https://www.youtube.com/watch?v={row_id:011}"
        cells.append(KeyCells(encode_text(row_id, key, lease), "pending", version_text(row_id, lease), url))
    return [[(text,) for text in column] for column in zip(*cells, strict=True)]


class InterruptedColumn(Sequence[Sequence[str]]):
    """A column in whose middle a signal arrives."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, position: int) -> Sequence[str]:  # type: ignore[override]
        return self._column[position]

    def __iter__(self) -> Iterator[Sequence[str]]:
        yield from self._column[:INTERRUPTED_AT]
        raise KeyboardInterrupt


def test_no_line_is_known_after_a_load_that_was_interrupted() -> None:
    snapshot, (lease, *others) = TabSnapshot(TAB, Clock()), columns()
    snapshot.load([lease, *others])
    assert [snapshot.position_of(row_id) for row_id in range(1, LINES + 1)] == [1, 2, 3, 4, 5]
    with pytest.raises(KeyboardInterrupt):
        snapshot.load([InterruptedColumn(lease), *others])
    assert [snapshot.position_of(row_id) for row_id in range(1, LINES + 1)] == [None] * LINES
    assert snapshot.is_stale
    snapshot.load([lease, *others])
    assert snapshot.position_of(LINES) == LINES
    assert not snapshot.is_stale
