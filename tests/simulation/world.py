"""A world of one thread at a time: workers, a person and Google, on one simulated clock, in an order that a seed decides.

Each worker is a thread that stands still before each of its requests, until the scheduler lets it go on. So between any two
requests anybody may act, every story can be told again from its seed, and nothing waits for real time.
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Callable
from random import Random
from typing import Any
from unittest import mock

import gspread
import requests
from gspread.exceptions import APIError

from tests.sheets_api import ManualClock, NoAnswer, Simulator, Spreadsheet
from youtube_download_coordinator.stores.sheets import connection
from youtube_download_coordinator.stores.sheets.connection import Outside

PATH = "https://sheets.googleapis.com"


Ask = Callable[[str, str, str, bytes], tuple[int, dict[str, str], bytes]]
"""Answers a request: HTTP method, path, query and body."""


class Killed(BaseException):
    """This worker's process was killed: nothing of it runs any more."""


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
    """One worker: a thread that runs only when the world lets it."""

    def __init__(self, world: World, name: str, work: Callable[[Actor], None]) -> None:
        self.world, self.name = world, name
        self.wakes_at = 0.0
        self.killed = self.ended = False
        self.error: BaseException | None = None
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()
        account = world.simulator.accounts.add(f"account-{len(world.actors) % world.account_count}")
        world.book.share(account.email)
        self._token = world.simulator.accounts.token(account, world.clock.now() + 10**8)

    def outside(self) -> Outside:
        """What its store takes from outside."""
        random = Random(f"{self.world.seed} {self.name}")
        return Outside(
            monotonic=self.world.clock.now,
            sleep=lambda seconds: self._wait(self.world.clock.now() + seconds),
            later=self._later,
            randomness=random,
            client=lambda credentials: Client(self.ask),
        )

    def rest(self, seconds: float) -> None:
        """Let simulated time pass, between two calls of the store; what was to be done later is done on the way."""
        until = self.world.clock.now() + seconds
        while True:
            due = min(self.timers, default=(until, None), key=lambda timer: timer[0])
            if due[0] >= until or due[1] is None:
                break
            self.timers.remove(due)
            self._wait(due[0])
            due[1]()
        self._wait(until)

    def ask(self, method: str, path: str, query: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One request: its way there and its way back take time, in which others act."""
        self._wait(self.world.clock.now() + self.world.latency())
        self.world.before_request()
        try:
            return self.world.simulator.handle(method, path, query, {"Authorization": f"Bearer {self._token}"}, body)
        except NoAnswer as error:
            raise requests.ConnectionError(str(error)) from error
        finally:
            self.world.after_request(self)
            self._wait(self.world.clock.now() + self.world.latency())

    def go_on(self) -> None:
        """Run until it waits again. Called by the scheduler."""
        self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        """End it where it stands."""
        self.killed = True
        while not self.ended:
            self.go_on()

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        self.timers.append((self.world.clock.now() + seconds, work))

    def _wait(self, until: float) -> None:
        if self.killed:
            raise Killed
        self.wakes_at = until
        self._stopped.release()
        self._go.acquire()
        if self.killed:
            raise Killed

    def _run(self, work: Callable[[Actor], None]) -> None:
        self._go.acquire()
        try:
            if not self.killed:
                work(self)
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self._stopped.release()


class World:
    """Google, its clock, and everybody who acts."""

    account_count = 2

    def __init__(self, seed: int, tabs: dict[str, list[list[Any]]], *, rows: int = 60) -> None:
        self.seed, self.random = seed, Random(seed)
        self.clock = ManualClock()
        self.simulator = Simulator(self.clock, seed)
        self.simulator.check_answers = False
        self.simulator.faults.random = Random(f"{seed} faults")
        self.book: Spreadsheet = self.simulator.create_spreadsheet(tabs, rows=rows, columns=20)
        self.actors: list[Actor] = []
        self.person: Callable[[], None] = lambda: None
        """Acts right before a request arrives."""
        self.latency_seconds = (0.02, 0.3)
        self.checks: list[Callable[[Actor], None]] = []
        self._signing_in = mock.patch.object(connection, "credentials", return_value=None)
        self._signing_in.start()

    def start(self, name: str, work: Callable[[Actor], None]) -> Actor:
        """Add a worker."""
        actor = Actor(self, name, work)
        self.actors.append(actor)
        return actor

    def latency(self) -> float:
        """How long a request is on its way."""
        return self.random.uniform(*self.latency_seconds)

    def before_request(self) -> None:
        """A person may do something."""
        self.person()

    def after_request(self, actor: Actor) -> None:
        """Look what a request has done."""
        for check in self.checks:
            check(actor)

    def step(self) -> bool:
        """Let the one that is next in time go on, sometimes another; False when nobody is left."""
        alive = [actor for actor in self.actors if not actor.ended]
        if not alive:
            return False
        actor = min(alive, key=lambda each: each.wakes_at)
        near = [each for each in alive if each.wakes_at <= actor.wakes_at + self.latency_seconds[1]]
        actor = self.random.choice(near)
        self.clock.seconds = max(self.clock.seconds, actor.wakes_at)
        actor.go_on()
        if actor.error is not None:
            raise actor.error
        return True

    def close(self) -> None:
        """End every thread."""
        for actor in self.actors:
            actor.kill()
        self._signing_in.stop()
