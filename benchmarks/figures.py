"""The results of a benchmark: figures in one table, each with a comparison and the bar that it must meet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Point:
    """A point in a plot of docs/figures.md: the plot, the line, and the x value."""

    plot: str
    line: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table. `ratio` is relative to the value in `beside`."""

    what: str
    value: float
    unit: str
    beside: str = ""
    ratio: float | None = None
    bar: str = ""
    """The required value, as text; empty without a requirement."""
    met: bool = True
    point: Point | None = None


def show(figures: Iterable[Figure], command: str) -> int:
    """Print the table. Return the number of missed bars."""
    shown = Table(title=f"{command}, on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    for column in ("", "figure", "beside", "ratio", "bar"):
        shown.add_column(column, justify="right" if column in {"figure", "ratio"} else "left")
    missed = 0
    for figure in figures:
        missed += not figure.met
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        bar = figure.bar and f"{figure.bar}: {'met' if figure.met else 'MISSED'}"
        shown.add_row(figure.what, f"{figure.value:,.1f} {figure.unit}", figure.beside, ratio, bar)
    Console(width=None if sys.stdout.isatty() else 150).print(shown)
    return missed


def alone(module: str, measure: Callable[[], list[Figure]]) -> None:
    """Run one benchmark by itself: `python -m benchmarks.claims`."""
    sys.exit(1 if show(measure(), f"python -m {module}") else 0)


def start(module: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a module of this package in its own process. Its output is its answer."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ | (env or {}), stdin=pipe, stdout=pipe, text=True)


def answer(process: subprocess.Popen[str]) -> str:
    """Wait for a program that must succeed, and return its output."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return output.strip()


def peak_megabytes(pid: int | str = "self") -> float:
    """Return the peak memory of a process, by default this one.

    Do not use ru_maxrss, which includes the process from which it was forked.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
