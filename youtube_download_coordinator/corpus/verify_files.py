"""Check that the files of finished videos are in the place, with the size and the SHA-256 with which they were published.

One listing of the place shows missing and empty files and wrong sizes. Then each file is read, beginning with the files whose
last check is oldest. The listing is kept in a scratch database on the local disk, so memory does not grow with the corpus.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from youtube_download_coordinator.corpus.check_log import HASH_CHARACTERS, Check, CheckLog
from youtube_download_coordinator.corpus.facts_table import RowFacts
from youtube_download_coordinator.corpus.findings import Finding, FindingKind
from youtube_download_coordinator.corpus.items import rows_with_facts
from youtube_download_coordinator.models import DEGRADED_START, VideoTask
from youtube_download_coordinator.processors.archive import FOLDER, record_path
from youtube_download_coordinator.processors.facts import FileFacts, ProductFacts
from youtube_download_coordinator.processors.names import BUILT_INS
from youtube_download_coordinator.processors.output_paths import video_id
from youtube_download_coordinator.processors.place_archive import generation_path, read_record
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.tombstones import key_hash
from youtube_download_coordinator.storage.place import Held, Place
from youtube_download_coordinator.text import format_utc

AT_ONCE = 4
"""The number of files that are read at the same time."""
ROWS_AT_ONCE = 100
_LISTED_AT_ONCE = 10_000
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
CREATE TABLE records (name TEXT, product TEXT, PRIMARY KEY (name, product)) WITHOUT ROWID;
CREATE TABLE sums (id INTEGER, key TEXT, path TEXT, sha256 TEXT, bytes INTEGER);
"""

_RECORD = re.compile(
    rf"{re.escape(FOLDER)}/(?P<product>[^/]+)/[0-9a-f]{{2}}/(?P<name>.+\.[0-9a-f]{{8}})(?:\.\d+)?\.json"
)


@dataclass(slots=True, kw_only=True)
class FilesSummary:
    """The counts of a check of files."""

    rows: int = 0
    files: int = 0
    without: int = 0
    """The number of rows whose processor has made no file."""
    read: int = 0
    """The number of files whose content was read."""
    read_bytes: int = 0
    findings: Counter[FindingKind] = field(default_factory=Counter)
    left: int = 0
    """The number of videos whose files must still be read."""

    def __str__(self) -> str:
        parts = [f"{self.files} files of {self.rows} videos", f"{self.read} read ({self.read_bytes / 1e6:,.0f} MB)"]
        parts += [f"{self.without} videos without a file"] if self.without else []
        parts += [f"{count} {kind}" for kind, count in sorted(self.findings.items())] or ["no problem"]
        return ", ".join(parts) + (f"; the files of {self.left} videos are left to read" if self.left else "")


@dataclass(frozen=True, slots=True)
class _Sum:
    """A file with its published SHA-256."""

    id: int
    key: str
    path: str
    sha256: str
    bytes: int


@dataclass(slots=True, kw_only=True)
class FilesVerifier:
    """A check of the files of a place."""

    queue: Queue
    place: Place
    state_dir: Path
    is_over: Callable[[], bool] = lambda: False
    """A function that returns whether the time of this run is over. Then no further file is read."""
    summary: FilesSummary = field(default_factory=FilesSummary)
    _listing: _Listing = field(init=False)

    def run(
        self, selection: Selection, *, reads: bool = True, limit: int | None = None, older_than_days: float = 0.0
    ) -> Iterator[Finding]:
        """Check the files of all selected videos. Then read the files of `limit` videos that were not read recently.

        Yield the findings. Raises PlaceError and StoreError.
        """
        with _listed(self.place) as self._listing, CheckLog(self.place, "files") as log:
            for row, facts in rows_with_facts(self.queue, self.place, self.state_dir, selection=selection):
                self.summary.rows += 1
                found = self._check(row, facts)
                yield from self._counted(found)
                if reads and not found:
                    self._listing.keep(_sums(row, facts))
            if not reads:
                return
            log.refresh()
            before = self.queue.store.now().timestamp() - older_than_days * 86400
            keys = ((row_id, _check_key(key)) for row_id, key in self._listing.rows())
            self.summary.left = log.plan(keys, before=before, salt=self.queue.worker)
            try:
                yield from self._counted(self._read_due(log, limit))
            finally:
                log.flush(self.queue.store.now())

    def _counted(self, found: Iterable[Finding]) -> Iterator[Finding]:
        for finding in found:
            self.summary.findings[finding.kind] += 1
            yield finding

    # --- existence and size -----------------------------------------------------------------------------------------------

    def _check(self, row: VideoTask, facts: RowFacts) -> list[Finding]:
        found = [finding for product in facts.products.values() for finding in self._check_product(row, product)]
        result = row.result.partition(DEGRADED_START)[0]
        if not facts.products and self._listing.is_empty and _is_path(result, row):  # its disk may not be mounted
            self.summary.files += 1
            return [self._finding(FindingKind.MISSING, row, result)]
        if not any(product.files for product in facts.products.values()):
            self.summary.without += 1
        # Products that were never in the index, because a product with a missing file cannot be added to it.
        unknown = self._listing.products(row) - facts.products.keys()
        found += [finding for product in sorted(unknown) for finding in self._check_recorded(row, product)]
        if not facts.products and not unknown and self._listing.size(result):
            found.append(self._finding(FindingKind.NO_RECORD, row, result))
        return found

    def _check_product(self, row: VideoTask, product: ProductFacts) -> Iterator[Finding]:
        bases = [record_path(row, product.product, stem) for stem in ("", video_id(row))]
        records = [generation_path(base, product.generation) for base in bases]
        if not any(self._size(path) is not None for path in records):
            yield self._finding(FindingKind.NO_RECORD, row, records[0])
        for file in product.files:
            self.summary.files += 1
            yield from self._check_file(row, product.kind, file)

    def _check_recorded(self, row: VideoTask, product: str) -> Iterator[Finding]:
        """Check that the files of a record exist. Nothing else is known about them."""
        content: Mapping[str, Any] = {}
        for base in (record_path(row, product, stem) for stem in ("", video_id(row))):
            generation = 1
            while record := read_record(self.place, generation_path(base, generation)):
                content, generation = record, generation + 1
        names = content.get("files") if content.get("key") == row.key else None
        for name in names if isinstance(names, list) else ():
            self.summary.files += 1
            if not self._size(str(name).removeprefix(f"{self.place.address}/")):
                yield self._finding(FindingKind.MISSING, row, str(name))

    def _check_file(self, row: VideoTask, kind: str, file: FileFacts) -> Iterator[Finding]:
        size, is_ours = self._size(file.path), kind in BUILT_INS  # users may change the files of their own processors
        if size is not None and (not size or (is_ours and file.bytes not in (None, size))):
            size = self._size(file.path, afresh=True)  # it may have been made again since the listing
        if size is None:
            yield self._finding(FindingKind.MISSING, row, file.path)
        elif not size:
            yield self._finding(FindingKind.EMPTY, row, file.path)
        elif is_ours and file.bytes is not None and size != file.bytes:
            yield self._finding(
                FindingKind.CHANGED, row, file.path, before=f"{file.bytes} bytes", after=f"{size} bytes"
            )
        if size and is_ours and kind != "metadata" and not self._size(file.path + SUFFIX):
            yield self._finding(FindingKind.NO_SIDECAR, row, file.path)

    def _size(self, path: str, *, afresh: bool = False) -> int | None:
        """Return the size of a file. If it is missing in the listing, it may have been published since."""
        size = None if afresh else self._listing.size(path)
        if size is None:
            with contextlib.suppress(ValueError):
                held = self.place.head(path)
                return held.size if held else None
        return size

    # --- its content -------------------------------------------------------------------------------------------------

    def _read_due(self, log: CheckLog, limit: int | None) -> Iterator[Finding]:
        rest = self.summary.left if limit is None else min(limit, self.summary.left)
        with ThreadPoolExecutor(AT_ONCE, "verify") as pool:
            while not self.is_over() and (ids := log.take(min(rest, ROWS_AT_ONCE))):
                rest -= len(ids)
                files = self._listing.sums(ids)
                sums = pool.map(self._sum, files)
                rows: dict[str, list[tuple[_Sum, str | None]]] = {}
                for file, found in zip(files, sums, strict=True):
                    rows.setdefault(file.key, []).append((file, found))
                for key, read in rows.items():
                    yield from self._note(log, key, read)
                log.refresh()

    def _sum(self, file: _Sum) -> str | None:
        """Return the SHA-256 of a file, an empty text if it is gone, or None if there was no time to read it."""
        if self.is_over():
            return None
        try:
            with self.place.open(file.path) as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        except FileNotFoundError:
            return ""

    def _note(self, log: CheckLog, key: str, read: Sequence[tuple[_Sum, str | None]]) -> Iterator[Finding]:
        """Record that the files of a row were read, and yield findings. A row with a finding is due again."""
        if any(found is None for _, found in read):
            return
        now, findings = self.queue.store.now(), []
        for file, found in read:
            self.summary.read += 1
            self.summary.read_bytes += file.bytes if found else 0
            if found != file.sha256:
                kind = FindingKind.CHANGED if found else FindingKind.MISSING
                findings.append(self._finding_of(kind, file.id, key, file.path, before=file.sha256, after=found or ""))
        self.summary.left -= 1
        at = round(now.timestamp(), 3)
        log.add(Check(key=_check_key(key), at=at, is_answered=not findings), now)
        if log.is_flush_due(now):
            log.flush(now)
        yield from findings

    def _finding(self, kind: FindingKind, row: VideoTask, path: str, **facts: str) -> Finding:
        return self._finding_of(kind, row.id, row.key, path, **facts)

    def _finding_of(self, kind: FindingKind, row_id: int, key: str, path: str, **facts: str) -> Finding:
        retry = f"ydc retry {row_id}"
        advice = f"delete it, then {retry}" if kind in (FindingKind.CHANGED, FindingKind.NO_SIDECAR) else retry
        at = format_utc(self.queue.store.now())
        return Finding(kind=kind, id=row_id, key=key, name=path, at=at, advice=advice, **facts)


class _Listing:
    """All files of a place, and the sums of files that must be read, in a scratch database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)

    def load(self, files: Iterator[Held]) -> None:
        while batch := list(islice(files, _LISTED_AT_ONCE)):
            paths = [(held.path, held.size) for held in batch]
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?)", paths)
            records = (match for held in batch if (match := _RECORD.fullmatch(held.path)))
            self._db.executemany(
                "INSERT OR IGNORE INTO records VALUES (?, ?)", ((match["name"], match["product"]) for match in records)
            )

    @property
    def is_empty(self) -> bool:
        """Return whether the place has no records."""
        return self._db.execute("SELECT 1 FROM records LIMIT 1").fetchone() is None

    def size(self, path: str) -> int | None:
        found = self._db.execute("SELECT size FROM files WHERE path = ?", (path,)).fetchone()
        return int(found[0]) if found else None

    def products(self, row: VideoTask) -> set[str]:
        """Return the names of the products that have a record of this row."""
        names = {PurePosixPath(record_path(row, "-", stem)).stem for stem in ("", video_id(row))}
        query = "SELECT product FROM records WHERE name = ?"
        return {product for name in names for (product,) in self._db.execute(query, (name,))}

    def keep(self, sums: Iterable[_Sum]) -> None:
        values = ((each.id, each.key, each.path, each.sha256, each.bytes) for each in sums)
        self._db.executemany("INSERT INTO sums VALUES (?, ?, ?, ?, ?)", values)

    def rows(self) -> Iterator[tuple[int, str]]:
        """Yield the ID and the key of each row that has sums."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_id ON sums (id)")
        yield from self._db.execute("SELECT DISTINCT id, key FROM sums ORDER BY id")

    def sums(self, ids: Sequence[int]) -> list[_Sum]:
        query = "SELECT id, key, path, sha256, bytes FROM sums WHERE id = ?"
        return [_Sum(*found) for row_id in ids for found in self._db.execute(query, (row_id,))]


@contextlib.contextmanager
def _listed(place: Place) -> Iterator[_Listing]:
    with (
        tempfile.TemporaryDirectory(prefix="ydc-verify-") as folder,
        contextlib.closing(sqlite3.connect(Path(folder, "files.db"))) as db,
    ):
        listing = _Listing(db)
        listing.load(place.list())
        yield listing


def _sums(row: VideoTask, facts: RowFacts) -> Iterator[_Sum]:
    """Yield the files of the built-in processors whose SHA-256 is known."""
    for product in facts.products.values():
        for file in product.files if product.kind in BUILT_INS else ():
            if file.sha256:
                yield _Sum(row.id, row.key, file.path, file.sha256, file.bytes or 0)


def _is_path(result: str, row: VideoTask) -> bool:
    """Return whether a result is the path of a file in the place. Users' functions may return any text."""
    path = PurePosixPath(result)
    return video_id(row) in path.name and bool(path.suffix) and not path.is_absolute() and "://" not in result


def _check_key(key: str) -> str:
    return key_hash(key)[:HASH_CHARACTERS]
