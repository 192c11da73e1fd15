"""The videos of a queue that are not in its corpus, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import chain
from typing import NamedTuple

from youtube_download_coordinator.models import SKIPPED, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.reasons import about

_WORD_OF_SKIPPED = SKIPPED.split()[0]
_RESULTS_MAX = 1000
"""Different results of skipped videos that are counted separately."""


class LeftOut(NamedTuple):
    """A number of videos that are not in the corpus for the same reason."""

    state: str
    """`not yet`, `excluded`, `failed` or `skipped`."""
    reason: str
    """A word of docs/reasons.md, or the result of a skipped video."""
    meaning: str
    videos: int


def left_out(queue: Queue, recorded_videos: int) -> list[LeftOut]:
    """Return the groups, the largest first. Raises StoreUnavailable.

    `recorded_videos` are in the corpus. Rows are read only if more are done than that.
    """
    tallies = list(chain.from_iterable(queue.store.tally([VIDEO_TASKS, DEAD_LETTERS], date.max)))
    states = {State.PENDING: "not yet", State.HELD: "not yet", State.ERROR: "excluded", State.DEAD: "failed"}
    groups: Counter[tuple[str, str]] = Counter()
    for tally in tallies:
        if tally.state in states:
            groups[states[tally.state], tally.reason] += tally.rows
    done = sum(tally.rows for tally in tallies if tally.state is State.DONE)
    if done > recorded_videos:
        groups.update(_without_file(queue, done - recorded_videos))
    found = [LeftOut(state, reason, _meaning(state, reason), count) for (state, reason), count in groups.items()]
    return sorted(found, key=lambda group: (-group.videos, group.state, group.reason))


def _without_file(queue: Queue, videos: int) -> Counter[tuple[str, str]]:
    """Count the videos that are done and have no recording."""
    skipped: Counter[tuple[str, str]] = Counter()
    for row in queue.select(VIDEO_TASKS, Selection(status=State.DONE)):
        if row.lease.detail.startswith(_WORD_OF_SKIPPED) and len(skipped) < _RESULTS_MAX:
            skipped["skipped", row.lease.detail] += 1
    rest = videos - skipped.total()
    return skipped + Counter({("done", ""): max(rest, 0)})


def _meaning(state: str, reason: str) -> str:
    known = about(reason)
    if known:
        return known.means
    return {
        "not yet": "waits to be processed",
        "done": "done without a media file, or after the manifest was written",
        "skipped": "skipped before any media was fetched",
    }.get(state, "")


def total(groups: Sequence[LeftOut]) -> int:
    """Return the number of videos in all groups."""
    return sum(group.videos for group in groups)
