"""Measure the cost of Prefect: 1,000 videos in the `process_videos` flow, compared with the same worker loop without Prefect.

Why: a separate task run makes a video visible in the UI, and costs requests to the server. In both cases the processor does
nothing, in a child process. The flow uses a separate server on loopback, with SQLite, which shares this machine's cores. The
log is sent to the server, like on a worker.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.figures import Figure, alone, answer, peak_megabytes, start
from tests.support.prefect_server import PrefectServer, serving
from tests.support.rows import new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits

PROCESSOR = "benchmarks.nothing:process"
WARMING, VIDEOS = 5, 1000
CONCURRENCY = 4


@dataclass(frozen=True)
class Cost:
    """The cost of VIDEOS videos for the process that runs them, without its child processes."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def measure() -> list[Figure]:
    """Measure the loop, then the flow and the work of its server."""
    with TemporaryDirectory() as name, serving(Path(name), settings=_settings(name)) as server:
        loop = _cost(server, "loop")
        before = _cpu_seconds(server)
        flow = _cost(server, "flow")
        of_server = _cpu_seconds(server) - before
        return [*_compared(flow, loop), *_of_server(of_server, peak_megabytes(server.process.pid))]


def _settings(folder: str) -> dict[str, str]:
    """Empty the queue, and silence the log of 2,000 lines."""
    return {"YDC_DATABASE_URL": f"sqlite:///{folder}/queue.db", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR"}


def _compared(flow: Cost, loop: Cost) -> list[Figure]:
    what = f"{VIDEOS:,} videos in the process_videos flow, {CONCURRENCY} at a time"
    share = (flow.seconds - loop.seconds) / VIDEOS * 1000
    without = "the worker loop without Prefect: "
    return [
        Figure(what=what, value=flow.seconds, unit="s", beside=f"{without}{loop.seconds:.1f} s",
               ratio=flow.seconds / loop.seconds),
        Figure(what="so Prefect's share of a video is", value=share, unit="ms"),
        Figure(what="CPU of the flow's process, without children", value=flow.cpu_seconds, unit="s",
               beside=f"{without}{loop.cpu_seconds:.1f} s", ratio=flow.cpu_seconds / loop.cpu_seconds),
        Figure(what="its peak memory", value=flow.peak_megabytes, unit="MB",
               beside=f"{without}{loop.peak_megabytes:.0f} MB", ratio=flow.peak_megabytes / loop.peak_megabytes),
    ]  # fmt: skip


def _of_server(cpu_seconds: float, megabytes: float) -> list[Figure]:
    each = f"{cpu_seconds / (WARMING + VIDEOS) * 1000:.0f} ms a video"
    return [
        Figure(what="CPU of Prefect's server meanwhile", value=cpu_seconds, unit="s", beside=each),
        Figure(what="its peak memory", value=megabytes, unit="MB"),
    ]


def _cpu_seconds(server: PrefectServer) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def _cost(server: PrefectServer, how: str) -> Cost:
    process = start("benchmarks.flow", how, env=dict(server.environment))
    return Cost(*json.loads(answer(process).splitlines()[-1]))


def _run(how: str) -> None:
    """Process a few videos to warm up, then the measured ones. Print the cost of the latter."""
    coordinator = Coordinator(Config())
    offset = 0 if how == "loop" else 10 * VIDEOS
    coordinator.queue.add(VIDEO_TASKS, [new_video(offset + number) for number in range(WARMING + VIDEOS)])
    process = _in_the_loop if how == "loop" else _in_the_flow
    process(coordinator, WARMING)
    cpu, began = _own_cpu_seconds(), time.monotonic()
    process(coordinator, VIDEOS)
    print(json.dumps([time.monotonic() - began, _own_cpu_seconds() - cpu, peak_megabytes()]))


def _own_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _in_the_loop(coordinator: Coordinator, count: int) -> None:
    summary = coordinator.process(PROCESSOR, Limits(concurrency=CONCURRENCY, max_videos=count))
    _check(summary.attempted - summary.failed, count)


def _in_the_flow(coordinator: Coordinator, count: int) -> None:
    from flows.process_videos import process_videos

    state = process_videos(processor=PROCESSOR, max_videos=count, concurrency=CONCURRENCY, return_state=True)
    _check(count if state.is_completed() and state.message == f"{count} done" else 0, count)


def _check(done: int, count: int) -> None:
    if done != count:
        raise SystemExit(f"{done} of {count} videos were done")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run(sys.argv[1])
    else:
        alone("benchmarks.flow", measure)
