"""How the queue stands: what people ask first in the morning. Read-only, and at most a few requests on a sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from youtube_download_coordinator import cooldown
from youtube_download_coordinator.models import Control, State, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table, Where

TABLES: Mapping[str, Table[Any]] = {"sources": SOURCES, "videos": VIDEO_TASKS, "dead letters": DEAD_LETTERS}
FAILED_STATES = (State.PENDING, State.ERROR, State.DEAD)
"""Where `reason` says why the last attempt failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The queue at one moment. By the names of TABLES."""

    counts: Mapping[str, Mapping[State, int]]
    reasons: Mapping[str, Mapping[str, int]]
    """How many rows failed last for which reason (the word at the front of LastError), the most frequent first."""
    controls: Sequence[Control]
    """Whether the fleet is paused, and which machine cools down."""
    holders: Mapping[str, int]
    """How many rows each worker (`host/run`) holds."""
    oldest: VideoTask | None
    """Of the videos that may be claimed now, the one that may be for longest."""


def overview(queue: Queue) -> Overview:
    """Look at the whole queue once. Raises StoreUnavailable."""
    now = queue.store.now()
    counts = {name: _in_order(queue.counts(table)) for name, table in TABLES.items()}
    holders = Counter(lease.holder for table in TABLES.values() for lease in queue.leases(table, State.HELD))
    due = queue.store.scan(VIDEO_TASKS, Where(state=State.PENDING, due=now), limit=1)
    return Overview(
        counts=counts,
        reasons={name: _reasons(queue, table) for name, table in TABLES.items()},
        controls=cooldown.shown(queue.store.controls()),
        holders=dict(holders.most_common()),
        oldest=due[0] if due else None,
    )


def _in_order(counts: Mapping[State, int]) -> dict[State, int]:
    return {state: counts[state] for state in State if counts.get(state)}


def _reasons(queue: Queue, table: Table[Any]) -> dict[str, int]:
    leases = (lease for state in FAILED_STATES for lease in queue.leases(table, state))
    return dict(Counter(lease.reason for lease in leases if lease.reason).most_common())
