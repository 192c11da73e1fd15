"""The library without Prefect: everything put together from a Config.

coordinator = Coordinator(Config(sources_file_path="sources.txt"))
while True:
    coordinator.process_next_task(lambda url: print(url))
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import SourcesFileError, UserError
from youtube_download_coordinator.models import Outcome, Page, Source, VideoTask
from youtube_download_coordinator.operations.summary import show_dashboard
from youtube_download_coordinator.processes.parent import Stopped, stop_all
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Blocked
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.sources.sources_file import Ingested, ingest_file, new_source, with_columns
from youtube_download_coordinator.wiring import open_queue
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock
from youtube_download_coordinator.workers.expansion import Expansion, expand, expand_sources
from youtube_download_coordinator.workers.reaper import ClaimReaper
from youtube_download_coordinator.workers.run_processor import call_in_process, process_video
from youtube_download_coordinator.workers.worker import Limits, Submit, Summary, Worker

log = logging.getLogger(__name__)

PAUSE_LOOK_SECONDS = 1.0
"""While a run waits for a cooldown or a pause to end, it looks again whether it has; at most every `idle_poll_seconds`."""


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None when there is none (reading it says why)."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _describe_column(name: str, there: Mapping[str, str]) -> str:
    text = there.get(name.casefold(), "")
    return f"{name} {text!r}" if text else f"no {name}"


class Client:
    """The rows of the queue, for reading and adding by hand."""

    def __init__(self, config: Config, queue: Queue, on_change: Callable[[], None]) -> None:
        self._config = config
        self._queue = queue
        self._on_change = on_change

    def add_source(
        self, url: str, accent: str = "", source_type: str = "", columns: Mapping[str, str] | None = None
    ) -> int:
        """Add a source; its ID, also when it was there already.

        `columns` are a person's own, by name: filters, RefreshHours (a sheet gets the column when it lacks it), or others that
        are there. Raises BadUrl; BadFilter; UserError for a column that cannot be set, or a source that is there with others.
        """
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            self._check_columns(row_id, source.extra)
        return row_id

    def find_or_add_source(
        self, url: str, accent: str = "", source_type: str = "", columns: Mapping[str, str] | None = None
    ) -> tuple[int, bool]:
        """As `add_source`: its ID, and whether it is new. It is a UserError too if it is there with another accent or type."""
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            said = {"Accent": source.accent, "Type": source.type}
            self._check_columns(row_id, {name: text for name, text in said.items() if text} | dict(source.extra))
        return row_id, is_new

    def _source(self, url: str, accent: str, source_type: str, columns: Mapping[str, str]) -> Source:
        source = new_source(url, accent, source_type, allow_other_sites=self._config.allow_other_sites)
        return with_columns(source, columns, self._queue.store) if columns else source

    def _find_or_add(self, source: Source) -> tuple[int, bool]:
        found = self._queue.find_or_add(SOURCES, source)
        self._on_change()
        return found

    def _check_columns(self, row_id: int, wanted: Mapping[str, str]) -> None:
        for row in self._queue.rows(SOURCES, Where(ids=[row_id])) if wanted else ():
            there = {name.strip().casefold(): str(text or "").strip() for name, text in row.columns().items()}
            if others := [name for name, text in wanted.items() if there.get(name.casefold(), "") != text]:
                said = " and ".join(_describe_column(name, there) for name in others)
                raise UserError(f"{row.url} is source {row_id} already, with {said}; that is left as it is")

    def get_sources(self) -> list[dict[str, object]]:
        """Every source, by column name."""
        return [row.columns() for row in self._queue.rows(SOURCES)]

    def get_video_tasks(self) -> list[dict[str, object]]:
        """Every video task, by column name; dead letters are not among them."""
        return [row.columns() for row in self._queue.rows(VIDEO_TASKS)]


class Coordinator:
    """One worker with everything it needs. Cheap to build: the connection is one for the whole process.

    Raises ConfigError when the settings lead to no queue.
    """

    def __init__(self, config: Config | None = None, *, run: str = "") -> None:
        self.config = config or Config()
        self.queue = open_queue(self.config, run)
        self.client = Client(self.config, self.queue, on_change=self._look_again)
        self._ingested: tuple[int, int, int] | None = None
        self._asks_again_at = 0.0

    # --- the whole job in one call -----------------------------------------------------------------------------------

    def process_next_task(self, processor: Callable[[Any], Any]) -> bool:
        """Process one video with `processor(url)`, here in this process; whether there was one.

        Imports the sources file when it has changed, and expands a source when no video is pending. What the processor
        raises counts as a failed attempt. Its claim is renewed while it runs; if it is lost meanwhile, the outcome is
        dropped. When there is nothing to do the call takes a random part of `claim_jitter_seconds`.

        Raises SourcesFileError when the sources file cannot be read the first time, StoreUnavailable when the queue does not
        answer.
        """
        if time.monotonic() >= self._asks_again_at:
            self._ingest_if_changed()
            summary = self._process_or_expand(processor)
            if summary.attempted and not summary.results[AttemptResult.GIVEN_BACK]:
                return True
            self._asks_again_at = time.monotonic() + self.config.idle_poll_seconds
            if summary.stopped_by:
                log.warning("nothing is claimed for %g s: %s", self.config.idle_poll_seconds, summary.stopped_by)
        time.sleep(random.random() * self.config.claim_jitter_seconds)
        return False

    def _process_or_expand(self, processor: Callable[[Any], Any]) -> Summary:
        """Process one video. While none is due, expand one source after the other."""
        summary = self._process_here(processor)
        if not summary.attempted:
            for _ in expand_sources(self.queue, self.config):
                summary = self._process_here(processor)
                if summary.attempted:
                    break
        return summary

    def _process_here(self, processor: Callable[[Any], Any]) -> Summary:
        """Process one video in this thread: nothing ends it, so its claim is renewed until the deadline and no longer."""

        def submit(task: VideoTask) -> Future[Outcome]:
            future: Future[Outcome] = Future()
            future.set_result(call_in_process(processor, task))
            return future

        return Worker(
            queue=self.queue,
            submit=submit,
            limits=Limits(concurrency=1, max_videos=1),
            claim_batch_size=1,
            attempt_timeout=self.config.attempt_timeout,
            grace_seconds=0,
        ).run()

    def _ingest_if_changed(self) -> None:
        path = self.config.sources_file_path
        if path is None:
            return
        state = _fingerprint(path)
        if state and state == self._ingested:
            return
        try:
            problems = self.ingest().problems
        except SourcesFileError as error:
            if self._ingested is None:
                raise
            log.warning("going on without, it was read before: %s", error)  # an editor may be replacing it
            return
        for problem in problems:
            log.warning("%s", problem)
        self._ingested = state

    def _look_again(self) -> None:
        self._asks_again_at = 0.0

    # --- its parts ---------------------------------------------------------------------------------------------------

    def ingest(self) -> Ingested:
        """Insert the sources of the sources file that are new. Raises SourcesFileError."""
        path = self.config.sources_file_path
        if path is None:
            return Ingested()
        return ingest_file(self.queue, path, allow_other_sites=self.config.allow_other_sites)

    def expand(self, *, on_insert: Callable[[Expansion], None] = lambda expansion: None) -> Iterator[Expansion]:
        """Expand every source that is due; `on_insert` is told how far the listing of each is."""
        with ClaimReaper(self.queue, self.config) as attempts_run:
            attempts_run([])
            yield from expand_sources(self.queue, self.config, expand_one=partial(expand, on_insert=on_insert))

    def process(
        self, processor: str, limits: Limits, *, on_attempt: Callable[[Attempt], None] = lambda attempt: None
    ) -> Summary:
        """Process videos until none is due or a limit is reached, each in a child process."""
        with closing(_Threads(lambda task: process_video(processor, task, self.config), limits.concurrency)) as threads:
            return self.worker(threads.submit, limits, on_attempt).run()

    def worker(
        self, submit: Submit, limits: Limits, on_attempt: Callable[[Attempt], None] = lambda attempt: None
    ) -> Worker:
        """A worker that has videos processed by `submit`."""
        return Worker(
            queue=self.queue,
            submit=submit,
            limits=limits,
            claim_batch_size=self.config.claim_batch_size,
            attempt_timeout=self.config.attempt_timeout,
            on_attempt=on_attempt,
            reaper=ClaimReaper(self.queue, self.config),
        )

    def claim_videos(self, max_videos: int) -> ClaimBlock:
        """Videos for code that goes through them itself; held as long as the `with` block runs."""
        return ClaimBlock(self.queue, self.config, max_videos)

    def give_back(self) -> int:
        """Give back everything that this run holds, also what was claimed in the moment of an interruption; how many rows."""
        return self.queue.release_holder(self.queue.worker)

    def show_dashboard(self, page: Page) -> None:
        """Bring the sheet's tab Dashboard up to date with a report; nothing where the queue is a database.

        Raises StoreError when it cannot be written; ConfigError for what a person can mend.
        """
        show_dashboard(self.config, page)

    def rounds(self, limits: Limits, summary: Summary) -> Iterator[Limits]:
        """What is left of the limits, for one round of expanding and processing after another, until nothing is left.

        Between rounds it waits for videos that are to be tried again soon, not for sources and premieres; and for the end of a
        cooldown or a pause. `summary` is what the rounds have done so far; the caller adds to it.
        """
        began = time.monotonic()
        while True:
            yield limits.less(summary.attempted, time.monotonic() - began)
            left = limits.less(summary.attempted, time.monotonic() - began)
            if summary.unfit or left.reached:
                return
            if closed := self.queue.admission.blocked():
                if not self._something_waits(left) or not self._opens_within(closed, left.max_seconds):
                    return
                continue
            wait_seconds = self._seconds_until_due()
            if wait_seconds is None or wait_seconds > self._longest_wait(left):
                return
            if wait_seconds:
                log.warning("waiting %.0f s for videos that are to be tried again", wait_seconds)
                time.sleep(wait_seconds)

    def _longest_wait(self, left: Limits) -> float:
        return self.config.retry_backoff_max_seconds if left.max_seconds is None else left.max_seconds

    def _something_waits(self, left: Limits) -> bool:
        """Whether there is anything to do once the gate opens: a video to be tried again soon, or a source that is due."""
        video_seconds, source = self._seconds_until_due(), self.queue.next_due(SOURCES)
        waits = video_seconds is not None and video_seconds <= self._longest_wait(left)
        return waits or (source is not None and source <= self.queue.store.now())

    def _opens_within(self, closed: Blocked | None, max_seconds: float | None) -> bool:
        """Wait until the gate opens; False, at once where that is known, when it does not within that time."""
        ends_at = None if max_seconds is None else time.monotonic() + max_seconds
        if closed:
            log.warning("waiting until it opens again")
        while closed:
            seconds = max(0.0, (closed.until - self.queue.store.now()).total_seconds()) if closed.until else None
            left = None if ends_at is None else ends_at - time.monotonic()
            if left is not None and (left <= 0 or (seconds is not None and seconds > left)):
                log.warning("not waiting, time is up before: %s", closed.why)
                return False
            pieces = (seconds, left, max(self.config.idle_poll_seconds, PAUSE_LOOK_SECONDS))
            time.sleep(min(piece for piece in pieces if piece is not None))
            closed = self.queue.admission.blocked()
        return True

    def _seconds_until_due(self) -> float | None:
        due = self.queue.next_due(VIDEO_TASKS)
        return max(0.0, (due - self.queue.store.now()).total_seconds()) if due else None


class _Threads:
    """Attempts in threads of this process, each with its child. Once it is closed none runs, and none begins."""

    def __init__(self, process: Callable[[VideoTask], Outcome], concurrency: int) -> None:
        self._process = process
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="video")
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def submit(self, task: VideoTask) -> Future[Outcome]:
        return self._pool.submit(self._attempt, task)

    def close(self) -> None:
        """End what nobody waits for: an attempt that was submitted in the very moment of an interruption."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        while not self._ended_within(0.05):
            stop_all()
        self._pool.shutdown()

    def _attempt(self, task: VideoTask) -> Outcome:
        self._count(1)
        try:
            if self._closed:
                raise Stopped("this worker has ended")
            return self._process(task)
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._changed:
            self._running += step
            self._changed.notify_all()

    def _ended_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, seconds)
