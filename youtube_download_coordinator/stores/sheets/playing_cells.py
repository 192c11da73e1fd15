"""Keep the accents and durations of a tab's lines. They are read together with the leases if accents have targets."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from youtube_download_coordinator.models import columns_of
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.cells import integer

PLAYING_COLUMNS = tuple(
    columns_of(VIDEO_TASKS.row_type).shown[attribute].name for attribute in ("accent", "duration_seconds")
)
Cells = Sequence[Sequence[str]]


class PlayingCells:
    """The accents and the durations of a tab's lines. `accents[0]` belongs to the header."""

    def __init__(self, columns: Sequence[Cells] = ()) -> None:
        self.accents: list[str] = []
        self.seconds = array("q")
        self._known: dict[str, str] = {}
        """Each accent once, because a tab has few accents and up to 250,000 lines."""
        accents, durations = ([row[0] if row else "" for row in column] for column in columns or ((), ()))
        for accent, duration in zip_longest(["", *accents], ["", *durations], fillvalue=""):
            self._append(accent, integer(duration) or 0)

    def accent(self, position: int) -> str:
        return self.accents[position] if position < len(self.accents) else ""

    def duration(self, position: int) -> int:
        return self.seconds[position] if position < len(self.seconds) else 0

    def update(self, position: int, accent: str | None, seconds: int) -> None:
        """Replace a line, or add one beyond the last line. With None, keep its accent."""
        while len(self.accents) <= position:
            self._append("", 0)
        self.seconds[position] = seconds
        if accent is not None:
            self.accents[position] = self._known.setdefault(accent, accent)

    def _append(self, accent: str, seconds: int) -> None:
        self.accents.append(self._known.setdefault(accent, accent))
        self.seconds.append(seconds)


def cells_in(header: Iterable[str], cells: Sequence[str]) -> tuple[str, int]:
    """Return the accent and the duration in a line."""
    values = dict(zip(header, cells, strict=False))
    accent, duration = (values.get(name, "") for name in PLAYING_COLUMNS)
    return accent, integer(duration) or 0
