"""Open the file that a command writes. A regular file is replaced once the new one is complete; a device is written directly."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TextIO

from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.storage.files import written_whole

TO_STDOUT = "-"
"""The argument that means the standard output. A file named `-` is given as `./-`."""
LINKS_MAX = 40
"""The number of symbolic links to follow: the limit of Linux."""
STDOUT, STDERR = 1, 2
_DESCRIPTOR = re.compile(r"/dev/(?P<stream>stdout|stderr)|(?:/dev|/proc/self)/fd/(?P<number>\d{1,9})")


@contextlib.contextmanager
def output(name: str) -> Iterator[TextIO]:
    """Yield the file that `binary_output` opens, for text in UTF-8. The standard output keeps its own encoding."""
    if is_stdout(name):
        yield sys.stdout
        sys.stdout.flush()
        return
    with binary_output(name) as file, TextIOWrapper(file, encoding="utf-8", newline="") as out:
        yield out


@contextlib.contextmanager
def binary_output(name: str) -> Iterator[IO[bytes]]:
    """Yield the open file. Raises UserError when it cannot be written.

    * `-` and the names of descriptors, such as `/dev/stdout`: the open descriptor, at its position.
    * A device, a FIFO, a terminal: written directly. Opening a FIFO waits for its reader.
    * A regular file, or a symbolic link to one: replaced once the new one is complete. Its mode is kept.
    """
    if is_stdout(name):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _opened(Path(name)) as out:
            yield out
    except OSError as error:
        raise UserError(f"{str(Path(name))!r} cannot be written: {error.strerror}") from None


def is_stdout(name: str) -> bool:
    """Return whether the name means the standard output. Then nothing else may be printed there."""
    return name == TO_STDOUT or _descriptor(Path(name)) == STDOUT


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    status, descriptor = _status(path), _descriptor(path)
    binary: contextlib.AbstractContextManager[IO[bytes]]
    if descriptor is not None:
        binary = open(os.dup(descriptor), "wb")  # noqa: SIM115 - closed below
    elif status is None or stat.S_ISREG(status.st_mode):
        binary = written_whole(path.resolve(), status)
    else:
        binary = open(os.open(path, os.O_WRONLY | os.O_NOCTTY), "wb")  # noqa: SIM115 - closed below
    with binary as file:
        yield file


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file, or None if it does not exist."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _descriptor(path: Path) -> int | None:
    """Return the open descriptor that a path names, directly or through symbolic links, or None."""
    for _ in range(LINKS_MAX):
        if match := _DESCRIPTOR.fullmatch(os.path.abspath(path)):
            return int(match["number"] or (STDOUT if match["stream"] == "stdout" else STDERR))
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None
