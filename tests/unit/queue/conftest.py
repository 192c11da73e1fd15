"""Workers of several machines on one store whose clock a test turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.outages import Machine
from tests.support.rows import make_admission, make_queue
from youtube_download_coordinator.queue import Queue


@pytest.fixture
def store() -> Iterator[ClockedStore]:
    store = ClockedStore()
    yield store
    store.close()


@pytest.fixture
def worker(store: ClockedStore, machine_state: ClockedStore) -> Callable[..., Queue]:
    """Return a function that makes a worker. Those of host-a share one machine's state."""

    def make(name: str = "host-a/1", **more: Any) -> Queue:
        queue = make_queue(store, name)
        queue.admission = make_admission(
            store, name, machine_state=machine_state if name.startswith("host-a/") else None, **more
        )
        return queue

    return make


@pytest.fixture
def machine(worker: Callable[..., Queue]) -> Machine:
    return Machine(worker)


@pytest.fixture
def other(store: ClockedStore) -> Iterator[Machine]:
    """Yield another machine on the same queue."""
    state = ClockedStore()

    def make(name: str, **more: Any) -> Queue:
        queue = make_queue(store, name)
        queue.admission = make_admission(store, name, machine_state=state, **more)
        return queue

    yield Machine(make, "host-b")
    state.close()
