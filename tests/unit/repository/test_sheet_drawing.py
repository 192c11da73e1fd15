"""The picture of a tab: what is in the tab is in the picture, and what cannot be drawn is said."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tools.pictures.sheet_drawing import drawn

HALF_GREEN = {"backgroundColorStyle": {"rgbColor": {"green": 0.5}}}


def cell(text: str, number: float | None = None) -> dict[str, Any]:
    return {"formattedValue": text, "effectiveValue": {} if number is None else {"numberValue": number}}


def tab(kind: str = "NUMBER_GREATER", value: str = "1") -> dict[str, Any]:
    """Return a tab with a line of text and numbers, and a rule for its second and third column."""
    condition = {"type": kind, "values": [{"userEnteredValue": value}]}
    rule = {
        "ranges": [{"startColumnIndex": 1, "endColumnIndex": 3}],
        "booleanRule": {"condition": condition, "format": HALF_GREEN},
    }
    data = {
        "rowData": [{"values": [cell("<b>Lagos"), cell("1", 1), cell("2", 2), cell("3", 3)]}],
        "rowMetadata": [{"pixelSize": 21}] * 2,
        "columnMetadata": [{"pixelSize": 100}] * 5,
    }
    return {"data": [data], "conditionalFormats": [rule]}


def test_text_is_text_and_the_picture_ends_where_the_cells_do() -> None:
    drawing = drawn(tab())
    assert "&lt;b&gt;Lagos</div>" in drawing.html
    assert (drawing.width_pixels, drawing.height_pixels) == (12 + 4 * 100 + 12, 12 + 21 + 12)


@pytest.mark.parametrize(
    ("kind", "value", "lefts"), [("NUMBER_GREATER", "1", [212]), ("NUMBER_GREATER", "0", [112, 212])]
)
def test_a_cell_has_the_colour_of_the_rule_that_it_meets(kind: str, value: str, lefts: list[int]) -> None:
    coloured = [part for part in drawn(tab(kind, value)).html.split("<div") if "background:rgb(0,128,0)" in part]
    assert [int(part.split("left:")[1].split("px")[0]) for part in coloured] == lefts


def test_notes_lists_to_choose_from_and_the_colour_of_text_are_drawn() -> None:
    with_marks = deepcopy(tab())
    first, second, *_ = with_marks["data"][0]["rowData"][0]["values"]
    second["note"] = "Set a Status"
    second["dataValidation"] = {"condition": {"type": "ONE_OF_LIST"}}
    first["effectiveFormat"] = {
        "textFormat": {"foregroundColorStyle": {"rgbColor": {"red": 1.0}}},
        "wrapStrategy": "CLIP",
    }
    marked, plain = drawn(with_marks).html, drawn(tab()).html
    assert [marked.count(mark) - plain.count(mark) for mark in ("class='noted'", "▾", "color:rgb(255,0,0)")] == [
        1,
        1,
        1,
    ]


def test_lines_stand_around_every_cell() -> None:
    assert drawn(tab(), lines=True).html.count("border:solid") == drawn(tab()).html.count("border:solid") + 4


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(ValueError, match="a condition that cannot be drawn"):
        drawn(tab("CUSTOM_FORMULA"))
    with_chart = deepcopy(tab())
    spec = {"basicChart": {"chartType": "AREA", "headerCount": 1}}
    with_chart["charts"] = [{"spec": spec, "position": {"overlayPosition": {}}}]
    with pytest.raises(ValueError, match="a chart that cannot be drawn"):
        drawn(with_chart)
