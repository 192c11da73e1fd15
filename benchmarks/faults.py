"""Measure the cost of bad videos, a blocked machine and an outage, in simulated time.

Why: a single downloader cannot distinguish a video that always fails from a machine that YouTube blocks, or from a version of
yt-dlp that YouTube has just broken. A queue can: it must not stop in the first case, and must not continue in the others. The
real Worker, Admission, rules and SQL store run in threads of one simulated clock (tests/simulation/world.py). Only YouTube is
made up: an attempt takes one to three minutes, or a few seconds if it fails with an error of yt-dlp, which the real error rules
classify. The figures do not depend on this machine's speed.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest import mock

from yt_dlp.utils import DownloadError

from benchmarks.figures import Figure, alone
from tests.simulation import threads
from tests.simulation.world import Process, World
from youtube_download_coordinator import coordinator as coordinator_module
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.errors import ThrottledError
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, State, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import cooldown_name
from youtube_download_coordinator.queue.lifecycle import RetryPolicy
from youtube_download_coordinator.queue.offers import parse_offer
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.attempts import Attempt as RecordedAttempt
from youtube_download_coordinator.workers.attempts import AttemptResult
from youtube_download_coordinator.workers.worker import Limits, Summary, Worker
from youtube_download_coordinator.youtube.error_rules import classify

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ATTEMPT_SECONDS, FAILURE_SECONDS = 115.0, 10.0
CONCURRENCY = 4
HOUR = 3600.0

Answer = Callable[["Machine", int, float], Exception | None]
"""A function that returns the error of an attempt, or None, given the machine, the video's number, and the hour of its begin."""


class SimulatedStore(SqlStore):
    """An embedded store whose clock is the world's."""

    def __init__(self, world: World) -> None:
        super().__init__("sqlite://")
        self._world = world

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._world.clock.now() - self._world.began)


@dataclass
class Machine:
    """A host of the fleet: a worker process in a loop, like `ydc run`."""

    name: str
    yt_dlp: str = "2026.10.26"
    """The installed version. A run may upgrade it."""
    offers: tuple[str, ...] = ()


class Attempt(NamedTuple):
    """An attempt that has ended."""

    ended_hours: float
    machine: str
    outcome: Outcome
    video: int


@dataclass
class Fleet:
    """Machines that work through one queue on one simulated clock."""

    videos: int
    answer: Answer
    machines: list[Machine] = field(default_factory=lambda: [Machine("host-a")])
    sources: int = 4
    seed: int = 1
    attempts: list[Attempt] = field(default_factory=list)
    canaries: list[Attempt] = field(default_factory=list)
    results: Counter[AttemptResult] = field(default_factory=Counter)
    idle_seconds: float = 60.0
    """The time between the end of a machine's run and its next run."""
    poll_seconds: float = 30.0

    def __post_init__(self) -> None:
        self.world = World(self.seed, {"Control": [["Name"]]})
        # Patched once for all machines: their threads end in any order, and one would undo another's patch.
        self._time = mock.patch.object(coordinator_module, "time", threads.Time)
        self._time.start()
        self.store = SimulatedStore(self.world)
        self.store.insert(VIDEO_TASKS, [self._video(number) for number in range(1, self.videos + 1)])

    def _video(self, number: int) -> VideoTask:
        name = f"v{number:010}"
        return VideoTask(
            url=f"https://www.youtube.com/watch?v={name}", key=f"yt:v:{name}", lease=Lease(nonce=f"{number:08x}"),
            source_id=number % self.sources + 1,
        )  # fmt: skip

    @property
    def hours(self) -> float:
        return (self.world.clock.now() - self.world.began) / HOUR

    def run(self, hours: float) -> None:
        """Let the time pass, until every video is done or dead at the latest."""
        running = {process.name for process in self.world.processes}
        for machine in self.machines:
            if machine.name not in running:
                self.world.start(machine.name, partial(self._work, machine=machine))
        ends = self.world.clock.now() + hours * HOUR
        while self.world.clock.now() < ends:
            if self._recorded() >= self.videos and self._settled() >= self.videos:
                break
            self.world.step()

    def _recorded(self) -> int:
        return self.results[AttemptResult.DONE] + self.results[AttemptResult.DEAD]

    def _settled(self) -> int:
        """Return how many videos are now done or dead. Dead letters of an outage become pending again."""
        states = self.states()
        return states[State.DONE] + states[State.DEAD]

    def requests_between(self, first: float, last: float) -> int:
        """Return how many attempts and canaries ended in these hours."""
        return sum(first <= attempt.ended_hours < last for attempt in (*self.attempts, *self.canaries))

    def states(self) -> Counter[State]:
        """Return how many videos are in each state, including dead letters."""
        return sum((Counter(dict(self.store.count(table))) for table in (VIDEO_TASKS, DEAD_LETTERS)), Counter())

    def close(self) -> None:
        self.world.close()
        self._time.stop()
        self.store.close()

    def _work(self, process: Process, machine: Machine) -> None:
        queue = self._queue(process, machine)
        with tempfile.TemporaryDirectory() as folder:
            settings = Config(database_url="sqlite://", state_dir=Path(folder), idle_poll_seconds=self.poll_seconds)
            coordinator = Coordinator(settings)
            coordinator._queue = queue
            queue.admission.canary = Canary(
                request=lambda url: self._request_canary(process, machine, url),
                machine_state=queue.admission.machine_state,
            )
            while True:
                limits, summary = Limits(concurrency=CONCURRENCY), Summary()
                for left in coordinator.rounds(limits, summary):
                    attempts = _Attempts(self, process, machine)
                    summary.add(self._worker(queue, left, attempts).run())
                process.rest(self.idle_seconds)

    def recorded(self, attempt: RecordedAttempt) -> None:
        """Count a recorded attempt."""
        self.results[attempt.result] += 1

    def outcome(self, machine: Machine, video: int) -> Outcome:
        """Return the outcome of an attempt that begins now."""
        error = self.answer(machine, video, self.hours)
        return Done(result="x") if error is None else classify(error).failure

    def _request_canary(self, process: Process, machine: Machine, url: str) -> Outcome:
        """Extract a video without processing it."""
        process.rest(FAILURE_SECONDS)
        video = int(url.rpartition("v=v")[2])
        outcome = self.outcome(machine, video)
        self.canaries.append(Attempt(self.hours, machine.name, outcome, video))
        return outcome

    def _queue(self, process: Process, machine: Machine) -> Queue:
        config = Config()
        worker = f"{machine.name}/1"
        policy = RetryPolicy(
            lease=config.lease, max_retries=config.max_retries,
            backoff=timedelta(seconds=config.retry_backoff_seconds),
            backoff_max=timedelta(seconds=config.retry_backoff_max_seconds), max_throttles=config.max_throttles,
        )  # fmt: skip
        admission = Admission(
            store=self.store, worker=worker, cooldown_name=cooldown_name("machine", machine.name), pauses=config.pauses,
            lease=config.lease, yt_dlp_version=lambda: machine.yt_dlp, _lock=threads.RLock(),  # type: ignore[arg-type]
        )  # fmt: skip
        return Queue(
            store=self.store, worker=worker, video_policy=policy, source_policy=replace(policy, max_retries=None),
            monotonic=self.world.clock.now, random=Random(machine.name), admission=admission,
            offer=parse_offer(machine.offers), _writing=threads.RLock(),  # type: ignore[arg-type]
        )  # fmt: skip

    def _worker(self, queue: Queue, left: Limits, attempts: _Attempts) -> Worker:
        return Worker(
            queue=queue, submit=attempts.submit, limits=left, claim_batch_size=10, attempt_timeout=timedelta(hours=1),
            monotonic=self.world.clock.now, wait=attempts.wait, on_attempt=self.recorded,
        )  # fmt: skip


class _Attempts:
    """A worker's attempts. They take simulated time, and YouTube's answer at their begin decides their outcome."""

    def __init__(self, fleet: Fleet, process: Process, machine: Machine) -> None:
        self._fleet, self._process, self._machine = fleet, process, machine
        self._random = fleet.world.random
        self._ends: dict[Future[Outcome], tuple[float, Outcome, int]] = {}

    def submit(self, video: VideoTask) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        outcome = self._fleet.outcome(self._machine, video.id)
        seconds = ATTEMPT_SECONDS if isinstance(outcome, Done) else FAILURE_SECONDS
        seconds *= self._random.uniform(0.5, 1.5)
        self._ends[future] = (self._fleet.world.clock.now() + seconds, outcome, video.id)
        return future

    def wait(self, futures: Iterable[Future[Outcome]], timeout: float | None) -> None:
        now = self._fleet.world.clock.now()
        soonest = min((self._ends[future][0] for future in futures), default=now + (timeout or 0.0))
        self._process.rest((soonest if timeout is None else min(soonest, now + timeout)) - now)
        now = self._fleet.world.clock.now()
        for future, (end, outcome, video) in list(self._ends.items()):
            if end <= now:
                del self._ends[future]
                self._fleet.attempts.append(Attempt(self._fleet.hours, self._machine.name, outcome, video))
                future.set_result(outcome)


# -- a bad video

POISONS: dict[str, Exception] = {
    "a bot check": DownloadError(
        "ERROR: [youtube] v: Sign in to confirm you’re not a bot. Use --cookies for the authentication"
    ),
    "HTTP 429": DownloadError("ERROR: unable to download API page: HTTP Error 429: Too Many Requests"),
    "HTTP 403 for its media": DownloadError("ERROR: unable to download video data: HTTP Error 403: Forbidden"),
    "a processor's ThrottledError": ThrottledError("the service of this processor refuses"),
}
POISONED_VIDEOS = 400
POISONED_BARS = {6: 0.95, 40: 0.85}


def _poisoned() -> Iterator[Figure]:
    alone_hours, alone = _good_per_minute(0, POISONS["HTTP 429"], 48)
    yield Figure(what=f"{POISONED_VIDEOS} good videos on one machine", value=alone, unit="done a minute")
    for name, error in POISONS.items():
        for count, bar in POISONED_BARS.items():
            _, good = _good_per_minute(count, error, alone_hours)
            yield Figure(
                what=f"good ones, where {count} always end with {name}",
                value=good,
                unit="done a minute",
                beside="no bad ones",
                ratio=good / alone,
                bar=f"at least {bar:g}",
                met=good >= bar * alone,
            )


def _good_per_minute(count: int, error: Exception, hours: float) -> tuple[float, float]:
    """Return how long the videos took, at most `hours`, and how many good ones were done in a minute."""
    step = POISONED_VIDEOS // count if count else 1
    poisoned = set(range(1, POISONED_VIDEOS + 1, step)[:count])
    with closing(Fleet(POISONED_VIDEOS, lambda machine, video, hours: error if video in poisoned else None)) as fleet:
        fleet.run(hours)
        return fleet.hours, fleet.states()[State.DONE] / (min(fleet.hours, hours) * 60)


# -- a blocked machine


def _blocked() -> Iterator[Figure]:
    for name, error in POISONS.items():
        if error is not POISONS["HTTP 403 for its media"]:  # not a refusal of the whole machine
            yield from _block(name, error)


def _block(name: str, error: Exception) -> Iterator[Figure]:
    # Without a canary, the attempts that run when the block begins are answered, and each is followed by another one.
    most = 5 if isinstance(error, DownloadError) else 2 * CONCURRENCY
    with closing(Fleet(100, lambda machine, video, hours: error if 0.5 <= hours < 3 else None)) as fleet:
        fleet.run(0.7)
        refused = sum(isinstance(attempt.outcome, Failure) for attempt in (*fleet.attempts, *fleet.canaries))
        yield Figure(
            what=f"a block ({name}): refused requests until the machine begins nothing more, 4 at a time",
            value=refused,
            unit="",
            bar=f"at most {most}",
            met=0 < refused <= most,
        )
        fleet.run(48)
        states = fleet.states()
        yield Figure(
            what=f"a block ({name}): done when it is over",
            value=states[State.DONE],
            unit="videos",
            beside="of 100",
            bar="all",
            met=states[State.DONE] == 100,
        )


# -- an outage

OUTAGES = {
    "page reload": "The page needs to be reloaded.",
    "error 152": "This video is unavailable. Error code: 152 - 18",
    "error 153": "Video player configuration error. Error code: 153",
    "this app": "The following content is not available on this app. Watch on the latest version of YouTube",
    "display": "Video unavailable. This video contains content from X, who has blocked it from display on this website",
    "only images": "Only images are available for download. use --list-formats to see them",
    "player": "Cannot identify player 'https://www.youtube.com/s/player/0/base.js'",
    "sign in": "Please sign in",
    "a new code": "Something strange happened (code 7731)",
    "a new refusal": "This video is not available, because of something new",
}
"""Eight wordings that are known from outages, and two unknown ones: a retry, and one that looks like a deleted video."""
OUTAGE_VIDEOS, OUTAGE_DEAD_LETTERS, OUTAGE_REQUESTS_AN_HOUR = 1000, 10, 12
DETECTED_HOURS, OUTAGE_HOURS, OUTAGE_END_HOURS = 0.5, 24.0, 72.0


def _outages() -> Iterator[Figure]:
    for name, text in OUTAGES.items():
        yield from _outage(name, partial(_failing_for_a_day, DownloadError(f"ERROR: [youtube] v: {text}")))
    error = DownloadError(f"ERROR: [youtube] v: {OUTAGES['page reload']}")
    old = Machine("host-a").yt_dlp
    yield from _outage("until an upgrade", lambda machine, video, hours: error if machine.yt_dlp == old else None)


def _failing_for_a_day(error: Exception, machine: Machine, video: int, hours: float) -> Exception | None:
    return error if hours < OUTAGE_HOURS else None


def _outage(name: str, answer: Answer) -> Iterator[Figure]:
    """Measure an outage. Every answer is the same failure, so there is no canary. Then an upgrade of yt-dlp ends the outage."""
    machine = Machine("host-a")
    with closing(Fleet(OUTAGE_VIDEOS, answer, [machine])) as fleet:
        fleet.run(OUTAGE_HOURS)
        dead = fleet.states()[State.DEAD]
        rate = fleet.requests_between(DETECTED_HOURS, OUTAGE_HOURS) / (OUTAGE_HOURS - DETECTED_HOURS)
        if name == "until an upgrade":
            machine.yt_dlp = "2026.11.5"
        fleet.run(OUTAGE_END_HOURS)
        done = fleet.states()[State.DONE]
    what = f"{OUTAGE_VIDEOS} videos in an outage ({name})"
    yield Figure(
        what=f"{what}: dead letters", value=dead, unit="", bar=f"at most {OUTAGE_DEAD_LETTERS}",
        met=dead <= OUTAGE_DEAD_LETTERS,
    )  # fmt: skip
    yield Figure(
        what=f"{what}: requests once it is detected", value=rate, unit="an hour",
        bar=f"at most {OUTAGE_REQUESTS_AN_HOUR}", met=rate <= OUTAGE_REQUESTS_AN_HOUR,
    )  # fmt: skip
    yield Figure(
        what=f"{what}: done when it is over, without a person", value=done, unit="videos", bar="all",
        met=done == OUTAGE_VIDEOS,
    )  # fmt: skip


def measure() -> list[Figure]:
    logging.getLogger("youtube_download_coordinator").setLevel(logging.CRITICAL)  # thousands of refusals
    return [*_poisoned(), *_blocked(), *_outages()]


if __name__ == "__main__":
    alone("benchmarks.faults", measure)
