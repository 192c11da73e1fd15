"""YouTube throttles: two workers on one machine stop, lose no video, and continue when YouTube answers again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Replay, recorded_video
from tests.support.rows import make_queue
from tests.support.waiting import wait_until
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

VIDEOS = 6
GOOD_REQUESTS = 4
"""So many requests to the player are answered before it begins."""
REQUESTS_PER_VIDEO = 2
"""What yt-dlp asks the player for one video: two of YouTube's clients."""
WORKERS = 2
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "bot-check": {"action": "json", "preset": "botcheck"},
    "rate-limit": {"action": "json", "preset": "ratelimit"},
    "http-429": {"status": 429},
}
SETTINGS = {
    "YDC_COOLDOWN_MINUTES": "60",
    "YDC_VIDEOS_PER_HOUR": "0",
    "YDC_IDLE_POLL_SECONDS": "1",
}
YDC = [sys.executable, "-m", "youtube_download_coordinator"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Yield a queue of videos that are in the recordings."""
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    store.insert(VIDEO_TASKS, [recorded_video(number) for number in range(VIDEOS)])
    yield store
    store.close()


@contextmanager
def workers(replay: Replay, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    environment = os.environ | dict(replay.environment) | SETTINGS | {
        "YDC_DATABASE_URL": f"sqlite:///{folder}/queue.db",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_STATE_DIR": str(folder / "state"),
    }  # fmt: skip
    command = [*YDC, "run", "--processor", "metadata", "--concurrency", "1"]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, env=environment, cwd=folder, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        for _ in range(WORKERS)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def cooldown(store: SqlStore) -> str:
    return next((line.value for line in store.controls() if line.name.startswith("cooldown ")), "")


def end_the_pause(store: SqlStore) -> None:
    """End the pause now, as a person does who types an earlier Until."""
    (line,) = store.controls()
    now = store.now()
    assert store.set_control(line.name, lambda line: line and replace(line, until=now))


def asked_of_the_player(replay: Replay) -> int:
    return sum("/v1/player" in entry[2] for entry in replay.log())


@pytest.mark.parametrize("reason", FAULTS)
def test_a_throttled_fleet_loses_nothing_and_goes_on(
    replay: Replay, store: SqlStore, tmp_path: Path, reason: str
) -> None:
    replay.faults({"match": "/v1/player", "skip": GOOD_REQUESTS, **FAULTS[reason]})
    with workers(replay, tmp_path) as running:
        wait_until(lambda: cooldown(store) == "cooling")
        wait_until(lambda: store.count(VIDEO_TASKS).get(State.HELD, 0) == 0)
        throttled = asked_of_the_player(replay) - GOOD_REQUESTS
        assert 0 < throttled <= (WORKERS + 1) * REQUESTS_PER_VIDEO, "one video of each worker, and the canary"
        assert any(row.lease.detail.startswith(f"{reason}: ") for row in store.scan(VIDEO_TASKS))
        end_the_pause(store)
        wait_until(lambda: store.controls()[0].pause_seconds == 2 * 60 * 60)  # a probe, which is throttled too
        assert asked_of_the_player(replay) - GOOD_REQUESTS - throttled <= REQUESTS_PER_VIDEO, "one worker's"
        replay.faults()
        make_queue(store).retry(VIDEO_TASKS, Selection())  # what was refused waits until the cooldown would have ended
        end_the_pause(store)
        said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * WORKERS, said
    assert store.count(VIDEO_TASKS) == {State.DONE: VIDEOS}
    assert store.count(DEAD_LETTERS) == {}
    assert {row.retry_count for row in store.scan(VIDEO_TASKS)} == {0}
    assert cooldown(store) == "clear"
    assert any("nothing starts: cooldown" in text for text in said)
