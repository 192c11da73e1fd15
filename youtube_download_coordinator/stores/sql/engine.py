"""Open a database, with the settings that SQLite and PostgreSQL need, and turn their errors into the queue's."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from youtube_download_coordinator.errors import ConfigError, StoreError, StoreUnavailable
from youtube_download_coordinator.private_files import make_private
from youtube_download_coordinator.stores.sql.file_watch import FileWatch

_PLAIN = re.compile(r"[\w.:-]*")
"""A plain host or database name. libpq also accepts a whole connection string, with a password, in place of a name."""

BUSY_TIMEOUT_SECONDS = 60
"""How long a process waits for another's short transaction on the SQLite file."""

IDLE_IN_TRANSACTION_SECONDS = 20
"""The time without a statement after which PostgreSQL ends a transaction, so that a suspended machine does not lock rows."""


def open_engine(url: str) -> sa.Engine:
    """Return an engine for a SQLite or PostgreSQL URL, without connecting. Raises ConfigError, without the password."""
    shown = "..."  # until the position of the password is known
    try:
        parsed = sa.make_url(url)
        _check_signs(parsed, url)
        shown = without_password(parsed)
        options: dict[str, Any] = {"pool_pre_ping": True}
        if parsed.get_backend_name() == "sqlite":
            _check_folder(parsed)
            options = {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}}
        if is_memory(parsed):
            options["poolclass"] = StaticPool
        engine = sa.create_engine(parsed, **options)
    except ModuleNotFoundError as error:
        advice = "pip install 'psycopg[binary]'"
        if error.name != "psycopg":
            advice = f"use postgresql+psycopg://, and {advice}"
        raise ConfigError(f"database_url={shown}: the driver {error.name} is not installed: {advice}") from None
    except ConfigError:
        raise
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        examples = "sqlite:///queue.db or postgresql+psycopg://user@host/name"
        raise ConfigError(f"database_url={shown}: this is not a database URL; use one like {examples}") from None
    if engine.dialect.name not in {"sqlite", "postgresql"}:
        raise ConfigError(f"database_url={without_password(engine.url)}: only sqlite and postgresql are supported")
    if engine.dialect.name == "sqlite":
        if not is_memory(engine.url):
            sa.event.listen(engine, "do_connect", _before_sqlite_connect)
        sa.event.listen(engine, "connect", _on_sqlite_connect)
        sa.event.listen(engine, "begin", _on_sqlite_begin)
    else:
        sa.event.listen(engine, "connect", _on_postgresql_connect)
    return engine


def watch_of(engine: sa.Engine) -> FileWatch | None:
    """Return a watch of an engine's SQLite file, or None if there is no file."""
    if engine.dialect.name != "sqlite" or is_memory(engine.url):
        return None
    watch = FileWatch(Path(engine.url.database or "").absolute())

    def check(connection: sa.Connection) -> None:
        watch.check_connection(connection.info)

    sa.event.listen(engine, "begin", check, insert=True)
    return watch


def _check_signs(parsed: sa.URL, url: str) -> None:
    """Raise ConfigError if an @ is not escaped, because the rest of a password would be treated, and shown, as the host."""
    if parsed.get_backend_name() != "sqlite" and url.count("@") > 1:
        raise ConfigError(
            "database_url has more than one @: write %40 for each @ in the user, the password and the parameters"
        )


def _check_folder(url: sa.URL) -> None:
    folder = Path(url.database or ".").parent
    if not is_memory(url) and not folder.is_dir():
        raise ConfigError(
            f"database_url={without_password(url)}: the folder {str(folder)!r} does not exist; create it, or use another one"
        )


def is_memory(url: sa.URL) -> bool:
    """Return whether the database is in this process's memory."""
    return url.get_backend_name() == "sqlite" and (url.database or ":memory:") == ":memory:"


def name_of(url: sa.URL) -> str:
    """Return a name for people: the path of a SQLite file; backend, host and name of another database."""
    return without_password(url).removeprefix("sqlite:///") if not is_memory(url) else "memory"


def without_password(url: sa.URL) -> str:
    """Return backend, host and name as text that may be shown and logged, without user and parameters, which may be secret."""
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        return f"sqlite:///{url.database or ''}"
    host, name = (text if _PLAIN.fullmatch(text) else "..." for text in (url.host or "", url.database or ""))
    return f"{backend}://{host}/{name}"


def _on_postgresql_connect(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS}s'")
    cursor.close()
    connection.commit()


def _before_sqlite_connect(_dialect: object, _record: object, arguments: list[Any], _options: dict[str, Any]) -> None:
    """Remove other users' permissions for the file, because a user who can read it can hold a lock that stops the queue.

    SQLite creates the files next to it with the same mode.
    """
    for suffix in ("", "-wal", "-shm"):
        path = Path(f"{arguments[0]}{suffix}")
        if not suffix or path.exists():
            make_private(path)


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # otherwise the driver begins transactions itself, too late
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may undo the last changes, not damage the file
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Set the mode in which readers do not wait for a writer.

    Try again while the file is busy, because SQLite does not wait if several processes open a new file.
    """
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # Take the write lock first: a transaction that reads and then writes fails at once if another has written in between.
    reading = connection.get_execution_options().get("ydc_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def translated() -> Iterator[None]:
    """Convert the database's errors to StoreUnavailable or StoreError with one line."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreUnavailable(_cause(error)) from error
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:  # any error of a broken connection
            raise StoreUnavailable(_cause(error)) from error
        raise StoreError(_cause(error)) from error


def _cause(error: SQLAlchemyError) -> str:
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())


def utc_of(database_time: Any) -> datetime:
    """Convert the database's time to UTC. SQLite returns text, PostgreSQL a time in the session's time zone."""
    value = datetime.fromisoformat(database_time) if isinstance(database_time, str) else database_time
    if not isinstance(value, datetime):
        raise StoreError(f"the database returned {value!r} as its time")
    return value.astimezone(UTC)
