"""Text from YouTube in Markdown is shown literally, whatever it looks like."""

from __future__ import annotations

import re
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from youtube_download_coordinator.prefect.markdown import JOINER, TEXT_MAX_CHARACTERS, inert, plain, table
from youtube_download_coordinator.text import truncate

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
@example("[click](javascript:alert(1))")
@example("<img src=x onerror=alert(1)> &lt;")
@example("a | b ` c ` **d** ~~e~~ # f")
@example("1. one")
@example("- - -")
@example("\\")
@example("x" * 200)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    shown = escape(truncate(text, TEXT_MAX_CHARACTERS), quote=False).replace('"', "&quot;")
    assert RENDERER.render(plain(text)).strip() == (f"<p>{shown}</p>" if shown else "")


@pytest.mark.parametrize("text", ["https://example.org", "www.example.org", "me@example.org"])
def test_no_text_becomes_an_address(text: str) -> None:
    """Renderers with GitHub's extensions link what looks like one."""
    assert text not in plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org", "HTTP://example.org/x", "see ftp://example.org", "www.example.org", "WWW.example.org",
        "me@example.org", "mailto:me@example.org", "xmpp:me@example.org", "//example.org", "https://[::1]/",
    ],
)  # fmt: skip
def test_no_cell_becomes_an_address(text: str) -> None:
    """In Prefect's newer interface, and in renderers with GitHub's extensions, which link what looks like an address."""
    shown = inert(text)
    assert shown.replace(JOINER, "") == text
    assert not re.search(r"\b(?:https?|ftp)://|\bwww\.|\w@\w|(?:mailto|xmpp):\w", shown, re.IGNORECASE)


def test_a_text_with_a_bar_stays_in_its_cell() -> None:
    html = RENDERER.render(table(("Video", "Outcome"), [("a | b", "done"), ("c\nd", "dead")]))
    assert "<td>a | b</td>\n<td>done</td>" in html
    assert "<td>c d</td>\n<td>dead</td>" in html


def test_no_rows_no_table() -> None:
    assert table(("Video",), []) == ""


@given(st.text("[]()<>!:/abjxh \"'=&"))
@example("[click](javascript:alert(1))")
@example("![x](http://example.org/x.png)")
@example("<b>bold</b> <http://example.org> <!-- x -->")
@example("[click]: http://example.org\n[click]")
def test_a_cell_is_neither_a_link_nor_html_and_looks_the_same(text: str) -> None:
    html = RENDERER.render(inert(text))
    assert not re.search(r"<(?!/?(p|h[12]|pre|code|blockquote|ul|ol|li)\b)", html)
    assert inert(text).replace(JOINER, "") == text
