"""Fixtures for acceptance tests: a Prefect server, and a server that answers as YouTube from recordings (see its README).

The recordings are other people's and not part of this repository. They are looked for beside it, in `../shared`, or where
YDC_TEST_SHARED says; tests that need them are skipped when they are not there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.prefect_server import PrefectServer, serving
from youtube_download_coordinator.models import Lease, VideoTask

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("YDC_TEST_SHARED") or ROOT.parent / "shared")
REPLAY_PROGRAM = SHARED / "youtube-replay" / "replay.py"
START_LINE = re.compile(r"replay on http://127\.0\.0\.1:(\d+) ")
CONTROL_SECONDS = 10
"""What an answer of the control plane may take."""


def recorded_video(number: int, source_id: int | None = None) -> VideoTask:
    """Return a video that is in the recordings, as a row to insert."""
    video_id = f"k0{number:09}"
    url = f"https://www.youtube.com/watch?v={video_id}"
    return VideoTask(url=url, key=f"yt:v:{video_id}", source_id=source_id, lease=Lease(nonce=f"n{number}"))


@dataclass(frozen=True)
class Replay:
    """The recorded YouTube: `environment` points a program at it that knows nothing of it."""

    port: int
    environment: Mapping[str, str] = field(repr=False)

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Let what matches these rules fail from now on; none: nothing fails."""
        self._ask("/__kit/faults", list(rules))

    def era(self, era: str) -> None:
        """Travel in time: `2024-11` or `2026`."""
        self._ask("/__kit/era", {"era": era})

    def log(self) -> list[Any]:
        """Return the requests since the test began, each as [time, method, url, status, text]."""
        log: list[Any] = self._ask("/__kit/log")
        return log

    def reset(self) -> None:
        self.faults()
        self.era("2026")
        self._ask("/__kit/reset", {})

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        # No proxy: this machine's may be set to something else.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", data, CONTROL_SECONDS) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def replay_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    with serve(tmp_path_factory.mktemp("ca")) as server:
        yield server


@contextmanager
def serve(ca_folder: Path, *options: str) -> Iterator[Replay]:
    """Start a replay server with these options, and stop it at the end."""
    program = REPLAY_PROGRAM
    if not program.exists():
        pytest.skip(f"YouTube's recordings are not here ({program}); YDC_TEST_SHARED may say where they are")
    environment = os.environ | {"REPLAY_CA": str(ca_folder)}
    command = [sys.executable, str(program), "serve", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            started = START_LINE.match(server.stdout.readline())
            assert started, "the replay server did not start"
            port = int(started[1])
            yield Replay(port, environment | _exports(program, port, environment))
        finally:
            server.terminate()


def _exports(program: Path, port: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `replay.py env` sets in a shell."""
    command = [sys.executable, str(program), "env", "--port", str(port)]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    words = [word for word in shlex.split(lines) if word != "export"]
    return dict(word.split("=", 1) for word in words)


@pytest.fixture
def replay(replay_server: Replay) -> Iterator[Replay]:
    """Yield the recorded YouTube with no failure injected."""
    replay_server.reset()
    yield replay_server
    replay_server.reset()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Start a Prefect server with the work pool and every deployment.

    Each test starts workers with the settings of its own queue.
    """
    with serving(tmp_path_factory.mktemp("prefect-server")) as server:
        server.deploy(ROOT / "docs")
        server.prefect("--no-prompt", "deployment", "schedule", "pause", "--all")
        yield server
