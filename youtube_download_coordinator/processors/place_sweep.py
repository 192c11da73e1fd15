"""Remove files of failed attempts from object storage: files that an attempt has put and that no record names.

Once a day, one machine lists the place and reads the records of the days since the last sweep. A file is removed only if its
metadata shows that an attempt has put it there. So people's files are never touched: neither copies, whose metadata names another
path, nor files of a place with a longer prefix. The age of a file is measured by the place's own clock, because the clock of a
machine or a database may be days ahead.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from youtube_download_coordinator.errors import PlaceUnavailable
from youtube_download_coordinator.processors.archive import FOLDER
from youtube_download_coordinator.processors.place_archive import NAME, RECORD, generation_path, name_hash, read_record
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.storage.place import Held, Place, check_path

_log = logging.getLogger(__name__)

KEPT = timedelta(days=1)
"""How long a file without a record is kept, because its attempt may still be publishing it."""
FIRST_SWEEP = timedelta(days=7)
"""The period of the first sweep of a place."""
MARK = f"{FOLDER}/.swept"
"""The file with the time up to which the place is swept."""
_RECORD_NAME = re.compile(r"(?P<base>.*\.[0-9a-f]{8})(?:\.(?P<generation>\d+))?\.json")


def sweep_place(place: Place, now: datetime, *, at_once: bool = False) -> int:
    """Remove files that no record has named for a day. Return their number. Do nothing within a day of the last sweep.

    `now` is the time by the place's clock: see `place_time`. `at_once`: ignore the time of the last sweep. Raises PlaceError.
    """
    swept_until = _read_mark(place)
    if swept_until and swept_until > now:  # written by a clock that was ahead
        swept_until = None
    if swept_until and now - KEPT - swept_until < KEPT and not at_once:
        return 0
    period = _Period(swept_until or now - KEPT - FIRST_SWEEP, now - KEPT)
    listing = _Listing(period)
    for held in place.list():
        listing.add(held)
    removed = 0
    for name in sorted(listing.unnamed(place)):
        if _is_orphan(place, name):
            place.delete(name)
            removed += 1
    place.delete(MARK)
    content = json.dumps({"until": period.end.isoformat()}).encode()
    place.put_if_absent(MARK, content, content_type="application/json", metadata={})
    if removed:
        _log.info("%d files that no record names were removed from %s", removed, place.address)
    return removed


def place_time(place: Place) -> datetime:
    """Return the time by the place's own clock, which also sets the times of files. Raises PlaceError."""
    path = f"{MARK}.{uuid.uuid4().hex}"
    place.put_if_absent(path, b"{}", content_type="application/json", metadata={})
    held = place.head(path)
    place.delete(path)
    if held is None:
        raise PlaceUnavailable(f"{place.address} does not contain a file that was just written there")
    return held.modified


@dataclass(frozen=True, slots=True)
class _Period:
    begin: datetime
    end: datetime

    def has(self, held: Held) -> bool:
        return self.begin <= held.modified < self.end


@dataclass(slots=True)
class _Listing:
    """The part of a listing that matters for files that may have to be removed."""

    period: _Period
    files: set[str] = field(default_factory=set)
    """Files put in the period."""
    records: list[str] = field(default_factory=list)
    """Records put in the period or later, which may name such a file."""
    last: dict[str, int] = field(default_factory=dict)
    """The number of the last record of each product that was made again."""
    replaced: list[tuple[str, int]] = field(default_factory=list)
    """Records put in the period that replace others, with their numbers."""

    def add(self, held: Held) -> None:
        if not held.path.startswith(f"{FOLDER}/"):
            self.files |= {held.path} if self.period.has(held) else set()
        elif match := _RECORD_NAME.fullmatch(held.path):
            base, generation = f"{match['base']}.json", int(match["generation"] or 1)
            self.records += [held.path] if held.modified >= self.period.begin else []
            if generation > 1:
                self.last[base] = max(generation, self.last.get(base, 1))
                self.replaced += [(base, generation)] if self.period.has(held) else []

    def unnamed(self, place: Place) -> set[str]:
        """Return the files of the period that no valid record names, and the files of records that were replaced in it."""
        files = set(self.files)
        for base, generation in self.replaced:
            for earlier in range(1, generation):
                files |= set(_names_in(place, generation_path(base, earlier)))
        for path in self.records:
            match = _RECORD_NAME.fullmatch(path)
            if match and int(match["generation"] or 1) == self.last.get(f"{match['base']}.json", 1):
                files -= set(_names_in(place, path))
        return files


def _is_orphan(place: Place, name: str) -> bool:
    """Return whether an attempt has put the file and the product's current record does not name it."""
    try:
        held = place.head(name)
    except ValueError:  # no attempt puts a file with such a name
        return False
    if held is None or RECORD not in held.metadata:
        return False
    if held.metadata.get(NAME) != name_hash(name):
        return False
    base, generation = unquote(held.metadata[RECORD]), 1
    try:
        check_path(base)
    except ValueError:  # a person's own metadata
        return False
    while read_record(place, generation_path(base, generation + 1)) is not None:
        generation += 1
    return name not in _names_in(place, generation_path(base, generation))


def _names_in(place: Place, record: str) -> Iterator[str]:
    """Yield the files that a record names, each with its sidecar."""
    content = read_record(place, record) or {}
    names = content.get("files")
    for name in names if isinstance(names, list) else ():
        yield str(name)
        yield f"{name}{SUFFIX}"


def _read_mark(place: Place) -> datetime | None:
    """Return the time up to which the place is swept, or None if it is not known."""
    try:
        until = datetime.fromisoformat(json.loads(place.get(MARK))["until"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return until if until.tzinfo else until.replace(tzinfo=UTC)
