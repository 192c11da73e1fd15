"""Keep the changelog of a corpus: the recordings that each publication has added, removed and changed.

    .corpus/changes/20261129T120000.000000Z-3f2a.jsonl
        {"at": "2026-11-29T12:00:00Z", "recordings": 1810, "added": 10, "added_seconds": 1310.7, "removed": 1, ...}
        {"change": "added", "key_sha256": "5f0c...", "product": "audio-m4a", "seconds": 131.07}
        {"change": "changed", "key_sha256": "9e1b...", "product": "audio-m4a", "fields": {"license": ["", "..."], "title": null}}

The first line is the summary. The others contain a hash of the row's key, and neither an address nor a title, so that a purged
video leaves no trace here. The first publication of a place has only a summary.
"""

from __future__ import annotations

import gzip
import json
import logging
import secrets
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import IO, Any, cast

from youtube_download_coordinator.corpus.recordings import (
    FOLDER,
    GZIP_DAMAGE,
    RECORDINGS,
    Recording,
    decode,
)
from youtube_download_coordinator.queue.tombstones import key_hash
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.text import format_utc

_log = logging.getLogger(__name__)

CHANGES = f"{FOLDER}/changes"
SHOWN = frozenset(
    {
        "license",
        "trainable",
        "track",
        "degraded",
        "language",
        "accent",
        "type",
        "seconds",
        "bytes",
        "codec",
        "sample_rate_hz",
    }
)
"""Fields whose values are kept. Of other fields, which may identify the video, only the names are kept."""
_IDENTITY = frozenset({"id", "key", "product"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The summary of one publication."""

    at: str
    """ISO-8601, UTC."""
    recordings: int = 0
    """The number of recordings after the change."""
    added: int = 0
    added_seconds: float = 0.0
    removed: int = 0
    removed_seconds: float = 0.0
    changed: int = 0
    is_first: bool = False
    """Whether the place had no recordings before."""

    def __str__(self) -> str:
        if self.is_first:
            return f"{self.at}  {self.recordings} recordings, first published"
        added, removed = self.added_seconds / 3600, self.removed_seconds / 3600
        return (
            f"{self.at}  {self.recordings} recordings: +{self.added} ({added:.2f} hours), "
            f"-{self.removed} ({removed:.2f} hours), {self.changed} changed"
        )


def record_changes(place: Place, recordings: Path, now: datetime) -> Changes | None:
    """Record the changes by a new file of recordings, right before it is published. Return the summary.

    `recordings` is the local file that becomes RECORDINGS. Return None if there are no changes. If the publication fails
    afterwards, the next one records the same changes again. Memory does not grow with the corpus. Raises PlaceError.
    """
    with tempfile.TemporaryDirectory(prefix="ydc-changes-") as folder:
        body, file = Path(folder, "body"), Path(folder, "changes")
        summary = _compare(place, recordings, body, format_utc(now))
        if not (summary.is_first or summary.added or summary.removed or summary.changed):
            return None
        with file.open("w", encoding="utf-8") as out:
            out.write(json.dumps(asdict(summary)) + "\n")
            with body.open(encoding="utf-8") as lines:
                out.writelines(lines)
        name = f"{CHANGES}/{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(2)}.jsonl"
        place.put(name, file, content_type="application/jsonl", metadata={})
    return summary


def _compare(place: Place, recordings: Path, body: Path, at: str) -> Changes:
    """Write a line for each change, and return the summary. Without earlier recordings, write no lines."""
    try:
        return _summarize(_placed_lines(place), _Counted(_local_lines(recordings)), body, at)
    except FileNotFoundError:
        pass
    except (*GZIP_DAMAGE, ValueError, TypeError) as error:
        _log.warning(
            "the earlier recordings of %s are damaged, so their changes cannot be recorded: %s", place.address, error
        )
    body.write_bytes(b"")
    return Changes(at=at, recordings=sum(1 for _ in _local_lines(recordings)), is_first=True)


def _summarize(before: Iterator[bytes], after: _Counted, body: Path, at: str) -> Changes:
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    with body.open("w", encoding="utf-8") as out:
        for line in _differences(before, after):
            counts[line["change"]] += 1
            seconds[line["change"]] += line.get("seconds") or 0.0
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return Changes(
        at=at,
        recordings=after.count,
        added=counts["added"],
        added_seconds=round(seconds["added"], 3),
        removed=counts["removed"],
        removed_seconds=round(seconds["removed"], 3),
        changed=counts["changed"],
    )


class _Counted:
    """An iterator that counts the lines it reads."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = next(self._lines)
        self.count += 1
        return line


def _local_lines(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as lines:
        yield from lines


def _placed_lines(place: Place) -> Iterator[bytes]:
    with place.open(RECORDINGS) as packed, gzip.GzipFile(fileobj=cast(IO[Any], packed)) as lines:
        yield from lines


def _differences(before: Iterator[bytes], after: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yield a line for each difference. Both inputs are in order of IDs. Equal lines are not decoded."""
    old, new = _Row(before), _Row(after)
    while old.line or new.line:
        if old.line == new.line:
            old.skip()
            new.skip()
        elif not new.line or (old.line and old.id < new.id):
            yield from _compare_rows(old.take(), [])
        elif not old.line or new.id < old.id:
            yield from _compare_rows([], new.take())
        else:
            yield from _compare_rows(old.take(), new.take())


class _Row:
    """A stream of lines with a look-ahead of one line, which is decoded only if necessary."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._recording: Recording | None = None
        self.line = next(lines, b"")

    @property
    def _decoded(self) -> Recording:
        if self._recording is None:
            self._recording = decode(self.line)
        return self._recording

    @property
    def id(self) -> int:
        return self._decoded.id

    def skip(self) -> None:
        self.line, self._recording = next(self._lines, b""), None

    def take(self) -> list[Recording]:
        """Return the remaining recordings of this row, and advance to the next row."""
        row_id, recordings = self.id, []
        while self.line and self.id == row_id:
            recordings.append(self._decoded)
            self.skip()
        return recordings


def _compare_rows(before: Sequence[Recording], after: Sequence[Recording]) -> Iterator[dict[str, Any]]:
    """Compare the recordings of one row by key and product, and by path if a product has several files."""
    old, new = _by_identity(before, after)
    for identity in old.keys() - new.keys():
        yield _line("removed", old[identity])
    for identity, recording in new.items():
        if identity not in old:
            yield _line("added", recording)
        elif changed := _changed_fields(old[identity], recording):
            yield {**_line("changed", recording), "fields": changed}


def _by_identity(*rows: Sequence[Recording]) -> list[dict[tuple[str, ...], Recording]]:
    several = {
        product
        for row in rows
        for product, files in groupby(sorted(recording.product for recording in row))
        if len(list(files)) > 1
    }
    return [
        {(each.key, each.product, each.path if each.product in several else ""): each for each in row} for row in rows
    ]


def _changed_fields(before: Recording, after: Recording) -> dict[str, list[Any] | None]:
    """Return the fields that differ, with both values if they may be shown."""
    names = [name for name in Recording.__struct_fields__ if name not in _IDENTITY]
    values = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: [old, new] if name in SHOWN else None for name, old, new in values if old != new}


def _line(change: str, recording: Recording) -> dict[str, Any]:
    line = {"change": change, "key_sha256": key_hash(recording.key), "product": recording.product}
    return {**line, "seconds": recording.seconds} if recording.seconds is not None else line


def read_changes(place: Place, last: int | None = None) -> list[Changes]:
    """Return the summaries of the last publications with changes, the oldest first. Raises PlaceError."""
    names = sorted(held.path for held in place.list(CHANGES) if held.path.endswith(".jsonl"))
    return [summary for name in names[-last if last else 0 :] if (summary := _read_summary(place, name))]


def _read_summary(place: Place, name: str) -> Changes | None:
    try:
        with place.open(name) as lines:
            content = json.loads(lines.readline())
        known = {each.name for each in fields(Changes)}
        return Changes(**{name: value for name, value in content.items() if name in known})
    except (FileNotFoundError, ValueError, TypeError, AttributeError) as error:
        _log.warning("%s is not a changelog: %s", name, error)
        return None
