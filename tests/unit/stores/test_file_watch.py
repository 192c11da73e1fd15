"""The files of a SQLite queue, watched by each of its connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from youtube_download_coordinator.errors import StoreGone
from youtube_download_coordinator.stores.sql.file_watch import FileWatch


def test_a_log_that_sqlite_deletes_before_the_first_transaction_is_no_loss(tmp_path: Path) -> None:
    """The last connection of another process deletes it. From the first transaction on, a connection keeps it."""
    log, info = tmp_path / "queue.db-wal", dict[Any, Any]()
    watch = FileWatch(tmp_path / "queue.db")
    log.write_bytes(b"of another process")
    watch.check_connection(info)
    (tmp_path / "new").write_bytes(b"of this one")
    (tmp_path / "new").replace(log)
    for _ in range(2):
        watch.check_connection(info)
    log.unlink()
    with pytest.raises(StoreGone):
        watch.check_connection(info)
