"""Compute the remaining capacity of a spreadsheet. Google counts every cell of every tab's grid, including empty ones."""

from __future__ import annotations

from dataclasses import dataclass

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sheets.tab_search import read_layout

CELLS_MAX = 10_000_000
"""Google's limit for a spreadsheet: https://support.google.com/drive/answer/37603."""
FULL_FROM = 0.8
"""The part of CELLS_MAX from which `ydc doctor` warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The number of cells of a spreadsheet, and of a row of videos."""

    cells: int
    """The cells of all tabs, including tabs that people have added."""
    row_cells: int
    """The cells of a new line: the width of the tab of the videos."""
    empty_lines: int
    """The empty lines at the end of that tab, which new videos take first; 0 if they were not counted."""
    nameless_columns: int
    """The columns of that tab to the right of the last column with a name."""
    rows: int
    """The lines of that tab, including empty ones."""

    @property
    def part(self) -> float:
        """Return the part of the cells that is taken, from 0 to 1."""
        return self.cells / CELLS_MAX

    @property
    def is_nearly_full(self) -> bool:
        return self.part >= FULL_FROM

    @property
    def videos(self) -> int:
        """Return how many more videos fit."""
        return self.empty_lines + max(0, CELLS_MAX - self.cells) // self.row_cells

    @property
    def gain(self) -> int:
        """Return how many more videos would fit if the columns without a name were deleted."""
        narrow = self.row_cells - self.nameless_columns
        left = CELLS_MAX - self.cells + self.rows * self.nameless_columns
        return self.empty_lines + left // narrow - self.videos

    def __str__(self) -> str:
        fit = f"{self.videos:,} more videos fit, with {self.row_cells} cells each"
        text = f"{self.part:.0%} of Google's {CELLS_MAX:,} cells are taken; {fit}"
        if self.nameless_columns:
            text += f" ({self.gain:,} more if you delete its {self.nameless_columns} columns without a name, which count too)"
        return text


def read_capacity(connection: Connection, config: Config) -> Capacity:
    """Return the capacity, with at most four requests. If it is nearly full, one of them reads a column of the videos."""
    sheets = connection.properties("sheets.properties.gridProperties(rowCount,columnCount)").get("sheets", [])
    grids = [sheet.get("properties", {}).get("gridProperties", {}) for sheet in sheets]  # a chart's tab has no grid
    cells = sum(grid.get("rowCount", 0) * grid.get("columnCount", 0) for grid in grids)
    layout = read_layout(connection, config)
    tab = layout.tabs[VIDEO_TASKS.name]
    empty_lines = 0
    if cells >= FULL_FROM * CELLS_MAX:
        (urls,) = connection.values([tab.area("URL")])
        empty_lines = tab.grid_rows - 1 - len(urls.rows)
    return Capacity(
        cells=cells,
        row_cells=tab.grid_columns,
        empty_lines=empty_lines,
        nameless_columns=tab.grid_columns - len(tab.header),
        rows=tab.grid_rows,
    )
