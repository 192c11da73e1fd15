"""Compare the processor `audio` with plain yt-dlp, with the same options on the same videos: seconds and requests.

Why: the coordinator runs each attempt in its own process and makes more checks than yt-dlp, which must not cost YouTube more
requests. Needs the recordings. The media are empty, so that everything but the transfer is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import imageio_ffmpeg

from benchmarks.figures import Figure, alone, answer, start
from benchmarks.youtube_replay import PORT, PROGRAM, replay
from tests.support.rows import new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video

PLAYLIST = "https://www.youtube.com/playlist?list=PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO"
VIDEOS = 8
MOST_REQUESTS = 1.1


def measure() -> list[Figure]:
    """Measure both, one after the other, each with an empty yt-dlp cache. Return an empty list without the recordings."""
    if not PROGRAM.exists():
        return []
    with replay() as environment, TemporaryDirectory() as name:
        ids = _listed(environment)
        plain = _measured(environment, Path(name) / "plain", lambda folder: _plain(ids, folder, environment))
        ours = _measured(environment, Path(name) / "ours", lambda folder: _ours(ids, folder, environment))
    return [_seconds(ours[0] / plain[0], ours[0], plain[0]), _requests(ours[1], plain[1])]


def _seconds(ratio: float, ours: float, plain: float) -> Figure:
    beside = f"yt-dlp, one process for all: {plain / VIDEOS:.1f} s"
    return Figure(what="audio of a video, one at a time", value=ours / VIDEOS, unit="s", beside=beside, ratio=ratio)


def _requests(ours: int, plain: int) -> Figure:
    return Figure(
        what="requests of a video",
        value=ours / VIDEOS,
        unit="",
        beside=f"yt-dlp: {plain / VIDEOS:.1f}",
        ratio=ours / plain,
        bar=f"at most {MOST_REQUESTS}",
        met=ours <= MOST_REQUESTS * plain,
    )


def _measured(environment: dict[str, str], folder: Path, work: Callable[[Path], None]) -> tuple[float, int]:
    folder.mkdir()
    _ask(environment, "/__kit/reset", {})
    began = time.monotonic()
    work(folder)
    return time.monotonic() - began, len(_ask(environment, "/__kit/log"))


def _listed(environment: dict[str, str]) -> list[str]:
    flat = ["--ignore-config", "--no-warnings", "--flat-playlist", "-I", f":{VIDEOS}", "--print", "id"]
    return answer(start("yt_dlp", *flat, PLAYLIST, env=environment)).splitlines()


def _plain(ids: list[str], folder: Path, environment: dict[str, str]) -> None:
    options = ["--ignore-config", "--quiet", "-f", "bestaudio[ext=m4a]/bestaudio/best", "-x", "--audio-format", "m4a"]
    output = ["--ffmpeg-location", imageio_ffmpeg.get_ffmpeg_exe(), "-o", str(folder / "%(id)s.%(ext)s")]
    command = [sys.executable, "-m", "yt_dlp", *options, *output, *map(_address, ids)]
    subprocess.run(command, env=environment | {"XDG_CACHE_HOME": str(folder)}, check=True)


def _ours(ids: list[str], folder: Path, environment: dict[str, str]) -> None:
    with mock.patch.dict(
        os.environ, environment | {"XDG_CACHE_HOME": str(folder)}
    ):  # other benchmarks follow in this process
        for each in ids:
            video = new_video(1, url=_address(each), key=f"yt:v:{each}")
            outcome = process_video("audio", video, Config(output_dir=folder / "media"))
            if not isinstance(outcome, Done):
                raise SystemExit(f"{each}: {outcome}")


def _address(video_id: str) -> str:
    return f"https://www.youtube.com/watch?v={video_id}"


def _ask(environment: dict[str, str], path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{environment[PORT]}{path}", data, 10) as told:
        return json.load(told)


if __name__ == "__main__":
    alone("benchmarks.audio", measure)
