"""Manage the folders in which files are made: `.parts/` below the output folder, with a folder for each video and product.

    .parts/UKwSQSFN4Nw.audio-m4a/.key                 the key of the row
    .parts/UKwSQSFN4Nw.audio-m4a/UKwSQSFN4Nw.m4a.part

Only the worker's user may enter them, so nobody else can replace a file by a link. An attempt holds a lock on its folder. The
next attempt resumes the files in it. If there will be no next attempt, the folder is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError, UnfitError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.private_files import close_folder_to_others, is_shared_with_group
from youtube_download_coordinator.processors.output_paths import file_stem
from youtube_download_coordinator.reasons import TOO_LARGE
from youtube_download_coordinator.storage.files import make_folder, read_file
from youtube_download_coordinator.youtube.error_rules import has_bad_part

PARTS = ".parts"
KEY_FILE = ".key"
UNPUBLISHED_FILE = ".unpublished"
"""The file in a folder whose files are complete and wait to be published in object storage (place_archive.py)."""
USELESS_FILES = frozenset({"short-file", "bad-media", "degraded"})
"""Reasons of attempts that leave a complete but wrong file. It is removed, because yt-dlp would not download it again."""


@contextlib.contextmanager
def work_folder(output_dir: Path, task: VideoTask, product_name: str) -> Iterator[Path]:
    """Make the folder of one product, whose name has no dot. The next attempt finds the files that this one has left.

    Raises LaterError while another process works in it, and UnfitError if it cannot be made or is another user's.
    """
    parts = _make_private(output_dir / PARTS, output_dir)
    work = _make_private(parts / f"{file_stem(task)}.{product_name}", output_dir)
    with held_alone(work):
        (work / KEY_FILE).write_text(task.key, encoding="utf-8")
        try:
            yield work
        except Exception as error:
            if not _can_be_resumed(work, error):
                shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)


def _make_private(folder: Path, output_dir: Path) -> Path:
    if folder.is_symlink():
        raise UnfitError(
            f"{folder} is a symbolic link, and the coordinator would write through it: remove it", reason="output-dir"
        )
    make_folder(folder, output_dir)
    with contextlib.suppress(PermissionError):
        close_folder_to_others(folder)
    owner, trusted = folder.stat().st_uid, {0, os.geteuid(), output_dir.stat().st_uid}
    if owner not in trusted and not is_shared_with_group(output_dir):
        raise UnfitError(f"{folder} belongs to another user (uid {owner})", reason="output-dir")
    return folder


def _can_be_resumed(work: Path, error: Exception) -> bool:
    is_broken = isinstance(error, AttemptError) and (error.reason in USELESS_FILES or has_bad_part(error))
    is_empty = {path.name for path in work.iterdir()} <= {KEY_FILE}
    is_too_large = isinstance(error, AttemptError) and error.reason == TOO_LARGE
    return not (is_empty or is_broken or is_too_large or isinstance(error, PermanentError))


def part_folders(output_dir: Path, task: VideoTask) -> list[Path]:
    """Return the folders of a video's products."""
    return [folder for folder in _folders(output_dir) if _stem(folder) == file_stem(task)]


def other_folders(output_dir: Path, task: VideoTask) -> list[Path]:
    """Return the folders of all other videos."""
    return [folder for folder in _folders(output_dir) if _stem(folder) != file_stem(task)]


def folder_bytes(folder: Path) -> int:
    """Return the disk space of a folder's files."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it has just been moved or removed
            total += path.lstat().st_blocks * 512
    return total


@dataclass(frozen=True, slots=True)
class IdlePart:
    """A folder with files that an attempt has left."""

    folder: Path
    key: str
    """The key of its row; empty if it is not known."""
    changed_at: float
    """The time of the last write, in seconds since 1970."""


def idle_parts(output_dir: Path) -> list[IdlePart]:
    """Return the folders that attempts have left. A process may start to use one at any time: see `remove_if_idle`."""
    return [IdlePart(folder, _key(folder), _changed_at(folder)) for folder in _folders(output_dir)]


def _key(folder: Path) -> str:
    """Return the key in a folder. Version 0.1.0 wrote none, but named folders by YouTube's IDs."""
    try:
        return read_file(folder / KEY_FILE, folder).decode("utf-8", "replace")
    except OSError:
        stem = _stem(folder)
        return f"yt:v:{stem}" if re.fullmatch(r"[A-Za-z0-9_-]{11}", stem) else ""


def _changed_at(folder: Path) -> float:
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            times.append(path.lstat().st_mtime)
    return max(times)


def unpublished_keys(output_dir: Path) -> set[str]:
    """Return the keys of the rows whose files wait here to be published."""
    return {_key(folder) for folder in _folders(output_dir) if (folder / UNPUBLISHED_FILE).exists()}


def clear_work(work: Path) -> None:
    """Remove the files that an earlier attempt has left in this folder."""
    for path in work.iterdir():
        if path.name == KEY_FILE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_parts(output_dir: Path, task: VideoTask) -> None:
    """Remove the folders that attempts at a video have left, except folders that another process is using."""
    for folder in part_folders(output_dir, task):
        remove_if_idle(folder)


def _folders(output_dir: Path) -> list[Path]:
    try:
        return [entry for entry in (output_dir / PARTS).iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:
        return []


def _stem(folder: Path) -> str:
    return folder.name.rpartition(".")[0]


def remove_if_idle(folder: Path) -> bool:
    """Remove a folder and return True, unless a process may be using it. Without locks, any folder may be in use."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not _lock(fd):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    finally:
        os.close(fd)


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Lock the folder, so that no other process uses it. Raises LaterError if one does.

    Leases prevent that, except when a frozen process wakes up after its row was taken over: both would write to one file.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        # If the file system has no locks, the lease must be enough.
        if _lock(fd) is False or not _is_still(folder, fd):
            # As soon as possible; the queue makes a short pause.
            raise LaterError(
                "another process is making this file", reason="busy", not_before=datetime.fromtimestamp(0, UTC)
            )
        yield
    finally:
        os.close(fd)


def _lock(fd: int) -> bool | None:
    """Lock an open folder. Return None where the file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_still(folder: Path, fd: int) -> bool:
    """Return whether the folder is the one that was opened: another process may have finished and removed it."""
    try:
        return os.path.samestat(os.fstat(fd), folder.stat())
    except FileNotFoundError:
        return False
