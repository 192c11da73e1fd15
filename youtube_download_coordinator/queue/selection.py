"""Selections of rows by a person, for example all rows of one accent that failed as private. maintenance.py changes the rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import STATUS, WORDS, Row, State, Status, VideoTask
from youtube_download_coordinator.queue.store import Where

_DEAD_LETTERS = frozenset({"dead-letters", "dead-letter", "dead"})


def parse_status(text: str, option: str = "status") -> Status | State:
    """Parse a Status that a person typed; State.DEAD for the dead letters. Raises UserError, which names `option`."""
    word = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    if word in _DEAD_LETTERS:
        return State.DEAD
    try:
        return Status(word)
    except ValueError:
        raise UserError(f"{option}={text!r}: expected one of {', '.join(dict.fromkeys(WORDS.values()))}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Conditions that a selected row must all meet. Letter case does not matter."""

    ids: Sequence[int] | None = None
    status: Status | State | None = None
    """State.DEAD: the dead letters, whose Status is `error`."""
    accent: str | None = None
    type: str | None = None
    source_id: int | None = None
    """Videos listed from this source."""
    reason: str | None = None
    """The word at the beginning of LastError."""
    text: str | None = None
    """Text that any column of the row contains."""
    with_done: bool = True
    """Whether rows that are done may be selected."""

    def wheres(self) -> list[Where]:
        """Return conditions that a store can check. A selected row meets one of them; `matches` checks the rest.

        There is one for each possible state, so that a store reads no row in another state.
        """
        states = [state for state in State if self._may_have(state)]
        where = Where(accent=self.accent, type=self.type, source_id=self.source_id)
        if self.ids is not None or len(states) == len(State):
            return [replace(where, ids=self.ids)]
        return [replace(where, state=state) for state in states]

    def _may_have(self, state: State) -> bool:
        return (
            (self.status is None or self.status in {STATUS[state], state})
            and (self.with_done or state is not State.DONE)
            and (not self.reason or state is not State.DONE)
        )

    def matches(self, row: Row) -> bool:
        return (
            (self.ids is None or row.id in self.ids)
            and (self.status is None or self.status in {row.status, row.lease.state})
            and (self.with_done or row.lease.state is not State.DONE)
            and (self.source_id is None or (isinstance(row, VideoTask) and row.source_id == self.source_id))
            and _same(self.accent, row.accent)
            and _same(self.type, row.type)
            and _same(self.reason, row.lease.reason)
            and (self.text is None or self._is_in(row))
        )

    def _is_in(self, row: Row) -> bool:
        text = (self.text or "").casefold()
        return any(text in str(cell).casefold() for cell in row.columns().values() if cell is not None)


class ChangeResult(StrEnum):
    """A result of a requested change for one row."""

    CHANGED = "changed"
    HELD = "held"
    """A worker holds the row, so it was not changed."""
    ALREADY = "already"
    """The row was in that state already."""
    MISSED = "missed"
    """Somebody else changed the row at the same moment."""


def _same(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.casefold() == text.casefold()
