"""Find the address in a text that a person has copied from a document, a message, a web page, a spreadsheet or a list.

Pure. It knows only YouTube's host names, by which it recognizes a second address without a scheme.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.text import truncate

MAX_CHARACTERS = 8000
"""The longest accepted address; a longer one is a mistake."""
ONE_ADDRESS = "give one address per cell or line; a file separates fields by |, or begins with a line of their names"

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]"
)
_FORBIDDEN = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OPENING = "<>\"'`´“”„‟‚‛‘’«»‹›「」『』《》〈〉【】（）([{"
_CLOSING = "<>\"'`´“”„‟‚‛‘’«»‹›「」『』《》〈〉【】（.,;:!。、，；：！"
_BRACKETS = {")": "(", "]": "[", "}": "{", "）": "（"}

_WRAPPERS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r'=\s*[^\W\d][\w.]*\(\s*"([^"]+)".*\)',  # =HYPERLINK("address"; "text"), in any language
        r'=\s*"([^"]+)"',
        r"!?\[[^\]]*\]\(\s*<?([^\s<>]+?)>?(?:\s+[\"'(].*)?\s*\)",  # Markdown
        r"\[[^\]]*\]:\s*<?(\S+?)>?",
        r"<(?:a|iframe|embed)\b[^>]*?\s(?:href|src)\s*=\s*[\"']?([^\"'\s>]+).*>",  # HTML
        r"<((?:https?:)?//[^|<>\s]+)\|[^<>]*>",  # chat programs
        r"\[url=[\"']?([^\]\"']+)[\"']?\].*\[/url\]",  # forums
        r"\[url\](.+)\[/url\]",
        r"(?:[-–—−*•·‣▪●◦+>→]|\d{1,5}[.):]?)\s+(\S.*)",  # an item of a list
    )
)
"""Patterns of the text around an address. The only group of each contains the address."""

_ESCAPED = (
    (re.compile(r"\\u00([23][0-9a-f])", re.IGNORECASE), lambda match: chr(int(match[1], 16))),  # JSON
    (re.compile(r"\\([/_&?=*~#.\-@])"), lambda match: match[1]),  # JSON and Markdown
)
_ENCODED = re.compile(r"https?(?:%(?:25)*3A)(?:/|%(?:25)*2F){2}", re.IGNORECASE)
_YOUTUBE = r"(?:[a-z0-9-]+\.)*youtu(?:be(?:-nocookie|kids)?\.com|\.be)(?=[/:?#\s]|\Z)"
_SECOND = re.compile(
    rf"[\s,;|]+(?:and\s+|[&+]\s*)?[<(\"'“]*(?:(?:https?:)?//|{_YOUTUBE})|(?<=[^=/:#?&\s])https?://", re.IGNORECASE
)
_ANY_ADDRESS = re.compile(rf"https?://|{_YOUTUBE}", re.IGNORECASE)
_CUT_OFF = re.compile(r"(?:…|\.{3})[\"'”’)\]]*\Z")


def quote_for_message(text: str) -> str:
    """Return the text as one short line for a message, escaped if it is not printable."""
    return ascii(truncate(text, 120)) if not text.isprintable() else f"“{truncate(text, 120)}”"


def check_label(name: str, text: str) -> str:
    """Return the text of a field next to an address, such as Accent. Raises BadUrl if it contains an address."""
    if _ANY_ADDRESS.search(text):
        raise BadUrl(f"{name} contains an address, {quote_for_message(text)}; {ONE_ADDRESS}")
    return text


def address_in(text: str) -> str:
    """Return the address in a copied text, without spaces, quotes, brackets, markup and punctuation around it.

    Raises BadUrl if the text is empty, contains two addresses or other text, or is cut off.
    """
    clean = _INVISIBLE.sub("", text).replace("＠", "@").strip()
    if len(clean) > MAX_CHARACTERS:
        raise BadUrl(
            f"{quote_for_message(clean)} is longer than {MAX_CHARACTERS} characters, too long for an address; {ONE_ADDRESS}"
        )
    for _ in range(4):  # nested, such as a list item with a formula that contains an address in angle brackets
        before, clean = clean, _trimmed(_unwrapped(clean))
        if clean == before:
            break
    for pattern, replacement in _ESCAPED:
        clean = pattern.sub(replacement, clean)
    for _ in range(3):
        clean = unquote(clean) if _ENCODED.match(clean) else clean
    _check(clean)
    return clean


def _unwrapped(text: str) -> str:
    for pattern in reversed(_WRAPPERS):  # list items first, because they contain the others
        if match := pattern.fullmatch(text):
            text = match[1]
    return text


def _trimmed(text: str) -> str:
    """Remove quotes and punctuation of a sentence. Keep a closing bracket that was opened in the text."""
    if _CUT_OFF.search(text):
        raise BadUrl(f"{quote_for_message(text)} is cut off at its end: give the whole address")
    text = text.strip().lstrip(_OPENING).strip()
    while text and (text[-1] in _CLOSING or _is_unbalanced(text)):
        text = text[:-1].rstrip()
    return text


def _is_unbalanced(text: str) -> bool:
    opening = _BRACKETS.get(text[-1])
    return opening is not None and text.count(text[-1]) > text.count(opening)


def _check(clean: str) -> None:
    """Raise BadUrl unless the text can be one address."""
    if not clean:
        raise BadUrl("empty: give the address of a YouTube channel, playlist or video")
    if _SECOND.search(clean, 1):
        raise BadUrl(
            f"{quote_for_message(clean)} contains two addresses, or other text next to an address; {ONE_ADDRESS}"
        )
    if _FORBIDDEN.search(clean):
        raise BadUrl(
            f"{quote_for_message(clean)} contains a space or a character that addresses cannot contain; {ONE_ADDRESS}"
        )
