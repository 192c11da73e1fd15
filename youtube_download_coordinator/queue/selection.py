"""Rows as a person means them ("what failed as private, of this accent"), and what becomes of them. Pure; the queue acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from youtube_download_coordinator.models import Row, State, Status, VideoTask
from youtube_download_coordinator.queue.store import Where

_STATE = {Status.PENDING: State.PENDING, Status.IN_PROGRESS: State.HELD, Status.DONE: State.DONE}
"""What a store can look for itself; `error` may be two states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Every condition that is given must hold. Of words, capitals do not matter."""

    ids: Sequence[int] | None = None
    status: Status | None = None
    accent: str | None = None
    type: str | None = None
    source_id: int | None = None
    """Videos listed from this source."""
    reason: str | None = None
    """The word at the front of LastError."""
    text: str | None = None
    """Stands somewhere in the row, in whatever column."""
    with_done: bool = True
    """Whether rows that are done are meant too."""

    def where(self) -> Where:
        """What a store looks for; of that, `matches` says what is meant."""
        return Where(state=_STATE.get(self.status) if self.status else None, ids=self.ids)

    def matches(self, row: Row) -> bool:
        return (
            (self.ids is None or row.id in self.ids)
            and (self.status is None or row.status is self.status)
            and (self.with_done or row.lease.state is not State.DONE)
            and (self.source_id is None or (isinstance(row, VideoTask) and row.source_id == self.source_id))
            and _same(self.accent, row.accent)
            and _same(self.type, row.type)
            and _same(self.reason, row.lease.reason)
            and (self.text is None or self._is_in(row))
        )

    def _is_in(self, row: Row) -> bool:
        wanted = (self.text or "").casefold()
        return any(wanted in str(cell).casefold() for cell in row.columns().values() if cell is not None)


class ChangeResult(StrEnum):
    """What became of a row that a person asked for."""

    CHANGED = "changed"
    HELD = "held"
    """A worker holds it: it is left alone."""
    ALREADY = "already"
    """It was so before."""
    MISSED = "missed"
    """Somebody else changed it at that very moment."""


def _same(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.casefold() == text.casefold()
