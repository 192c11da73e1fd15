"""Claims and completions per second on a SQLite file: with 1 and 8 processes, at 1,000 and 100,000 rows.

Why: a scan that reads the whole table, or a lock that is held too long, shows here first. A worker claims 10 videos with one
request and records each by itself, as attempts end one by one. The cost per claim must not grow with the rows in the table.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, alone, answer, median, start
from tests.rows import make_queue, new_video
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore

VIDEOS = 800
"""Of each measurement, whatever the size of the table."""
BATCH = 10
ROUNDS = 3
SIZES = (1_000, 100_000)
PROCESSES = (1, 8)
MOST_TIMES_AS_DEAR = 2.0


def measure() -> list[Figure]:
    """Four measurements, in turns, so that a moment of load is shared; the median of each."""
    with TemporaryDirectory() as name:
        full = {size: _fill(Path(name) / f"{size}.db", size) for size in SIZES}
        seconds: dict[tuple[int, int], list[float]] = {}
        for _ in range(ROUNDS):
            for processes in PROCESSES:
                for size in SIZES:
                    seconds.setdefault((processes, size), []).append(_seconds(full[size], processes))
    return [_figure({key: median(values) for key, values in seconds.items()}, key) for key in seconds]


def _figure(seconds: dict[tuple[int, int], float], key: tuple[int, int]) -> Figure:
    processes, size = key
    what = f"claimed and done, {processes} process{'es' * (processes > 1)}, {size:,} rows"
    rate = VIDEOS / seconds[key]
    if size == SIZES[0]:
        return Figure(what=what, value=rate, unit="videos/s")
    ratio = seconds[key] / seconds[processes, SIZES[0]]
    met = ratio <= MOST_TIMES_AS_DEAR
    beside = f"cost of one at {SIZES[0]:,} rows"
    return Figure(what=what, value=rate, unit="videos/s", beside=beside, ratio=ratio, bar="at most 2", met=met)


def _fill(path: Path, size: int) -> Path:
    store = SqlStore(f"sqlite:///{path}")
    make_queue(store).add(VIDEO_TASKS, (new_video(number) for number in range(size)))
    store.close()
    return path


def _seconds(full: Path, processes: int) -> float:
    """From the moment in which all begin to the one in which the last has ended."""
    path = full.with_suffix(".copy")
    shutil.copy(full, path)
    running = [start("benchmarks.claims", path, VIDEOS // processes, number) for number in range(processes)]
    for process in running:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
    began = time.monotonic()
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = max(float(answer(process)) for process in running)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    return ended - began


def _work(path: str, count: int, number: int) -> None:
    """Claim and complete so many videos, once a line has come; say when that was done."""
    queue = make_queue(SqlStore(f"sqlite:///{path}"), f"host/{number}")
    queue.monotonic, queue.random = time.monotonic, Random(number)
    queue.counts(VIDEO_TASKS)  # everything is imported and open
    print("ready", flush=True)
    sys.stdin.readline()
    while count > 0:
        count -= _one_batch(queue, min(BATCH, count))
    print(time.monotonic())


def _one_batch(queue: Queue, count: int) -> int:
    claims = queue.claim(VIDEO_TASKS, count)
    return sum(row is not None for claim in claims for row in queue.settle([(claim, Done(result="a result"))]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        alone("benchmarks.claims", measure)
