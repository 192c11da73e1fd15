"""The whole job on recorded YouTube: a playlist listed by yt-dlp, the audio of each of its videos, through the flow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mutagen
import pytest

from tests.acceptance.conftest import Replay
from youtube_download_coordinator import Config, Coordinator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PLAYLIST = "PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO"
VIDEOS = 17
RUN_SECONDS = 540
PROGRAM = """
from flows.coordinate import coordinate
state = coordinate("audio", concurrency=2, return_state=True)
print(state.name, state.message, sep=": ")
"""


def coordinated(replay: Replay, folder: Path) -> str:
    """Run `coordinate` in a process of its own, with a Prefect server of its own; what it says at the end."""
    sources = folder / "sources.txt"
    sources.write_text(f"https://www.youtube.com/playlist?list={PLAYLIST}|Irish|talk\n", encoding="utf-8")
    environment = os.environ | dict(replay.environment) | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "YDC_SOURCES_FILE_PATH": str(sources),
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
    }  # fmt: skip
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_video_of_a_playlist_has_its_own_audio(replay: Replay, tmp_path: Path) -> None:
    assert coordinated(replay, tmp_path) == f"Completed: {VIDEOS} done"
    tasks = Coordinator(Config(database_url=f"sqlite:///{tmp_path / 'queue.db'}")).client.get_video_tasks()
    assert len(tasks) == VIDEOS
    for task in tasks:
        video_id = str(task["URL"]).rpartition("=")[2]
        path = tmp_path / "media" / str(task["Result"])
        assert (path.parent.parent, path.stem) == (tmp_path / "media" / "Irish", video_id)
        assert path.parent.name.startswith("UC"), "a recording names no channel, so its folder has the channel's ID"
        assert str(mutagen.File(path, easy=True)["title"][0]).startswith(f"YTKIT:{video_id}:")
