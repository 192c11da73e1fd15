"""Generated pages are up to date, and the documentation has no dead links. `make docs` checks links within the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_google.accounts import Accounts
from tools.docs.settings_page import document
from tools.pictures.dark import with_dark
from tools.pictures.drawings import IMAGES, fingerprint
from tools.pictures.google_drawings import KEY_FILE, drawings
from youtube_download_coordinator.config import Config

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub and the site make them, and those in its text."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    names = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return names | set(re.findall(r'<span id="([^"]+)">', prose))


def dead_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if link.startswith(("https://", "http://")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_belongs_to_a_line_of_a_list_is_indented_as_the_site_needs_it(page: Path) -> None:
    """By four spaces: by fewer, GitHub shows a block in the list, and the site the source of one, with the list torn apart."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.match(r" {1,3}(```|!\[|[*-] |\d+\. |\|)", line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "[a](#of-it) [b](#of-this) [c](missing.md) [d](page.md#of-it) [f](#f)"
    page.write_text(f'# Of it\n{text}\n<span id="f">F</span>\n```\n[e](no)\n```\n')
    assert list(dead_links(page)) == ["#of-this", "missing.md"]


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == document(), (
        "python -m tools.docs.settings_page > docs/settings.md"
    )


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    assert Config.model_fields[name].description
    assert f"`YDC_{name.upper()}`" in document()


@pytest.mark.parametrize("source", sorted(IMAGES.glob("*.mmd")), ids=lambda path: path.stem)
def test_a_drawing_is_that_of_its_source(source: Path) -> None:
    drawn = source.with_suffix(".svg").read_text(encoding="utf-8")
    assert drawn.startswith(fingerprint(source.read_text(encoding="utf-8"))), (
        "python -m tools.pictures.drawings mermaid.min.js"
    )


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_drawing_has_colours_for_a_dark_page(path: Path) -> None:
    drawn = path.read_text(encoding="utf-8")
    assert drawn == with_dark(drawn)
    assert "background: white" not in drawn, "the filter misses a background that is a style"


@pytest.mark.parametrize("name", drawings())
def test_a_drawing_of_the_set_up_is_up_to_date(name: str) -> None:
    assert (IMAGES / name).read_text(encoding="utf-8") == drawings()[name], "python -m tools.pictures.google_drawings"


def test_the_drawn_key_file_has_the_fields_of_one() -> None:
    key = Accounts().add("worker").key_info("https://oauth2.googleapis.com/token")
    assert {name for name, _ in KEY_FILE} <= key.keys()
    assert dict(KEY_FILE)["private_key"] is None
