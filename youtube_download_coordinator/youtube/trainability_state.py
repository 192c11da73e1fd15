"""Share answers about trainability, and the time of the next request, between the processes of a machine.

They are kept in a SQLite file in `state_dir`, so that a retry, or a product that is made later, needs no new request. If the file
cannot be used, each attempt makes its own request.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from youtube_download_coordinator.private_files import make_private, make_private_folder
from youtube_download_coordinator.youtube.trainability import Trainability, now

STATE_FILE = "trainability.db"
KEPT_SECONDS = 30 * 86400.0
"""The longest time that an answer is used, because an owner may change the permission. Older answers are deleted."""
INTERVAL_SECONDS = 1.0
"""The time between two requests of a machine."""
WAIT_MAX_SECONDS = 60.0
"""An attempt that would have to wait longer makes no request."""
FAILURES_UNTIL_PAUSE = 3
"""After this many failed requests in succession, a machine pauses, longer each time."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 3600.0
PAUSES = "this machine pauses after failed requests"
_BUSY_SECONDS = 10.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS answers (video_id TEXT PRIMARY KEY, permitted TEXT NOT NULL, etag TEXT NOT NULL,"
    " asked_at TEXT NOT NULL, kept_until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS answers_by_age ON answers (kept_until)",
    "CREATE TABLE IF NOT EXISTS pace (id INTEGER PRIMARY KEY CHECK (id = 1), next_at REAL NOT NULL,"
    " paused_until REAL NOT NULL, failures INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO pace VALUES (1, 0, 0, 0)",
)


class TrainabilityState:
    """The answers and the request rate of one machine."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = lambda: now().timestamp(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = folder / STATE_FILE
        self._clock = clock
        self._sleep = sleep

    def answer(self, video_id: str, ask: Callable[[], Trainability]) -> Trainability:
        """Return the cached answer, or wait for this process's turn and request one. An unknown answer is not cached."""
        if known := self._known(video_id):
            return known
        if problem := self._wait_for_turn():
            return Trainability(problem=problem, pause_seconds=self.pause_seconds())
        answer = ask()
        self._note(video_id, answer)
        return answer

    def pause_seconds(self) -> float:
        """Return how long this machine must not send a request, or 0."""
        paused_until = self._read("SELECT paused_until FROM pace", ())
        return self._left(float(paused_until[0])) if paused_until else 0.0

    def _left(self, paused_until: float) -> float:
        left = paused_until - self._clock()
        return left if 0 < left <= LONGEST_PAUSE_SECONDS else 0.0  # if it is longer, the clock was set back

    def _known(self, video_id: str) -> Trainability | None:
        row = self._read("SELECT permitted, etag, asked_at, kept_until FROM answers WHERE video_id = ?", (video_id,))
        if row is None or not self._clock() < row[3] <= self._clock() + KEPT_SECONDS:
            return None
        with contextlib.suppress(ValueError, TypeError):
            return Trainability(
                permitted=tuple(json.loads(row[0])), etag=str(row[1]), asked_at=datetime.fromisoformat(row[2])
            )
        return None

    def _wait_for_turn(self) -> str:
        """Wait until the next request may be sent. Return the reason if it must not be sent, or an empty text."""
        if self.pause_seconds():
            return PAUSES
        begun = turn = self._clock()
        with self._changed() as database:
            if database:
                (next_at,) = database.execute("SELECT next_at FROM pace").fetchone()
                if next_at <= begun + WAIT_MAX_SECONDS + INTERVAL_SECONDS:  # else the clock was set back
                    turn = max(begun, next_at)
                if turn - begun > WAIT_MAX_SECONDS:
                    return "too many requests of this machine are waiting"
                database.execute("UPDATE pace SET next_at = ?", (turn + INTERVAL_SECONDS,))
        if turn > begun:
            self._sleep(turn - begun)
            return PAUSES if self.pause_seconds() else ""  # a pause may have begun in the meantime
        return ""

    def _note(self, video_id: str, answer: Trainability) -> None:
        time_now = self._clock()
        with self._changed() as database:
            if not database:
                return
            if answer.is_known or answer.is_about_video:
                database.execute("UPDATE pace SET failures = 0")  # a pause has ended, or began after this request
            else:
                failures, until = database.execute("SELECT failures + 1, paused_until FROM pace").fetchone()
                pause = max(answer.pause_seconds, _pause_after(failures), self._left(until))
                database.execute(
                    "UPDATE pace SET failures = ?, paused_until = ?", (failures, time_now + pause if pause else 0)
                )
            if answer.is_known:
                database.execute("DELETE FROM answers WHERE kept_until < ?", (time_now,))
                asked_at = answer.asked_at.isoformat() if answer.asked_at else ""
                values = (video_id, json.dumps([*answer.permitted]), answer.etag, asked_at, time_now + KEPT_SECONDS)
                database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", values)

    def _read(self, query: str, values: tuple[str, ...]) -> tuple[Any, ...] | None:
        with self._changed() as database:
            row: tuple[Any, ...] | None = database.execute(query, values).fetchone() if database else None
            return row
        return None

    @contextlib.contextmanager
    def _changed(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the database in a transaction, or None if it cannot be used. Its errors end the block."""
        database = None
        try:
            database = self._opened()
            yield database
            database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            _warn(f"answers on trainability cannot be cached: {error}")
            if database is None:
                yield None
        finally:
            if database:
                database.close()

    def _opened(self) -> sqlite3.Connection:
        """Open the file and begin a transaction. Delete a damaged file, which is only a cache."""
        make_private_folder(self._file.parent)
        make_private(self._file)
        database = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = OFF")  # a cache need not survive a power failure
            database.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                database.execute(statement)
        except sqlite3.Error as error:
            database.close()
            if type(error) is sqlite3.DatabaseError:  # not a database; its subclasses: locked, or no room
                self._file.unlink(missing_ok=True)
            raise
        return database


def _pause_after(failures: int) -> float:
    if failures < FAILURES_UNTIL_PAUSE:
        return 0.0
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(failures - FAILURES_UNTIL_PAUSE, 10), LONGEST_PAUSE_SECONDS))


def _warn(message: str) -> None:
    import logging  # few attempts have anything to log

    logging.getLogger(__name__).warning(message)
