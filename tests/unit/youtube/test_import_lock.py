"""An upgrade and an import of yt-dlp wait for each other, within bounds."""

from __future__ import annotations

import fcntl
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import rows
from tests.support.waiting import wait_until
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube import import_lock
from youtube_download_coordinator.youtube.error_rules import MessageKeeper
from youtube_download_coordinator.youtube.import_lock import LockBusy, importing, no_imports
from youtube_download_coordinator.youtube.network import Network

HOLDER = """
import sys
from pathlib import Path
from youtube_download_coordinator.youtube.import_lock import importing, no_imports
with (importing(sys.argv[1]) if sys.argv[2] == "import" else no_imports(Path(sys.argv[1]), wait_seconds=30)):
    print("holds", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: Path, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start another process that holds the lock until the block ends, or until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(folder), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"holds\n"
        yield process
        process.stdin.close()


@contextmanager
def in_a_thread(call: threading.Thread) -> Iterator[threading.Thread]:
    call.start()
    yield call
    call.join(30)
    assert not call.is_alive()


def test_imports_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with held(tmp_path, "import"), importing(str(tmp_path), wait_seconds=0), importing(str(tmp_path), wait_seconds=0):
        pass


def test_an_upgrade_waits_for_an_import(tmp_path: Path) -> None:
    upgraded = threading.Event()

    def upgrade() -> None:
        with no_imports(tmp_path, wait_seconds=30):
            upgraded.set()

    with held(tmp_path, "import") as holder, in_a_thread(threading.Thread(target=upgrade)):
        wait_until(lambda: not is_free(tmp_path / import_lock.TURNSTILE_FILE))
        assert not upgraded.is_set()
        holder.kill()  # the kernel drops the locks of whoever dies
        assert upgraded.wait(30)


def test_an_upgrade_gives_up_when_an_import_does_not_end(tmp_path: Path) -> None:
    with (
        held(tmp_path, "import"),
        pytest.raises(LockBusy, match=import_lock.LOCK_FILE),
        no_imports(tmp_path, wait_seconds=0.1),
    ):
        pytest.fail("the import still runs")


def test_there_is_one_upgrade_at_a_time(tmp_path: Path) -> None:
    with (
        held(tmp_path, "upgrade"),
        pytest.raises(LockBusy, match=import_lock.TURNSTILE_FILE),
        no_imports(tmp_path, wait_seconds=0.1),
    ):
        pytest.fail("another upgrade runs")


def test_imports_that_begin_all_the_time_do_not_keep_an_upgrade_out(tmp_path: Path) -> None:
    """A new import waits while an upgrade waits for those that had begun."""
    begun = threading.Event()

    def upgrade() -> None:
        with no_imports(tmp_path, wait_seconds=30):
            pass

    def import_late() -> None:
        with importing(str(tmp_path), wait_seconds=30):
            begun.set()

    with held(tmp_path, "import") as first, in_a_thread(threading.Thread(target=upgrade)):
        wait_until(lambda: not is_free(tmp_path / import_lock.TURNSTILE_FILE))
        with in_a_thread(threading.Thread(target=import_late)):
            assert not begun.wait(0.2)
            first.kill()
            assert begun.wait(30)


def is_free(path: Path) -> bool:
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_child_of_the_upgrade_keeps_the_locks(tmp_path: Path) -> None:
    """An installation goes on when the command that began it is killed."""
    with no_imports(tmp_path, wait_seconds=0) as locks:
        pip = subprocess.Popen(["sleep", "60"], pass_fds=locks)
    try:
        with pytest.raises(LockBusy), no_imports(tmp_path, wait_seconds=0):
            pytest.fail("pip still runs")
    finally:
        pip.kill()
        pip.wait()
    with no_imports(tmp_path, wait_seconds=5):
        pass


def test_an_import_goes_on_when_an_upgrade_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with held(tmp_path, "upgrade"), importing(str(tmp_path), wait_seconds=0.1):
        pass
    assert "an upgrade of yt-dlp has not ended" in caplog.text


def test_an_import_needs_no_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full or read-only disk must not stop the queue."""
    (tmp_path / "file").touch()
    with importing(str(tmp_path / "file")):
        pass
    assert "without a lock" in caplog.text
    with caplog.at_level(logging.WARNING), importing(""):
        pass
    assert len(caplog.records) == 1


def test_yt_dlp_is_imported_with_everything_that_an_attempt_needs(tmp_path: Path) -> None:
    """So that nothing is left to import when an upgrade begins after it."""
    with held(tmp_path, "upgrade") as holder:
        made = threading.Event()

        def make() -> None:
            with Network(state_dir=str(tmp_path)).youtube_dl({}, MessageKeeper()):
                made.set()

        with in_a_thread(threading.Thread(target=make)):
            assert not made.wait(0.2)
            assert holder.stdin
            holder.stdin.close()
            assert made.wait(30)
    assert "yt_dlp.extractor.youtube._video" in sys.modules


def test_an_attempt_begins_after_the_upgrade(tmp_path: Path) -> None:
    """Also one with a processor of the user's, which may import yt-dlp itself."""
    config = Config(state_dir=tmp_path)
    outcomes: list[object] = []

    def attempt() -> None:
        outcomes.append(process_video("builtins:repr", rows.new_video(1), config))

    with held(tmp_path, "upgrade") as holder, in_a_thread(threading.Thread(target=attempt)) as thread:
        thread.join(1)
        assert outcomes == []
        assert holder.stdin
        holder.stdin.close()
    assert [type(outcome) for outcome in outcomes] == [Done]
