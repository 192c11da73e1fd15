"""Makes a drawing on white readable on a dark page too. Browsers choose by the page that shows the drawing."""

from __future__ import annotations

import re

STYLE = "<style>@media (prefers-color-scheme: dark) { :root { filter: invert(0.88) hue-rotate(180deg) } }</style>"
"""Lightness is turned round, hues stay."""


def with_dark(svg: str) -> str:
    """Add the colours for a dark page to an SVG, once. Its background must be a shape: the filter misses one that is a style."""
    if STYLE in svg:
        return svg
    return re.sub(r"(<svg\b[^>]*>)", rf"\g<1>{STYLE}", svg, count=1)
