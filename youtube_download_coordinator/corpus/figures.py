"""Draw the figures of a card: bar charts as SVG, by pygal. The same numbers give the same bytes on every day and machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.text import truncate

INSTALL_HINT = "the figures of a card need pygal (the extra card): pip install pygal"
BARS_MAX = 12
LABEL_MAX_CHARACTERS = 28
_SVG = "http://www.w3.org/2000/svg"
_WIDTH, _BAR_HEIGHT, _FRAME_HEIGHT = 820, 34, 90
_BLUE = "#2563a8"


class Bar(NamedTuple):
    """A bar and the text at its end. Texts contain no control characters."""

    label: str
    value: float
    text: str


def bars(title: str, description: str, values: Sequence[Bar]) -> bytes:
    """Return a figure with horizontal bars, the first at the top. Raises ConfigError if pygal is not installed."""
    chart = _chart(title, len(values))
    chart.x_labels = [truncate(bar.label, LABEL_MAX_CHARACTERS) for bar in reversed(values)]
    chart.add("", [{"value": bar.value, "formatter": lambda _, text=bar.text: text} for bar in reversed(values)])
    return _plain(chart.render_tree(), title, description)


def _chart(title: str, bar_count: int) -> Any:
    try:
        import pygal
        from pygal.etree import etree
        from pygal.style import Style
    except ImportError:
        raise ConfigError(INSTALL_HINT) from None
    # pygal adds an import finder for its maps. Python 3.11 warns about it at each failed import, and 3.12 ignores it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    etree.to_etree()  # the same bytes with and without lxml
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        colors=(_BLUE,),
        opacity="1",
        font_family="sans-serif",
        title_font_size=18,
        label_font_size=14,
        major_label_font_size=14,
        value_font_size=14,
        value_colors=("#111111",),
        guide_stroke_color="#cccccc",
        major_guide_stroke_color="#cccccc",
    )
    return pygal.HorizontalBar(
        style=style,
        title=title,
        width=_WIDTH,
        height=_FRAME_HEIGHT + _BAR_HEIGHT * max(bar_count, 1),
        explicit_size=True,
        no_prefix=True,  # else names contain a random number
        js=(),
        show_legend=False,
        print_values=True,
        print_values_position="top",
        show_x_labels=False,  # no scale below, because each bar has its number
        show_y_guides=False,
        show_x_guides=False,
        include_x_axis=True,
        margin_right=130,
    )


def _plain(root: ElementTree.Element, title: str, description: str) -> bytes:
    """Return a figure without scripts and the current date, with a description for people who cannot see it."""
    for parent in root.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):
                parent.remove(child)
            elif child.get("class") == "value" and child.get("text-anchor"):
                child.set("text-anchor", "start")  # beside the bar rather than across its end
    root.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-label", f"{title}: {description}")
    for child in list(root):
        if child.tag.endswith(("title", "desc")):
            root.remove(child)
    for number, (name, text) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(name)
        child.text = text
        root.insert(number, child)
    return bytes(ElementTree.tostring(root, encoding="utf-8")) + b"\n"
