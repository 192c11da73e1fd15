"""YouTube refuses every video with an unknown text: the machine waits, loses no video, and continues afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import Replay, recorded_video
from tests.support.waiting import wait_until
from youtube_download_coordinator.models import Control, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.youtube.versions import YT_DLP, installed_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

VIDEOS, OTHER_VIDEOS = 10, 8
UNSEEN = "Something that nobody has seen yet"
REFUSED = {
    "match": "/v1/player",
    "action": "json",
    "body": {"playabilityStatus": {"status": "UNPLAYABLE", "reason": UNSEEN}},
}
SETTINGS = {
    "YDC_OUTAGE_OTHER_VIDEOS": str(OTHER_VIDEOS),
    "YDC_RETRY_BACKOFF_SECONDS": "1",
    "YDC_VIDEOS_PER_HOUR": "0",
    "YDC_IDLE_POLL_SECONDS": "1",
    "PIP_NO_INDEX": "1",  # it asks whether there is a newer yt-dlp
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Yield a queue of videos that are in the recordings, of two sources."""
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    store.insert(VIDEO_TASKS, [recorded_video(number, number % 2 + 1) for number in range(VIDEOS)])
    yield store
    store.close()


def suspicion(store: SqlStore) -> Control:
    lines = (line for line in store.controls(fresh=True) if line.name.startswith("suspect "))
    return next(lines, Control(name=""))


def test_an_outage_with_an_unseen_wording_costs_no_video(replay: Replay, store: SqlStore, tmp_path: Path) -> None:
    replay.faults(REFUSED)
    environment = os.environ | dict(replay.environment) | SETTINGS | {
        "YDC_DATABASE_URL": f"sqlite:///{tmp_path}/queue.db",
        "YDC_OUTPUT_DIR": str(tmp_path / "media"),
        "YDC_STATE_DIR": str(tmp_path / "state"),
    }  # fmt: skip
    command = [sys.executable, "-m", "youtube_download_coordinator", "run", "--processor", "metadata"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            wait_until(lambda: suspicion(store).value == "suspect", 120)
            wait_until(lambda: {row.lease.tries for row in store.scan(VIDEO_TASKS)} == {0}, 60)
            line = suspicion(store)
            assert line.name.endswith(f" {installed_version(YT_DLP)}")
            assert f": error: {OTHER_VIDEOS} videos of 2 sources on 1 machine since " in line.reason
            assert UNSEEN in line.reason
            assert store.count(DEAD_LETTERS) == {}
            replay.faults()
            now = store.now()
            store.set_control(line.name, lambda line: line and replace(line, until=now))
            printed = running.communicate(timeout=180)[0]
        finally:
            running.kill()
    assert f"{VIDEOS} done" in printed
    assert store.count(VIDEO_TASKS) == {State.DONE: VIDEOS}
    assert store.count(DEAD_LETTERS) == {}
    assert suspicion(store).value == "clear"
    assert "an outage is suspected, so failures are not counted: suspect " in printed
