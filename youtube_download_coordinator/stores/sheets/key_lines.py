"""Store the key cells of a tab in little memory, because each worker keeps a snapshot of up to 250,000 lines.

Most lines show exactly their lease. For these only the decoded lease is kept, and the texts are created again on demand.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_text,
    version_text,
)

_WATCH_URL, _VIDEO_KEY = "https://www.youtube.com/watch?v=", "yt:v:"


class KeyCells(NamedTuple):
    """The cells of a line in the KEY_COLUMNS."""

    lease: str = ""
    status: str = ""
    shown: str = ""
    url: str = ""


class KeyLines(Sequence[KeyCells]):
    """The key cells of a tab, line by line."""

    def __init__(self, lines: Iterable[KeyCells] = ()) -> None:
        self.leases: list[EncodedLease | None] = []
        """The contents of the Lease cells: a lease, a draft, or None."""
        self._urls: list[str | None] = []
        """The URL cells. None stands for the address that corresponds to the lease's key."""
        self._others: dict[int, KeyCells] = {}
        self._positions: list[int] = []
        """The positions of `_others`, in order."""
        for position, cells in enumerate(lines):
            self._append(position, cells)

    def __len__(self) -> int:
        return len(self.leases)

    @overload
    def __getitem__(self, position: int) -> KeyCells: ...
    @overload
    def __getitem__(self, position: slice) -> list[KeyCells]: ...
    def __getitem__(self, position: int | slice) -> KeyCells | list[KeyCells]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        encoded = self.leases[position]
        if (cells := self._others.get(position % len(self))) is not None or encoded is None:
            return cells or KeyCells()
        return _shown_by(encoded, self._urls[position])

    def other(self, position: int) -> KeyCells | None:
        """Return the cells of a line, or None if it is empty or shows exactly its lease."""
        return self._others.get(position)

    def others(self) -> Iterator[tuple[int, KeyCells]]:
        """Yield, in order, the lines that are not empty and do not show exactly their lease."""
        return ((position, self._others[position]) for position in self._positions)

    def update(self, position: int, cells: KeyCells) -> None:
        """Replace a line, or add one beyond the last line."""
        while len(self) <= position:
            self._append(len(self), KeyCells())
        if self._others.pop(position, None) is not None:
            self._positions.remove(position)
        self.leases[position], self._urls[position] = self._line(position, cells)

    def _append(self, position: int, cells: KeyCells) -> None:
        encoded, url = self._line(position, cells)
        self.leases.append(encoded)
        self._urls.append(url)

    def _line(self, position: int, cells: KeyCells) -> tuple[EncodedLease | None, str | None]:
        """Return the compact form of a line. Keep its texts unless they can be created again."""
        encoded = decode_lease(cells.lease) if cells.lease else None
        url = None if encoded is not None and cells.url == _url_of(encoded.key) else cells.url
        if cells != KeyCells() and (encoded is None or not cells.url or _shown_by(encoded, url) != cells):
            self._others[position] = cells
            insort(self._positions, position)
        return encoded, url


def _shown_by(encoded: EncodedLease, url: str | None) -> KeyCells:
    """Return the cells of a line that shows exactly its lease, or empty cells for a draft."""
    if (lease := encoded.lease) is None:
        return KeyCells()
    text = encode_text(encoded.row_id, encoded.key, lease)
    shown = version_text(encoded.row_id, lease)
    return KeyCells(text, status_text(lease.state), shown, _url_of(encoded.key) if url is None else url)


def _url_of(key: str) -> str:
    return f"{_WATCH_URL}{key.removeprefix(_VIDEO_KEY)}" if key.startswith(_VIDEO_KEY) else ""
