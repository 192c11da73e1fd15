"""Sources from a text file with one source a line, `URL|Accent|Type`; Accent and Type may be omitted.

Empty lines, lines that begin with `#` and a header line `URL|Accent|Type` are skipped. A line that does not parse is reported
with its number; the other lines are still added.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from youtube_download_coordinator.errors import BadUrl, SourcesFileError, StoreFull, UserError
from youtube_download_coordinator.models import SHEET_COLUMNS, Lease, Source
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.maintenance import batches
from youtube_download_coordinator.queue.store import SOURCES, Store
from youtube_download_coordinator.sources.filters import COLUMNS, filter_column, read_column
from youtube_download_coordinator.sources.urls import source_target
from youtube_download_coordinator.text import did_you_mean, sanitize

NO_LEASE = Lease(nonce="")
"""The lease of a row until the queue inserts it."""
LINE_MAX_CHARACTERS = 10_000
PROBLEMS_KEPT = 1000
"""A file of another format has a problem in every line; further ones are only counted."""


@dataclass(slots=True, kw_only=True)
class Ingested:
    """The results of adding a file's lines."""

    added: int = 0
    known: int = 0
    bad: int = 0
    full: bool = False
    """The store had no room for the remaining lines."""
    problems: list[str] = field(default_factory=list)
    """The first problems, one line each with its line number."""

    @property
    def failed(self) -> bool:
        """Whether any line of the file was not added."""
        return self.full or self.bad > 0

    def __str__(self) -> str:
        rest = ", and no room for the rest" if self.full else ""
        return f"{self.added} new, {self.known} known already, {self.bad} not understood{rest}"


def new_source(url: str, accent: str = "", type_: str = "", *, allow_other_sites: bool = False) -> Source:
    """Return a source to insert. Raises BadUrl."""
    target = source_target(url, allow_other_sites=allow_other_sites)
    accent, type_ = sanitize(accent).strip(), sanitize(type_).strip()
    return Source(url=target.url, key=target.key, accent=accent, type=type_, lease=NO_LEASE)


def with_columns(source: Source, texts: Mapping[str, str], store: Store) -> Source:
    """Return the source with texts in custom columns. Columns of filters and RefreshHours are added to a sheet.

    Raises BadFilter; UserError for any other column that does not exist, and for a misspelt filter.
    """
    existing = store.custom_columns(SOURCES)
    extra: dict[str, str] = {}
    for name, text in texts.items():
        column = filter_column(name)
        if column and text.strip():
            read_column(column, text)
        extra[_column_name(name, column, existing)] = sanitize(text).strip()
    if missing := [column for column in extra if existing is not None and column not in existing]:
        store.add_columns(SOURCES, missing)
    return replace(source, extra=extra)


def _column_name(name: str, filter_name: str | None, existing: Collection[str] | None) -> str:
    """Return the name of a custom column as it is spelled in the store, or as it is to be added. Raises UserError."""
    name = sanitize(name).strip()
    spelled = next((column for column in existing or () if column.strip().casefold() == name.casefold()), None)
    if spelled or filter_name:
        return spelled or filter_name or name
    if name.casefold() in {column.casefold() for column in (*Source.column_names(), *SHEET_COLUMNS)} or not name:
        raise UserError(f"{name or 'a column without a name'} cannot be set: it is the coordinator's own")
    if suggestion := did_you_mean(name, COLUMNS):
        raise UserError(f"there is no column {name}{suggestion}")
    if existing is not None:
        raise UserError(f"there is no column {name} in the tab of the sources: add it there, or leave it out")
    return name


def ingest_file(queue: Queue, path: Path, *, allow_other_sites: bool = False) -> Ingested:
    """Insert the sources of a file that are not known yet. Raises SourcesFileError when it cannot be read.

    A full store is reported as a problem and not raised: workers can still process the rows it has.
    """
    result = Ingested()
    try:
        for batch in batches(_sources(path, allow_other_sites, result)):
            ids = queue.add(SOURCES, batch)
            result.added += sum(row_id is not None for row_id in ids)
            result.known += sum(row_id is None for row_id in ids)
    except StoreFull as error:
        result.full = True
        result.problems.append(f"{path}: {error}")
    return result


def _sources(path: Path, allow_other_sites: bool, result: Ingested) -> Iterator[Source]:
    for number, line in _lines(path):
        if not line or line.startswith("#") or line.lower() == "url|accent|type":
            continue
        try:
            yield _source(line, allow_other_sites)
        except (BadUrl, UnicodeError) as problem:
            result.bad += 1
            if result.bad <= PROBLEMS_KEPT:
                result.problems.append(f"{path}, line {number}: {problem}")


def _source(line: str, allow_other_sites: bool) -> Source:
    if len(line) > LINE_MAX_CHARACTERS:
        raise BadUrl(f"more than {LINE_MAX_CHARACTERS} characters; a line is URL|Accent|Type")
    if "\ufffd" in line:
        raise BadUrl("not UTF-8 text; save the file as UTF-8")
    fields = [part.strip() for part in line.split("|")]
    if len(fields) > 3:
        raise BadUrl(f"{len(fields)} fields; a line is URL|Accent|Type")
    return new_source(*fields, allow_other_sites=allow_other_sites)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines without line ends. Undecodable bytes become U+FFFD, so that one bad line affects no other."""
    try:
        with path.open("rb") as file:
            encoding = "utf-16" if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"
        with path.open(encoding=encoding, errors="replace") as text:
            yield from _numbered(text)
    except OSError as error:
        raise SourcesFileError(f"the sources file {str(path)!r} cannot be read: {error.strerror}") from None


def _numbered(text: TextIO) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, only the beginning of a line that is too long, so that no file fills the memory."""
    number, is_continued = 1, False
    while part := text.readline(LINE_MAX_CHARACTERS + 2):
        if not is_continued:
            yield number, part if len(part) > LINE_MAX_CHARACTERS + 1 else part.strip()
        is_continued = not part.endswith("\n")
        number += not is_continued
