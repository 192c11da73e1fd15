"""Sanitize other people's text: titles and names from YouTube, cells of a sheet."""

from __future__ import annotations

import unicodedata

from youtube_download_coordinator.text import literal_markdown

JOINERS = "\u200c\u200d"
"""Invisible characters that some scripts and emoji need."""
MAX_CHARACTERS = 80


def one_line(text: str) -> str:
    """Return the text as one line without invisible characters: controls, changes of direction, unassigned ones."""
    visible = (character if _is_visible(character) else " " for character in text)
    return " ".join("".join(visible).split())


def _is_visible(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character)[0] != "C"


def in_markdown(text: object) -> str:
    """Return one line of Markdown that shows the text literally, without links, HTML or new cells of a table."""
    return literal_markdown(one_line(str(text)), MAX_CHARACTERS)
