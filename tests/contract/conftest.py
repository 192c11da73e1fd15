"""The stores that the contract is run on. A new backend is added here, and nowhere else in this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fake_google import SheetsServer
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.queue.store import Store
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.stores.sql.tables import metadata

POSTGRESQL_URL = os.environ.get("YDC_TEST_POSTGRESQL_URL", "")
"""The URL of an empty database; without one the suite runs on SQLite alone."""

OpenStore = Callable[[], Store]
"""Opens a store on the same data each time, as another process would."""


def _postgresql(_: Path, __: ExitStack) -> OpenStore:
    store = SqlStore(POSTGRESQL_URL)
    metadata.drop_all(store._engine)
    store.close()
    return lambda: SqlStore(POSTGRESQL_URL)


def _memory(_: Path, __: ExitStack) -> OpenStore:
    store = SqlStore("sqlite://")
    return lambda: store


def sheet_settings(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Create the seed's spreadsheet with a custom column on a simulated Google, and return its settings."""
    server = stack.enter_context(SheetsServer())
    account = server.simulator.accounts.add("worker")
    account.write_key_file(folder / "key.json", server.simulator.token_uri)
    seed = [*SEED_VIDEO_COLUMNS, "Gender"]
    tabs = {"Sources": [], "Video Tasks": [seed], "Dead-Letter Queue": [seed]}
    book = server.simulator.create_spreadsheet(tabs, (account,), rows=100, columns=12)
    return {
        "spreadsheet_id": book.spreadsheet_id,
        "credentials_file": folder / "key.json",
        "sheets_api_url": server.address,
    }


def _sheet(folder: Path, stack: ExitStack) -> OpenStore:
    config = Config(**sheet_settings(folder, stack))
    return lambda: SheetsStore(config)


BACKENDS: dict[str, Callable[[Path, ExitStack], OpenStore]] = {
    "sqlite-memory": _memory,
    "sqlite-file": lambda folder, _: lambda: SqlStore(f"sqlite:///{folder}/queue.db"),
    "sheets": _sheet,
} | ({"postgresql": _postgresql} if POSTGRESQL_URL else {})


class Stores:
    """Opens stores, and closes them and what is behind them when the test has ended."""

    def __init__(self, backend: Callable[[Path, ExitStack], OpenStore], stack: ExitStack) -> None:
        self._backend = backend
        self._stack = stack

    def opener(self, folder: Path) -> OpenStore:
        opener = self._backend(folder, self._stack)

        def open_one() -> Store:
            store = opener()
            self._stack.callback(store.close)
            return store

        return open_one


@pytest.fixture(params=BACKENDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(BACKENDS[request.param], stack)


@pytest.fixture
def open_store(stores: Stores, tmp_path: Path) -> OpenStore:
    return stores.opener(tmp_path)


@pytest.fixture
def make_empty_store(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> OpenStore:
    """Return a function that opens a new, empty store each time."""
    return lambda: stores.opener(tmp_path_factory.mktemp("store"))()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


SHARED: dict[str, Callable[[Path, ExitStack], dict[str, Any]]] = {
    "sqlite-file": lambda folder, _: {"database_url": f"sqlite:///{folder}/queue.db"},
    "sheets": sheet_settings,
} | ({"postgresql": lambda _, __: {"database_url": POSTGRESQL_URL}} if POSTGRESQL_URL else {})


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name == "sheets" else ()) for name in SHARED])
def shared_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield environment variables that lead several processes to one empty queue."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            _postgresql(tmp_path, stack)
        settings = SHARED[request.param](tmp_path, stack)
        yield {f"YDC_{name.upper()}": str(value) for name, value in settings.items()}
