"""The status page as tables, which a sheet, Prefect and the command `ydc` each draw in their own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a page. Its texts may come from YouTube or from anyone who can edit the queue: they are
    data, never markup or formulas."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def without_empty(self) -> Section:
        """Return the table without rows that count nothing, and without columns that have nothing in any row."""
        rows = [row for row in self.rows if any(row[1:])] or self.rows[:1]
        kept = [0, *(column for column in range(1, len(self.header)) if any(row[column] for row in rows))]
        return Section(self.title, [self.header[at] for at in kept], [[row[at] for at in kept] for row in rows])


@dataclass(frozen=True, slots=True)
class Page:
    """The status page."""

    at: str
    """When the queue was read, in UTC."""
    sections: Sequence[Section]
    days: Section
    """Videos and hours of each of the last days, the earliest day first."""
