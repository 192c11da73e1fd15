"""A worker in a process of its own, for tests that kill it: `python -m tests.support.claiming_worker JOB LOG [...]`.

It takes its settings from the environment (YDC_*), says `ready`, and begins when a line comes on stdin, so that a test can
start several at the same moment. What it does it appends to LOG, a line of JSON each, with the times of the store's clock.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import Done, Outcome, State, VideoTask
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Store
from youtube_download_coordinator.workers.attempts import Attempt
from youtube_download_coordinator.workers.worker import Limits, Worker

POLL_SECONDS = 0.05
FOR_EVER = threading.Event()


class Log:
    """Lines that are in the file before the next step is taken; a kill leaves no half of one."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, event: str, **fields: object) -> None:
        os.write(self._fd, json.dumps({"event": event, **fields}).encode() + b"\n")


class Claiming:
    """Processes videos by writing down that it does; from the `hang_after`-th on it never ends one.

    It ends none before there is the file `not_before`, if it is given one.
    """

    def __init__(self, coordinator: Coordinator, log: Log, hang_after: int | None, not_before: Path | None) -> None:
        self._coordinator = coordinator
        self._store: Store = coordinator.queue.store
        self._log = log
        self._left = hang_after
        self._not_before = not_before
        self._lock = threading.Lock()

    def run(self) -> None:
        """Run until no row is pending or held. A killed worker's rows come back when its claims expire."""
        with ThreadPoolExecutor(2) as pool:
            while self._unfinished(self._coordinator.queue.counts(VIDEO_TASKS)):
                self._worker(pool).run()
                FOR_EVER.wait(POLL_SECONDS)

    def _worker(self, pool: ThreadPoolExecutor) -> Worker:
        def submit(task: VideoTask) -> Future[Outcome]:
            return pool.submit(self._process, task)

        return Worker(
            queue=self._coordinator.queue,
            submit=submit,
            limits=Limits(concurrency=2),
            claim_batch_size=5,
            attempt_timeout=timedelta(minutes=5),
            on_attempt=self._recorded,
        )

    def _process(self, task: VideoTask) -> Outcome:
        claimed_at = task.claimed_at.isoformat() if task.claimed_at else ""
        self._log.write("begin", id=task.id, at=self._now(), claimed_at=claimed_at)
        if self._hangs():
            FOR_EVER.wait()
        while self._not_before and not self._not_before.exists():
            FOR_EVER.wait(POLL_SECONDS)
        self._log.write("end", id=task.id, at=self._now())
        return Done(result=self._coordinator.queue.worker)

    def _hangs(self) -> bool:
        with self._lock:
            self._left = None if self._left is None else self._left - 1
            return self._left is not None and self._left < 0

    def _recorded(self, attempt: Attempt) -> None:
        self._log.write("recorded", id=attempt.task.id, ending=attempt.result)

    def _now(self) -> str:
        return self._store.now().isoformat()

    @staticmethod
    def _unfinished(counts: Mapping[State, int]) -> bool:
        return bool(counts.get(State.PENDING, 0) + counts.get(State.HELD, 0))


def set_wall_clock_off(hours: float) -> None:
    """Set this process's wall clock wrong, for all callers of `time`."""
    right = time.time
    time.time = lambda: right() + hours * 3600


def main() -> None:
    """Do what the command line says, once a line has come."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=["open", "ingest", "expand", "claim"])
    parser.add_argument("log", type=Path)
    parser.add_argument("--hang-after", type=int)
    parser.add_argument("--not-before", type=Path)
    parser.add_argument("--clock-off-hours", type=float, default=0)
    arguments = parser.parse_args()
    set_wall_clock_off(arguments.clock_off_hours)
    print("ready", flush=True)
    sys.stdin.readline()
    coordinator, log = Coordinator(Config()), Log(arguments.log)
    if arguments.job == "open":
        log.write("opened", sources=sum(coordinator.queue.counts(SOURCES).values()))
    elif arguments.job == "ingest":
        ingested = coordinator.ingest()
        log.write("ingested", added=ingested.added, known=ingested.known, bad=ingested.bad)
    elif arguments.job == "expand":
        for expansion in coordinator.expand():
            log.write("expanded", listed=expansion.listed, new=expansion.new, error=str(expansion.failure or ""))
    else:
        Claiming(coordinator, log, arguments.hang_after, arguments.not_before).run()
    log.write("finished")


if __name__ == "__main__":
    main()
