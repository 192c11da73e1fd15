"""Count the videos of a queue that are not in its corpus, by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import chain
from typing import NamedTuple

from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.maintenance import Maintenance
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.reasons import about

_STATES = {
    State.PENDING: "not yet",
    State.HELD: "not yet",
    State.ERROR: "excluded",
    State.DEAD: "failed",
    State.DONE: "done",
}
_DONE = ("done", "")


class LeftOut(NamedTuple):
    """A number of videos that are not in the corpus for the same reason."""

    state: str
    """`not yet`, `excluded`, `failed`, `skipped` or `done`."""
    reason: str
    """A word of docs/reasons.md, or the reason of a filter."""
    meaning: str
    videos: int


def left_out(queue: Maintenance, recorded_videos: int) -> list[LeftOut]:
    """Return the groups, the largest first. `recorded_videos` are in the corpus. Raises StoreUnavailable."""
    groups: Counter[tuple[str, str]] = Counter()
    for tally in chain.from_iterable(queue.store.tally([VIDEO_TASKS, DEAD_LETTERS], date.max)):
        state = "skipped" if tally.skipped else _STATES[tally.state]
        groups[state, tally.skipped or tally.reason] += tally.rows
    groups[_DONE] = max(groups[_DONE] - recorded_videos, 0)
    found = [LeftOut(state, reason, _meaning(state, reason), count) for (state, reason), count in groups.items()]
    return sorted(
        (group for group in found if group.videos), key=lambda group: (-group.videos, group.state, group.reason)
    )


def _meaning(state: str, reason: str) -> str:
    known = about(reason)
    if known:
        return known.means
    return {
        "not yet": "waits to be processed",
        "done": "without a media file, skipped by hand, purged, or made after the manifest was written",
        "skipped": "a filter of the coordinator, before any media was fetched",
    }.get(state, "")


def total(groups: Sequence[LeftOut]) -> int:
    """Return the number of videos in all groups."""
    return sum(group.videos for group in groups)
