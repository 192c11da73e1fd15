"""Draw a combo chart as SVG: columns with the axis on the left, a line with the axis on the right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 52, 52, 44, 92
COLOURS = ("#4285f4", "#ea4335")
GRID_COLOUR, INK = "#e0e0e0", "#5f6368"
STEPS = 4
LABELS_MAX = 6
NICE = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)

Series = tuple[str, str, str, Sequence[float]]
"""A series: its name, COLUMN or LINE, LEFT_AXIS or RIGHT_AXIS, and a number for each label."""


def combo_chart(
    title: str, size: tuple[int, int], labels: Sequence[str], series: Sequence[Series], axes: Mapping[str, str]
) -> str:
    """Draw the chart; sizes in pixels. `axes` are the titles of LEFT_AXIS, RIGHT_AXIS and BOTTOM_AXIS."""
    width, height = size
    tops = {axis: _nice(max(max(numbers) for _, _, at, numbers in series if at == axis)) for _, _, axis, _ in series}
    parts = [
        _text(width / 2, 26, title, size=15, colour="#202124"),
        *_axes(width, height, tops),
        *(_labels(width, height, labels)),
        *(_drawn(each, size, tops[each[2]], colour) for each, colour in zip(series, COLOURS, strict=True)),
        *_titles(width, height, axes),
        *_legend(width, height, [name for name, *_ in series]),
    ]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'"
        f" font-family='Arial, Liberation Sans, sans-serif'>{''.join(parts)}</svg>"
    )


def _nice(highest: float) -> float:
    """Return a round number that is not smaller, for the top of an axis."""
    power = 10 ** math.floor(math.log10(highest)) if highest > 0 else 1
    return next(step * power for step in NICE if step * power >= highest)


def _axes(width: int, height: int, tops: Mapping[str, float]) -> Iterator[str]:
    places = {"LEFT_AXIS": (LEFT - 6, "end"), "RIGHT_AXIS": (width - RIGHT + 6, "start")}
    for step in range(STEPS + 1):
        y = _y(height, step / STEPS)
        yield f"<path d='M{LEFT} {y:.1f}H{width - RIGHT}' stroke='{GRID_COLOUR}'/>"
        for axis, top in tops.items():
            x, anchor = places[axis]
            yield _text(x, y + 4, f"{top * step / STEPS:g}", anchor=anchor)


def _labels(width: int, height: int, labels: Sequence[str]) -> Iterator[str]:
    every = math.ceil(len(labels) / LABELS_MAX)
    for at in range(0, len(labels), every):
        yield _text(_x(width, at, len(labels)), height - BOTTOM + 18, labels[at], size=11)


def _drawn(series: Series, size: tuple[int, int], top: float, colour: str) -> str:
    _, kind, _, numbers = series
    width, height = size
    points = [(_x(width, at, len(numbers)), _y(height, number / top)) for at, number in enumerate(numbers)]
    if kind == "LINE":
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"
    half, floor = 0.35 * (width - LEFT - RIGHT) / len(numbers), _y(height, 0)
    return "".join(
        f"<rect x='{x - half:.1f}' y='{y:.1f}' width='{2 * half:.1f}' height='{floor - y:.1f}' fill='{colour}'/>"
        for x, y in points
    )


def _titles(width: int, height: int, axes: Mapping[str, str]) -> Iterator[str]:
    middle = (TOP + height - BOTTOM) / 2
    yield _text(width / 2, height - BOTTOM + 42, axes["BOTTOM_AXIS"])
    for x, name in ((16, "LEFT_AXIS"), (width - 10, "RIGHT_AXIS")):
        yield f"<g transform='rotate(-90 {x} {middle})'>{_text(x, middle, axes[name])}</g>"


def _legend(width: int, height: int, names: Sequence[str]) -> Iterator[str]:
    for at, (name, colour) in enumerate(zip(names, COLOURS, strict=True)):
        x = width / 2 + (at - len(names) / 2) * 90
        yield f"<rect x='{x}' y='{height - 28}' width='12' height='12' fill='{colour}'/>"
        yield _text(x + 18, height - 17, name, anchor="start")


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, colour: str = INK) -> str:
    look = f"text-anchor='{anchor}' font-size='{size}' fill='{colour}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {look}>{escape(text)}</text>"


def _x(width: int, at: int, count: int) -> float:
    return LEFT + (width - LEFT - RIGHT) * (at + 0.5) / count


def _y(height: int, share: float) -> float:
    return height - BOTTOM - (height - TOP - BOTTOM) * share
