"""Videos and hours done each day as a picture in Markdown: an SVG in a data URI, which both of Prefect's UIs show.

It has numbers and dates in it and nothing else. A library that draws would weigh more than the whole project for one picture.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from youtube_download_coordinator.operations.overview import Day

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 60, 60, 40, 30
"""Room around the plot, for its labels."""
BAR_PART = 0.7
"""Of a day's room."""
VIDEOS, HOURS, INK, PAPER = "#2e7d32", "#c2571a", "#444444", "#ffffff"
SECONDS_PER_HOUR = 3600


def plot(days: Sequence[Day]) -> str:
    """The picture, as Markdown; nothing where nothing was done."""
    if not any(day.videos for day in days):
        return ""
    picture = base64.b64encode(ET.tostring(_drawing(days))).decode()
    return f"![Videos and hours done each day](data:image/svg+xml;base64,{picture})\n"


def _drawing(days: Sequence[Day]) -> ET.Element:
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", width=f"{WIDTH}", height=f"{HEIGHT}")
    svg.append(_shape("rect", width=WIDTH, height=HEIGHT, fill=PAPER))  # the older UI is dark, the newer one light
    svg.extend(_bars([day.videos for day in days]))
    svg.append(_line([day.seconds / SECONDS_PER_HOUR for day in days]))
    base = HEIGHT - BOTTOM
    svg.append(_shape("line", x1=LEFT, y1=base, x2=WIDTH - RIGHT, y2=base, stroke=INK))
    svg.extend(_labels(days))
    return svg


def _bars(videos: Sequence[int]) -> Iterator[ET.Element]:
    room = _room(len(videos))
    for at, number in enumerate(videos):
        height = _height(number, max(videos))
        left = LEFT + room * (at + (1 - BAR_PART) / 2)
        yield _shape("rect", x=left, y=HEIGHT - BOTTOM - height, width=room * BAR_PART, height=height, fill=VIDEOS)


def _line(hours: Sequence[float]) -> ET.Element:
    room, most = _room(len(hours)), max(hours)
    points = (
        f"{LEFT + room * (at + 0.5):.1f},{HEIGHT - BOTTOM - _height(each, most):.1f}" for at, each in enumerate(hours)
    )
    return _shape("polyline", points=" ".join(points), fill="none", stroke=HOURS, stroke_width=2)


def _labels(days: Sequence[Day]) -> Iterator[ET.Element]:
    """What the axes go up to, what they are of, and the first and the last day."""
    videos, hours = max(day.videos for day in days), max(day.seconds for day in days) / SECONDS_PER_HOUR
    last, below = WIDTH - RIGHT, HEIGHT - BOTTOM + 18
    yield _text(f"{videos:,}", LEFT - 8, TOP + 4, VIDEOS, "end")
    yield _text("videos", LEFT, TOP - 18, VIDEOS, "start")
    yield _text(f"{hours:,.1f}", last + 8, TOP + 4, HOURS, "start")
    yield _text("hours", last, TOP - 18, HOURS, "end")
    yield _text(f"{days[0].day}", LEFT, below, INK, "start")
    yield _text(f"{days[-1].day}", last, below, INK, "end")


def _room(days: int) -> float:
    return (WIDTH - LEFT - RIGHT) / days


def _height(number: float, most: float) -> float:
    return (HEIGHT - TOP - BOTTOM) * number / most if most else 0.0


def _text(text: str, x: float, y: float, colour: str, anchor: str) -> ET.Element:
    label = _shape("text", x=x, y=y, fill=colour, text_anchor=anchor, font_family="sans-serif", font_size=13)
    label.text = text
    return label


def _shape(kind: str, **attributes: float | str) -> ET.Element:
    written = {
        name.replace("_", "-"): f"{value:g}" if isinstance(value, int | float) else value
        for name, value in attributes.items()
    }
    return ET.Element(kind, written)
