"""Creates folders and files below the output folder: never outside of it, and so that nobody sees half of a file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from youtube_download_coordinator.errors import LaterError, UnfitError


def make_folder(folder: Path, output_dir: Path) -> Path:
    """Make a folder below `output_dir`. Raises UnfitError when that is impossible, or when a link leads out."""
    if not folder.resolve().is_relative_to(output_dir.resolve()):
        raise UnfitError(f"{folder} leads out of {output_dir}", reason="output-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UnfitError(f"cannot make {folder}: {error.strerror}", reason="output-dir") from error
    return folder


def check_free_disk(output_dir: Path, least_bytes: int) -> int:
    """Return the free bytes on the disk of `output_dir`. Raises UnfitError when they are fewer than `least_bytes`."""
    existing = next(folder for folder in (output_dir.absolute(), *output_dir.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if free < least_bytes:
        raise UnfitError(
            f"{in_megabytes(free)} are free in {output_dir}, and {in_megabytes(least_bytes)} must be (YDC_MIN_FREE_DISK_BYTES)",
            reason="disk-full",
        )
    return free


def in_megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file, which replaces `path` at the end of the `with`, unless there was an error."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file so that others see the old one or the whole new one."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def move_into_place(made: Path, path: Path) -> None:
    """Move a complete file to its place, also to another file system (a mount in the output folder)."""
    try:
        made.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with written_whole(path) as part:
            shutil.copyfile(made, part)


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Make sure that no other process works in the folder. Raises LaterError when one does.

    Leases prevent that, except when a frozen process wakes up beside its successor: both would write to one file.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(fd) or not _is_still(folder, fd):
            # As soon as possible: the queue makes a short pause.
            raise LaterError(
                "another process is making this file", reason="busy", not_before=datetime.fromtimestamp(0, UTC)
            )
        yield
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks: the lease must suffice
    return True


def _is_still(folder: Path, fd: int) -> bool:
    """Return whether the folder is the one that was opened: another process may have finished and removed it."""
    try:
        return os.path.samestat(os.fstat(fd), folder.stat())
    except FileNotFoundError:
        return False
