"""All of it, in one table. The exit code is 1 when a bar is missed."""

from __future__ import annotations

import sys
import time

from benchmarks import audio, child, claims, flow, listing
from benchmarks.figures import Figure, show


def main() -> int:
    """Measure one after the other; nothing else should run meanwhile."""
    figures: list[Figure] = []
    for module in (claims, listing, child, audio, flow):
        began = time.monotonic()
        print(f"python -m {module.__name__} ...", end=" ", flush=True)
        figures += module.measure()
        print(f"{time.monotonic() - began:.0f} s")
    return 1 if show(figures, "python -m benchmarks") else 0


if __name__ == "__main__":
    sys.exit(main())
