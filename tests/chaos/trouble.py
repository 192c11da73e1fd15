"""What is done to the fleet: each returns what it was, and to whom, when it is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import psutil

from tests.chaos.evidence import EVERYBODY, Trouble
from tests.chaos.scene import LEASE_SECONDS, PREFECT, Scene

PAGE_BYTES = 1 << 12
FREEZE_SECONDS = LEASE_SECONDS * 1.5
DROP_SECONDS = 6.0
FULL_SECONDS = 5.0
SERVER_DOWN_SECONDS = 5.0
NETWORKS = {
    "refuses": ("reset", {}),
    "answers 503": ("status", {"status": 503}),
    "answers 429": ("status", {"status": 429}),
    "loses answers": ("apply_then_reset", {}),
    "hangs": ("slow", {}),
}


class Troubles:
    """Does something, chosen by the seed, and remembers it. Pauses let the fleet go on: `go_on` is called all the time."""

    def __init__(self, scene: Scene, random: Random, go_on: Callable[[], None]) -> None:
        self._scene, self._random, self._go_on = scene, random, go_on
        self.happened: list[Trouble] = []

    def happen(self) -> Trouble | None:
        """Do the next thing; None when there is nobody to do it to."""
        names = sorted(self._scene.workers)
        kind = self._random.choices(["kill", "freeze", "network", "disk", "server"], [4, 2, 4, 2, 1])[0]
        if (kind in ("kill", "freeze") and not names) or (kind == "disk" and not self._scene.on_disk):
            return None
        worker = self._random.choice(names) if kind in ("kill", "freeze") else EVERYBODY
        began = time.monotonic()
        with _DOING[kind](self, worker) as seconds:
            self.wait(seconds)
        trouble = Trouble(kind, PREFECT if kind == "server" else worker, began, time.monotonic())
        self.happened.append(trouble)
        return trouble

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._go_on()
            time.sleep(0.2)

    @contextmanager
    def _kill(self, worker: str) -> Iterator[float]:
        """SIGKILL, as the kernel does when there is no memory left; its processors and its claims are left behind."""
        self._scene.workers[worker].kill()
        yield 0

    @contextmanager
    def _freeze(self, worker: str) -> Iterator[float]:
        """SIGSTOP for everything of a machine, for longer than its leases hold: a laptop is closed."""
        frozen = self._scene.processes(worker)
        _send(frozen, signal.SIGSTOP)
        try:
            yield FREEZE_SECONDS
        finally:
            _send(frozen, signal.SIGCONT)

    @contextmanager
    def _network(self, _: str) -> Iterator[float]:
        faults = self._scene.sheets.simulator.faults
        action, options = NETWORKS[self._random.choice(sorted(NETWORKS))]
        faults.add(action, times=None, path="/v4/", **options)  # type: ignore[arg-type]
        try:
            yield DROP_SECONDS
        finally:
            faults.clear()

    @contextmanager
    def _disk(self, _: str) -> Iterator[float]:
        filler = self._scene.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(PAGE_BYTES))
        try:
            yield FULL_SECONDS
        finally:
            filler.unlink()

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
    "network": Troubles._network,
    "disk": Troubles._disk,
    "server": Troubles._server,
}


def _send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
