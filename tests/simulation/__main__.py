"""`python -m tests.simulation FIRST COUNT`: tell that many stories, and say which went wrong."""

from __future__ import annotations

import logging
import sys
import time
import traceback

from tests.simulation.chaos import NASTY, Chaos


def main() -> None:
    """Run seeds one after the other."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    logging.disable(logging.NOTSET if "-v" in sys.argv else logging.CRITICAL)
    logging.basicConfig(level=logging.INFO if "-v" in sys.argv else logging.CRITICAL)
    steps = failed = attempts = 0
    began = time.monotonic()
    for seed in range(first, first + count):
        chaos = Chaos(seed, NASTY if "--nasty" in sys.argv else None)
        try:
            chaos.run()
        except Exception as error:
            failed += 1
            where = "" if isinstance(error, AssertionError) else "".join(traceback.format_tb(error.__traceback__)[-4:])
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:700]}\n{where}", flush=True)
        steps += chaos.requests
        attempts += chaos.begun
    print(f"{count} seeds, {failed} failed, {steps} requests, {attempts} attempts, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
