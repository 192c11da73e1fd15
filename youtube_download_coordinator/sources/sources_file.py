"""Read sources from a text file with one source per line, `URL|Accent|Type`. Accent and Type may be omitted.

A header line may name other fields or another order, as in CSV and TSV files (delimited.py). Empty lines and lines that begin
with `#` are skipped. An invalid line is reported with its number; the other lines are still added.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from youtube_download_coordinator.errors import BadFilter, BadUrl, SourcesFileError, StoreFull, UserError
from youtube_download_coordinator.models import SHEET_COLUMNS, Lease, Source
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.maintenance import batches
from youtube_download_coordinator.queue.store import SOURCES, Store
from youtube_download_coordinator.sources.copied_text import check_label
from youtube_download_coordinator.sources.delimited import (
    ACCENT,
    LINE_MAX_CHARACTERS,
    TYPE,
    URL,
    Header,
    Line,
    header_in,
    joined,
)
from youtube_download_coordinator.sources.filters import COLUMNS, filter_column, read_column
from youtube_download_coordinator.sources.urls import source_target
from youtube_download_coordinator.text import did_you_mean, sanitize

NO_LEASE = Lease(nonce="")
"""The lease of a row until the queue inserts it."""
PROBLEMS_KEPT = 1000
"""The number of problems to keep. A file in another format has one in every line, so further problems are only counted."""


@dataclass(slots=True, kw_only=True)
class Ingested:
    """The counts and problems of adding a file's lines."""

    added: int = 0
    known: int = 0
    bad: int = 0
    full: bool = False
    """Whether the store had no room for the remaining lines."""
    problems: list[str] = field(default_factory=list)
    """The first problems, one line each with its line number."""
    ignored_columns: list[str] = field(default_factory=list)
    """Columns of a header that are neither the coordinator's fields nor columns of the sources."""

    @property
    def failed(self) -> bool:
        """Return whether any line of the file was not added."""
        return self.full or self.bad > 0

    def __str__(self) -> str:
        rest = ", and no room for the rest" if self.full else ""
        return f"{self.added} new, {self.known} already known, {self.bad} invalid{rest}"


def new_source(url: str, accent: str = "", type_: str = "", *, allow_other_sites: bool = False) -> Source:
    """Return a source to insert. Raises BadUrl."""
    target = source_target(url, allow_other_sites=allow_other_sites)
    accent, type_ = labels(accent, type_)
    return Source(url=target.url, key=target.key, accent=accent, type=type_, lease=NO_LEASE)


def labels(accent: str, type_: str) -> tuple[str, str]:
    """Return the fields as they are stored. Raises BadUrl if one contains an address."""
    return check_label(ACCENT, sanitize(accent).strip()), check_label(TYPE, sanitize(type_).strip())


def with_columns(source: Source, texts: Mapping[str, str], store: Store) -> Source:
    """Return the source with texts in custom columns. Columns of filters, RefreshHours and Priority are added to a sheet.

    Raises BadFilter, or UserError for any other column that does not exist and for a misspelt filter.
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
    """Return the name of a custom column with the spelling in the store, or of a new column. Raises UserError."""
    name = sanitize(name).strip()
    spelled = next((column for column in existing or () if column.strip().casefold() == name.casefold()), None)
    if spelled or filter_name:
        return spelled or filter_name or name
    if name.casefold() in {column.casefold() for column in (*Source.column_names(), *SHEET_COLUMNS)} or not name:
        raise UserError(f"{name or 'a column without a name'} cannot be set: only the coordinator writes it")
    if suggestion := did_you_mean(name, COLUMNS):
        raise UserError(f"there is no column {name}{suggestion}")
    if existing is not None:
        raise UserError(f"there is no column {name} in the tab of the sources: add it there, or leave it out")
    return name


def ingest_file(queue: Queue, path: Path, *, allow_other_sites: bool = False) -> Ingested:
    """Insert the new sources of a file. Raises SourcesFileError if it cannot be read.

    A full store is reported as a problem and not raised, because workers can still process the existing rows.
    """
    result = Ingested()
    try:
        for batch in batches(_FileReader(queue.store, path, allow_other_sites, result).sources()):
            ids = queue.add(SOURCES, batch)
            result.added += sum(row_id is not None for row_id in ids)
            result.known += sum(row_id is None for row_id in ids)
    except StoreFull as error:
        result.full = True
        result.problems.append(f"{path}: {error}")
    return result


class _FileReader:
    """A reader of one file of sources."""

    def __init__(self, store: Store, path: Path, allow_other_sites: bool, result: Ingested) -> None:
        self._store = store
        self._path = path
        self._allow_other_sites = allow_other_sites
        self._result = result
        self._header = Header()
        self._custom_columns: list[str] = []
        """The columns of the header that are read, except URL, Accent and Type."""

    def sources(self) -> Iterator[Source]:
        """Yield the sources of the valid lines. Count and report the others."""
        for number, text in joined(_lines(self._path), iter(lambda: self._header.separator, None)):
            if not text.strip(' \t,;|"') or text.lstrip().startswith("#") or re.fullmatch(r'"?sep=.?"?', text):
                continue  # empty, a comment, or a spreadsheet's note on the separator
            try:
                if header := header_in(text):
                    self._use(header)
                else:
                    yield self._source(text)
            except SourcesFileError as problem:
                raise SourcesFileError(f"{self._path}, line {number}: {problem}") from None
            except (BadUrl, BadFilter, UnicodeError) as problem:
                self._result.bad += 1
                if self._result.bad <= PROBLEMS_KEPT:
                    self._result.problems.append(f"{self._path}, line {number}: {problem}")

    def _use(self, header: Header) -> None:
        """Use this header for the following lines. Raises SourcesFileError for a misspelt filter."""
        existing = self._store.custom_columns(SOURCES)
        self._header, self._custom_columns = header, []
        for name in header.names:
            if name in (URL, ACCENT, TYPE, ""):
                continue
            if _is_custom_column(name, existing):
                self._custom_columns.append(name)
            elif name not in self._result.ignored_columns:
                self._result.ignored_columns.append(name)

    def _source(self, text: str) -> Source:
        if len(text) > LINE_MAX_CHARACTERS:
            raise BadUrl(f"more than {LINE_MAX_CHARACTERS} characters; a line is URL|Accent|Type")
        if "\ufffd" in text:
            raise BadUrl("not UTF-8 text; save the file as UTF-8")
        fields = self._header.fields(text)
        url, accent, type_ = (fields.get(name, "") for name in (URL, ACCENT, TYPE))
        source = new_source(url, accent, type_, allow_other_sites=self._allow_other_sites)
        texts = {name: fields[name] for name in self._custom_columns if fields.get(name)}
        return with_columns(source, texts, self._store) if texts else source


def _is_custom_column(name: str, existing: Collection[str] | None) -> bool:
    """Return whether a column of a file is read. Raises SourcesFileError for a misspelt filter."""
    if name.casefold() in {column.casefold() for column in (*Source.column_names(), *SHEET_COLUMNS)}:
        return False
    if filter_column(name) or name.casefold() in {column.strip().casefold() for column in existing or ()}:
        return True
    if suggestion := did_you_mean(name, COLUMNS):
        raise SourcesFileError(f"there is no column {name}{suggestion}")
    return existing is None


def _lines(path: Path) -> Iterator[Line]:
    """Yield numbered lines without line ends. Undecodable bytes become U+FFFD, so that one bad line affects no other."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start.startswith(_NOT_TEXT):
            raise SourcesFileError(f"{str(path)!r} is not text, but a workbook or an archive: save it as CSV")
        with path.open(encoding=_encoding(start[:2]), errors="replace") as text:
            yield from _numbered(text)
    except OSError as error:
        raise SourcesFileError(f"the sources file {str(path)!r} cannot be read: {error.strerror}") from None


_NOT_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"%PDF")
"""The first bytes of Excel and similar files, gzip, and PDF."""


def _encoding(start: bytes) -> str:
    """Return the encoding of a file by its first two bytes. UTF-16 text may lack its byte order mark."""
    if start in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if len(start) == 2 and 0 in start and any(start):
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def _numbered(text: TextIO) -> Iterator[Line]:
    """Yield lines with their numbers. Truncate lines that are too long, so that no file fills the memory."""
    number, is_continued = 1, False
    while part := text.readline(LINE_MAX_CHARACTERS + 2):
        if not is_continued:
            yield Line(number, part if len(part) > LINE_MAX_CHARACTERS + 1 else part.strip(" \r\n"))
        is_continued = not part.endswith("\n")
        number += not is_continued
