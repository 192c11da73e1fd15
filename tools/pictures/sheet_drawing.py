"""Draw a tab of a spreadsheet as an HTML page, from the Sheets API's data (a `Sheet` with its grid data).

It supports the features of the coordinator's tabs: text with bold, colour and alignment, clipping, widths, notes, drop-down
lists, conditional colours by NUMBER_GREATER and TEXT_EQ, and a combo chart of columns and a line. Any other condition or chart
is an error, so that no picture lacks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Any, NamedTuple

from tools.pictures.combo_chart import combo_chart

Json = dict[str, Any]
MARGIN_PIXELS = 12
STYLE = """
body { margin: 0; background: white; color: black; font: 13px Arial, "Liberation Sans", sans-serif; }
div { position: absolute; white-space: nowrap; overflow: hidden; box-sizing: border-box; padding: 3px 4px; }
div.right { text-align: right; }
div.noted { border-top: 7px solid #f4b400; border-left: 7px solid transparent; width: 0; height: 0; padding: 0; }
svg { position: absolute; background: white; border: 1px solid #dadce0; }
"""


class Drawing(NamedTuple):
    """A page and its size."""

    html: str
    width_pixels: int
    height_pixels: int


@dataclass(frozen=True, slots=True)
class _Grid:
    """The cells of a tab and their positions. `lefts` and `tops` have one more element than there are columns and rows."""

    rows: Sequence[Sequence[Json]]
    lefts: Sequence[int]
    tops: Sequence[int]

    def cell(self, row: int, column: int) -> Json:
        return self.rows[row][column] if row < len(self.rows) and column < len(self.rows[row]) else {}

    def text(self, row: int, column: int) -> str:
        return str(self.cell(row, column).get("formattedValue", ""))

    def number(self, row: int, column: int) -> float | None:
        number: float | None = self.cell(row, column).get("effectiveValue", {}).get("numberValue")
        return number


def drawn(tab: Json, *, lines: bool = False) -> Drawing:
    """Draw the filled part of a tab. `lines`: draw lines between the cells. Raises ValueError for an unknown feature."""
    grid = _grid(tab["data"][0])
    width = max(len(row) for row in grid.rows)
    parts = [
        *(_lines(grid, width) if lines else ()),
        *_cells(grid, tab.get("conditionalFormats", [])),
        *(_chart(grid, chart) for chart in tab.get("charts", [])),
    ]
    html = f"<!doctype html><meta charset='utf-8'><style>{STYLE}</style><body>{''.join(parts)}"
    return Drawing(html, grid.lefts[width] + MARGIN_PIXELS, grid.tops[len(grid.rows)] + MARGIN_PIXELS)


def _grid(data: Json) -> _Grid:
    lefts, tops = (
        list(accumulate((each["pixelSize"] for each in data[name]), initial=MARGIN_PIXELS))
        for name in ("columnMetadata", "rowMetadata")
    )
    return _Grid([row.get("values", []) for row in data["rowData"]], lefts, tops)


# --- cells -----------------------------------------------------------------------------------------------------------


def _lines(grid: _Grid, width: int) -> Iterator[str]:
    """Draw lines around every cell of the filled columns."""
    for row in range(len(grid.rows)):
        for column in range(width):
            yield _box(grid, row, column, column + 1, "border:solid #e1e1e1;border-width:0 1px 1px 0") + "</div>"


def _cells(grid: _Grid, rules: Sequence[Json]) -> Iterator[str]:
    for row, cells in enumerate(grid.rows):
        for column, cell in enumerate(cells):
            if cell.get("formattedValue"):
                yield _cell(grid, row, column, _background(grid, row, column, rules)) + _marks(grid, row, column)


def _cell(grid: _Grid, row: int, column: int, background: str) -> str:
    """Draw a cell. As in a spreadsheet, its text continues over empty cells to its right, but its colour does not."""
    look = grid.cell(row, column).get("effectiveFormat", {})
    to_the_right = grid.number(row, column) is not None or look.get("horizontalAlignment") == "RIGHT"
    end = column + 1
    runs_on = not to_the_right and look.get("wrapStrategy") != "CLIP"
    while runs_on and end < len(grid.lefts) - 1 and not grid.text(row, end):
        end += 1
    bold = look.get("textFormat", {}).get("bold")
    text = f"<b>{escape(grid.text(row, column))}</b>" if bold else escape(grid.text(row, column))
    colour = _box(grid, row, column, column + 1, f"background:{background}") + "</div>" if background else ""
    ink = f"color:{_colour(given)}" if (given := _ink(look)) else ""
    return f"{colour}{_box(grid, row, column, end, ink, kind='right' if to_the_right else '')}{text}</div>"


def _ink(look: Json) -> Json:
    given: Json = look.get("textFormat", {}).get("foregroundColorStyle", {}).get("rgbColor", {})
    return given


def _marks(grid: _Grid, row: int, column: int) -> str:
    """Draw a corner for a note, and an arrow for a drop-down list."""
    cell, right, top = grid.cell(row, column), grid.lefts[column + 1], grid.tops[row]
    note = f"<div class='noted' style='left:{right - 7}px;top:{top}px'></div>" if "note" in cell else ""
    has_list = cell.get("dataValidation", {}).get("condition", {}).get("type") == "ONE_OF_LIST"
    return note + (f"<div style='left:{right - 20}px;top:{top}px'>▾</div>" if has_list else "")


def _box(grid: _Grid, row: int, start: int, end: int, style: str = "", kind: str = "") -> str:
    left, top = grid.lefts[start], grid.tops[row]
    size = f"left:{left}px;top:{top}px;width:{grid.lefts[end] - left}px;height:{grid.tops[row + 1] - top}px"
    return f"<div class='{kind}' style='{size};{style}'>"


def _background(grid: _Grid, row: int, column: int, rules: Sequence[Json]) -> str:
    """Return the colour of the first rule that matches the cell."""
    for rule in rules:
        if any(_is_in(row, column, area) for area in rule["ranges"]) and _meets(
            grid, row, column, rule["booleanRule"]["condition"]
        ):
            return _colour(rule["booleanRule"]["format"]["backgroundColorStyle"]["rgbColor"])
    return ""


def _is_in(row: int, column: int, area: Json) -> bool:
    return all(
        area.get(f"start{name}Index", 0) <= at < area.get(f"end{name}Index", at + 1)
        for name, at in (("Row", row), ("Column", column))
    )


def _meets(grid: _Grid, row: int, column: int, condition: Json) -> bool:
    (value,) = (each["userEnteredValue"] for each in condition["values"])
    number = grid.number(row, column)
    match condition["type"]:
        case "NUMBER_GREATER":
            return number is not None and number > float(value)
        case "TEXT_EQ":
            return number is None and grid.text(row, column).casefold() == value.casefold()
    raise ValueError(f"a condition that cannot be drawn: {condition}")


def _colour(given: Mapping[str, float]) -> str:
    return "rgb({})".format(",".join(f"{255 * given.get(name, 0):.0f}" for name in ("red", "green", "blue")))


# --- the chart -------------------------------------------------------------------------------------------------------


def _chart(grid: _Grid, chart: Json) -> str:
    spec, place = chart["spec"]["basicChart"], chart["position"]["overlayPosition"]
    if spec["chartType"] != "COMBO" or spec["headerCount"] != 1:
        raise ValueError(f"a chart that cannot be drawn: {spec}")
    (domain,) = (_column(grid, each["domain"]) for each in spec["domains"])
    svg = combo_chart(
        chart["spec"]["title"],
        (place["widthPixels"], place["heightPixels"]),
        [text for text, _ in domain[1:]],
        [_series(grid, each) for each in spec["series"]],
        {axis["position"]: axis["title"] for axis in spec["axis"]},
    )
    anchor = place["anchorCell"]
    left, top = grid.lefts[anchor.get("columnIndex", 0)], grid.tops[anchor.get("rowIndex", 0)]
    return svg.replace("<svg ", f"<svg style='left:{left}px;top:{top}px' ", 1)


def _series(grid: _Grid, series: Json) -> tuple[str, str, str, list[float]]:
    """Return a series' name, kind, axis and numbers."""
    (name, _), *cells = _column(grid, series["series"])
    return name, series["type"], series["targetAxis"], [number or 0.0 for _, number in cells]


def _column(grid: _Grid, source: Json) -> list[tuple[str, float | None]]:
    """Return the text and number of each cell that a chart uses."""
    (area,) = source["sourceRange"]["sources"]
    at = area["startColumnIndex"]
    return [(grid.text(row, at), grid.number(row, at)) for row in range(area["startRowIndex"], area["endRowIndex"])]
