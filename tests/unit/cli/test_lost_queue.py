"""A SQLite file that is deleted or replaced, or whose disk is full, while `ydc run` works on it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.disks import fill, small_disk
from tests.support.command_output import left_running
from tests.support.rows import make_queue
from tests.support.terminal import add_videos, command, videos
from tests.support.waiting import wait_until
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore

DATABASE, SAID = "coordinator.db", "said.txt"
GONE = "was deleted or replaced while this process used it: put the queue's file back, then start again"
SHORT_LEASE = {"YDC_STALLED_TASK_TIMEOUT_MINUTES": "0.05"}

pytestmark = pytest.mark.slow


@contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ydc` on two videos that hang, and wait until they have begun. It writes into a file, as its reaper does."""
    run = command("run", "--processor", "mine:hangs", "--concurrency", "2")
    with (folder / SAID).open("wb") as said:
        process = subprocess.Popen(run, cwd=folder, env=environment, stdout=said, stderr=said)
    try:
        wait_until(lambda: (folder / "begun").exists() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def replace(path: Path) -> None:
    """Put another queue there, which has one video."""
    other = path.with_name("other.db")
    store = SqlStore(f"sqlite:///{other}")
    add_videos(make_queue(store), 1)
    store.close()
    for suffix in ("-wal", "-shm"):  # of the queue before
        path.with_name(f"{path.name}{suffix}").unlink()
    other.replace(path)


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("away.db")),
    "replaced": replace,
    "log deleted": lambda path: path.with_name(f"{DATABASE}-wal").unlink(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_whose_queue_is_lost_stops_and_makes_no_new_one(
    folder: Path, environment: dict[str, str], queue: Queue, loss: str
) -> None:
    add_videos(queue, 3)
    with running(folder, environment | SHORT_LEASE) as process:
        LOSSES[loss](folder / DATABASE)
        assert process.wait(timeout=60) == 1
    said = (folder / SAID).read_text()
    name = folder / (f"{DATABASE}-wal" if loss == "log deleted" else DATABASE)
    assert f"ydc: StoreGone: {name} {GONE}" in said.splitlines()
    assert "Traceback" not in said
    wait_until(lambda: left_running(folder) == [])
    assert (folder / DATABASE).exists() == (loss in {"replaced", "log deleted"})
    if loss == "replaced":
        store = SqlStore(f"sqlite:///{folder / DATABASE}")
        assert store.count(VIDEO_TASKS) == {State.PENDING: 1}
        store.close()


def test_a_killed_run_whose_queue_is_lost_makes_no_new_one(
    folder: Path, environment: dict[str, str], queue: Queue
) -> None:
    """Its reaper has rows to give back, and no queue."""
    add_videos(queue, 3)
    with running(folder, environment) as process:
        (folder / DATABASE).unlink()
        process.kill()
        process.wait()
    wait_until(lambda: left_running(folder) == [])
    assert not (folder / DATABASE).exists()


def test_what_a_full_disk_keeps_is_given_back_when_there_is_room(folder: Path, environment: dict[str, str]) -> None:
    disk = folder / "disk"
    disk.mkdir()
    with small_disk(disk, 1 << 20) as is_mounted:
        if not is_mounted:
            pytest.skip("a file system of a size of its own needs root")
        store = SqlStore(f"sqlite:///{disk}/{DATABASE}")
        queue = make_queue(store)
        add_videos(queue, 3)
        here = environment | {"YDC_DATABASE_URL": f"sqlite:///{disk}/{DATABASE}"}
        with running(folder, here) as process:
            with fill(disk):
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=60) == 128 + signal.SIGTERM
                said = (folder / SAID).read_text()
            assert said.splitlines()[-1].startswith("ydc: interrupted; ")
            assert "Traceback" not in said
            wait_until(lambda: queue.counts(VIDEO_TASKS) == {State.PENDING: 3})
            assert {row.retry_count for row in videos(queue)} == {0}
            wait_until(lambda: left_running(folder) == [])
        store.close()
