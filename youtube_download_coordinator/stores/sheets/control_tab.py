"""Read and change the lines of Control, with which people and workers control the fleet.

Control is small and is read with every other request. A line is changed in a guarded batch, so workers change it one after the
other. People do not use the token: they may sort the tab between a read and a change, which is written by line. So the response
shows the tab, and the next batch restores cells that were written on another row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.cooldown import FLEET, ControlValue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, SetControl
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines, find_replace
from youtube_download_coordinator.stores.sheets.cells import write_cells
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches, NothingToDo, RowIndex
from youtube_download_coordinator.stores.sheets.layout import CONTROL
from youtube_download_coordinator.stores.sheets.pause_mark import REASON, set_mark
from youtube_download_coordinator.stores.sheets.snapshot import STEERING, ControlLine
from youtube_download_coordinator.stores.sheets.spreadsheet import control_line
from youtube_download_coordinator.text import format_utc, parse_time

log = logging.getLogger(__name__)

Cells = tuple[str, ...]
"""The cells of the columns STEERING."""
EMPTY: Cells = ("",) * len(STEERING)

CONTROL_SECONDS = 30.0
"""The age of the snapshot from which Control is read again, unless another request has read it since."""
CONTROL_READS = 4
"""How often Control is read again because the response took so long that it may be out of date."""
SET_ROUNDS = 5
"""How often a line is changed again if a person has sorted the tab at the same moment."""
SERIAL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
"""The date from which Sheets counts days."""
SERIAL_DAYS = (20_000.0, 200_000.0)
"""The range of dates, from 1954 to 2447. Other numbers are not dates."""


class Controls:
    """The implementation of `controls` and `set_control` of the Store contract."""

    def __init__(self, batches: GuardedBatches) -> None:
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self._unreadable_times: set[str] = set()
        self._fleet: Control | None = None
        """The fleet's line when it was last read. It stays in force until it is known why the line is gone."""

    def controls(self, *, fresh: bool) -> list[Control]:
        self._spreadsheet.layout()
        if fresh:
            self._spreadsheet.reload_control()
        for _ in range(CONTROL_READS):
            if not self._spreadsheet.control.is_older_than(CONTROL_SECONDS):
                break
            self._spreadsheet.reload_control()  # again if the answer took longer than that
        else:
            raise StoreUnavailable("Google responds so slowly that the contents of Control are out of date")
        self._mark_changed_pause()
        return self._with_kept_pause(self._steering_lines())  # marking may have read Control again

    def _steering_lines(self) -> list[Control]:
        return [self.read(line) for line in self._spreadsheet.control.lines() if line.is_steering]

    def _with_kept_pause(self, lines: list[Control]) -> list[Control]:
        """Return the lines. If the fleet was paused and its line is gone, add that line."""
        fleet = next((line for line in lines if line.name == FLEET), None)
        if fleet is not None:
            self._fleet = fleet
            return lines
        if self._fleet is not None:
            try:
                self._spreadsheet.read_named_ranges()
            except StoreUnavailable as error:
                log.info("the fleet's line is gone, and it cannot be read whether the fleet was paused: %s", error)
                return [*lines, self._fleet]
            self._fleet = None
        if not self._spreadsheet.pause_mark:
            return lines
        return [*lines, Control(name=FLEET, value=ControlValue.PAUSED, reason=REASON)]

    def _mark_changed_pause(self) -> None:
        """Mark the start or the end of a pause that a person has typed."""
        fleet = next((line for line in self._steering_lines() if line.name == FLEET), None)
        if fleet is None:
            return
        is_paused = cooldown.is_paused(fleet, self._spreadsheet.connection.now())
        if is_paused != bool(self._spreadsheet.pause_mark) and not self._spreadsheet.control.failed_guarantees():
            self._mark_pause(is_paused=is_paused)

    def _mark_pause(self, *, is_paused: bool) -> None:
        def mark(_: RowIndex) -> list[Json]:
            if requests := self.pause_mark_requests(is_paused=is_paused):
                return requests
            raise NothingToDo

        try:
            self._spreadsheet.read_named_ranges()  # another process may have marked it
            if self.pause_mark_requests(is_paused=is_paused):
                self._batches.run(mark)
                self._spreadsheet.read_named_ranges()
        except NothingToDo:
            return
        except StoreError as error:
            log.info("the pause is not marked yet: %s", error)

    def pause_mark_requests(self, *, is_paused: bool) -> list[Json]:
        """Return the requests that mark the start or the end of a pause outside Control."""
        spreadsheet = self._spreadsheet
        sheet_id = spreadsheet.tab(VIDEO_TASKS.name).sheet_id
        return set_mark(spreadsheet.pause_mark, sheet_id, spreadsheet.nonce(), is_paused=is_paused)

    def read(self, line: ControlLine) -> Control:
        value, until = value_and_until(line)
        return Control.read(
            name=line.name,
            value=value,
            until=self._until(line.name, until),
            reason=line.cells[2],
            pause_seconds=self._spreadsheet.control.numbers().get(_pause_of(line.name), 0),
        )

    def _until(self, name: str, text: str) -> datetime | None:
        until = until_of(text)
        if text.strip() and until is None and text not in self._unreadable_times:
            self._unreadable_times.add(text)
            log.warning("Control, %r: Until %r is not a time and is ignored: write 2026-11-25 14:30 (UTC)", name, text)
        return until

    def set(self, name: str, change: SetControl) -> Control | None:
        """Change one line. Return its new contents once they are on that line only."""
        line_change = _LineChange(self, self._batches, name, change)
        for _ in range(SET_ROUNDS):
            line_change.write()
            if line_change.is_complete():
                if name == FLEET and line_change.new is not None:
                    self._fleet = line_change.new
                return line_change.new
            log.warning("somebody sorted Control while its line %r was written; writing it again", name)
        raise StoreUnavailable(f"Control's line {name!r} cannot be changed: it is on another line each time")

    def remove(self, name: str, may_remove: Callable[[Control], bool]) -> bool:
        """Remove one line. Find its name and number by content, and its other cells by line, as `set` writes them."""
        removal = _LineRemoval(self, self._batches, name, may_remove)
        for _ in range(SET_ROUNDS):
            removal.write()
            if removal.is_complete():
                return removal.is_made
        raise StoreUnavailable(f"Control's line {name!r} cannot be removed: it is on another line each time")


class _LineChange:
    """A change of one line by guarded batches, until none of its cells are on another row."""

    def __init__(self, controls: Controls, batches: GuardedBatches, name: str, change: SetControl) -> None:
        self._controls = controls
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self._name = name
        self._change = change
        self._originals: dict[str, Cells] = {}
        """The cells that this change has not written, by the name of their line."""
        self._sent: set[Cells] = set()
        self._written: set[Cells] = set()
        self.new: Control | None = None

    def write(self) -> None:
        """Write the remaining changes, if any."""
        try:
            answer = self._batches.run(self._requests)
        except NothingToDo:
            return
        self._written |= self._sent
        if not answer:  # the response was lost, so Control is unknown
            self._spreadsheet.reload_control()

    def is_complete(self) -> bool:
        """Return whether every line has its own cells."""
        return not self._misplaced() and (self.new is None or self._is_new(self._spreadsheet.control.find(self._name)))

    def _is_new(self, line: ControlLine | None) -> bool:
        """Return whether this change has written the new cells of the line."""
        if line is None or self.new is None:
            return False
        return line.cells == _cells(self.new) and line.cells in self._written

    def _misplaced(self) -> list[ControlLine]:
        """Return other lines with cells that this change has written there by mistake."""
        return [
            line
            for line in self._spreadsheet.control.lines()
            if line.name != self._name and line.cells in self._written and line.cells != self._original(line)
        ]

    def _original(self, line: ControlLine) -> Cells:
        return self._originals.get(line.name, EMPTY)

    def _requests(self, index: RowIndex) -> list[Json]:
        control = self._spreadsheet.control
        line = control.find(self._name)
        self._originals |= {other.name: other.cells for other in control.lines() if other.cells not in self._written}
        repairs = [(misplaced, self._original(misplaced)) for misplaced in self._misplaced()]
        self._sent = {cells for _, cells in repairs}
        requests = [request for misplaced, cells in repairs for request in self._write_line(misplaced, cells)]
        if not self._is_new(line):
            self.new = self._change(self._controls.read(line) if line else None)
        if self.new is not None and not self._is_new(line):
            self._sent.add(_cells(self.new))
            requests += self._write_new(self.new, line, index)
        if not requests:
            raise NothingToDo
        return requests

    def _write_new(self, new: Control, line: ControlLine | None, index: RowIndex) -> list[Json]:
        """Return the requests that write the new contents. Find the number in the Lease cell by content, not by line."""
        name = _pause_of(self._name)
        if line is not None:
            requests = self._write_line(line, _cells(new))
        else:
            values = {"Name": self._name, **dict(zip(STEERING, _cells(new), strict=True))}
            if name not in index.numbers:
                values["Lease"] = f"{name} {new.pause_seconds}"
                index.numbers[name] = new.pause_seconds
            tab = self._spreadsheet.tab(CONTROL)
            requests = [append_lines(tab.sheet_id, [control_line(tab, values)])]
        if self._name == FLEET:
            is_paused = cooldown.is_paused(new, self._spreadsheet.connection.now())
            requests += self._controls.pause_mark_requests(is_paused=is_paused)
        if index.numbers.get(name, 0) != new.pause_seconds:
            requests += self._batches.set_number(index, name, new.pause_seconds)
        return requests

    def _write_line(self, line: ControlLine, cells: Cells) -> list[Json]:
        return write_cells(self._spreadsheet.tab(CONTROL), line.row, dict(zip(STEERING, cells, strict=True)))


class _LineRemoval(_LineChange):
    """A removal of one line by guarded batches, until no other row has lost cells."""

    def __init__(
        self, controls: Controls, batches: GuardedBatches, name: str, may_remove: Callable[[Control], bool]
    ) -> None:
        super().__init__(controls, batches, name, lambda line: None)
        self._may_remove = may_remove
        self._removed: set[Cells] = set()

    @property
    def is_made(self) -> bool:
        """Return whether this change has removed the line."""
        return EMPTY in self._written

    def is_complete(self) -> bool:
        return not self._misplaced() and not self._left_over()

    def _misplaced(self) -> list[ControlLine]:
        return [line for line in super()._misplaced() if line.name]

    def _left_over(self) -> list[ControlLine]:
        """Return lines without a name that still have the cells of the removed line."""
        return [line for line in self._spreadsheet.control.lines() if not line.name and line.cells in self._removed]

    def _requests(self, index: RowIndex) -> list[Json]:
        control = self._spreadsheet.control
        self._originals |= {
            line.name: line.cells for line in control.lines() if line.name and line.cells not in self._written
        }
        repairs = [(line, self._original(line)) for line in self._misplaced()]
        repairs += [(line, EMPTY) for line in self._left_over()]
        requests = [request for line, cells in repairs for request in self._write_line(line, cells)]
        self._sent = {cells for _, cells in repairs}
        line = control.find(self._name)
        if line is not None and self._may_remove(self._controls.read(line)):
            self._removed |= {line.cells} - {EMPTY}
            self._sent.add(EMPTY)
            requests += self._remove(line, index)
        if not requests:
            raise NothingToDo
        return requests

    def _remove(self, line: ControlLine, index: RowIndex) -> list[Json]:
        tab, control = self._spreadsheet.tab(CONTROL), self._spreadsheet.control
        texts = {"Name": control.column("Name")[line.row - 1], "Lease": line.lease}
        index.numbers.pop(_pause_of(self._name), None)
        requests = [find_replace(text, "", tab.area(column)) for column, text in texts.items() if text]
        requests += self._write_line(line, EMPTY)
        if self._name == FLEET:
            requests += self._controls.pause_mark_requests(is_paused=False)
        return requests


def value_and_until(line: ControlLine) -> tuple[str, str]:
    """Return the texts of Value and Until. A person may have written both into Value: `paused until 14:30`."""
    value, until, _ = line.cells
    value, _, until_in_value = value.partition(" until ")
    return value.strip(), until or until_in_value


def until_of(text: str) -> datetime | None:
    """Return the time in a cell of Until, or None if it is not a time."""
    return _serial_date(text) or parse_time(text)


def _cells(control: Control) -> Cells:
    return (control.value, format_utc(control.until), control.reason)


def _pause_of(name: str) -> str:
    """Return the name of the number in a line's Lease cell."""
    return f"{name} pause"


def _serial_date(text: str) -> datetime | None:
    """Return the time in a cell that Sheets has converted to a date, whose raw value is a number of days."""
    try:
        days = float(text)
    except ValueError:
        return None
    least, most = SERIAL_DAYS
    return SERIAL_EPOCH + timedelta(seconds=round(days * 86400)) if least < days < most else None
