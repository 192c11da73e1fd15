"""Files with the queue or this machine's state belong to its user alone, because a reader of a file can lock it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.rows import new_source
from youtube_download_coordinator.private_files import make_private, open_private
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.stores.machine import MACHINE_FILE, hold_machine_lock, open_machine_state
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.youtube.import_lock import LOCK_FILE, TURNSTILE_FILE, importing


@pytest.fixture(autouse=True)
def _common_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_no_other_user_can_read_or_lock_a_queue_in_a_file(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/queue.db")) as store:
        store.insert(SOURCES, [new_source(1)])
        assert modes(tmp_path) == dict.fromkeys(("queue.db", "queue.db-wal", "queue.db-shm"), 0o600)


def test_a_queue_of_an_older_version_is_closed_to_others(tmp_path: Path) -> None:
    """While another program has it open, as a worker may."""
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE theirs (a)")
        assert modes(tmp_path)["queue.db-wal"] == 0o644
        with closing(SqlStore(f"sqlite:///{path}")) as store:
            store.insert(SOURCES, [new_source(1)])
        assert modes(tmp_path) == dict.fromkeys(("queue.db", "queue.db-wal", "queue.db-shm"), 0o600)


def test_no_other_user_can_read_or_lock_the_state_of_a_machine(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    with closing(open_machine_state(folder)) as store, importing(str(folder)):
        store.controls(fresh=True)
        with hold_machine_lock(folder, "process", "host-a", "queue"):
            found = modes(folder)
    assert set(found) > {MACHINE_FILE, TURNSTILE_FILE, LOCK_FILE}
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"),
    [(0o755, 0o600), (0o750, 0o600), (0o770, 0o660), (0o775, 0o660), (0o777, 0o600), (0o1777, 0o600)],
)
@pytest.mark.parametrize("was", [None, 0o666, 0o644, 0o640])
def test_a_folder_that_its_group_writes_is_shared_with_it(
    tmp_path: Path, folder_mode: int, file_mode: int, was: int | None
) -> None:
    tmp_path.chmod(folder_mode)
    for name in ("locked", "made"):
        if was is not None:
            (tmp_path / name).touch()
            (tmp_path / name).chmod(was)
    os.close(open_private(tmp_path / "locked"))
    make_private(tmp_path / "made")
    left = file_mode if was is None else file_mode & was
    assert set(modes(tmp_path).values()) == {left & ~0o022 if was is None else left}


def test_the_lock_of_another_user_behind_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    (tmp_path / "lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic"):
        open_private(tmp_path / "lock")


def test_a_queue_behind_a_link_is_closed_to_others_and_its_locks_stay(tmp_path: Path) -> None:
    """Closing a descriptor of a file drops the locks that the process holds on it, so no file that exists is opened."""
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE ours (a)")
        path.chmod(0o644)
        database.execute("BEGIN EXCLUSIVE")
        (tmp_path / "link.db").symlink_to(path)
        make_private(tmp_path / "link.db")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        pid = os.fork()
        if pid == 0:
            with closing(sqlite3.connect(path, timeout=0)) as other:
                try:
                    other.execute("SELECT count(*) FROM ours")
                except sqlite3.OperationalError:
                    os._exit(7)
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
