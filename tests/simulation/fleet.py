"""Whole workers on simulated time: what a fleet costs, and how much it carries."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from tests.simulation import threads
from tests.simulation.world import Process, World
from tests.support.rows import make_admission
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Lease, Outcome, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.lifecycle import RetryPolicy
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.cells import row_values
from youtube_download_coordinator.stores.sheets.layout import COLUMNS
from youtube_download_coordinator.workers.worker import Limits, Worker

VIDEO_SECONDS = 10.0
LEASE_SECONDS = 600.0
POLICY = RetryPolicy(
    lease=timedelta(seconds=LEASE_SECONDS),
    max_retries=3,
    backoff=timedelta(seconds=60),
    backoff_max=timedelta(seconds=3600),
)


def video(number: int) -> VideoTask:
    """Return a row as an expansion inserts it."""
    name = f"v{number:010}"
    url = f"https://www.youtube.com/watch?v={name}"
    return VideoTask(
        url=url,
        key=f"yt:v:{name}",
        title=f"The title of the video {name}",
        accent="pt-BR",
        lease=Lease(nonce=f"{number:08x}"),
    )


def sheet_with(videos: int) -> dict[str, list[list[Any]]]:
    """Make a spreadsheet in which that many videos are pending and shown."""
    header = list(COLUMNS["video_tasks"])
    lines = (row_values(replace(video(number), id=number)) for number in range(1, videos + 1))
    return {
        "Sources": [list(COLUMNS["sources"])],
        "Video Tasks": [header, *([line.get(name, "") for name in header] for line in lines)],
        "Dead-Letter Queue": [header],
        "Control": [list(COLUMNS["control"])],
    }


class Fleet:
    """Workers of the library on one sheet, each in its own simulated process."""

    def __init__(self, videos: int, *, accounts: int = 2, batch: int = 10, concurrency: int = 4, seed: int = 1) -> None:
        self.world = World(seed, sheet_with(videos), rows=videos + 10)
        self.world.account_count = accounts
        self.batch, self.concurrency = batch, concurrency
        self.begun: list[float] = []
        self.recorded: list[float] = []
        self.delays: list[float] = []
        self.started_at: list[int] = []
        """How many requests had been sent when a worker's first attempt began."""

    def start(self, count: int, *, max_videos: int | None = None, seconds: float | None = None) -> None:
        """Start workers, all at the same moment."""
        for number in range(count):
            self.world.start(f"w{number}", lambda process: self._work(process, max_videos, seconds))

    def run(self, until: float | None = None) -> None:
        """Run until all processes have ended, or so much time has passed."""
        ends = None if until is None else self.world.clock.now() + until
        while self.world.step():
            if ends is not None and self.world.clock.now() >= ends:
                return

    def queue(self, process: Process) -> Queue:
        config = Config(spreadsheet_id=self.world.book.spreadsheet_id)
        store, worker = SheetsStore(config, process.environment()), f"host/{process.name}"
        return Queue(
            store=store, worker=worker, video_policy=POLICY, source_policy=POLICY, monotonic=self.world.clock.now,
            random=Random(process.name), admission=make_admission(store, worker, _lock=threads.RLock()),
            _writing=threads.RLock(),  # type: ignore[arg-type]
        )  # fmt: skip

    def _work(self, process: Process, max_videos: int | None, seconds: float | None) -> None:
        queue = self.queue(process)
        attempts = _Attempts(self, process)
        limits = Limits(concurrency=self.concurrency, max_videos=max_videos, max_seconds=seconds)
        worker = Worker(
            queue=queue, submit=attempts.submit, limits=limits,
            claim_batch_size=self.batch, attempt_timeout=timedelta(hours=1), monotonic=self.world.clock.now, wait=attempts.wait,
            on_attempt=attempts.recorded,
        )  # fmt: skip
        worker.run()
        queue.store.close()

    @property
    def requests(self) -> int:
        return int(self.world.simulator.stats()["requests"])

    def close(self) -> None:
        self.world.close()


class _Attempts:
    """Attempts that take VIDEO_SECONDS of simulated time."""

    def __init__(self, fleet: Fleet, process: Process) -> None:
        self.fleet, self.process = fleet, process
        self.ends: dict[Future[Outcome], float] = {}
        self.ended: dict[int, float] = {}
        self.is_first = True

    def now(self) -> float:
        return self.fleet.world.clock.now()

    def submit(self, task: VideoTask) -> Future[Outcome]:
        if self.is_first:
            self.fleet.started_at.append(self.fleet.requests)
            self.is_first = False
        future: Future[Outcome] = Future()
        self.ends[future] = self.now() + VIDEO_SECONDS
        self.ended[task.id] = self.now() + VIDEO_SECONDS
        self.fleet.begun.append(self.now())
        return future

    def wait(self, futures: Iterable[Future[Outcome]], timeout: float | None) -> None:
        soonest = min(self.ends[future] for future in futures)
        until = soonest if timeout is None else min(soonest, self.now() + timeout)
        self.process.rest(until - self.now())
        for future in [future for future, end in self.ends.items() if end <= self.now()]:
            del self.ends[future]
            future.set_result(Done(result="media/pt-BR/x.m4a"))

    def recorded(self, attempt: Any) -> None:
        self.fleet.recorded.append(self.now())
        self.fleet.delays.append(self.now() - self.ended[attempt.task.id])
