"""How full a spreadsheet is: Google counts every cell of every tab's grid, empty ones too."""

from __future__ import annotations

from dataclasses import dataclass

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sheets.layout import Layout, read_layout

CELLS_MAX = 10_000_000
"""Google's limit for a spreadsheet: https://support.google.com/drive/answer/37603."""
FULL_FROM = 0.8
"""From so much of it on, `ydc doctor` warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """A spreadsheet's cells, and what a video takes of them."""

    cells: int
    """Of all tabs, people's own among them."""
    row_cells: int
    """As wide as the tab of the videos is, so many cells a new line has."""
    empty_lines: int
    """Lines at the end of that tab: new videos take these first. 0 where nobody has looked."""
    nameless_columns: int
    """Of that tab, to the right of the last column with a name."""
    rows: int
    """Lines of that tab, empty ones too."""

    @property
    def part(self) -> float:
        """How full it is, from 0 to 1."""
        return self.cells / CELLS_MAX

    @property
    def is_nearly_full(self) -> bool:
        return self.part >= FULL_FROM

    @property
    def videos(self) -> int:
        """How many more fit."""
        return self.empty_lines + max(0, CELLS_MAX - self.cells) // self.row_cells

    @property
    def gain(self) -> int:
        """How many more would fit without the columns that have no name."""
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
    """Look how full it is: four requests at the most; one of them, where it is nearly full, reads a column of the videos."""
    found = connection.properties("sheets.properties.gridProperties(rowCount,columnCount)").get("sheets", [])
    grids = [sheet.get("properties", {}).get("gridProperties", {}) for sheet in found]  # of a chart's tab: none
    cells = sum(grid.get("rowCount", 0) * grid.get("columnCount", 0) for grid in grids)
    layout = read_layout(connection, config)
    tab = layout.tabs[VIDEO_TASKS.name]
    return Capacity(
        cells=cells,
        row_cells=tab.grid_columns,
        empty_lines=_empty_lines(connection, layout) if cells >= FULL_FROM * CELLS_MAX else 0,
        nameless_columns=tab.grid_columns - len(tab.header),
        rows=tab.grid_rows,
    )


def _empty_lines(connection: Connection, layout: Layout) -> int:
    tab = layout.tabs[VIDEO_TASKS.name]
    (urls,) = connection.values([tab.a1("URL")])
    return tab.grid_rows - 1 - len(urls)
