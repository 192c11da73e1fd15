"""Processors that do nothing, so that only the cost around them is measured."""

from __future__ import annotations

import os
from pathlib import Path


def process(url: str) -> None:
    """Do nothing."""


def memory(url: str) -> dict[str, float]:
    """Return the peak memory of this process and its supervisor, in MB."""
    return {name: _peak(pid) for name, pid in (("worker", os.getpid()), ("supervisor", os.getppid()))}


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024
