"""Changing and reading the lines of Control by which people and workers steer the fleet.

The whole tab is small and comes along with whatever else is asked. A line is changed in a token batch, so workers change it one
after the other. People take no token: they may sort the tab between a look and a change, which is written by line. So the answer
shows the tab, and what has landed on a stranger is taken back with the next batch.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, moment_of, utc_text
from youtube_download_coordinator.store import SetControl
from youtube_download_coordinator.stores.sheets.book import Book, Ledger, NotNow, control_line
from youtube_download_coordinator.stores.sheets.connection import Json
from youtube_download_coordinator.stores.sheets.layout import CONTROL
from youtube_download_coordinator.stores.sheets.rows import write_cells
from youtube_download_coordinator.stores.sheets.views import STEERING, ControlLine

log = logging.getLogger(__name__)

CONTROL_SECONDS = 30.0
"""What was seen of Control is asked for again after this long, when nothing else was asked meanwhile."""
SET_ROUNDS = 5
"""How often a line is changed anew because a person has sorted the tab in that very moment."""
SERIAL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
"""Sheets counts the days of a date from here."""
SERIAL_DAYS = (20_000.0, 200_000.0)
"""From 1954 to 2447: another number is no date."""


class Controls:
    """The two verbs of the contract."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._not_understood: set[str] = set()

    def controls(self, *, fresh: bool) -> list[Control]:
        """Every line of control."""
        self._book.layout()
        if fresh or self._book.control.is_older_than(CONTROL_SECONDS):
            self._book.look_at_control()
        return [self.read(line) for line in self._book.control.lines() if line.is_steering]

    def read(self, line: ControlLine) -> Control:
        """What a line says."""
        value, until, reason = line.cells
        value, _, said_there = value.partition(" until ")
        return Control(
            name=line.name,
            value=value.strip(),
            until=self._until(line.name, until or said_there),
            reason=reason,
            pause_seconds=self._book.control.said().get(_pause_of(line.name), 0),
        )

    def _until(self, name: str, text: str) -> datetime | None:
        moment = _serial(text) or moment_of(text)
        if text.strip() and moment is None and text not in self._not_understood:
            self._not_understood.add(text)
            log.warning("Control, %r: Until %r is no time, so none counts: write 2026-11-25 14:30 (UTC)", name, text)
        return moment

    def set(self, name: str, change: SetControl) -> Control | None:
        """Change one line, and see that what was written stands in that line."""
        astray: _Attempt | None = None
        for _ in range(SET_ROUNDS):
            attempt = _Attempt(self, self._book, name, change, astray)
            if not attempt.make():
                return None
            if attempt.stands():
                return attempt.new
            log.warning("somebody sorted Control while its line %r was written; that is mended", name)
            astray = attempt
        raise StoreUnavailable(f"Control's line {name!r} cannot be changed: it stands somewhere else each time")


class _Attempt:
    """One token batch that changes a line, and takes back what an earlier one has put on a stranger's."""

    def __init__(self, controls: Controls, book: Book, name: str, change: SetControl, astray: _Attempt | None) -> None:
        self._controls = controls
        self._book = book
        self._name = name
        self._change = change
        self._astray = astray
        self._before: dict[str, tuple[str, ...]] = {}
        self._cells: tuple[str, ...] = ()
        self.new: Control | None = None

    def make(self) -> bool:
        """Whether anything was written."""
        try:
            answer = self._book.token_batch(self._changes)
        except NotNow:
            return False
        if not answer:  # it was lost, so it showed nothing
            self._book.look_at_control()
        return True

    def stands(self) -> bool:
        """Whether the line says what was written; True, too, when nothing but a stranger's line was mended."""
        line = self._book.control.find(self._name)
        return self.new is None or (line is not None and line.cells == self._cells)

    def _changes(self, ledger: Ledger) -> list[Json]:
        line = self._book.control.find(self._name)
        self._before = {each.name: each.cells for each in self._book.control.lines()}
        requests = self._astray.taken_back() if self._astray else []
        self.new = self._change(self._controls.read(line) if line else None)
        if self.new is not None:
            self._cells = (self.new.value, utc_text(self.new.until), self.new.reason)
            requests += self._written(self.new.pause_seconds, line, ledger)
        if not requests:
            raise NotNow
        return requests

    def _written(self, pause_seconds: int, line: ControlLine | None, ledger: Ledger) -> list[Json]:
        """The Lease cell is not written by line: its number is found by its content, as the next IDs are."""
        what = _pause_of(self._name)
        if line is not None:
            requests = self._put(line, self._cells)
        else:
            values = {"Name": self._name, **dict(zip(STEERING, self._cells, strict=True))}
            if what not in ledger.said:
                values["Lease"] = f"{what} {pause_seconds}"
                ledger.said[what] = pause_seconds
            requests = [self._book.append(CONTROL, control_line(self._book.tab(CONTROL), values))]
        if ledger.said.get(what, 0) != pause_seconds:
            requests += self._book.say(ledger, what, pause_seconds)
        return requests

    def taken_back(self) -> list[Json]:
        """Put back what stood on lines that are not ours and show what we wrote."""
        strangers = (line for line in self._book.control.lines() if line.name != self._name)
        blank = ("",) * len(STEERING)
        return [
            each
            for line in strangers
            if line.cells == self._cells
            for each in self._put(line, self._before.get(line.name, blank))
        ]

    def _put(self, line: ControlLine, cells: tuple[str, ...]) -> list[Json]:
        return write_cells(self._book.tab(CONTROL), line.row, dict(zip(STEERING, cells, strict=True)))


def _pause_of(name: str) -> str:
    """What the number in the Lease cell of a line is called."""
    return f"{name} pause"


def _serial(text: str) -> datetime | None:
    """A moment as the cell itself holds it when Sheets took what was typed for a date."""
    try:
        days = float(text)
    except ValueError:
        return None
    least, most = SERIAL_DAYS
    return SERIAL_EPOCH + timedelta(seconds=round(days * 86400)) if least < days < most else None
