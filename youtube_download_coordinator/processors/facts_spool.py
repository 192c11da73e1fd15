"""Spool the facts about products that this machine has published, until a worker adds them to the index (corpus/index.py).

    <state_dir>/index/3f0c2a91d4e8b7c6/spool.jsonl         one line for each product, appended by processes that may be killed
    <state_dir>/index/3f0c2a91d4e8b7c6/20261129T100000-5f0c9a1e8b7d6c5a.jsonl   rotated, to be put into the place

The folder's name is a hash of the place's address. The index is a cache: a lost line only costs a few requests later, so problems
here never fail an attempt. This module is imported in child processes: no pydantic at its top.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from youtube_download_coordinator.private_files import open_private
from youtube_download_coordinator.processors.captions import captions_in
from youtube_download_coordinator.processors.facts import (
    CheckedRow,
    FileFacts,
    ProductFacts,
    encode,
    extension_of,
    file_facts,
    has_captions,
    product_facts,
)
from youtube_download_coordinator.processors.sidecar import sha256_of

_log = logging.getLogger(__name__)

SPOOL = "spool.jsonl"
_warned: set[str] = set()
"""Folders about which this process has logged a problem."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The spooled facts of one place on this machine."""

    folder: Path

    @classmethod
    def of(cls, state_dir: Path | str, address: str) -> Spool:
        """Return the spool of the place with this address."""
        return cls(Path(state_dir) / "index" / hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()[:16])

    def add(self, facts: Iterable[ProductFacts | CheckedRow]) -> bool:
        """Append facts. Return whether it succeeded. If the disk is full or not writable, log that once."""
        text = b"".join(map(encode, facts))
        try:
            with self._locked() as fd:
                _append(fd, text)
        except OSError as error:
            self._warn(error)
            return False
        return True

    def remember(
        self,
        key: str,
        kind: str,
        product: str,
        record: Mapping[str, Any],
        files: Sequence[tuple[str, Path, Mapping[str, Any] | None]],
        *,
        generation: int = 1,
    ) -> None:
        """Append the facts about a product. `record` is the content of its new record.

        `files`: the path below the output folder, the current path on this machine, and the content of the sidecar.
        """
        try:
            made = [_measured(*file) for file in files]
        except OSError as error:
            self._warn(error)
            return
        sidecars = [sidecar for _, _, sidecar in files]
        self.add([product_facts(key, kind, product, record, made, sidecars, generation=generation)])

    def take(self) -> None:
        """Rotate the spool, so that later lines go into a new file. Raises OSError."""
        if not self._path.exists():
            return
        with self._locked():
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(8)}.jsonl"
            self._path.rename(self.folder / name)

    def taken(self) -> list[Path]:
        """Return the rotated files that are not in the place yet, the oldest first."""
        return sorted(path for path in self.folder.glob("*.jsonl") if path.name != SPOOL)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that are not in the place yet. Raises OSError."""
        for path in (*self.taken(), self._path):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                yield from file

    @property
    def _path(self) -> Path:
        return self.folder / SPOOL

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the locked spool, so that no other process writes or rotates it."""
        while True:
            fd = open_private(self._path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not _is_at(fd, self._path):  # rotated while this process waited
                    continue
                yield fd
                return
            finally:
                os.close(fd)

    def _warn(self, error: OSError) -> None:
        if str(self.folder) not in _warned:
            _warned.add(str(self.folder))
            _log.warning(
                "%s cannot be written (%s): the facts will be read from the output folder later",
                self.folder,
                error.strerror,
            )


@contextlib.contextmanager
def held_file(path: Path) -> Iterator[IO[bytes] | None]:
    """Open a rotated file, for one process at a time. Yield None if another process has it, or it is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if _is_at(file.fileno(), path) else None


def _measured(name: str, path: Path, sidecar: Mapping[str, Any] | None) -> FileFacts:
    captions = captions_in(path.read_bytes(), extension_of(name), name) if has_captions(sidecar) else ()
    if sidecar is not None:
        return file_facts(name, sidecar, captions=captions)
    return file_facts(name, None, size=path.stat().st_size, sha256=sha256_of(path))


def _append(fd: int, text: bytes) -> None:
    """Append text. First end the partial line of a killed process. If the write fails halfway, remove what was written."""
    size = os.lseek(fd, 0, os.SEEK_END)
    if size and os.pread(fd, 1, size - 1) != b"\n":
        text = b"\n" + text
    try:
        written = 0
        while written < len(text):
            written += os.write(fd, text[written:])
    except OSError:
        os.ftruncate(fd, size)
        raise


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
