"""A machine whose videos fail alike, on a queue whose clock a test turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.support.faulty_store import ClockedStore
from tests.support.rows import PAUSES, make_queue, new_video
from youtube_download_coordinator.models import Control, Failure, Outcome, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.queue.suspicion import OutageLimits
from youtube_download_coordinator.workers.attempts import Attempts

KNOWN = Failure(
    verdict=Verdict.RETRY,
    reason="page-reload",
    message="The page needs to be reloaded.",
    systemic=True,
    from_yt_dlp=True,
)
SIGN_IN = replace(KNOWN, verdict=Verdict.PERMANENT, reason="needs-account")
NEW = Failure(verdict=Verdict.RETRY, reason="error", message="code 7731", from_yt_dlp=True)
OWN_BUG = replace(NEW, message="KeyError: 'x'", from_yt_dlp=False)
GONE = replace(NEW, verdict=Verdict.GONE, reason="gone")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private")
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check")
LIMITS = OutageLimits(known_videos=3, other_videos=5)
OLD, NEWER = "2026.10.26", "2026.11.5"
CANARY = "https://www.youtube.com/watch?v=canary-0001"


@dataclass
class Machine:
    """A host, its installed yt-dlp, and its worker processes."""

    make: Callable[..., Queue]
    name: str = "host-a"
    yt_dlp: str = OLD
    reported: list[Control] = field(default_factory=list)
    upgrade: str = ""

    def worker(self, process: int = 1, **more: Any) -> Attempts[VideoTask]:
        given = {
            "outage_limits": LIMITS, "yt_dlp_version": lambda: self.yt_dlp, "on_suspicion": self.reported.append,
            "find_upgrade": lambda: self.upgrade,
        }  # fmt: skip
        queue = self.make(f"{self.name}/{process}", **given | more)
        return Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=1), claim_batch_size=1)


def add(store: ClockedStore, count: int = 40, sources: int = 20) -> None:
    videos = [new_video(number, key=f"yt:v:{number:011}", source_id=number % sources + 1) for number in range(count)]
    make_queue(store).add(VIDEO_TASKS, videos)


def attempt(attempts: Attempts[VideoTask], outcome: Outcome) -> VideoTask | None:
    """Make one attempt, as a worker does. None if none may begin."""
    attempts.stopped_by = ""
    claim = attempts.begin_next()
    return attempts.settle(claim, outcome) if claim else None


def fail(attempts: Attempts[VideoTask], count: int, failure: Failure = KNOWN) -> None:
    for _ in range(count):
        assert attempt(attempts, failure) is not None


def line(store: ClockedStore, name: str = f"suspect host-a {OLD}") -> Control:
    lines = {each.name: each for each in store.controls(fresh=True)}
    return lines.get(name, Control(name=name))


def tries(store: ClockedStore) -> set[int]:
    rows = [row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in store.scan(table)]
    return {row.lease.tries for row in rows}


def pass_the_pause(store: ClockedStore) -> None:
    store.ahead += timedelta(seconds=PAUSES.longest_seconds + 1)
