"""Draw docs/images/*.mmd: `python -m tools.pictures.drawings mermaid.min.js`.

The site must be readable without a network, but its theme would load Mermaid from one. So the drawings are committed as SVG,
each with the fingerprint of its source. The script is `dist/mermaid.min.js` of the npm package `mermaid`; chromium must be on
PATH.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from tools.pictures.dark import with_dark

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
SETTINGS = {
    "startOnLoad": False,
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False},
    "themeVariables": {"edgeLabelBackground": "white"},
    "fontFamily": "sans-serif",
}
"""Labels as SVG text: HTML inside an image is not shown everywhere."""
PAGE = """<!doctype html><meta charset="utf-8"><body><script src="{script}"></script><script>
mermaid.initialize({settings});
mermaid.render("drawing", {source}).then(drawn => {{ document.body.innerHTML = drawn.svg; }});
</script>"""


def fingerprint(source: str) -> str:
    """Return a comment that identifies the source of a drawing."""
    return f"<!-- drawn from {sha256(source.encode()).hexdigest()} -->"


def draw(source: str, mermaid: Path) -> str:
    """Draw the source as SVG. Raises ValueError if Mermaid does not understand it."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        settings, quoted = json.dumps(SETTINGS), json.dumps(source)
        page.write_text(PAGE.format(script=mermaid.resolve().as_uri(), settings=settings, source=quoted))
        command = [*CHROMIUM, f"--user-data-dir={folder}/profile", page.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    drawn = re.search(r"<body[^>]*>(<svg.*</svg>)", shown, flags=re.DOTALL)
    if not drawn or 'aria-roledescription="error"' in drawn[1]:
        raise ValueError("Mermaid does not understand it")
    return _on_white(drawn[1])


def _on_white(svg: str) -> str:
    """Make the SVG a standalone image with its own size, on white, which a dark page shows dark."""
    left, top, width, height = re.search(r'viewBox="(\S+) (\S+) (\S+) (\S+)"', svg).groups()  # type: ignore[union-attr]
    svg = svg.replace(
        ".edgeLabel rect{opacity:0.5;", ".edgeLabel rect{opacity:1;"
    )  # else a line runs through its label
    svg = svg.replace("<br>", "<br/>").replace('width="100%"', f'width="{width}" height="{height}"', 1)
    paper = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" style="fill: white; stroke: none"/>'
    svg = re.sub(r' style="(max-width:|background)[^"]*"', "", svg, count=1)
    return with_dark(re.sub(r"(<svg\b[^>]*>)", rf"\g<1>{paper}", svg, count=1))


def main() -> None:
    for path in sorted(IMAGES.glob("*.mmd")):
        source = path.read_text(encoding="utf-8")
        svg = draw(source, Path(sys.argv[1]))
        path.with_suffix(".svg").write_text(f"{fingerprint(source)}\n{svg}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
