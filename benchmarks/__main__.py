"""Run all benchmarks, or the given ones: `python -m benchmarks [NAME ...]`.

The results are shown, and stored for docs/figures.md (tools/docs). The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib import import_module

from benchmarks.figures import Figure, show
from tools.docs import figures_page

ALL = (
    "claims",
    "lookups",
    "large",
    "sheet",
    "adoption",
    "spreadsheets",
    "listing",
    "child",
    "audio",
    "flow",
    "faults",
    "year",
    "manifest",
    "purge",
)
"""Modules of this package, each with `measure()`. Their order on the page is in tools/docs/figures_page.py."""


def main() -> int:
    """Measure one benchmark after the other. Nothing else should run at the same time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ALL)}; default: all")
    chosen = parser.parse_args().names
    if unknown := sorted(set(chosen) - set(ALL)):
        parser.error(
            f"argument {names.metavar}: there is no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}"
        )
    figures = [figure for name in ALL if name in (chosen or ALL) for figure in _measured(name)]
    figures_page.write()
    return 1 if show(figures, "python -m benchmarks") else 0


def _measured(name: str) -> list[Figure]:
    print(f"python -m benchmarks.{name} ...", end=" ", flush=True)
    began = time.monotonic()
    figures: list[Figure] = import_module(f"benchmarks.{name}").measure()
    seconds = time.monotonic() - began
    print(f"{seconds:.0f} s")
    if figures:
        figures_page.remember(
            name, {**_circumstances(), "seconds": round(seconds), "figures": list(map(asdict, figures))}
        )
    return figures


def _circumstances() -> dict[str, str | float]:
    return {
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
