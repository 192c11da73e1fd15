"""Define the status page as tables, which a sheet, Prefect and `ydc` draw in different ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the page. Its texts may come from YouTube, or from anyone who can edit the queue: treat them as data, never as
    markup or formulas."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def without_empty(self) -> Section:
        """Return the table without rows whose numbers are all zero, and without empty columns."""
        rows = [row for row in self.rows if any(row[1:])] or self.rows[:1]
        kept = [0, *(column for column in range(1, len(self.header)) if any(row[column] for row in rows))]
        return Section(self.title, [self.header[at] for at in kept], [[row[at] for at in kept] for row in rows])


@dataclass(frozen=True, slots=True)
class Page:
    """The status page."""

    at: str
    """The time in UTC at which the queue was read."""
    sections: Sequence[Section]
    days: Section
    """The videos and hours of each of the last days, the earliest day first."""
