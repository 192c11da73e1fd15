"""A Google that does not apply batches one after the other: what claiming must not meet unseen.

Each weakness is a way in which batches that are on their way at the same time could see an older state. They are off unless a
test turns them on. A batch that is alone is never affected, so checks that send one request after the other do not notice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fake_google.errors import Json
from tests.fake_google.grid import Contents, Spreadsheet

NEIGHBOUR_SECONDS = 0.25
"""The time between two swaps within which they may collide."""
Apply = Callable[[Contents, Json], Json]


@dataclass
class Weaknesses:
    """How far behind the state is on which each kind of request is validated, in seconds; and how often swaps collide."""

    stale_tokens_seconds: float = 0.0
    stale_swaps_seconds: float = 0.0
    merged_appends_seconds: float = 0.0
    colliding_swaps: float = 0.0
    """The probability that a swap does not see the swap of another connection right before it."""
    sleep: Callable[[float], object] = time.sleep
    random: random.Random = field(default_factory=lambda: random.Random(0))
    _swapped: tuple[int, float, int] | None = None
    """The connection of the last swap, its time, and the version that it made."""

    @property
    def are_on(self) -> bool:
        """Return whether any weakness is on."""
        return bool(self._seconds() or self.colliding_swaps)

    def arrive(self, book: Spreadsheet, requests: list[Json]) -> Stale | None:
        """Take the state that a batch will see, and let the time go by in which others may change it."""
        kinds = {kind: seconds for kind, seconds in self._seconds().items() if any(kind in each for each in requests)}
        collides = bool(self.colliding_swaps) and any("findReplace" in each for each in requests)
        if not kinds and not collides:
            return None
        with book.lock:
            stale = Stale(book.contents.copy() if kinds else None, set(kinds))
        if kinds:
            self.sleep(max(kinds.values()))
        return stale

    def _seconds(self) -> dict[str, float]:
        seconds = {
            "addNamedRange": self.stale_tokens_seconds,
            "deleteNamedRange": self.stale_tokens_seconds,
            "findReplace": self.stale_swaps_seconds,
            "appendCells": self.merged_appends_seconds,
        }
        return {kind: lag for kind, lag in seconds.items() if lag}

    def settle(self, book: Spreadsheet, stale: Stale) -> Stale:
        """Decide, when it is a batch's turn, whether it collides with the one before it."""
        connection, now = threading.get_ident(), time.monotonic()
        swapped, self._swapped = self._swapped, (connection, now, book.version + 1)
        if swapped is None or not self.colliding_swaps or book.before is None:
            return stale
        other, moment, version = swapped
        neighbours = other != connection and now - moment < NEIGHBOUR_SECONDS and version == book.version
        if neighbours and self.random.random() < self.colliding_swaps:
            stale.seen, stale.kinds = book.before.copy(), {"findReplace"}
        return stale


@dataclass
class Stale:
    """The state that a batch sees, and the kinds of requests that see it."""

    seen: Contents | None
    kinds: set[str]

    def apply(self, draft: Contents, kind: str, body: Json, apply: Apply) -> Json:
        """Apply a request to a draft, as far as its kind is affected by what it would do to the older state."""
        if self.seen is None or kind not in self.kinds:
            return apply(draft, body)
        before, self.seen = self.seen, self.seen.copy()
        answer = apply(self.seen, body)
        if kind == "addNamedRange":
            draft.named_ranges[body["namedRange"]["namedRangeId"]] = body["namedRange"]
        elif kind == "deleteNamedRange":
            draft.named_ranges.pop(body["namedRangeId"], None)
        else:
            _copy_changes(before, self.seen, draft)
        return answer


def _copy_changes(before: Contents, after: Contents, draft: Contents) -> None:
    """Write the values that differ into a draft, at the same places."""
    for old, new in zip(before.sheets, after.sheets, strict=True):
        sheet: Any = next((each for each in draft.sheets if each.sheet_id == new.sheet_id), None)
        if sheet is None:
            continue
        missing = new.rows - sheet.rows
        if missing > 0:
            draft.insert(sheet, "ROWS", sheet.rows, missing, inherit_from_before=True)
        for column in range(new.columns):
            for row in range(max(len(old.values.column(column)), len(new.values.column(column)))):
                value = new.values.get(row, column)
                if value != old.values.get(row, column):
                    sheet.values.put(row, column, value)
