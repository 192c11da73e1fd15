"""The stores that the chaos is let loose on: how workers come to them, what is done to them, and what a person sees in them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Protocol

import psutil
import sqlalchemy as sa

from tests.chaos.disks import fill, small_disk
from tests.fake_google import SheetsServer
from youtube_download_coordinator.stores.sql.tables import metadata

Lines = list[Mapping[str, Any]]
Hindrance = Callable[[Random], AbstractContextManager[float]]
"""Something that keeps workers from their queue, for so many seconds."""

DROP_SECONDS = 6.0
LOCK_SECONDS = 25.0
"""Longer than a lease."""
RESTART_SECONDS = 60
DATABASE_BYTES = 16 << 20
FULL_SECONDS = 5.0
EVERYBODY_ELSE = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
NETWORKS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "refuses": ("reset", {}),
    "answers 503": ("status", {"status": 503}),
    "answers 429": ("status", {"status": 429}),
    "loses answers": ("apply_then_reset", {}),
    "hangs": ("slow", {}),
}


class Place(Protocol):
    """A store from outside."""

    settings: Mapping[str, str]
    """Of the queue, by the names of `Config`."""
    hindrances: Mapping[str, Hindrance]

    def lines(self) -> Lines:
        """Return every video, dead letters too, with at least URL, Status and LastError."""
        ...


class OnSheet:
    """A spreadsheet of the simulated Google."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._sheets = stack.enter_context(SheetsServer())
        account = self._sheets.simulator.accounts.add("fleet")
        key_file = account.write_key_file(folder / "key.json", self._sheets.simulator.token_uri)
        self._book = self._sheets.simulator.create_spreadsheet({"Sheet1": []}, (account,))
        self.settings: Mapping[str, str] = {
            "spreadsheet_id": self._book.spreadsheet_id,
            "credentials_file": str(key_file),
            "sheets_api_url": self._sheets.address,
        }
        self.hindrances: Mapping[str, Hindrance] = {"network": self._network, "tokens": self._tokens}

    @contextmanager
    def _network(self, random: Random) -> Iterator[float]:
        faults = self._sheets.simulator.faults
        action, options = NETWORKS[random.choice(sorted(NETWORKS))]
        faults.add(action, times=None, path="/v4/", **options)
        try:
            yield DROP_SECONDS
        finally:
            faults.clear()

    @contextmanager
    def _tokens(self, _: Random) -> Iterator[float]:
        """Let every access token expire, and answer requests for another with 503."""
        simulator = self._sheets.simulator
        simulator.accounts.revoke_all()
        simulator.token_faults.add("status", times=None)
        try:
            yield DROP_SECONDS
        finally:
            simulator.token_faults.clear()

    def lines(self) -> Lines:
        """Return the videos of both tabs."""
        found: Lines = []
        for tab in ("Video Tasks", "Dead-Letter Queue"):
            header, *rows = self._book.rows(tab)
            lines = (dict(zip(map(str, header), row, strict=False)) for row in rows)
            found += [line | {"Status": line.get("Status", "")} for line in lines if line.get("URL")]
        return found


class OnDatabase:
    """The common part of both databases. Rows are read with separate SQL."""

    def __init__(self, url: str) -> None:
        self.settings: Mapping[str, str] = {"database_url": url}
        self.hindrances: Mapping[str, Hindrance] = {}
        self._engine = sa.create_engine(url, pool_pre_ping=True)

    def lines(self) -> Lines:
        query = sa.text('SELECT url AS "URL", state AS "Status", detail AS "LastError" FROM videos')
        with self._engine.connect() as connection:
            return [dict(record) for record in connection.execute(query).mappings()]


class OnSqlite(OnDatabase):
    """A file, on a small file system where we may make one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder / "database"
        self._folder.mkdir()
        on_disk = stack.enter_context(small_disk(self._folder, DATABASE_BYTES))
        super().__init__(f"sqlite:///{self._folder}/queue.db")
        stack.callback(self._engine.dispose)
        self.hindrances = {"lock": self._lock} | ({"full": self._full} if on_disk else {})

    @contextmanager
    def _lock(self, _: Random) -> Iterator[float]:
        """Hold a transaction open, so that no other connection can write."""
        with closing(sqlite3.connect(self._folder / "queue.db", timeout=RESTART_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield LOCK_SECONDS

    @contextmanager
    def _full(self, _: Random) -> Iterator[float]:
        with fill(self._folder):
            yield FULL_SECONDS


class OnPostgresql(OnDatabase):
    """An empty database of a server on this machine, which is crashed."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        super().__init__(url)
        stack.callback(self._engine.dispose)
        metadata.drop_all(self._engine)
        with self._engine.connect() as connection:
            self._data = Path(str(connection.scalar(sa.text("SHOW data_directory"))))
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
        self._program, self._owner = Path(postmaster.exe()).with_name("pg_ctl"), postmaster.username()
        self.hindrances = {"crash": self._crash, "disconnect": self._disconnect}

    @contextmanager
    def _crash(self, _: Random) -> Iterator[float]:
        """Crash the server, as if its machine had lost power, and start it again from its log."""
        log = self._data.with_name("server.log")
        pg_ctl = [str(self._program), "--pgdata", str(self._data), "--log", str(log), "--wait", "--silent"]
        as_owner = ["runuser", "-u", self._owner, "--"] if os.geteuid() == 0 and shutil.which("runuser") else []
        subprocess.run([*as_owner, *pg_ctl, "--mode", "immediate", "restart"], check=True, timeout=RESTART_SECONDS)
        yield 0

    @contextmanager
    def _disconnect(self, _: Random) -> Iterator[float]:
        """End all other connections, whatever query runs on them."""
        with self._engine.connect() as connection, suppress(sa.exc.OperationalError):
            connection.execute(EVERYBODY_ELSE)
        yield 0


def _postgresql_url() -> str:
    if url := os.environ.get("YDC_TEST_POSTGRESQL_URL"):
        return url
    raise SystemExit("YDC_TEST_POSTGRESQL_URL names no server: .ci/with-postgresql starts one for a command")


PLACES: Mapping[str, Callable[[Path, ExitStack], Place]] = {
    "sheet": OnSheet,
    "sqlite": OnSqlite,
    "postgresql": lambda _, stack: OnPostgresql(_postgresql_url(), stack),
}
