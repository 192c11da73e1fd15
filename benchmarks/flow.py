"""What Prefect costs for each video: the `process_videos` flow beside the same worker loop without it.

Why: a task run of its own makes a video visible in the UI and costs requests to the server. The processor does nothing, in its
child, in both. The flow talks to a server of its own on loopback, which shares this machine's cores; what a flow run costs
by itself is taken off by measuring two numbers of videos.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, alone, answer, start
from tests.rows import new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.store import VIDEO_TASKS
from youtube_download_coordinator.worker import Limits

PROCESSOR = "benchmarks.nothing:process"
FEW, MANY = 5, 85
START_SECONDS = 120
CONCURRENCY = 4


def measure() -> list[Figure]:
    """Milliseconds per video, four at a time."""
    with TemporaryDirectory() as name, _server(Path(name)) as environment:
        loop = _milliseconds(start("benchmarks.flow", "loop", env=environment))
        flow = _milliseconds(start("benchmarks.flow", "flow", env=environment))
    beside = f"the worker loop without Prefect: {loop:.1f} ms"
    what = f"a video in the process_videos flow, {CONCURRENCY} at a time"
    overhead = Figure(what="so Prefect's share of a video is", value=flow - loop, unit="ms")
    return [Figure(what=what, value=flow, unit="ms", beside=beside, ratio=flow / loop), overhead]


@contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """A Prefect server; the environment that leads to it and to an empty queue."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {
        "YDC_DATABASE_URL": f"sqlite:///{folder}/queue.db",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        server = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
        try:
            _wait_for(server, f"{environment['PREFECT_API_URL']}/health")
            yield environment
        finally:
            server.terminate()
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            opener.open(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("Prefect's server did not start")


def _milliseconds(process: subprocess.Popen[str]) -> float:
    few, many = json.loads(answer(process).splitlines()[-1])
    return float(many - few) / (MANY - FEW) * 1000


def _run(how: str) -> None:
    """Process a few videos to warm up, a few, and many; print the seconds that the last two took."""
    coordinator = Coordinator(Config())
    offset = 0 if how == "loop" else 1000
    coordinator.queue.add(VIDEO_TASKS, [new_video(offset + number) for number in range(2 * FEW + MANY)])
    process = _in_the_loop if how == "loop" else _in_the_flow
    process(coordinator, FEW)
    print(json.dumps([process(coordinator, count) for count in (FEW, MANY)]))


def _in_the_loop(coordinator: Coordinator, count: int) -> float:
    began = time.monotonic()
    summary = coordinator.process(PROCESSOR, Limits(concurrency=CONCURRENCY, max_videos=count))
    return _checked(time.monotonic() - began, summary.attempted - summary.failed, count)


def _in_the_flow(coordinator: Coordinator, count: int) -> float:
    from flows.process_videos import process_videos

    began = time.monotonic()
    state = process_videos(processor=PROCESSOR, max_videos=count, concurrency=CONCURRENCY, return_state=True)
    seconds = time.monotonic() - began
    return _checked(seconds, count if state.is_completed() else 0, count)


def _checked(seconds: float, done: int, count: int) -> float:
    if done != count:
        raise SystemExit(f"{done} of {count} videos were done")
    return seconds


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run(sys.argv[1])
    else:
        alone("benchmarks.flow", measure)
