"""`ydc verify` asks YouTube, answered from recordings, about videos that are done: one request each. Real yt-dlp, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Replay
from tests.support.rows import new_video
from youtube_download_coordinator.corpus.findings import unavailable
from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql import SqlStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

THERE = "UKwSQSFN4Nw"
TITLE = "Happy, Upbeat Background Instrumental | Royalty Free Music for Videos, Adverts, Commercials"
PAGE, PLAYER = "GET /watch", "POST /player"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    yield store
    store.close()


def add(store: SqlStore, folder: Path, video_id: str, **youtube: Any) -> None:
    """Add a video that is done, with the sidecar of its file."""
    lease = Lease(state=State.DONE, detail=f"{video_id}.m4a", nonce=f"n{video_id}")
    url = f"https://www.youtube.com/watch?v={video_id}"
    store.insert(VIDEO_TASKS, [new_video(1, url=url, key=f"yt:v:{video_id}", title=video_id, lease=lease)])
    (folder / "media").mkdir(exist_ok=True)
    (folder / "media" / f"{video_id}.m4a.json").write_text(json.dumps({"youtube": youtube}))


def verify(replay: Replay, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | dict(replay.environment) | {
        "YDC_DATABASE_URL": f"sqlite:///{folder}/queue.db",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_STATE_DIR": str(folder / "state"),
        "YDC_VIDEOS_PER_HOUR": "0",
        "YDC_RETRY_BACKOFF_SECONDS": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "youtube_download_coordinator", "verify", *options]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def requests(replay: Replay, video_id: str) -> list[str]:
    """Return what was asked of YouTube about a video."""
    kinds = [(entry[1], entry[2], str(entry)) for entry in replay.log()]
    named = [(method, url) for method, url, text in kinds if video_id in text]
    return [f"{method} /{'player' if '/v1/player' in url else url.partition('.com/')[2][:5]}" for method, url in named]


def test_what_has_happened_to_videos(replay: Replay, store: SqlStore, tmp_path: Path) -> None:
    add(store, tmp_path, THERE, title=TITLE)
    add(store, tmp_path, "8VajtrESJzA", title="A video")  # private
    add(store, tmp_path, "sMJ8bRN2dak", title="A video")  # for Premium members
    add(store, tmp_path, "don-t-exist", title="A video")
    add(store, tmp_path, "M4gD1WSo5mA", title="Its title when it was fetched", license="Creative Commons")
    done = verify(replay, tmp_path, "--json")
    assert done.returncode == 1, done.stderr
    findings = {line["key"].removeprefix("yt:v:"): line for line in map(json.loads, done.stdout.splitlines())}
    # of two findings about a video, the last
    assert {name: (line["kind"], line.get("reason")) for name, line in findings.items()} == {
        "8VajtrESJzA": ("private", "private"),
        "sMJ8bRN2dak": ("needs-account", "needs-account"),
        "don-t-exist": ("gone", "gone"),
        "M4gD1WSo5mA": ("title-changed", None),
    }
    assert '"kind": "license-changed"' in done.stdout
    assert len(unavailable(LocalPlace(tmp_path / "media"))) == 3
    asked = {name: requests(replay, name) for name in (*findings, THERE)}
    assert asked == {
        THERE: [PAGE],
        "8VajtrESJzA": [PAGE],
        "sMJ8bRN2dak": [PAGE],
        "don-t-exist": [PAGE, PAGE],  # asked for twice
        "M4gD1WSo5mA": [PAGE, PAGE],
    }
    assert len(replay.log()) == 7


def test_a_block_ends_it_and_the_next_run_asks_nothing(replay: Replay, store: SqlStore, tmp_path: Path) -> None:
    for video_id in (THERE, "M4gD1WSo5mA"):
        add(store, tmp_path, video_id)
    replay.faults({"match": "/watch", "status": 429}, {"match": "/v1/", "status": 429})
    done = verify(replay, tmp_path)
    assert done.returncode == 1
    assert "stopped: cooldown" in done.stdout
    asked = len(replay.log())
    assert verify(replay, tmp_path).returncode == 1
    assert len(replay.log()) == asked
    assert unavailable(LocalPlace(tmp_path / "media")) == {}


def test_an_outage_is_no_finding(replay: Replay, store: SqlStore, tmp_path: Path) -> None:
    for number in range(5):
        add(store, tmp_path, f"k0{number:09}")
    reload_page = {"playabilityStatus": {"status": "ERROR", "reason": "The page needs to be reloaded."}}
    replay.faults({"match": "/watch", "status": 503}, {"match": "/v1/player", "action": "json", "body": reload_page})
    done = verify(replay, tmp_path)
    assert done.returncode == 1
    assert "an outage is suspected" in done.stdout
    assert "3 of 5 videos asked about" in done.stdout
    assert unavailable(LocalPlace(tmp_path / "media")) == {}
