"""`make endurance`: `ydc run` at full speed with trivial videos, and whether it grows: `python -m tests.acceptance.endurance`.

A process works on a queue that is filled up again and again: a SQLite file, a spreadsheet of the simulated Google, and PostgreSQL
where YDC_TEST_POSTGRESQL_URL names a server. Its memory, descriptors, threads and child processes are sampled every 10 s. Each
sample is written to build/endurance/STORE.csv at once. The slopes at the end are those of straight lines through the samples
after the first minute. They are printed whichever way the process ends.

Google's access tokens expire after five minutes, and most requests for another are answered with 503. With `--clock-jumps` the
wall clock of the process is wrong by something else each minute.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.support.jumping_clock import JumpingClock
from tests.support.rows import new_video
from tests.support.sheets_setting import google
from tests.support.terminal import command
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

PROCESSOR = "tests.support.sample_processors:does_nothing"
SAMPLE_SECONDS = 10.0
WARM_UP_SECONDS = 60.0
STOCK_VIDEOS, FEWEST_VIDEOS = 400, 200
"""So many pending videos are added when fewer than these are left."""
RECORDS = Path("build", "endurance")
POSTGRESQL = "YDC_TEST_POSTGRESQL_URL"
TOKEN_SECONDS, TOKEN_REFUSALS = 300, 0.8
"""How long an access token is good for, and the share of the requests for one that are answered with 503."""


class Sample(NamedTuple):
    """Memory, descriptors, threads and children of a process at one moment."""

    seconds: float
    memory_mb: float
    descriptors: int
    threads: int
    children: int

    @classmethod
    def take(cls, process: psutil.Process, began: float) -> Sample:
        with process.oneshot():
            memory = process.memory_info().rss / 1e6
            return cls(
                time.monotonic() - began, memory, process.num_fds(), process.num_threads(), len(process.children())
            )


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Mapping[str, Any]]:
    yield {"database_url": f"sqlite:///{folder / 'coordinator.db'}"}


@contextmanager
def on_sheet(folder: Path) -> Iterator[Mapping[str, Any]]:
    with google(folder) as setting:
        setting.simulator.accounts.lifetime_seconds = TOKEN_SECONDS
        setting.simulator.token_faults.add("status", times=None, probability=TOKEN_REFUSALS)
        yield setting.settings(sheets_patience_seconds=60)


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Mapping[str, Any]]:
    yield {"database_url": os.environ[POSTGRESQL]}


PLACES: Mapping[str, Callable[[Path], Any]] = {"sqlite": on_sqlite, "sheet": on_sheet, "postgresql": on_postgresql}


class Watched(NamedTuple):
    """Samples of a run, the number of videos that it did, and its last output if it ended in another way than asked."""

    samples: list[Sample]
    done: int
    wrong_end: str


def watch(
    settings: Mapping[str, Any], folder: Path, seconds: float, record: Path, clock: JumpingClock | None = None
) -> Watched:
    """Let `ydc run` work for so long, and write its samples to `record` as they are taken."""
    everything = {**settings, "state_dir": folder / "state", "output_dir": folder, "concurrency": 4}
    variables = {f"YDC_{name.upper()}": str(value) for name, value in everything.items()}
    queue = Coordinator(Config(**everything)).queue
    numbers = count(1)

    def fill() -> None:
        if queue.counts(VIDEO_TASKS).get(State.PENDING, 0) < FEWEST_VIDEOS:
            queue.add(VIDEO_TASKS, [new_video(next(numbers)) for _ in range(STOCK_VIDEOS)])

    fill()
    jumping = clock.environment if clock else {}
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())} | variables | jumping
    samples, began, next_sample = [], time.monotonic(), SAMPLE_SECONDS
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(",".join(Sample._fields) + "\n")
    with (folder / "said.txt").open("wb") as said:
        run = command("run", "--processor", PROCESSOR)
        process = subprocess.Popen(run, cwd=folder, env=environment, stdout=said, stderr=said)
    while time.monotonic() - began < seconds and process.poll() is None:
        time.sleep(1)
        fill()
        if clock:
            clock.set_by(time.monotonic() - began)
        if time.monotonic() - began >= next_sample:
            next_sample += SAMPLE_SECONDS
            with suppress(psutil.NoSuchProcess):
                samples.append(Sample.take(psutil.Process(process.pid), began))
                with record.open("a") as file:
                    file.write(",".join(f"{value:.1f}" for value in samples[-1]) + "\n")
    wrong_end = end(process, folder / "said.txt")
    return Watched(samples, queue.counts(VIDEO_TASKS).get(State.DONE, 0), wrong_end)


def end(process: subprocess.Popen[bytes], output: Path) -> str:
    """Stop a run by SIGTERM. Return its exit code and last output, or "" if it ended as it should."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        if process.wait(60) == 128 + signal.SIGTERM:
            return ""
    process.kill()
    return f"the run ended with {process.poll()}: {output.read_text()[-4000:]}"


def lines(name: str, samples: list[Sample], done: int) -> Iterator[str]:
    """Yield the figures of one run: each value at the start and at the end, and how much it grows in an hour."""
    warm = [sample for sample in samples if sample.seconds >= WARM_UP_SECONDS] or samples
    yield f"{name}: {done} videos in {samples[-1].seconds:.0f} s, {len(samples)} samples"
    for field in Sample._fields[1:]:
        values = [float(getattr(sample, field)) for sample in warm]
        slope = 0.0
        if len(warm) > 1:
            slope = statistics.linear_regression([sample.seconds for sample in warm], values).slope * 3600
        yield (
            f"  {field:<12} first {values[0]:8.1f}  last {values[-1]:8.1f}  most {max(values):8.1f}  {slope:+9.2f} an hour"
        )


def main() -> int:
    """Run on each store, one after the other. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="on each store (default: %(default)s)")
    parser.add_argument(
        "--clock-jumps", action="store_true", help="let the wall clock be wrong by something else each minute"
    )
    parser.add_argument("stores", nargs="*", metavar="STORE", help=f"of {', '.join(PLACES)}; all unless given")
    options = parser.parse_args()
    wrong_ends = 0
    for name in options.stores or PLACES:
        if name == "postgresql" and POSTGRESQL not in os.environ:
            print(f"postgresql: left out, {POSTGRESQL} is not set")
            continue
        with tempfile.TemporaryDirectory() as folder, PLACES[name](Path(folder)) as settings:
            clock = JumpingClock(Path(folder)) if options.clock_jumps else None
            watched = watch(settings, Path(folder), options.minutes * 60, RECORDS / f"{name}.csv", clock)
            if watched.samples:
                print(*lines(name, watched.samples, watched.done), sep="\n", flush=True)
            if watched.wrong_end:
                print(f"{name}: {watched.wrong_end}", flush=True)
                wrong_ends += 1
    return 1 if wrong_ends else 0


if __name__ == "__main__":
    sys.exit(main())
