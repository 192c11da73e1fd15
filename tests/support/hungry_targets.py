"""Targets of child processes that take memory and disk, as test_parent.py says."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HALF_MB, FOUR_TIMES_MB = 60, 400
MEGABYTE = 1 << 20


def takes_memory(payload: Any, emit: Any) -> None:
    kept = []
    for _ in range(FOUR_TIMES_MB):
        kept.append(b"x" * MEGABYTE)
        time.sleep(0.002)
    _hang()


def takes_it_at_once(payload: Any, emit: Any) -> None:
    _ = b"x" * (FOUR_TIMES_MB * MEGABYTE)
    _hang()


def a_program_takes_it(payload: Any, emit: Any) -> None:
    code = f"import time; kept = b'x' * {FOUR_TIMES_MB * MEGABYTE}; time.sleep(1000)"
    subprocess.run([sys.executable, "-c", code], check=True)


def it_takes_shared_memory(payload: Any, emit: Any) -> None:
    shared = mmap.mmap(-1, FOUR_TIMES_MB * MEGABYTE)
    for start in range(0, len(shared), mmap.PAGESIZE):
        shared[start] = 1
    _hang()


def takes_half_and_forks(payload: Any, emit: Any) -> str:
    """Take half of the memory and fork. The forks share the pages."""
    kept = b"x" * (HALF_MB * MEGABYTE)
    for _ in range(4):
        if os.fork() == 0:
            time.sleep(1000)
    time.sleep(1.5)
    return "done" if kept else ""


def reserves_memory(payload: Any, emit: Any) -> str:
    """Reserve memory without using it, like Deno and libraries with a thread for each core."""
    reserved = mmap.mmap(
        -1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    )
    time.sleep(0.5)
    return "done" if len(reserved) else ""


def writes_files(payload: Any, emit: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name, "python"), Path(name, "program")]
        number = 0
        try:
            paths[0].write_bytes(bytes(2 * MEGABYTE))
        except OSError as error:
            number = error.errno or 0
        with paths[1].open("wb") as out:
            subprocess.run(["head", "-c", str(2 * MEGABYTE), "/dev/zero"], stdout=out, check=False)
        return {"errno": number, "sizes": [path.stat().st_size for path in paths]}


def tells_its_score(payload: Any, emit: Any) -> list[int]:
    """Return the OOM score of the worker, and of a program that it starts."""
    command = ["cat", "/proc/self/oom_score_adj"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(Path("/proc/self/oom_score_adj").read_text()), int(shown)]


def _hang() -> None:
    time.sleep(1000)
