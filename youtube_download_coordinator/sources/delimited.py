"""Split lines into fields. They are separated by |, or have the CSV or TSV format with a header row that names the fields.

Pure. A field in quotes may contain the separator and line breaks.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from youtube_download_coordinator.errors import BadUrl, SourcesFileError

LINE_MAX_CHARACTERS = 10_000
RECORD_MAX_LINES = 20
"""The maximum number of lines of a field in quotes. A longer field has lost its closing quote."""
URL, ACCENT, TYPE = "URL", "Accent", "Type"

_LABELS: Mapping[str, str] = {
    **dict.fromkeys(("url", "urls", "link", "address", "sourceurl", "channelurl", "channellink", "playlisturl"), URL),
    **dict.fromkeys(("videourl", "videolink", "youtubeurl", "youtubelink", "webpageurl"), URL),
    "accent": ACCENT,
    "type": TYPE,
    "sourcetype": TYPE,
}
"""The labels of the coordinator's fields, in lower case and without spaces, hyphens and underscores."""
_SEPARATORS = ("\t", ";", ",", "|")
_QUOTED = frozenset("\t;,")
"""Separators of formats in which fields may be in quotes."""


class Line(NamedTuple):
    """A line of a file, or several lines that a field in quotes joins."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header: the separator and the names of the fields."""

    separator: str = "|"
    names: tuple[str, ...] = (URL, ACCENT, TYPE)

    def fields(self, text: str) -> dict[str, str]:
        """Return the fields of a line by name. Raises BadUrl if it has more than the header names."""
        if self.separator == "|" and text.count('"') == 2:  # a spreadsheet has saved the line as one field
            text = re.sub(r'\A"(.*)"\Z', r"\1", text)
        fields = _split(text, self.separator)
        if any(fields[len(self.names) :]) or (self.separator == "|" and len(fields) > len(self.names)):
            quotes = "" if self.separator == "|" else "; a field that contains the separator must be in quotes"
            raise BadUrl(f"{len(fields)} fields; a line is {self.separator.join(self.names)}{quotes}")
        return {name: field for name, field in zip(self.names, fields, strict=False) if name}


def header_in(text: str) -> Header | None:
    """Return the header in a line that names fields, including the URL, or None for any other line.

    Raises SourcesFileError if it names a field twice.
    """
    if "://" in text:
        return None
    rows = {separator: _split(text, separator) for separator in _SEPARATORS}
    separator, labels = max(rows.items(), key=lambda item: len(item[1]))
    names = tuple(_LABELS.get(re.sub(r"[\s_-]+", "", label).lower(), label) for label in labels)
    if URL not in names:
        return None
    twice = [name for name, count in Counter(name.casefold() for name in names if name).items() if count > 1]
    if twice:
        raise SourcesFileError(f"the header names the column {twice[0]} twice: rename or delete one of them")
    return Header(separator, names) if len(names) > 1 else Header()


def joined(lines: Iterable[Line], separator_of: Iterator[str]) -> Iterator[Line]:
    """Yield lines, joining those that a field in quotes spans. `separator_of` yields the separator of each line."""
    waiting: list[Line] = []
    for line in lines:
        is_quoted = next(separator_of) in _QUOTED
        if waiting and (not is_quoted or "://" in line.text or len(waiting) >= RECORD_MAX_LINES):
            yield from waiting  # the quote is never closed: do not lose further lines
            waiting = []
        waiting.append(line)
        text = "\n".join(part.text for part in waiting)
        if is_quoted and text.count('"') % 2 and len(text) <= LINE_MAX_CHARACTERS:
            continue
        yield Line(waiting[0].number, text) if len(waiting) > 1 else line
        waiting = []
    yield from waiting


def _split(text: str, separator: str) -> list[str]:
    """Return the fields of a text without blanks around them."""
    if separator in _QUOTED and text.count('"') % 2 == 0:
        rows = csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=separator != "\t")
        fields = next(rows, [])
    else:
        fields = text.split(separator)
    return [field.strip().strip("\ufeff") for field in fields]
