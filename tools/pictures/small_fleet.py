"""Simulate a month of a small fleet of three machines, for the pictures of the documentation.

The rows, the days and the failures are made up, but every change of a row is made by the library's own queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from random import Random

from tests.support.rows import new_source, new_video
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

DAYS = 30
WEEKEND = {5, 6}
MACHINES = ("lab-1", "lab-2", "lab-3")
SOURCES_OF = (
    ("Lagos", "interview", 320),
    ("Recife", "interview", 210),
    ("Chennai", "lecture", 160),
    ("Cork", "reading", 60),
)
"""The accent and the type of each source, and the number of its videos."""
FAILURES = (
    Failure(verdict=Verdict.PERMANENT, reason="private"),
    Failure(verdict=Verdict.PERMANENT, reason="removed"),
    Failure(verdict=Verdict.PERMANENT, reason="region"),
    Failure(verdict=Verdict.RETRY, reason="timeout"),
    Failure(verdict=Verdict.RETRY, reason="http-503"),
)
FAILURE_SHARE = 0.08
HELD_ROWS = 4


def live(queue_of: Callable[[str], Queue], next_day: Callable[[], None]) -> None:
    """Let the fleet work until this morning. `queue_of` gives a machine its queue for a day; `next_day` lets a day pass."""
    random = Random(7)
    with _open(queue_of(MACHINES[0])) as queue:
        _list_sources(queue, random)
    for day in range(DAYS):
        most = 5 if day % 7 in WEEKEND else 12
        for machine in MACHINES:
            with _open(queue_of(machine)) as queue:
                _work(queue, random.randint(most // 2, most), random)
        next_day()
    for machine in MACHINES:
        with _open(queue_of(machine)) as queue:
            _work(queue, 3, random)
            queue.claim(VIDEO_TASKS, HELD_ROWS)
            if machine == MACHINES[-1]:
                _throttle(queue)


@contextmanager
def _open(queue: Queue) -> Iterator[Queue]:
    with closing(queue.store):
        yield queue


def _list_sources(queue: Queue, random: Random) -> None:
    rows = [new_source(n, accent=accent, type=kind) for n, (accent, kind, _) in enumerate(SOURCES_OF, start=1)]
    queue.add(SOURCES, rows)
    listed = queue.claim(SOURCES, len(rows) - 1)
    queue.settle([(claim, Done(result="listed")) for claim in listed])
    kinds = [(accent, kind) for accent, kind, videos in SOURCES_OF for _ in range(videos)]
    random.shuffle(kinds)
    queue.add(
        VIDEO_TASKS,
        [
            new_video(
                n, title=f"{accent}, {kind} {n}", accent=accent, type=kind, duration_seconds=random.randint(240, 3600)
            )
            for n, (accent, kind) in enumerate(kinds, start=1)
        ],
    )


def _work(queue: Queue, videos: int, random: Random) -> None:
    queue.settle([(claim, _outcome(random)) for claim in queue.claim(VIDEO_TASKS, videos)])


def _outcome(random: Random) -> Outcome:
    return random.choice(FAILURES) if random.random() < FAILURE_SHARE else Done(result="done")


def _throttle(queue: Queue) -> None:
    """Throttle this machine with a bot check, so that it cools down."""
    (held, *_) = queue.claim(VIDEO_TASKS, 1)
    failure = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="Sign in to confirm you're not a bot")
    queue.settle([(held, failure)])
