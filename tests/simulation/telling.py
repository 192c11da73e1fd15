"""Telling many stories, spread over processes; what is known of each afterwards."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from tests.simulation.chaos import Chaos
from tests.simulation.mutations import MUTATIONS
from tests.simulation.trouble import Chances, Name
from tests.simulation.world import Event, Violation

STORIES_PER_JOB = 5


@dataclass(frozen=True, slots=True)
class Told:
    """The result of a story. `wrong` is empty if all was well."""

    seed: int
    wrong: str
    requests: int
    attempts: int
    trace: str
    trouble: tuple[Name, ...]
    events: tuple[Event, ...] = ()
    """What happened, when it went wrong."""


def tell(
    seed: int, chances: Chances | None = None, *, only: Collection[Name] | None = None, mutation: str = ""
) -> Told:
    """Tell one story, as it is or with the code changed for the worse."""
    with MUTATIONS[mutation]() if mutation else nullcontext():
        chaos = Chaos(seed, chances, only=only)
        wrong = ""
        try:
            chaos.run()
        except (Violation, AssertionError) as error:
            wrong = str(error)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-3:])
            wrong = f"{type(error).__name__}: {error}\n{where}"
    events = tuple(chaos.world.events) if wrong else ()
    return Told(
        seed, wrong, chaos.requests, chaos.oracle.attempts, chaos.world.trace, tuple(chaos.trouble.happened), events
    )


def tell_all(seeds: Iterable[int], chances: Chances | None = None, *, processes: int = 2) -> Iterator[Told]:
    """Tell many, in no particular order."""
    jobs = ((seed, chances) for seed in seeds)
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        yield from pool.imap_unordered(_tell_job, jobs, STORIES_PER_JOB)


def _begin() -> None:
    """Silence the log: a story logs thousands of lines that nobody reads. Leave interruptions to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)


def _tell_job(job: tuple[int, Chances | None]) -> Told:
    return tell(*job)


def first_that_goes_wrong(
    seeds: Iterable[int], mutation: str, say: Callable[[Told], None] = lambda told: None
) -> Told | None:
    """Return the first story in which a mutation is caught."""
    for seed in seeds:
        told = tell(seed, mutation=mutation)
        say(told)
        if told.wrong:
            return told
    return None
