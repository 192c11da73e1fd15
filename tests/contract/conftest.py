"""The stores that the contract is run on. A new backend is added here, and nowhere else in this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from youtube_download_coordinator.store import Store
from youtube_download_coordinator.stores.sql import SqlStore, metadata

POSTGRESQL_URL = os.environ.get("YDC_TEST_POSTGRESQL_URL", "")
"""The URL of an empty database; without one the suite runs on SQLite alone."""

OpenStore = Callable[[], Store]
"""Opens a store on the same data each time, as another process would."""


def _postgresql(_: Path) -> OpenStore:
    store = SqlStore(POSTGRESQL_URL)
    metadata.drop_all(store._engine)
    store.close()
    return lambda: SqlStore(POSTGRESQL_URL)


def _memory(_: Path) -> OpenStore:
    store = SqlStore("sqlite://")
    return lambda: store


BACKENDS: dict[str, Callable[[Path], OpenStore]] = {
    "sqlite-memory": _memory,
    "sqlite-file": lambda folder: lambda: SqlStore(f"sqlite:///{folder}/queue.db"),
} | ({"postgresql": _postgresql} if POSTGRESQL_URL else {})


@pytest.fixture
def closing_stores() -> Iterator[Callable[[Store], Store]]:
    """Remember a store, and close it when the test has ended."""
    with ExitStack() as stack:

        def remember(store: Store) -> Store:
            stack.callback(store.close)
            return store

        yield remember


@pytest.fixture(params=BACKENDS)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, closing_stores: Callable[[Store], Store]
) -> Callable[[], Store]:
    opener = BACKENDS[request.param](tmp_path)
    return lambda: closing_stores(opener())


@pytest.fixture(params=BACKENDS)
def make_empty_store(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    closing_stores: Callable[[Store], Store],
) -> Callable[[], Store]:
    """A new, empty store each time that it is called."""
    return lambda: closing_stores(BACKENDS[request.param](tmp_path_factory.mktemp("store"))())


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()
