"""Measure the cost of running a processor in its own process: milliseconds and memory of one that does nothing.

Why: every video pays for an enforced deadline. A video takes seconds, so tens of milliseconds are fine.
"""

from __future__ import annotations

import json
import time

from benchmarks.figures import Figure, alone, median
from tests.support.rows import new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video

ATTEMPTS = 30


def measure() -> list[Figure]:
    """Measure the median duration, and the memory of one process."""
    milliseconds = [_milliseconds() for _ in range(ATTEMPTS)]
    memory = json.loads(_result("benchmarks.nothing:memory"))
    beside = (
        f"supervisor {memory['supervisor']:.0f} and worker {memory['worker']:.0f} MB, pages they share counted twice"
    )
    return [
        Figure(what="a processor's child that does nothing", value=median(milliseconds), unit="ms"),
        Figure(what="its peak memory", value=sum(memory.values()), unit="MB", beside=beside),
    ]


def _milliseconds() -> float:
    began = time.monotonic()
    _result("benchmarks.nothing:process")
    return (time.monotonic() - began) * 1000


def _result(processor: str) -> str:
    outcome = process_video(processor, new_video(1), Config())
    if not isinstance(outcome, Done):
        raise SystemExit(f"{processor}: {outcome}")
    return outcome.result


if __name__ == "__main__":
    alone("benchmarks.child", measure)
