"""Workers at their admission: outcomes that close it, and what tests do with it."""

from __future__ import annotations

from datetime import timedelta

from tests.support.faulty_store import ClockedStore
from tests.support.rows import new_video
from youtube_download_coordinator.models import Control, Failure, Outcome, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="Sign in to confirm you're not a bot")
UNFIT = Failure(verdict=Verdict.UNFIT, reason="disk-full")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private")
PAUSE = timedelta(seconds=901)
"""Of the first cooldown, whose end is said in whole seconds."""


def add(queue: Queue, count: int = 20) -> None:
    queue.add(VIDEO_TASKS, [new_video(number, key=f"yt:v:{number:011}") for number in range(count)])


def throttle(queue: Queue) -> Control:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])
    return line(queue)


def line(queue: Queue) -> Control:
    (found,) = [each for each in queue.store.controls() if each.name == queue.admission.cooldown_name]
    return found


def probe(queue: Queue, store: ClockedStore, outcome: Outcome | None) -> Control:
    """Let the pause pass, claim, and end the one attempt so."""
    store.ahead += timedelta(hours=7)
    (claim,) = queue.claim(VIDEO_TASKS, 5)
    if outcome is None:
        queue.release([claim])
    else:
        queue.settle([(claim, outcome)])
    return line(queue)
