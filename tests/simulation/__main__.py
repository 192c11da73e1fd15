"""`python -m tests.simulation`: tell stories of fleets, replay one in words, show that mutations are caught, go on for hours."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from itertools import count as numbers_from
from typing import Annotated

from cyclopts import App, Parameter

from tests.simulation.mutations import MUTATIONS, sentence
from tests.simulation.shrinking import Shrinker
from tests.simulation.story import describe_story
from tests.simulation.telling import Told, first_that_goes_wrong, tell, tell_all
from tests.simulation.trouble import NASTY

app = App(name="python -m tests.simulation", help=__doc__, suppress_keyboard_interrupt=False)

SAY_EVERY_SECONDS = 60
CORES = os.cpu_count() or 1
SEEDS_MAX = 400
"""A mutation that is not caught by so many stories is not caught."""
Processes = Annotated[int, Parameter(name=["--processes", "-p"])]


class Figures:
    """The figures of the stories so far."""

    def __init__(self) -> None:
        self.began = self._said = time.monotonic()
        self.stories = self.requests = self.attempts = 0
        self.failed: list[int] = []

    def add(self, told: Told) -> None:
        self.stories += 1
        self.requests += told.requests
        self.attempts += told.attempts
        if told.wrong:
            self.failed.append(told.seed)
            print(f"seed {told.seed}: {told.wrong[:700]}", flush=True)
        if time.monotonic() - self._said > SAY_EVERY_SECONDS:
            self._said = time.monotonic()
            print(self, flush=True)

    def __str__(self) -> str:
        seconds = time.monotonic() - self.began
        return (
            f"{self.stories} fleets, {self.requests} requests, {self.attempts} attempts, {len(self.failed)} failed, "
            f"{seconds:.0f} s ({self.stories / seconds:.1f} fleets a second)"
        )


@app.command
def run(first: int, count: int, *, nasty: bool = False, processes: Processes = CORES) -> int:
    """Tell the stories of COUNT seeds from FIRST on; 1 when one went wrong."""
    return _tell(range(first, first + count), nasty, processes)


@app.command
def soak(first: int = 1_000_000, *, nasty: bool = False, processes: Processes = CORES) -> int:
    """Tell stories until it is interrupted, then say how many."""
    return _tell(numbers_from(first), nasty, processes)


def _tell(seeds: Iterable[int], nasty: bool, processes: int) -> int:
    figures = Figures()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script has put it into the background
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for told in tell_all(seeds, NASTY if nasty else None, processes=processes):
            figures.add(told)
    except KeyboardInterrupt:
        print()
    print(figures)
    return 1 if figures.failed else 0


@app.command
def replay(seed: int, *, mutation: str = "", nasty: bool = False, whole: bool = False) -> int:
    """Tell one story again in words, as short as it can be made (`--whole`: as it was)."""
    logging.disable(logging.CRITICAL)
    chances = NASTY if nasty else None
    if whole:
        told = tell(seed, chances, mutation=mutation)
    else:
        shrinker = Shrinker(seed, mutation, chances)
        told = shrinker.shrink()
        print(f"told {shrinker.runs} times; left of the trouble: {dict(Counter(kind for _, kind in told.trouble))}\n")
    print(describe_story(told.events, told.wrong) if told.wrong else f"seed {seed}: nothing went wrong")
    return 1 if told.wrong else 0


@app.command
def mutations(*names: str, seeds: int = SEEDS_MAX) -> int:
    """Show that each deliberate mistake is caught: a table in Markdown; 1 when one is not."""
    logging.disable(logging.CRITICAL)
    print("| the mistake | seeds | requests | caught as |\n| --- | ---: | ---: | --- |", flush=True)
    missed = 0
    for name in names or MUTATIONS:
        told_before: list[Told] = []
        caught = first_that_goes_wrong(range(seeds), name, told_before.append)
        missed += caught is None
        requests = sum(told.requests for told in told_before)
        how = caught.wrong.partition("\n")[0][:110].replace("|", "\\|") if caught else "**not caught**"
        print(f"| `{name}`: {sentence(name)} | {len(told_before)} | {requests} | {how} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
