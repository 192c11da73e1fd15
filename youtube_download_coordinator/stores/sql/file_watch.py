"""Detect that a SQLite file was deleted or replaced while this process uses it.

An open connection would continue in the deleted file, which no other process can open, and a new connection would start an empty
queue. SQLite itself deletes the file of its write-ahead log only with the last connection.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import StoreGone

FileId = tuple[int, int]
"""The device and inode of a file."""
WAL_FILE = "ydc_wal_file"
"""The name in a connection's info of the FileId of its write-ahead log."""


class FileWatch:
    """A watch that compares the files at a database's path with the opened ones."""

    def __init__(self, path: Path) -> None:
        self._path, self._wal = path, Path(f"{path}-wal")
        self._file: FileId | None = None

    def remember(self) -> None:
        """Remember the file that is at the path now as the queue's."""
        self._file = _id_of(self._path)

    def check(self) -> None:
        """Raise StoreGone if the remembered file is no longer at the path."""
        if self._file is not None and _id_of(self._path) != self._file:
            raise self._gone(self._path)

    def check_connection(self, info: MutableMapping[Any, Any]) -> None:
        """Raise StoreGone if the connection's write-ahead log is not the one at the path."""
        if WAL_FILE not in info:
            # Before the first transaction, SQLite may still delete the log, with another process's last connection.
            info[WAL_FILE] = None
            return
        wal_file = _id_of(self._wal)
        if info[WAL_FILE] is None:
            info[WAL_FILE] = wal_file
        elif info[WAL_FILE] != wal_file:
            raise self._gone(self._wal)

    def _gone(self, path: Path) -> StoreGone:
        return StoreGone(
            f"{path} was deleted or replaced while this process used it: put the queue's file back, then start again"
        )


def _id_of(path: Path) -> FileId | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
