"""Changing and reading the lines of Control by which people and workers steer the fleet.

The whole tab is small and comes along with whatever else is asked. A line is changed in a token batch, so workers change it one
after the other. People take no token: they may sort the tab between a look and a change, which is written by line. So the answer
shows the tab, and what has landed on a stranger is taken back with the next batch.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue.store import SetControl
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.cells import write_cells
from youtube_download_coordinator.stores.sheets.layout import CONTROL
from youtube_download_coordinator.stores.sheets.snapshot import STEERING, ControlLine
from youtube_download_coordinator.stores.sheets.spreadsheet import NothingToDo, RowIndex, Spreadsheet, control_line
from youtube_download_coordinator.text import format_utc, parse_time

log = logging.getLogger(__name__)

Cells = tuple[str, ...]
"""Those of STEERING."""

CONTROL_SECONDS = 30.0
"""What was seen of Control is asked for again after this long, when nothing else was asked meanwhile."""
CONTROL_LOOKS = 4
"""How often it is asked for because an answer took so long that it may say what was true before."""
SET_ROUNDS = 5
"""How often a line is changed anew because a person has sorted the tab in that very moment."""
SERIAL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
"""Sheets counts the days of a date from here."""
SERIAL_DAYS = (20_000.0, 200_000.0)
"""From 1954 to 2447: another number is no date."""


class Controls:
    """The two verbs of the contract."""

    def __init__(self, book: Spreadsheet) -> None:
        self._book = book
        self._not_understood: set[str] = set()

    def controls(self, *, fresh: bool) -> list[Control]:
        """Every line of control."""
        self._book.layout()
        if fresh:
            self._book.reload_control()
        for _ in range(CONTROL_LOOKS):
            if not self._book.control.is_older_than(CONTROL_SECONDS):
                break
            self._book.reload_control()  # again where the answer took longer than that
        else:
            raise StoreUnavailable("Google answers so slowly that what Control says now is not known")
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
            pause_seconds=self._book.control.values().get(_pause_of(line.name), 0),
        )

    def _until(self, name: str, text: str) -> datetime | None:
        moment = _serial(text) or parse_time(text)
        if text.strip() and moment is None and text not in self._not_understood:
            self._not_understood.add(text)
            log.warning("Control, %r: Until %r is no time, so none counts: write 2026-11-25 14:30 (UTC)", name, text)
        return moment

    def set(self, name: str, change: SetControl) -> Control | None:
        """Change one line, and see that what was written stands in that line and in no other."""
        setting = _Setting(self, self._book, name, change)
        for _ in range(SET_ROUNDS):
            setting.write()
            if setting.is_right():
                return setting.new
            log.warning("somebody sorted Control while its line %r was written; that is mended", name)
        raise StoreUnavailable(f"Control's line {name!r} cannot be changed: it stands somewhere else each time")


class _Setting:
    """Changing one line by token batches, until nothing of it stands on a stranger's."""

    def __init__(self, controls: Controls, book: Spreadsheet, name: str, change: SetControl) -> None:
        self._controls = controls
        self._book = book
        self._name = name
        self._change = change
        self._right: dict[str, Cells] = {}
        """What belongs on each line, by its name: the cells that were not written from here."""
        self._sent: set[Cells] = set()
        self._written: set[Cells] = set()
        self.new: Control | None = None

    def write(self) -> None:
        """Write what is to be changed, if anything is."""
        try:
            answer = self._book.guarded_batch(self._changes)
        except NothingToDo:
            return
        self._written |= self._sent
        if not answer:  # it was lost, so it showed nothing
            self._book.reload_control()

    def is_right(self) -> bool:
        """Whether every line has the cells that belong to it."""
        return not self._misplaced() and (self.new is None or self._stands(self._book.control.find(self._name)))

    def _stands(self, line: ControlLine | None) -> bool:
        """Whether the line shows what was written there."""
        if line is None or self.new is None:
            return False
        return line.cells == _cells(self.new) and line.cells in self._written

    def _misplaced(self) -> list[ControlLine]:
        """Lines of others that show what was written from here and is not theirs."""
        return [
            line
            for line in self._book.control.lines()
            if line.name != self._name and line.cells in self._written and line.cells != self._cells_of(line)
        ]

    def _cells_of(self, line: ControlLine) -> Cells:
        return self._right.get(line.name, ("",) * len(STEERING))

    def _changes(self, ledger: RowIndex) -> list[Json]:
        line = self._book.control.find(self._name)
        self._right |= {each.name: each.cells for each in self._book.control.lines() if each.cells not in self._written}
        puts = [(each, self._cells_of(each)) for each in self._misplaced()]
        self._sent = {cells for _, cells in puts}
        requests = [request for each, cells in puts for request in self._put(each, cells)]
        if not self._stands(line):
            self.new = self._change(self._controls.read(line) if line else None)
        if self.new is not None and not self._stands(line):
            self._sent.add(_cells(self.new))
            requests += self._written_line(self.new, line, ledger)
        if not requests:
            raise NothingToDo
        return requests

    def _written_line(self, new: Control, line: ControlLine | None, ledger: RowIndex) -> list[Json]:
        """The Lease cell is not written by line: its number is found by its content, as the next IDs are."""
        what = _pause_of(self._name)
        if line is not None:
            requests = self._put(line, _cells(new))
        else:
            values = {"Name": self._name, **dict(zip(STEERING, _cells(new), strict=True))}
            if what not in ledger.said:
                values["Lease"] = f"{what} {new.pause_seconds}"
                ledger.said[what] = new.pause_seconds
            requests = [self._book.append(CONTROL, control_line(self._book.tab(CONTROL), values))]
        if ledger.said.get(what, 0) != new.pause_seconds:
            requests += self._book.say(ledger, what, new.pause_seconds)
        return requests

    def _put(self, line: ControlLine, cells: Cells) -> list[Json]:
        return write_cells(self._book.tab(CONTROL), line.row, dict(zip(STEERING, cells, strict=True)))


def _cells(control: Control) -> Cells:
    return (control.value, format_utc(control.until), control.reason)


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
