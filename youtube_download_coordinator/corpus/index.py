"""Keep an index of a place with the facts about all published products, so that their sidecars need not be read again.

    .corpus/index/20261129T100000-5f0c9a1e8b7d6c5a.jsonl.gz    a segment: lines of processors/facts.py, packed

A segment is never changed. Each machine adds its own publications as new segments, and small segments are sometimes merged. The
index is a cache: missing facts are read from the place (place_reader.py).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from youtube_download_coordinator.corpus.recordings import FOLDER, GZIP_DAMAGE
from youtube_download_coordinator.errors import PlaceError, StoreError
from youtube_download_coordinator.processors.facts import NOT_FACTS, CheckedRow, ProductFacts, decode, head_of
from youtube_download_coordinator.processors.facts_spool import Spool, held_file
from youtube_download_coordinator.queue.maintenance import batches
from youtube_download_coordinator.storage.place import Held, Place

_log = logging.getLogger(__name__)

INDEX = f"{FOLDER}/index"
END = ".jsonl.gz"
SEGMENT_BYTES = 32_000_000
"""The size at which a segment is full."""
MERGED_AT_ONCE = 16
"""When there are this many segments of less than half that size, they are merged."""
_GZIP_LEVEL = 1
BuriedKeys = Callable[[Collection[str]], Collection[str]]
_warned: set[str] = set()


class Index:
    """One machine's view of the index of a place."""

    def __init__(self, place: Place, state_dir: Path, buried_keys: BuriedKeys = lambda keys: set()) -> None:
        """Open an index. `state_dir` has the facts that this machine has not put into the place yet.

        `buried_keys` returns the given keys whose videos were purged. Facts about them are not put into the place.
        """
        self._buried_keys = buried_keys
        self._place = place
        self._spool = Spool.of(state_dir, place.address)
        self._damaged: set[str] = set()

    @property
    def folder(self) -> Path:
        """Return the folder on this machine that belongs to the index."""
        return self._spool.folder

    def flush(self) -> bool:
        """Put this machine's spooled facts into the place. Return whether all of them are there. Log a problem once."""
        return self._succeeds(self._flush)

    def _succeeds(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except (PlaceError, StoreError, OSError) as error:
            _warn_once(f"{self._place.address}/{INDEX} is not up to date: {error}")
            return False
        return True

    def _flush(self) -> None:
        """Put the spooled facts into the place. Raises PlaceError, and OSError for the local disk."""
        self._spool.take()
        for path in self._spool.taken():
            with held_file(path) as file:
                if file:
                    self._put(path.stem, self._without_buried(file))
                    path.unlink()

    def _without_buried(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for batch in batches(lines):
            buried = self._buried_keys({key for line in batch if (key := _key(line))})
            yield from (line for line in batch if _key(line) not in buried)

    def add(self, facts: Iterable[ProductFacts | CheckedRow]) -> None:
        """Spool facts on this machine. `flush` puts them into the place."""
        self._spool.add(facts)

    def entries(self) -> Iterator[ProductFacts | CheckedRow]:
        """Yield the content of the index in any order, including outdated facts about products that were made again.

        A damaged segment is read as far as possible, which is logged once. Raises PlaceError.
        """
        for line in self.lines():
            try:
                yield decode(line)
            except NOT_FACTS:
                _warn_once(
                    f"{self._place.address}/{INDEX} has a line that cannot be read; its facts are read from the place again"
                )

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of all segments, and the spooled lines on this machine. Raises PlaceError."""
        with contextlib.suppress(OSError):
            yield from self._spool.lines()
        read: set[str] = set()
        while names := [held.path for held in self._segments() if held.path not in read]:
            read.update(names)
            vanished = False
            for name in names:
                try:
                    yield from self._lines(name)
                except FileNotFoundError:  # another process has merged it
                    vanished = True
            if not vanished:
                return

    def newest_lines(self) -> Iterator[bytes]:
        """Yield the lines that wait on this machine, then those of the segments, the newest segment first. Raises PlaceError.

        This is for a sample: a segment that another process is merging is left out.
        """
        with contextlib.suppress(OSError):
            yield from self._spool.lines()
        for held in reversed(self._segments()):
            with contextlib.suppress(FileNotFoundError):
                yield from self._lines(held.path)

    def drop(self, keys: Collection[str]) -> int:
        """Remove all facts about rows with these keys. Return the number of lines. Raises PlaceError."""
        wanted, seen, dropped = frozenset(keys), set[str](), 0
        self._flush()
        while names := [held.path for held in self._segments() if held.path not in seen]:
            for name in names:
                seen.add(name)
                dropped += self._drop_from(name, wanted)
        return dropped

    def _drop_from(self, name: str, keys: frozenset[str]) -> int:
        count = 0
        try:
            count = sum(_key(line) in keys for line in self._lines(name))
            if count or name in self._damaged:
                self._put(_new_stem(), (line for line in self._lines(name) if _key(line) not in keys))
                self._place.delete(name)
        except FileNotFoundError:  # merged in the meantime: the loop of `drop` also reads the new segment
            return 0
        return count

    def merge(self) -> None:
        """Merge small segments if there are many, and replace damaged ones by their readable lines.

        If several processes do so at once, facts may be duplicated, which is harmless. A problem is logged once.
        """
        self._succeeds(self._merge)

    def _merge(self) -> None:
        small = [held.path for held in self._segments() if held.size < SEGMENT_BYTES // 2 or held.path in self._damaged]
        if len(small) < MERGED_AT_ONCE and self._damaged.isdisjoint(small):
            return
        try:
            made = self._put(_new_stem(), (line for name in small for line in self._lines(name)))
        except FileNotFoundError:
            return
        # Facts that another process has dropped in the meantime must not come back.
        if not set(small) <= {held.path for held in self._segments()}:
            small = made
        for name in small:
            self._place.delete(name)

    def _segments(self) -> list[Held]:
        """Return the segments in the order of their names."""
        return sorted((held for held in self._place.list(INDEX) if held.path.endswith(END)), key=lambda held: held.path)

    def _lines(self, name: str) -> Iterator[bytes]:
        """Yield the readable lines of a segment. Raises FileNotFoundError and PlaceError."""
        try:
            with self._place.open(name) as packed, gzip.GzipFile(fileobj=cast(IO[Any], packed)) as lines:
                yield from lines
        except GZIP_DAMAGE as error:
            self._damaged.add(name)
            _warn_once(
                f"{self._place.address}/{name} is damaged ({error}): missing facts are read from the place again"
            )

    def _put(self, stem: str, lines: Iterable[bytes]) -> list[str]:
        """Put lines as segments whose names begin with `stem`. Skip a partial line of a killed process."""
        names = []
        whole = (line.removesuffix(b"\n") + b"\n" for line in lines if _key(line))  # the last one may lack its end
        for number, content in enumerate(_packed(whole)):
            name = f"{INDEX}/{stem}{f'.{number}' if number else ''}{END}"
            self._place.put_if_absent(name, content, content_type="application/gzip", metadata={})
            names.append(name)
        return names


def _packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines packed in pieces of about SEGMENT_BYTES. The same lines give the same pieces."""
    out = io.BytesIO()
    packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, out, mtime=0)
    for line in lines:
        packed.write(line)
        if out.tell() >= SEGMENT_BYTES:
            packed.close()
            yield out.getvalue()
            out = io.BytesIO()
            packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, out, mtime=0)
    has_lines = packed.tell() > 0
    packed.close()
    if has_lines:
        yield out.getvalue()


def _key(line: bytes) -> str:
    """Return the row's key in a line, or an empty text if the line is not complete."""
    head = head_of(line)
    return head.key if head else ""


def _new_stem() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(8)}"


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        _log.warning("%s", message)
