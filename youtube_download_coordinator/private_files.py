"""Create files and folders that other users of the machine cannot read, because a user who can read a file can also lock it.

A folder that its group may write is shared on purpose, so its files belong to the group too.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create a folder for this user alone. An existing folder keeps its mode. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path) -> int:
    """Open a file for reading and writing, and create it if it does not exist. Return the descriptor. Raises OSError.

    If an older version created the file for all users, remove their permissions.
    """
    make_private_folder(path.parent)
    mode = _file_mode(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
    status = os.fstat(fd)
    if excess := _excess(status, mode):
        os.fchmod(fd, stat.S_IMODE(status.st_mode) & ~excess)
    return fd


def make_private(path: Path) -> None:
    """Create an empty file unless it exists, and remove other users' permissions. A link to a file is followed.

    An existing file is not opened: closing it would release the locks that this process holds on it, such as SQLite's. If this
    user lacks the permission, do nothing; opening the file reports the cause.
    """
    with contextlib.suppress(OSError):
        mode = _file_mode(path.resolve().parent)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, mode))
        status = path.stat()
        if excess := _excess(status, mode):
            path.chmod(stat.S_IMODE(status.st_mode) & ~excess)


def close_folder_to_others(folder: Path) -> None:
    """Let only this user enter a folder; its group too if the folder above is shared with the group. Raises OSError."""
    mode = 0o770 if is_shared_with_group(folder.parent) else 0o700
    status = folder.stat()
    if excess := status.st_mode & ~mode & 0o077:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~excess)


def is_shared_with_group(folder: Path) -> bool:
    """Return whether the group of a folder, and not every user, may write to it."""
    return folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) == stat.S_IWGRP


def _file_mode(folder: Path) -> int:
    return 0o660 if is_shared_with_group(folder) else 0o600


def _excess(status: os.stat_result, mode: int) -> int:
    """Return the permissions of others that exceed the mode, of a file that belongs to this user."""
    is_ours = status.st_uid == os.geteuid() and stat.S_ISREG(status.st_mode)
    return status.st_mode & ~mode & 0o077 if is_ours else 0
