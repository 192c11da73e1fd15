"""Downloads that are killed, or trickle; and what an audio file costs beside plain yt-dlp."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psutil
import pytest

from tests.acceptance.conftest import Replay, serve
from tests.support import rows
from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Failure, Verdict, VideoTask
from youtube_download_coordinator.workers.run_processor import process_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

VIDEOS = ("UKwSQSFN4Nw", "M4gD1WSo5mA")
MOST_REQUESTS = 1.1
"""Times those of plain yt-dlp."""
MEDIA_BYTES = 3_000_000
ONE_VIDEO = """
import json, sys
from tests.acceptance.test_download_replay import video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.workers.run_processor import process_video
print(process_video("audio", video("UKwSQSFN4Nw"), Config(output_dir=sys.argv[1])))
"""


def video(video_id: str, **fields: Any) -> VideoTask:
    return rows.new_video(1, key=f"yt:v:{video_id}", url=f"https://www.youtube.com/watch?v={video_id}", **fields)


@pytest.fixture
def slow_media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Serve media of three megabytes that take five seconds."""
    with serve(tmp_path_factory.mktemp("ca"), "--media-bytes", str(MEDIA_BYTES), "--media-rate", "600000") as replay:
        yield replay


def use(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in replay.environment.items():
        monkeypatch.setenv(name, value)


def half_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.part"))


def at_their_place(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.m4a") if ".parts" not in path.parts]


def test_a_download_that_is_killed_goes_on(slow_media: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SIGKILL for the worker and, by its lifeline, for everything below it. Nothing half stands at its place meanwhile."""
    use(slow_media, monkeypatch)
    with subprocess.Popen([sys.executable, "-c", ONE_VIDEO, str(tmp_path)], env=os.environ) as worker:
        wait_until(lambda: half_of(tmp_path) > MEDIA_BYTES // 5)
        below = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not any_alive(below))
    assert at_their_place(tmp_path) == []
    had = half_of(tmp_path)
    told: list[dict[str, int]] = []
    outcome = process_video("audio", video(VIDEOS[0]), Config(output_dir=tmp_path), on_message=told.append)
    assert isinstance(outcome, Done), outcome
    assert told[0]["downloaded_bytes"] >= had > MEDIA_BYTES // 5
    assert at_their_place(tmp_path) == [tmp_path / outcome.result]
    assert not (tmp_path / ".parts" / "UKwSQSFN4Nw.audio-m4a").exists()


def test_media_that_trickle_are_ended_by_the_deadline(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No time-out of a connection sees it: something comes all the time."""
    with serve(tmp_path_factory.mktemp("ca"), "--media-bytes", "3000000", "--media-rate", "2000") as trickling:
        use(trickling, monkeypatch)
        config = Config(output_dir=tmp_path, attempt_timeout_minutes=10 / 60)
        outcome = process_video("audio", video("UKwSQSFN4Nw"), config)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "timeout")
    assert half_of(tmp_path) > 0
    assert at_their_place(tmp_path) == []


def test_audio_costs_no_more_requests_than_plain_yt_dlp(
    replay: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Count them one by one, although each attempt has its own process."""
    use(replay, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # yt-dlp's, empty for both
    addresses = [video(each).url for each in VIDEOS]
    options = ["--ignore-config", "--quiet", "-f", "bestaudio[ext=m4a]/bestaudio/best", "-x", "--audio-format", "m4a"]
    output = ["--ffmpeg-location", imageio_ffmpeg.get_ffmpeg_exe(), "-o", str(tmp_path / "%(id)s.%(ext)s")]
    subprocess.run([sys.executable, "-m", "yt_dlp", *options, *output, *addresses], check=True)
    plain = len(replay.log())
    replay.reset()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))
    outcomes = [process_video("audio", video(each), Config(output_dir=tmp_path / "media")) for each in VIDEOS]
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert plain >= 3 * len(VIDEOS)
    assert len(replay.log()) <= MOST_REQUESTS * plain
