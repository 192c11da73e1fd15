"""A world of one thread at a time: processes, a person and Google, on one simulated clock, in an order that a seed decides.

Each thread of each process stands still before each of its requests and whenever it waits, until the scheduler lets it go on.
So between any two requests anybody may act, every story can be told again from its seed, and nothing waits for real time.
"""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock

import gspread
import requests
from gspread.exceptions import APIError

from tests.fake_google import ManualClock, NoAnswer, Simulator, Spreadsheet
from tests.simulation import threads
from youtube_download_coordinator.queue import queue
from youtube_download_coordinator.stores.sheets import api as connection
from youtube_download_coordinator.stores.sheets import spreadsheet as book
from youtube_download_coordinator.stores.sheets.api import Environment
from youtube_download_coordinator.workers import attempts, expansion, heartbeat, worker

PATH = "https://sheets.googleapis.com"
NEVER = float("inf")
REST_MIN_SECONDS = 0.001
RATE_ERROR = 5e-5
"""How much too fast or too slow a machine's monotonic clock may run."""

Ask = Callable[[str, str, str, bytes], tuple[int, dict[str, str], bytes]]
"""Answers a request: HTTP method, path, query and body."""


class Killed(BaseException):
    """This process was killed: nothing of it runs any more."""


class Violation(BaseException):
    """Something happened that must never happen. No code of the library that goes on after any Exception swallows it."""


class Deadlock(AssertionError):
    """Everybody waits for somebody else."""


class Client(gspread.HTTPClient):
    """gspread's client without sockets: it hands requests to the simulator."""

    def __init__(self, ask: Ask) -> None:
        self.session = requests.Session()
        self.timeout = None
        self._ask = ask

    def request(self, method: str, endpoint: str, params: Any = None, *given: Any, **named: Any) -> requests.Response:
        """Hand over a request and give the answer as if it had come over a wire."""
        path = endpoint.removeprefix(PATH)
        query = urllib.parse.urlencode(params or {}, doseq=True)
        body = json.dumps(named["json"]).encode() if named.get("json") is not None else b""
        status, headers, content = self._ask(method, path, query, body)
        response = requests.Response()
        response.status_code, response._content = status, content
        response.headers.update(headers)
        if not response.ok:
            raise APIError(response)
        return response


class Actor:
    """A thread of a process, which runs only when the world lets it."""

    def __init__(self, process: Process, name: str, work: Callable[[], None]) -> None:
        self.process, self.name = process, name
        self.wakes_at = 0.0
        self.ended = False
        self.error: BaseException | None = None
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    @property
    def due(self) -> float:
        """Return when it continues. A stopped process (SIGSTOP) waits for SIGCONT."""
        return max(self.wakes_at, self.process.frozen_until)

    def go_on(self) -> None:
        """Run until it waits again. Called by the scheduler."""
        self._go.release()
        self._stopped.acquire()

    def wait(self, until: float) -> None:
        """Stand still; the scheduler goes on with another."""
        if self.process.killed:
            raise Killed
        self.wakes_at = until
        self._stopped.release()
        self._go.acquire()
        if self.process.killed:
            raise Killed

    def _run(self, work: Callable[[], None]) -> None:
        threads.become(self)
        self._go.acquire()
        try:
            if not self.process.killed:
                work()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self._stopped.release()


class Process:
    """A process on a machine of its own: its threads, its clocks, its account at Google."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.actors: list[Actor] = []
        self.killed = False
        self.frozen_until = 0.0
        self.random = Random(f"{world.seed} {name}")
        self._booted = world.clock.now() - self.random.uniform(0, 10**6)
        self.rate = 1 + self.random.uniform(-RATE_ERROR, RATE_ERROR)
        """How many seconds its monotonic clock counts in one."""
        self.wall_error_seconds = 0.0
        """How wrong this machine's wall clock is. Nothing that decides about a lease may look at it."""
        account = world.simulator.accounts.add(f"account-{len(world.processes) % world.account_count}")
        world.book.share(account.email)
        self._token = world.simulator.accounts.token(account, world.clock.now() + 10**8)

    @property
    def ended(self) -> bool:
        return all(actor.ended for actor in self.actors)

    def thread(self, name: str, work: Callable[[], None]) -> Actor:
        """Start a thread; the first one is the process, which ends with it."""
        actor = Actor(self, f"{self.name}/{name}" if self.actors else self.name, work)
        actor.wakes_at = self.world.clock.now()
        self.actors.append(actor)
        self.world.actors.append(actor)
        return actor

    def monotonic(self) -> float:
        """Return the seconds since the machine was booted, by a clock that is a little too fast or too slow."""
        return (self.world.clock.now() - self._booted) * self.rate

    def wall(self) -> float:
        """Return the seconds since 1970 by this machine's clock."""
        return self.world.clock.now() + self.wall_error_seconds

    def rest(self, seconds: float) -> None:
        """Let simulated time pass, at least a little: a pause of nothing would never end."""
        threads.current().wait(self.world.clock.now() + max(REST_MIN_SECONDS, seconds))

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something in a thread of its own."""

        def wait_and_work() -> None:
            self.rest(seconds)
            work()

        self.thread("timer", wait_and_work)

    def environment(self) -> Environment:
        """Return the environment of its store."""
        return Environment(
            monotonic=self.monotonic,
            clock_jumps=lambda: 0.0,
            sleep=self.rest,
            later=self.later,
            randomness=self.random,
            client=lambda credentials: Client(self.ask),
        )

    def ask(self, method: str, path: str, query: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send one request. Its way there and its way back take time, in which others act."""
        there, back = self.world.delays(self)
        self.rest(self.world.latency() + there)
        self.world.arrives(self, body)
        status, content = 0, b""
        try:
            authorization = {"Authorization": f"Bearer {self._token}"}
            status, headers, content = self.world.simulator.handle(method, path, query, authorization, body)
        except NoAnswer as error:
            raise requests.ConnectionError(str(error)) from error
        else:
            return status, headers, content
        finally:
            request = Request(self.name, method, path, query, body, status, content)
            self.world.answered(request)
            self.rest(self.world.latency() + back)
            self.world.received(self, request)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its sender, and Google's answer; status 0: there was no answer."""

    process: str
    method: str
    path: str
    query: str
    body: bytes
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: a request, or what went wrong, in words."""

    at: float
    what: Request | str


class World:
    """Google, its clock, and everybody who acts."""

    account_count = 2

    def __init__(self, seed: int, tabs: dict[str, list[list[Any]]], *, rows: int = 60) -> None:
        self.seed, self.random = seed, Random(seed)
        self.clock = ManualClock()
        self.began = self.clock.now()
        self.simulator = Simulator(self.clock, seed)
        self.simulator.check_answers = False
        self.book: Spreadsheet = self.simulator.create_spreadsheet(tabs, rows=rows, columns=20)
        self._sheet_ids = {sheet.title: sheet.sheet_id for sheet in self.book.contents.sheets}
        """By the names that the tabs had first. People rename tabs, and give those names to others."""
        self.processes: list[Process] = []
        self.actors: list[Actor] = []
        self.latency_seconds = (0.02, 0.3)
        self.before: Callable[[Process, bytes], None] = lambda process, body: None
        """Asked right before a request arrives: a person may act."""
        self.after: Callable[[Request], None] = lambda request: None
        """Asked when a request was answered: what must never happen?"""
        self.received: Callable[[Process, Request], None] = lambda process, request: None
        """Told when an answer has come to the one who asked."""
        self.delays: Callable[[Process], tuple[float, float]] = lambda process: (0.0, 0.0)
        """How many seconds more a request is on its way, and its answer on its way back."""
        self.events: list[Event] = []
        self.requests = 0
        self._hash = hashlib.sha256()
        self._patches = ExitStack()
        self._patch()

    def _patch(self) -> None:
        """Replace the library's threads, locks and pauses by simulated ones."""
        patch = self._patches.enter_context
        patch(mock.patch.object(connection, "credentials", return_value=None))
        for module in (heartbeat, book, connection, queue):
            patch(mock.patch.object(module, "threading", threads))
        for timed in (attempts, worker, expansion):
            patch(mock.patch.object(timed, "time", threads.Time))
        patch(mock.patch.object(worker, "wait", threads.wait))

    # --- tabs --------------------------------------------------------------------------------------------------------

    def sheet_id(self, tab: str) -> int | None:
        """Return the sheetId of the tab that had this name first."""
        if tab not in self._sheet_ids and (sheet := self.book.contents.titled(tab)):
            self._sheet_ids[tab] = sheet.sheet_id
        return self._sheet_ids.get(tab)

    def title(self, tab: str) -> str:
        """Return the present title of that tab."""
        sheet_id = self.sheet_id(tab)
        return tab if sheet_id is None else self.book.contents.sheet(sheet_id).title

    def rows(self, tab: str) -> list[list[Any]]:
        """Return the contents of that tab."""
        return self.book.rows(self.title(tab))

    # --- who acts ----------------------------------------------------------------------------------------------------

    def start(self, name: str, work: Callable[[Process], None]) -> Process:
        """Start a process."""
        process = Process(self, name)
        process.thread("", lambda: work(process))
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """End all of it where it stands."""
        process.killed = True
        for actor in process.actors:
            while not actor.ended:
                actor.go_on()

    def step(self) -> bool:
        """Let the one that is next in time go on, sometimes another; False when nobody is left."""
        self.actors = [actor for actor in self.actors if not actor.ended]
        if not self.actors:
            return False
        soonest = min(actor.due for actor in self.actors)
        if soonest == NEVER:
            raise Deadlock("(5) everybody waits: " + ", ".join(actor.name for actor in self.actors))
        near = [actor for actor in self.actors if actor.due <= soonest + self.latency_seconds[1]]
        actor = self.random.choice(near)
        self.clock.seconds = max(self.clock.seconds, actor.due)
        actor.go_on()
        if actor.error is not None:
            raise actor.error
        if actor.ended and actor is actor.process.actors[0]:
            self.kill(actor.process)  # its other threads are daemons
        return True

    def close(self) -> None:
        """End every thread."""
        for process in self.processes:
            self.kill(process)
        self._patches.close()

    # --- what happens ------------------------------------------------------------------------------------------------

    def latency(self) -> float:
        """Return the seconds for which a request is on its way."""
        return self.random.uniform(*self.latency_seconds)

    def arrives(self, process: Process, body: bytes) -> None:
        """Handle a request."""
        self.requests += 1
        self.before(process, body)

    def answered(self, request: Request) -> None:
        """Note a request, and look what it has done."""
        self.note(request)
        self.after(request)

    def note(self, what: Request | str) -> None:
        """Remember what happened. Two runs of one seed remember the same, to the last byte: see `trace`."""
        event = Event(self.clock.now() - self.began, what)
        self.events.append(event)
        self._hash.update(repr(event).encode())

    @property
    def trace(self) -> str:
        """A fingerprint of everything that happened so far."""
        return self._hash.hexdigest()
