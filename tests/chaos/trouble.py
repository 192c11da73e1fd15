"""Disturb the fleet. Each function returns its kind and its victim when it is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from random import Random

import psutil

from tests.chaos.disks import fill
from tests.chaos.evidence import EVERYBODY, Trouble
from tests.chaos.scene import LEASE_SECONDS, Scene
from tests.chaos.share import PREFECT

FREEZE_SECONDS = LEASE_SECONDS * 1.5
GONE_SECONDS = 20.0
"""For what a killed worker had begun to end."""
FULL_SECONDS = 5.0
SERVER_DOWN_SECONDS = 5.0
WEIGHTS: dict[str, float] = {"kill": 4, "freeze": 2, "disk": 2, "server": 1, "flows": 2}
"""How often each happens; what hinders everybody to come to the store, together, HINDRANCE_WEIGHT."""
PREFECTS = frozenset(("server", "flows"))
"""Of these one happens soon when Prefect's runs have worked, and none before: PREFECT_FACTOR times as often."""
PREFECT_FACTOR = 3
HINDRANCE_WEIGHT = 4


class Troubles:
    """Does something, chosen by the seed, and remembers it. Pauses let the fleet go on: `go_on` is called all the time."""

    def __init__(self, scene: Scene, random: Random, go_on: Callable[[], None]) -> None:
        self._scene, self._random, self._go_on = scene, random, go_on
        self.happened: list[Trouble] = []

    def happen(self) -> Trouble | None:
        """Do the next thing; None when there is nobody to do it to."""
        kind = self._choose()
        names = sorted(self._scene.workers)
        if (kind in ("kill", "freeze") and not names) or (kind == "disk" and not self._scene.on_disk):
            return None
        worker = self._random.choice(names) if kind in ("kill", "freeze") else _WHOSE.get(kind, EVERYBODY)
        worker = self._scene.prefect_worker if kind == "flows" else worker
        began = time.monotonic()
        with self._doing(kind, worker) as seconds:
            self.wait(seconds)
        trouble = Trouble(kind, worker, began, time.monotonic())
        if kind in PREFECTS:
            self._scene.share.was_killed()
        self.happened.append(trouble)
        return trouble

    def _choose(self) -> str:
        hindrances = sorted(self._scene.place.hindrances)
        prefect = PREFECT_FACTOR if self._scene.has_prefect and self._scene.share.may_be_killed else 0
        weights = {kind: weight * (prefect if kind in PREFECTS else 1) for kind, weight in WEIGHTS.items()}
        weights |= {kind: HINDRANCE_WEIGHT / len(hindrances) for kind in hindrances}
        return self._random.choices(list(weights), list(weights.values()))[0]

    def _doing(self, kind: str, worker: str) -> AbstractContextManager[float]:
        hindrance = self._scene.place.hindrances.get(kind)
        return hindrance(self._random) if hindrance else _DOING[kind](self, worker)

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._go_on()
            time.sleep(0.2)

    @contextmanager
    def _kill(self, worker: str) -> Iterator[float]:
        """Send SIGKILL to a worker, as the kernel does when memory runs out. Its processors and claims are left behind."""
        self._scene.workers[worker].kill()
        self._wait_until_gone(worker)
        yield 0

    @contextmanager
    def _freeze(self, worker: str) -> Iterator[float]:
        """Stop all processes of a machine (SIGSTOP) for longer than its leases, as a closed laptop does."""
        frozen = self._scene.processes(worker)
        _send(frozen, signal.SIGSTOP)
        try:
            yield FREEZE_SECONDS
        finally:
            _send(frozen, signal.SIGCONT)

    @contextmanager
    def _disk(self, _: str) -> Iterator[float]:
        with fill(self._scene.disk):
            yield FULL_SECONDS

    @contextmanager
    def _flows(self, worker: str) -> Iterator[float]:
        """Send SIGKILL to Prefect's worker, and half of the time to its flows too."""
        with_flows = self._random.random() < 0.5
        self._scene.replace_prefect_worker(with_flows=with_flows)
        if with_flows:
            self._wait_until_gone(worker)
        yield 0

    def _wait_until_gone(self, worker: str) -> None:
        """Allow for a processor that begins just before its supervisor ends it."""
        until = time.monotonic() + GONE_SECONDS
        while self._scene.is_at_work(worker) and time.monotonic() < until:
            self.wait(0.2)

    @contextmanager
    def _server(self, _: str) -> Iterator[float]:
        self._scene.kill_server()
        try:
            yield SERVER_DOWN_SECONDS
        finally:
            self._scene.start_server()


_DOING = {
    "kill": Troubles._kill,
    "freeze": Troubles._freeze,
    "disk": Troubles._disk,
    "server": Troubles._server,
    "flows": Troubles._flows,
}
_WHOSE = {"server": PREFECT}


def _send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
