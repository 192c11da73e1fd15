"""Keep the last check of each video or file in the place, so that a check continues where the previous one ended.

    .corpus/verify/videos/20261129T120000Z-3f2a9c01.jsonl.gz    {"k": "5f0c...", "t": 1796040000.25, "n": "9e1b04c2", "l": "..."}

Each run appends its own segments, so any number of machines may check at the same time. Of several lines for one key, the
latest is valid. A reader merges many segments into one. If two readers do so at the same time, there are two segments with the
same lines. A line has a hash of the key and no title, so that a purged video leaves no trace here.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import secrets
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from youtube_download_coordinator.corpus.recordings import FOLDER
from youtube_download_coordinator.storage.place import Place

_log = logging.getLogger(__name__)

CHECKS = f"{FOLDER}/verify"
SEGMENT_CHECKS = 100
"""The most checks that are lost, and made again, if a run is killed."""
SEGMENT_SECONDS = 300.0
"""A segment is put after this time, even with few checks."""
SEGMENTS_MAX = 50
"""More segments than this are merged into one."""
HASH_CHARACTERS = 32
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE checks (key TEXT PRIMARY KEY, at REAL, is_answered INTEGER, line TEXT) WITHOUT ROWID;
CREATE TABLE candidates (id INTEGER, key TEXT, mixed INTEGER);
CREATE TABLE due (day INTEGER, mixed INTEGER, id INTEGER, key TEXT, at REAL, PRIMARY KEY (day, mixed, id)) WITHOUT ROWID;
"""
_KEEP = """
INSERT INTO checks VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET at = excluded.at, is_answered = excluded.is_answered, line = excluded.line WHERE excluded.at >= at
"""
_PLAN = """
INSERT OR IGNORE INTO due SELECT ifnull(CAST(at / 86400 AS INTEGER), -1), mixed, id, candidates.key, at
FROM candidates LEFT JOIN checks ON checks.key = candidates.key
WHERE at IS NULL OR NOT is_answered OR at < :before
"""
_NEXT = """
SELECT day, mixed, id, checks.at IS due.at FROM due LEFT JOIN checks ON checks.key = due.key ORDER BY day, mixed, id LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The last check of one video or file."""

    key: str
    """The first HASH_CHARACTERS of the key's hash."""
    at: float
    """The time of the check, in seconds since 1970."""
    is_answered: bool = True
    """Whether the check had a result. If not, it is due again."""
    status: str = ""
    """The reason for which the video is not available; empty if it is."""
    since: int = 0
    """Since when it has not been available."""
    title: str = ""
    """A hash of the title."""
    license: str | None = None
    """None: not known yet."""


_FIELDS = {"key": "k", "at": "t", "status": "s", "since": "w", "title": "n", "license": "l"}


def encode(check: Check) -> str:
    """Return a check as a line of JSON without empty values."""
    values = {short: getattr(check, name) for name, short in _FIELDS.items()}
    content = {short: value for short, value in values.items() if value or (short == "l" and value is not None)}
    return json.dumps(content if check.is_answered else {**content, "f": 1}, separators=(",", ":")) + "\n"


def decode(line: str | bytes) -> Check:
    """Return the check of a line. Raises ValueError."""
    content = json.loads(line)
    if not isinstance(content, dict) or not {"k", "t"} <= content.keys():
        raise ValueError("this line is not a check")
    values = {name: content[short] for name, short in _FIELDS.items() if short in content}
    return Check(**values, is_answered="f" not in content)


class CheckLog:
    """The checks of one kind (`videos`, `files`) in a place, and a plan of due checks. Used by one thread, in a `with`.

    They are read into a scratch database on this machine, so memory does not grow with them.
    """

    def __init__(self, place: Place, kind: str) -> None:
        self._place = place
        self._folder = f"{CHECKS}/{kind}"
        self._read: set[str] = set()
        """The segments that were already read or written."""
        self._pending: list[Check] = []
        self._pending_since: datetime | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> CheckLog:
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ydc-verify-")))
        self._db = self._stack.enter_context(
            contextlib.closing(sqlite3.connect(self._scratch / "checks.db", isolation_level=None))
        )
        self._db.executescript(_SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- what was checked --------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the checks that any machine has put since the last call. Raises PlaceError."""
        segments = sorted(held.path for held in self._place.list(self._folder) if held.path.endswith(".jsonl.gz"))
        for path in segments:
            if path not in self._read:
                self._keep(self._lines(path))
                self._read.add(path)
        if len(segments) > SEGMENTS_MAX:
            self._merge(segments)

    def last(self, key: str) -> Check | None:
        """Return the last known check of a key."""
        found = self._db.execute("SELECT line FROM checks WHERE key = ?", (key,)).fetchone()
        return decode(found[0]) if found else None

    def add(self, check: Check, now: datetime) -> None:
        """Keep a check until the next `flush`."""
        self._pending.append(check)
        self._pending_since = self._pending_since or now
        self._keep([check])

    def is_flush_due(self, now: datetime) -> bool:
        """Return whether a segment is full, or its first check is old."""
        if self._pending_since is None:
            return False
        is_old = (now - self._pending_since).total_seconds() >= SEGMENT_SECONDS
        return is_old or len(self._pending) >= SEGMENT_CHECKS

    def flush(self, now: datetime) -> None:
        """Put the checks that are not in the place yet. Raises PlaceError."""
        if self._pending:
            self._put(map(encode, self._pending), now)
            self._pending, self._pending_since = [], None

    # --- what is due -------------------------------------------------------------------------------------------------

    def plan(self, keys: Iterable[tuple[int, str]], *, before: float, salt: str) -> int:
        """Plan checks of these IDs and keys, except those with a result since `before`. Return the number of due checks.

        Keys that were never checked come first, then the others by the day of their last check. Within a day, the order depends
        on `salt`, so that machines that check at the same time rarely take the same ones.
        """
        rows = ((row_id, key, zlib.crc32(f"{salt} {key}".encode())) for row_id, key in keys)
        with self._transaction():
            self._db.executemany("INSERT INTO candidates VALUES (?, ?, ?)", rows)
            self._db.execute(_PLAN, {"before": before})
            self._db.execute("DELETE FROM candidates")
        (count,) = self._db.execute("SELECT COUNT(*) FROM due").fetchone()
        return int(count)

    def take(self, count: int) -> list[int]:
        """Remove and return the next IDs of the plan, except those that another machine has just checked (see `refresh`)."""
        ids: list[int] = []
        while len(ids) < count and (rows := self._db.execute(_NEXT, (count - len(ids),)).fetchall()):
            self._db.executemany("DELETE FROM due WHERE day = ? AND mixed = ? AND id = ?", [row[:3] for row in rows])
            ids += [row_id for _, _, row_id, is_as_planned in rows if is_as_planned]
        return ids

    # --- segments ----------------------------------------------------------------------------------------------------

    def _keep(self, checks: Iterable[Check]) -> None:
        with self._transaction():
            self._db.executemany(_KEEP, ((check.key, check.at, check.is_answered, encode(check)) for check in checks))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def _put(self, lines: Iterable[str], now: datetime) -> None:
        path = f"{self._folder}/{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.jsonl.gz"
        file = self._scratch / "segment"
        with gzip.open(file, "wt", encoding="utf-8") as out:
            out.writelines(lines)
        self._place.put(path, file, content_type="application/gzip", metadata={})
        self._read.add(path)

    def _lines(self, path: str) -> Iterator[Check]:
        """Yield the checks of a segment: none if another machine has just merged it, and only the first ones if it is damaged."""
        try:
            with self._place.open(path) as packed, gzip.GzipFile(fileobj=cast(IO[Any], packed)) as lines:
                for line in lines:
                    with contextlib.suppress(ValueError, TypeError):
                        yield decode(line)
        except FileNotFoundError:
            return
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            _log.warning("%s is damaged, so its checks are made again: %s", path, error)

    def _merge(self, segments: Iterable[str]) -> None:
        """Replace these segments, which were all read, by one."""
        lines = self._db.execute("SELECT line FROM checks ORDER BY key")
        self._put((line for (line,) in lines), datetime.fromtimestamp(0, UTC))
        for path in segments:
            self._place.delete(path)
