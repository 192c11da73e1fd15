"""Create folders and files below the output folder, never outside of it and never partially visible."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from youtube_download_coordinator.errors import UnfitError

READ_MAX_BYTES = 100_000_000
"""The largest file that is read, because other users may write into a shared folder. yt-dlp's information has some megabytes."""


def make_folder(folder: Path, output_dir: Path) -> Path:
    """Make a folder below `output_dir`. Raises UnfitError if that is impossible, or if a link leads out."""
    if not folder.resolve().is_relative_to(output_dir.resolve()):
        raise UnfitError(f"{folder} leads out of {output_dir}", reason="output-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UnfitError(f"cannot make {folder}: {error.strerror}", reason="output-dir") from error
    return folder


def check_free_disk(output_dir: Path, least_bytes: int) -> int:
    """Return the free bytes on the disk of `output_dir`. Raises UnfitError if there are fewer than `least_bytes`."""
    free = free_bytes(output_dir)
    if free < least_bytes:
        raise UnfitError(
            f"{in_megabytes(free)} are free in {output_dir}, and {in_megabytes(least_bytes)} are needed"
            " (YDC_MIN_FREE_DISK_BYTES)",
            reason="disk-full",
        )
    return free


def free_bytes(output_dir: Path) -> int:
    """Return the free bytes on the disk of a folder, which may not exist yet."""
    existing = next(folder for folder in (output_dir.absolute(), *output_dir.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(existing).free


def in_megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


@contextlib.contextmanager
def written_whole(path: Path, replaced: os.stat_result | None = None) -> Iterator[IO[bytes]]:
    """Yield a new temporary file, which replaces `path` at the end of the `with` unless there was an error.

    Given the status of the replaced file, it gets the same mode, and the same owner and group if this user may set them.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    mode = stat.S_IMODE(replaced.st_mode) if replaced else 0o666
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o777)
    try:
        with open(fd, "wb") as file:
            if replaced:
                for owner in (-1, replaced.st_uid):
                    with contextlib.suppress(PermissionError):
                        os.fchown(fd, owner, replaced.st_gid)
                os.fchmod(fd, mode)  # after the owner, because changing the owner resets parts of the mode
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: others see either the old file or the complete new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically, like `write_text`."""
    with written_whole(path) as file:
        file.write(content)


def read_file(path: Path, output_dir: Path) -> bytes:
    """Return the content of one of the coordinator's files below `output_dir`. Links are not followed.

    Raises FileNotFoundError also for a link, for anything but a file, for a file that is too large, and for a folder that
    leads out.
    """
    try:
        if not path.parent.resolve().is_relative_to(output_dir.resolve()):
            raise FileNotFoundError(errno.ENOENT, "it leads out of the output folder", str(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "it is not a file", str(path))
            if status.st_size > READ_MAX_BYTES:
                raise FileNotFoundError(errno.ENOENT, "it is too large to be one of the coordinator's", str(path))
            with open(fd, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "it is a link", str(path)) from error
        raise


def read_json(path: Path, output_dir: Path) -> Any:
    """Return the content of such a JSON file. Raises FileNotFoundError like `read_file`, and ValueError if it is not JSON."""
    try:
        return json.loads(read_file(path, output_dir))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def move_into_place(made: Path, path: Path) -> None:
    """Move a complete file to its final path, even to another file system (a mount in the output folder)."""
    try:
        made.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with written_whole(path) as file, made.open("rb") as source:
            shutil.copyfileobj(source, file)
