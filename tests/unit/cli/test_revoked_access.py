"""A service account that is deleted while `ydc run` works: Google answers invalid_grant to whoever asks for a token."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.sheets_setting import Setting
from tests.support.terminal import add_videos
from tests.support.waiting import wait_until
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

pytestmark = pytest.mark.slow

SAID = "said.txt"
WAITS = """
import time
from pathlib import Path

def for_you(task):
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.1)
    return "result"
"""
LONG_LEASE_MINUTES, SHORT_LEASE_MINUTES = 10, 0.2


@contextmanager
def working(here: Setting, lease_minutes: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ydc` until its processor waits for the file `go`. Then delete its account."""
    (here.folder / "waits.py").write_text(WAITS)
    coordinator = Coordinator(here.config(state_dir=here.folder / "other"))
    add_videos(coordinator.queue, 1)
    coordinator.close()
    settings = {"stalled_task_timeout_minutes": lease_minutes, "state_dir": here.folder / "state"}
    command = here.command("run", "--processor", "waits:for_you", **settings)
    with (here.folder / SAID).open("wb") as said:
        process = subprocess.Popen(**command, stdout=said, stderr=said)
    try:
        wait_until(lambda: (here.folder / "begun").exists() or process.poll() is not None)
        here.simulator.accounts.delete(here.account)
        (here.folder / "go").touch()
        yield process
    finally:
        process.kill()
        process.wait()


def refusals(here: Setting) -> int:
    return sum(entry.path == "/token" and entry.status == 400 for entry in here.simulator.log)


def test_a_result_is_recorded_when_the_account_is_back_before_the_lease_ends(here: Setting) -> None:
    with working(here, LONG_LEASE_MINUTES) as process:
        wait_until(lambda: refusals(here) >= 2)
        here.simulator.accounts.restore(here.account)
        assert process.wait(60) == 0
    with Coordinator(here.config()) as coordinator:
        assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 1}


def test_when_the_lease_ends_before_the_worker_stops_with_one_line(here: Setting, tmp_path: Path) -> None:
    with working(here, SHORT_LEASE_MINUTES) as process:
        assert process.wait(60) == 2
    said = (tmp_path / SAID).read_text()
    assert "Traceback" not in said
    assert "PRIVATE KEY" not in said
    lines = [line for line in said.splitlines() if line.startswith("ydc: ")]
    assert len(lines) == 1
    assert re.search("Google does not accept the credentials .*invalid_grant", lines[0])
    here.simulator.accounts.restore(here.account)
    with Coordinator(here.config()) as coordinator:
        assert set(coordinator.queue.counts(VIDEO_TASKS)) <= {State.HELD, State.PENDING}
