"""Draw the set-up at Google for docs/google.md: `python -m tools.pictures.google_drawings`, into docs/images.

Three drawings show the parts of the set-up and their connections. They do not show Google's own pages, which change, and they
state this. Names and values in them are made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from tools.pictures.dark import STYLE

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ADDRESS = "workers@my-project.iam.gserviceaccount.com"
"""The service account of docs/google.md."""
NOT_GOOGLES = "A drawing, not a picture of Google's pages. Names are made up."
INK, PALE, ACCENT, SECRET = "#222", "#f3f3f8", "#5b4bb5", "#b3261e"
FONT, MONOSPACE = "font-family='sans-serif'", "font-family='DejaVu Sans Mono, Menlo, Consolas, monospace'"
LINE_PIXELS = 18

KEY_FILE = (
    ("type", "service_account"),
    ("project_id", "my-project"),
    ("private_key_id", "5f0c...e1"),
    ("private_key", None),
    ("client_email", ADDRESS),
    ("client_id", "100000000000000000001"),
    ("token_uri", "https://oauth2.googleapis.com/token"),
)
"""The lines of a key file that matter here; None: a secret value."""
KEY_NOTES = {
    "type": "another type? Not a service account's key",
    "project_id": "step 2 is done in this project",
    "private_key": "the secret: treat the file as a password",
    "client_email": "the address to share with in step 5",
}


def drawings() -> dict[str, str]:
    """Return every drawing as SVG, by its file name."""
    return {
        "google-setup.svg": _svg(940, 470, "The parts of the set-up", _setup()),
        "google-share.svg": _svg(760, 262, "Sharing of the spreadsheet", _share()),
        "google-key-file.svg": _svg(900, 250, "A service account's key file", _key_file()),
    }


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Draw on a white background, which a dark page shows dark."""
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>{STYLE}\n"
        f"<title>{escape(title)}</title>"
    )
    arrow = (
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto-start-reverse'>"
        f"<path d='M0 0 8 4 0 8z' fill='{ACCENT}'/></marker></defs>"
    )
    source = _text(width - 14, height - 10, NOT_GOOGLES, size=11, anchor="end", colour="#666")
    return "\n".join(
        (head, arrow, f"<rect width='{width}' height='{height}' fill='white'/>", *parts, source, "</svg>\n")
    )


# --- the drawings ----------------------------------------------------------------------------------------------------


def _setup() -> Iterator[str]:
    """Draw the parts of the set-up and their connections, with the steps of the page."""
    yield _box(370, 14, 210, 36, ["You, with your Google account"], bold=False)
    yield from _step(20, 92, 480, 150, 1, "A project, at Google's console", group=True)
    yield _box(40, 150, 170, 72, ["", "Google Sheets API", "enabled"])
    yield _number(40, 150, 2)
    yield _box(236, 136, 250, 92, ["", "A service account", *_broken(ADDRESS)])
    yield _number(236, 136, 3)
    yield _sheet(650, 112)
    yield _number(650, 112, 5)
    yield from _step(20, 330, 900, 104, None, "Each worker's machine", group=True)
    yield _box(264, 366, 194, 50, ["service-account.json", "read by the worker alone"])
    yield _number(264, 366, 4)
    yield _box(508, 366, 160, 50, [".env", "both are named here"])
    yield _number(508, 366, 6)
    yield _box(740, 366, 140, 50, ["ydc", "init, doctor, run"])
    yield _number(740, 366, 7)
    yield _arrow(400, 50, 300, 92)
    yield _arrow(540, 50, 700, 112)
    yield _text(312, 78, "makes", anchor="end")
    yield _text(640, 78, "makes")
    yield _arrow(650, 180, 486, 180)
    yield _text(568, 172, "shared with its", anchor="middle")
    yield _text(568, 200, "address, as Editor", anchor="middle")
    yield _arrow(361, 228, 361, 366)
    yield _text(371, 290, "its key, downloaded")
    yield _arrow(508, 391, 458, 391)
    yield _arrow(740, 391, 668, 391)
    yield _text(704, 384, "reads", anchor="middle")
    yield _arrow(810, 366, 810, 240)
    yield _text(800, 290, "signs in with the key,", anchor="end")
    yield _text(800, 290 + LINE_PIXELS, "reads and writes", anchor="end")


def _share() -> Iterator[str]:
    """Draw the required content of the dialogue, whatever it looks like."""
    yield _box(20, 20, 470, 196, [])
    yield _text(40, 48, "Share “Speech corpus”", bold=True, size=15)
    yield _text(40, 82, "with", colour="#666")
    yield _box(40, 90, 430, 32, [], fill="white")
    yield _text(52, 111, ADDRESS, font=MONOSPACE, size=12)
    yield _text(40, 148, "who may be", colour="#666")
    for at, (role, chosen) in enumerate((("Viewer", False), ("Commenter", False), ("Editor", True))):
        yield _choice(52 + at * 140, 172, role, chosen=chosen)
    yield _note(506, 106, 470, ["the whole address,", "as the key file has it"])
    yield _note(506, 172, 396, ["Editor: workers write;", "nothing less will do"])
    yield _text(40, 204, "A message to the account is no use: nobody reads its mail.", size=12, colour="#666")


def _key_file() -> Iterator[str]:
    """Draw the fields with their purposes, the secret ones blacked out."""
    yield _box(20, 16, 540, 206, [])
    yield _code(36, 38, "{")
    for at, (name, value) in enumerate(KEY_FILE, start=1):
        y = 38 + at * 20
        shown = f'"{value}"' if value is not None else '"'
        yield _code(60, y, f'"{name}": {shown}{"," if value else ""}')
        if value is None:
            yield f"<rect x='{60 + 8 * (len(name) + 6)}' y='{y - 12}' width='{240}' height='15' fill='black'/>"
        if name in KEY_NOTES:
            yield _note(576, y - 4, 556, [KEY_NOTES[name]], colour=SECRET if value is None else ACCENT)
    end = 38 + 20 * (len(KEY_FILE) + 1)
    yield _text(60, end, "... and more addresses of Google's", size=12, colour="#666")
    yield _code(36, end + 20, "}")


# --- their parts -------------------------------------------------------------------------------------------


def _broken(address: str) -> list[str]:
    name, _, host = address.partition("@")
    return [f"{name}@", host]


def _step(
    x: int, y: int, width: int, height: int, number: int | None, title: str, *, group: bool = False
) -> Iterator[str]:
    yield _box(x, y, width, height, [], fill="white" if group else PALE, dashed=group)
    if number is not None:
        yield _number(x, y, number)
    yield _text(x + 26, y + 24, title, bold=True)


def _box(
    x: int,
    y: int,
    width: int,
    height: int,
    lines: list[str],
    *,
    fill: str = PALE,
    dashed: bool = False,
    bold: bool = True,
) -> str:
    """Draw a box with centred lines of text, the first non-empty one in bold."""
    dashes = " stroke-dasharray='6 4'" if dashed else ""
    rect = f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='8' fill='{fill}' stroke='#8a8a99'{dashes}/>"
    top = y + height / 2 - LINE_PIXELS * len(lines) / 2 + 13
    first = next((at for at, line in enumerate(lines) if line), None)
    texts = (
        _text(x + width / 2, top + at * LINE_PIXELS, line, anchor="middle", bold=bold and at == first)
        for at, line in enumerate(lines)
    )
    return rect + "".join(texts)


def _sheet(x: int, y: int) -> str:
    """Draw a spreadsheet: its name, with lines and columns below."""
    frame = f"<rect x='{x}' y='{y}' width='240' height='128' rx='4' fill='{PALE}' stroke='#8a8a99'/>"
    across = "".join(f"<path d='M{x} {y + 40 + at * 22}h240' stroke='#c9c9d6'/>" for at in range(4))
    down = "".join(f"<path d='M{x + at * 60} {y + 40}v88' stroke='#c9c9d6'/>" for at in range(1, 4))
    return frame + across + down + _text(x + 28, y + 26, "The spreadsheet", bold=True)


def _number(x: float, y: float, number: int) -> str:
    """Draw the number of a step on a corner."""
    disc = f"<circle cx='{x + 4}' cy='{y + 4}' r='13' fill='{ACCENT}'/>"
    return disc + _text(x + 4, y + 9, str(number), anchor="middle", bold=True, colour="white", size=14)


def _choice(x: int, y: int, role: str, *, chosen: bool) -> str:
    dot = f"<circle cx='{x}' cy='{y}' r='4' fill='{ACCENT}'/>" if chosen else ""
    ring = f"<circle cx='{x}' cy='{y}' r='8' fill='white' stroke='{ACCENT if chosen else '#8a8a99'}' stroke-width='2'/>"
    return ring + dot + _text(x + 16, y + 5, role, bold=chosen)


def _note(x: int, y: int, target: int, lines: list[str], colour: str = ACCENT) -> str:
    """Draw a note beside the drawing, with a line to its subject."""
    line = f"<path d='M{x - 4} {y}H{target}' stroke='{colour}' stroke-width='1.5'/>"
    dot = f"<circle cx='{target}' cy='{y}' r='3' fill='{colour}'/>"
    return (
        line + dot + "".join(_text(x, y + 5 + at * LINE_PIXELS, text, colour=colour) for at, text in enumerate(lines))
    )


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f"<path d='M{x1} {y1}L{x2} {y2}' stroke='{ACCENT}' stroke-width='1.5' marker-end='url(#tip)'/>"


def _code(x: int, y: int, text: str) -> str:
    return _text(x, y, text, font=MONOSPACE, size=12)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    anchor: str = "start",
    bold: bool = False,
    colour: str = INK,
    font: str = FONT,
) -> str:
    weight = " font-weight='bold'" if bold else ""
    return (
        f"<text x='{x:g}' y='{y:g}' {font} font-size='{size}'{weight} text-anchor='{anchor}' fill='{colour}'>"
        f"{escape(text)}</text>"
    )


def main() -> None:
    for name, svg in drawings().items():
        (IMAGES / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
