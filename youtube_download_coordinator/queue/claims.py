"""Claims: rows that a worker holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from youtube_download_coordinator.models import Row, VideoTask
from youtube_download_coordinator.queue.lifecycle import Throttle
from youtube_download_coordinator.queue.store import Table

R = TypeVar("R", bound=Row)


@dataclass(eq=False, slots=True)
class Claim(Generic[R]):
    """A row that this worker holds. `row` follows its renewals; `lost` means that another worker has it now."""

    table: Table[R]
    row: R
    expires: float
    """On this machine's monotonic clock, counted from before the claim was sent. Nobody may take the row over before then."""
    renew_until: float | None = None
    """On the monotonic clock. The claim is not renewed beyond it, so an attempt that takes too long loses it. None: no limit."""
    lost: bool = False
    begun: datetime | None = None
    """When the attempt began, by the store's clock."""
    throttle: Throttle | None = None
    """Admission's decision about the outcome, kept in case the outcome has to be sent again."""
    outcome_unknown: bool = False
    """An outcome was sent without an answer, so it may have been recorded. Nothing else is written until that is known."""


def by_table(claims: Sequence[Claim[Any]]) -> list[tuple[Table[Any], list[Claim[Any]]]]:
    tables = {claim.table.name: claim.table for claim in claims}
    return [(table, [claim for claim in claims if claim.table.name == name]) for name, table in tables.items()]


def describe(row: Row) -> str:
    """Return the row's name for log lines: its kind, its ID and its title or URL."""
    return f"{'video' if isinstance(row, VideoTask) else 'source'} {row.id} ({row.name})"
