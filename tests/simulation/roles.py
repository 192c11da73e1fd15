"""The processes of a fleet: the library's own worker, expansion and recovery, watched by the oracle."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulation import threads
from tests.simulation.hosts import host_of, worker_name
from tests.simulation.human import source_url, video_url
from tests.simulation.world import Process
from tests.support.rows import make_admission
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreUnavailable, TransientError
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Row, Source, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.cooldown import Pauses
from youtube_download_coordinator.queue.lifecycle import RetryPolicy
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.reasons import PLAYER_BLOCKS
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.workers.expansion import expand_next
from youtube_download_coordinator.workers.worker import Limits, Worker
from youtube_download_coordinator.youtube.listing import Listed, ListedTitle, ListedVideo

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

T = TypeVar("T")
R = TypeVar("R", bound=Row)

LEASE_SECONDS = 60
POLICY = RetryPolicy(
    lease=timedelta(seconds=LEASE_SECONDS),
    max_retries=3,
    backoff=timedelta(seconds=4),
    backoff_max=timedelta(seconds=20),
    max_throttles=3,
)
PAUSES = Pauses(first_seconds=10, longest_seconds=40)
FINAL = (Verdict.RETRY, Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT)
"""What leads to an end, sooner or later."""
YOUTUBES_REFUSALS = 0.7
"""How many refusals are YouTube's own, which stop a machine at once. The others are a processor's."""
HANGS, HANG_SECONDS = 0.04, (100.0, 400.0)
"""So many attempts take so long, which may be longer than their deadline and a lease."""
IDLE_SECONDS = (1.0, 20.0)
"""In trouble; four times as long when everything is quiet, and less is to be seen."""


class WatchedQueue(Queue):
    """The library's queue; the oracle is told what it is asked and what it answers."""

    __slots__ = ("chaos", "process")
    chaos: Chaos
    process: Process

    def add(self, table: Table[R], rows: Iterable[R]) -> list[int | None]:
        given = list(rows)
        ids = super().add(table, given)
        self.chaos.oracle.added(table, given)
        return ids

    def renew(self) -> list[Claim[Any]]:
        began = self.chaos.world.clock.now()
        lost = super().renew()
        self.chaos.oracle.admissions.renewed(self.process, self, began)
        for claim in lost:
            self.chaos.oracle.lost(self.worker, claim)
        return lost

    def settle(self, results: Sequence[tuple[Claim[R], Outcome]], **facts: Any) -> list[R | None]:
        earliest = self.chaos.world.clock.now() - self.store.clock_error_seconds
        began = self.chaos.world.clock.now()
        admissions = self.chaos.oracle.admissions
        line, probed_row = admissions.cooldown(self.process), self.admission._probed_row
        if self.admission._probe and self.admission._probe.line.name.startswith("suspect "):
            probed_row = None
        outages = self.chaos.outages
        was_suspected = outages.is_suspected(self.process)
        refused = [claim for claim, outcome in results if is_refusal(outcome)]
        others = [claim for claim in self._held if claim.renew_until is not None and claim not in refused]
        try:
            rows = super().settle(results, **facts)
        except BaseException:
            outages.unheard(self.process)
            raise
        finally:
            self.chaos.oracle.admitted([claim for claim, _ in results], began)
        others_decide = bool(others) and not any(is_youtubes(outcome) for _, outcome in results)
        admissions.settled(self.process, [outcome for _, outcome in results], began, others_run=others_decide)
        for (claim, outcome), row in zip(results, rows, strict=True):
            if row is None:
                outages.lost(self.process, claim, outcome)
            else:
                outages.settled(self.process, claim, outcome, row, began, was_suspected=was_suspected)
                self.chaos.oracle.steps.settled(claim.row, outcome, row, earliest)
                if isinstance(row, VideoTask):
                    self.chaos.oracle.needs.settled(self.process, claim.row, outcome, row)
                is_undecided = others and (claim.table.name, claim.row.id) != probed_row and not is_youtubes(outcome)
                if is_refusal(outcome) and not is_undecided:
                    admissions.throttled(self.process, self.chaos.oracle.admitted_at[id(claim)])
                    if (claim.table.name, claim.row.id) == probed_row:
                        self.chaos.oracle.steps.probed(claim.row, row)
                    elif len(results) == 1 and not admissions.is_touched(self.process, began):
                        self.chaos.oracle.steps.blamed(
                            claim.row, row, line, admissions.cooldown(self.process), self.worker
                        )
        return rows

    def give_back_suspected(self) -> int:
        count = super().give_back_suspected()
        self.chaos.outages.gave_back(self.process, self, count)
        return count

    def _end(self, steps: Sequence[tuple[Claim[R], R]]) -> list[R | None]:
        valid = [claim for claim, _ in steps if not claim.lost and self.monotonic() < claim.expires]
        self.chaos.oracle.over |= {id(claim) for claim, _ in steps}
        self.chaos.oracle.kept += [claim for claim, _ in steps]
        try:
            rows = super()._end(steps)
        except StoreUnavailable:
            self.chaos.oracle.unheard |= {id(claim) for claim, _ in steps}
            raise
        for (claim, _), row in zip(steps, rows, strict=True):
            self.chaos.oracle.ended(self.worker, claim, row, was_valid=claim in valid)
        return rows


def open_queue(chaos: Chaos, process: Process) -> WatchedQueue:
    """Return a worker's queue, as the coordinator builds it."""
    store = insist(process, lambda: SheetsStore(chaos.config, process.environment()))
    machine_state = chaos.machine_states[host_of(process)]
    queue = WatchedQueue(
        store=store,
        worker=worker_name(process),
        video_policy=POLICY,
        source_policy=replace(POLICY, max_retries=None, max_throttles=None),
        monotonic=process.monotonic,
        random=process.random,
        admission=make_admission(
            store,
            worker_name(process),
            pauses=PAUSES,
            lease=POLICY.lease,
            machine_state=machine_state,
            outage_limits=chaos.outages.limits,
            yt_dlp_version=lambda: chaos.outages.version(process),
            canary=chaos.outages.canary(process, machine_state),
            _lock=threads.RLock(),
        ),
        offer=chaos.oracle.needs.offer_of(process),
        _writing=threads.RLock(),  # type: ignore[arg-type]
    )
    queue.chaos, queue.process = chaos, process
    chaos.queues[process] = queue
    return queue


def insist(process: Process, call: Callable[[], T]) -> T:
    """Repeat the call while the sheet does not answer, as a supervisor starts a process again."""
    while True:
        try:
            return call()
        except StoreUnavailable:
            process.rest(3)


def idle(chaos: Chaos, process: Process) -> None:
    """Wait until the schedule starts the process again."""
    process.rest(process.random.uniform(*IDLE_SECONDS) * (4 if chaos.quiet else 1))


# --- who there is ----------------------------------------------------------------------------------------------------


def work(chaos: Chaos, process: Process) -> None:
    """Run a worker again and again, as a schedule does, on rows that are added meanwhile."""
    queue = open_queue(chaos, process)
    insist(process, lambda: queue.add(VIDEO_TASKS, some_videos(chaos, process.random)))
    while not chaos.stopping:
        timeout = timedelta(seconds=process.random.choice([20, 90, 600]))
        attempts = Attempts(chaos, process, queue, timeout.total_seconds())
        worker = Worker(
            queue=queue,
            submit=attempts.submit,
            limits=Limits(concurrency=process.random.randint(1, 3)),
            claim_batch_size=process.random.randint(1, 5),
            attempt_timeout=timeout,
            monotonic=process.monotonic,
            wait=attempts.wait,
        )
        with suppress(StoreUnavailable):
            worker.run()
        idle(chaos, process)
    insist(process, queue.store.close)


def expand(chaos: Chaos, process: Process) -> None:
    """List sources whose videos overlap with those that others add."""
    queue = open_queue(chaos, process)
    insist(process, lambda: queue.add(SOURCES, some_sources(chaos, process.random)))
    while not chaos.stopping:
        with suppress(StoreUnavailable):
            expand_next(queue, chaos.config, lambda source, config: listing(chaos, process, queue, source))
        idle(chaos, process)
    insist(process, queue.store.close)


def listing(chaos: Chaos, process: Process, queue: WatchedQueue, source: Source) -> Generator[Listed, None, None]:
    """Yield videos one after the other, as a listing does. It may break off."""
    chaos.oracle.admissions.begins(process, queue, SOURCES, source)
    random = process.random
    yield ListedTitle(title=f"=title of {source.key}", channel_id="", expected=None)
    for number in random.sample(range(chaos.chances.videos), random.randint(1, min(4, chaos.chances.videos))):
        process.rest(random.uniform(0, 12))
        url = video_url(number)
        yield ListedVideo(url=url, key=video_target(url).key, title=f"=1+{number}", duration_seconds=number)
    if not chaos.quiet and random.random() < 0.3:
        raise TransientError("the listing broke off", reason="network")


def ingest(chaos: Chaos, process: Process) -> None:
    """Import sources and videos, some of which others import at the same time, and end."""
    queue = open_queue(chaos, process)
    for _ in range(3):
        insist(process, lambda: queue.add(SOURCES, some_sources(chaos, process.random)))
        insist(process, lambda: queue.add(VIDEO_TASKS, some_videos(chaos, process.random)))
        (source,) = some_sources(chaos, process.random)[:1]
        insist(process, lambda source=source: queue.find_or_add(SOURCES, source))  # type: ignore[misc]
        process.rest(process.random.uniform(0, 20))
    insist(process, queue.store.close)


def recover(chaos: Chaos, process: Process) -> None:
    """Recover the rows of dead workers, apply people's requests, and sometimes requeue dead letters."""
    queue = open_queue(chaos, process)
    while not chaos.stopping:
        try:
            queue.recover(SOURCES)
            queue.recover(VIDEO_TASKS)
            if not chaos.quiet and process.random.random() < 0.1:
                queue.requeue_dead_letters()
        except StoreUnavailable:
            pass
        idle(chaos, process)
    insist(process, queue.store.close)


def look_twice(chaos: Chaos, process: Process) -> None:
    """Read each tab twice in a minute, so that lines that have not shown their lease for so long are repaired."""
    store = SheetsStore(chaos.config, process.environment())
    tables: list[Table[Any]] = [SOURCES, VIDEO_TASKS, DEAD_LETTERS]
    for table in tables * 2:
        store.count(table)
        process.rest(30)
    store.close()


# --- what they do ----------------------------------------------------------------------------------------------------


class Attempts:
    """Attempts that take simulated time; some hang, in threads of the worker's own, which nothing ends."""

    def __init__(self, chaos: Chaos, process: Process, queue: WatchedQueue, timeout_seconds: float) -> None:
        self._chaos, self._process, self._queue = chaos, process, queue
        self._timeout_seconds = timeout_seconds
        self._ends: dict[Future[Outcome], float] = {}
        self._tasks: dict[Future[Outcome], VideoTask] = {}

    def submit(self, task: VideoTask) -> Future[Outcome]:
        """Begin one."""
        self._chaos.oracle.begins(self._queue.worker, task, self._timeout_seconds)
        self._chaos.oracle.admissions.begins(self._process, self._queue, VIDEO_TASKS, task)
        self._chaos.oracle.needs.begins(self._queue.worker, self._process, task)
        future: Future[Outcome] = Future()
        random = self._process.random
        hangs = not self._chaos.quiet and random.random() < HANGS
        seconds = random.uniform(*(HANG_SECONDS if hangs else (0.5, self._chaos.chances.attempt_seconds)))
        self._ends[future] = self._process.monotonic() + seconds
        self._tasks[future] = task
        return future

    def wait(self, futures: Iterable[Future[Outcome]], timeout: float | None) -> None:
        """Wait until one of the futures has ended, or so much time has passed."""
        soonest = min(self._ends.get(future, 0.0) for future in futures) - self._process.monotonic()
        self._process.rest(soonest if timeout is None else min(soonest, timeout))
        for future, end in list(self._ends.items()):
            if end <= self._process.monotonic() + 0.001 and future.set_running_or_notify_cancel():
                task = self._tasks.pop(future)
                failure = self._chaos.oracle.needs.failure(self._process, task)
                future.set_result(failure or outcome(self._chaos, self._process, task))
                del self._ends[future]


def outcome(chaos: Chaos, process: Process, task: VideoTask) -> Outcome:
    """Return the outcome of an attempt: mostly the same text, as a file's path does not depend on the worker.

    In a quarter of the stories a video is refused whoever tries it, while others are answered.
    """
    random = process.random
    if failure := chaos.outages.failure(process) or chaos.outages.deletion(task.url):
        return failure
    if chaos.seed % 4 == 3 and task.url == video_url(0) and not chaos.quiet:
        return Failure(verdict=Verdict.THROTTLED, reason="=bot", message="are you one?")
    if random.random() >= chaos.chances.failure:
        return Done(result="=1+1")
    verdict = random.choice(FINAL if chaos.quiet else (*FINAL, Verdict.LATER, Verdict.THROTTLED))
    is_youtubes = verdict is Verdict.THROTTLED and random.random() < YOUTUBES_REFUSALS
    if is_youtubes:
        return Failure(verdict=verdict, reason="bot-check", message="it\nbroke")
    return Failure(verdict=verdict, reason="=boom", message="it\nbroke", from_yt_dlp=verdict is not Verdict.THROTTLED)


def is_youtubes(outcome: Outcome) -> bool:
    """Return whether an outcome is a refusal of YouTube's own."""
    return isinstance(outcome, Failure) and outcome.reason in PLAYER_BLOCKS


def is_refusal(outcome: Outcome) -> bool:
    """Return whether YouTube has refused an attempt."""
    return isinstance(outcome, Failure) and outcome.verdict is Verdict.THROTTLED


def some_videos(chaos: Chaos, random: Random) -> list[VideoTask]:
    """Return half of all videos."""
    numbers = random.sample(range(chaos.chances.videos), max(chaos.chances.videos // 2, 1))
    urls = {number: video_url(number) for number in numbers}
    return [
        VideoTask(url=url, key=video_target(url).key, title=f"=1+{n}", extra=_extra("n", n), lease=Lease(nonce=""))
        for n, url in urls.items()
    ]


def some_sources(chaos: Chaos, random: Random) -> list[Source]:
    """Return half of all sources."""
    numbers = random.sample(range(chaos.chances.sources), max(chaos.chances.sources // 2, 1))
    urls = {number: source_url(number) for number in numbers}
    return [
        Source(url=url, key=source_target(url).key, extra=_extra("s", n), lease=Lease(nonce=""))
        for n, url in urls.items()
    ]


def _extra(prefix: str, number: int) -> dict[str, str]:
    """Return a row's custom columns: a text that nobody may change, and one of three priorities."""
    return {"Notes": f"{prefix}{number}", "Priority": str(number % 3)}


def config_for(spreadsheet_id: str) -> Config:
    """Return a worker's settings, short enough for a story."""
    return Config(
        spreadsheet_id=spreadsheet_id,
        sheets_patience_seconds=30,
        stalled_task_timeout_minutes=LEASE_SECONDS / 60,
        listing_timeout_minutes=5,
    )
