"""Run one random story of a fleet on a sheet: trouble, then quiet, then everything must be right. All of it is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from random import Random
from typing import Any
from unittest import mock

from tests.simulation import needs, roles
from tests.simulation.hosts import HOSTS
from tests.simulation.human import ACTIONS, Human
from tests.simulation.oracle import Oracle
from tests.simulation.outages import Outages
from tests.simulation.roles import WatchedQueue
from tests.simulation.steering import Steering
from tests.simulation.trouble import (
    CLOCK_ERRORS_SECONDS,
    DELAYS_SECONDS,
    PAUSES_SECONDS,
    Chances,
    Name,
    PlannedFaults,
    Trouble,
    chances_of,
)
from tests.simulation.world import Process, Request, Violation, World
from youtube_download_coordinator.queue import offers
from youtube_download_coordinator.stores.sql import SqlStore

SEED_COLUMNS = ["ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount"]
TABS: dict[str, list[list[Any]]] = {
    "Sources": [["ID", "URL", "Status", "Notes", "Priority"]],
    "Video Tasks": [[*SEED_COLUMNS, "Notes", "Priority"]],
    "Dead-Letter Queue": [SEED_COLUMNS],
}
QUIET_SECONDS = 3600
"""Once nothing goes wrong any more, every row must be done or dead within this."""
LOOK_SECONDS = 100
"""So long the fleet goes on when everything is done: what people see is written a little later."""
REQUESTS_MAX = 50_000
"""A story that is longer goes round in circles."""

OFTEN = 5
"""So many times as likely is what people do right before a row is moved, or a line of Control is written."""
_STEERS = re.compile(rb'"(cooling|probing|clear)"')

Role = Callable[["Chaos", Process], None]
"""What a process does, until it ends."""


class Chaos:
    """A story that is told until everything is quiet again; the same from the same seed."""

    def __init__(self, seed: int, chances: Chances | None = None, *, only: Collection[Name] | None = None) -> None:
        """Tell the story of a seed, with all of its trouble, or (`only`) with some of it."""
        self.seed, self.chances = seed, chances or chances_of(seed, ACTIONS)
        self.trouble = Trouble(seed, self.chances, only)
        self.world = World(seed, TABS)
        self.faults = PlannedFaults(self.trouble, lambda: self._asker)
        self.world.simulator.faults = self.faults
        self.queues: dict[Process, WatchedQueue] = {}
        self._roles: dict[Process, Role] = {}
        self.quiet = self.stopping = False
        self.config = roles.config_for(self.world.book.spreadsheet_id)
        self._asker: Process | None = None
        self.oracle = Oracle(self)
        self.outages = Outages(self)
        self.human, self.steering = Human(self), Steering(self)
        self.machine_states = {host: SqlStore("sqlite://") for host in HOSTS}
        self.world.before = self._before
        self.world.after = self._after
        self.world.delays = self._delays
        self.world.received = self.oracle.admissions.received
        self._sent = 0

    @property
    def requests(self) -> int:
        return self.world.requests

    def run(self) -> None:
        """Tell it. Raises Violation when something happens that must never happen."""
        with mock.patch.multiple(offers, VALID=needs.VALID, RENEWED_AFTER=needs.RENEWED_AFTER):
            self._run()

    def _run(self) -> None:
        try:
            self._start()
            self._until(lambda: self.requests >= self.chances.requests)
            self._calm()
            self._until(self.oracle.is_settled, QUIET_SECONDS, "(5) a row that nothing will ever move again")
            self._until(lambda: False, LOOK_SECONDS)
            self.stopping = True
            self._until(lambda: False, QUIET_SECONDS)
            self.world.start("janitor", lambda process: roles.look_twice(self, process))
            self._until(lambda: False, QUIET_SECONDS)
            self.oracle.check_the_end()
        finally:
            self.world.close()
            for machine_state in self.machine_states.values():
                machine_state.close()

    def _start(self) -> None:
        for number in range(self.chances.workers):
            self._start_one(f"w{number + 1}", roles.work)
        for name, role in (("expander", roles.expand), ("ingester", roles.ingest), ("recoverer", roles.recover)):
            self._start_one(name, role)

    def _start_one(self, name: str, role: Role) -> None:
        self._roles[self.world.start(name, lambda process: role(self, process))] = role

    def _until(self, condition: Callable[[], bool], seconds: float = float("inf"), what: str = "") -> None:
        ends = self.world.clock.now() + seconds
        while not condition():
            seen = self.requests
            if self.world.clock.now() > ends and what:
                raise Violation(f"{what}: {self.oracle.unsettled()}")
            if self.requests > REQUESTS_MAX:
                raise Violation(f"(5) more than {REQUESTS_MAX} requests: the fleet goes round in circles")
            if self.world.clock.now() > ends or not self.world.step():
                return
            if self.requests > seen:
                self._disturb()

    def _calm(self) -> None:
        self.quiet = self.trouble.is_over = True
        self.faults.release_late()
        self.steering.resume()
        self.oracle.needs.calm()
        self.world.note("from here on nothing goes wrong any more")
        self.oracle.look()

    # --- trouble -----------------------------------------------------------------------------------------------------

    def _before(self, process: Process, body: bytes) -> None:
        """Let people act right before a request arrives, more often before one that writes by line."""
        self._asker = process
        if random := self.trouble.strikes(self.requests, "person", OFTEN if b"deleteDimension" in body else 1):
            self.human.act(random)
        if random := self.trouble.strikes(self.requests, "control", OFTEN if _STEERS.search(body) else 1):
            self.steering.act(random)

    def _delays(self, process: Process) -> tuple[float, float]:
        """Return by how many seconds a request and its answer are delayed."""
        self._sent += 1
        random = self.trouble.strikes(self._sent, "slow")
        if random is None:
            return 0.0, 0.0
        seconds = random.choice(DELAYS_SECONDS)
        self.oracle.admissions.troubled(process)
        there = random.choice([0.0, seconds, random.uniform(0, seconds)])
        self.world.note(
            f"the network is slow: a request is on its way for {there:.0f} s, its answer for {seconds - there:.0f} s"
        )
        return there, seconds - there

    def _after(self, request: Request) -> None:
        """Record what went wrong with a request, and let the oracle check it."""
        if self.faults.said:
            self.world.note(f"... {self.faults.said}")
        self.oracle.heard(request)

    def _disturb(self) -> None:
        """Kill or stop a process, or set its machine's clock wrong."""
        alive = [process for process in self.world.processes if not process.ended]
        if (random := self.trouble.strikes(self.requests, "kill")) and len(alive) > 1:
            self._kill(self._victim(alive, random))
        if (random := self.trouble.strikes(self.requests, "pause")) and alive:
            victim, seconds = self._victim(alive, random), random.choice(PAUSES_SECONDS)
            victim.frozen_until = self.world.clock.now() + seconds
            self.world.note(f"{victim.name} is stopped for {seconds} s (SIGSTOP)")
        if (random := self.trouble.strikes(self.requests, "clock")) and alive:
            victim, seconds = random.choice(alive), random.choice(CLOCK_ERRORS_SECONDS)
            victim.wall_error_seconds = seconds
            self.world.note(f"the wall clock of {victim.name}'s machine jumps: now it is wrong by {seconds} s")

    def _victim(self, alive: list[Process], random: Random) -> Process:
        """Choose a process, often the one whose request is under way."""
        return self._asker if self._asker in alive and random.random() < 0.5 else random.choice(alive)

    def _kill(self, victim: Process) -> None:
        self.queues.pop(victim, None)
        self.oracle.admissions.troubled(victim)
        self.world.kill(victim)
        successor = f"{victim.name.partition('-')[0]}-{len(self.world.processes)}"
        self.world.note(f"{victim.name} is killed; {successor} takes its place")
        self._start_one(successor, self._roles[victim])
