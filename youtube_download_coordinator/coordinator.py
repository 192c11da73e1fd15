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
from youtube_download_coordinator.operations.package_index import advise_upgrade
from youtube_download_coordinator.operations.summary import show_dashboard
from youtube_download_coordinator.processes.parent import Stopped, stop_all
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Blocked
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.sources.sources_file import Ingested, ingest_file, new_source, with_columns
from youtube_download_coordinator.wiring import open_queue
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock
from youtube_download_coordinator.workers.expansion import Expansion, expand, expand_sources
from youtube_download_coordinator.workers.reaper import ClaimReaper
from youtube_download_coordinator.workers.request_canary import request_canary
from youtube_download_coordinator.workers.run_processor import call_in_process, process_video
from youtube_download_coordinator.workers.worker import Limits, Submit, Summary, Worker

log = logging.getLogger(__name__)

PAUSE_CHECK_SECONDS = 1.0
"""While a run waits for the end of a cooldown or a pause, it checks every `idle_poll_seconds`, but no more often than this."""


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when the file does, or None when there is no file (reading it reports why)."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _describe_column(name: str, texts: Mapping[str, str]) -> str:
    text = texts.get(name.casefold(), "")
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
        """Add a source unless it is known. Return its ID.

        `columns` are custom columns by name: filters, RefreshHours (added to a sheet that lacks the column), or others there.
        Raises BadUrl; BadFilter; UserError for a column that cannot be set, or a known source with other values in them.
        """
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            self._check_columns(row_id, source.extra)
        return row_id

    def find_or_add_source(
        self, url: str, accent: str = "", source_type: str = "", columns: Mapping[str, str] | None = None
    ) -> tuple[int, bool]:
        """Add a source as `add_source` does. Return its ID and whether it is new.

        A known source with another accent or type is a UserError, too.
        """
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            given = {"Accent": source.accent, "Type": source.type}
            self._check_columns(row_id, {name: text for name, text in given.items() if text} | dict(source.extra))
        return row_id, is_new

    def _source(self, url: str, accent: str, source_type: str, columns: Mapping[str, str]) -> Source:
        source = new_source(url, accent, source_type, allow_other_sites=self._config.allow_other_sites)
        return with_columns(source, columns, self._queue.store) if columns else source

    def _find_or_add(self, source: Source) -> tuple[int, bool]:
        id_and_is_new = self._queue.find_or_add(SOURCES, source)
        self._on_change()
        return id_and_is_new

    def _check_columns(self, row_id: int, wanted: Mapping[str, str]) -> None:
        for row in self._queue.rows(SOURCES, Where(ids=[row_id])) if wanted else ():
            texts = {name.strip().casefold(): str(text or "").strip() for name, text in row.columns().items()}
            if others := [name for name, text in wanted.items() if texts.get(name.casefold(), "") != text]:
                difference = " and ".join(_describe_column(name, texts) for name in others)
                raise UserError(f"{row.url} is source {row_id} already, with {difference}; that is left as it is")

    def get_sources(self) -> list[dict[str, object]]:
        """Return every source, by column name."""
        return [row.columns() for row in self._queue.rows(SOURCES)]

    def get_video_tasks(self) -> list[dict[str, object]]:
        """Return every video task, by column name, without the dead letters."""
        return [row.columns() for row in self._queue.rows(VIDEO_TASKS)]


class Coordinator:
    """One worker with everything it needs. Cheap to build: the whole process shares one connection.

    Raises ConfigError when the settings do not name a queue.
    """

    def __init__(self, config: Config | None = None, *, run: str = "") -> None:
        self.config = config or Config()
        self.queue = open_queue(self.config, run)
        self.queue.admission.canary = Canary(
            request=partial(request_canary, config=self.config),
            configured_url=self.config.canary_url,
            machine_state=self.queue.admission.machine_state,
        )
        self.queue.admission.find_upgrade = advise_upgrade
        self.client = Client(self.config, self.queue, on_change=self._ask_at_once)
        self._ingested: tuple[int, int, int] | None = None
        self._asks_again_at = 0.0

    # --- the whole job in one call -----------------------------------------------------------------------------------

    def process_next_task(self, processor: Callable[[Any], Any]) -> bool:
        """Process one video with `processor(url)` in this process. Return whether there was one.

        Import the sources file when it has changed, and expand sources while no video is due. An exception of the processor
        counts as a failed attempt. The claim is renewed while the processor runs; if it is lost meanwhile, the outcome is
        dropped. When there is nothing to do, the call takes a random part of `claim_jitter_seconds`.

        Raises SourcesFileError when the sources file cannot be read the first time, StoreUnavailable when the queue does not
        answer.
        """
        if time.monotonic() >= self._asks_again_at:
            self._ingest_if_changed()
            summary = self._process_or_expand(processor)
            if summary.attempted and not summary.results[AttemptResult.GIVEN_BACK]:
                return True
            self._asks_again_at = time.monotonic() + self.config.idle_poll_seconds
            if summary.attempted:
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
            log.warning("the sources file cannot be read, going on without: %s", error)  # an editor may be replacing it
            return
        for problem in problems:
            log.warning("%s", problem)
        self._ingested = state

    def _ask_at_once(self) -> None:
        self._asks_again_at = 0.0

    # --- the single steps ---------------------------------------------------------------------------------------------------

    def ingest(self) -> Ingested:
        """Insert the new sources of the sources file. Raises SourcesFileError."""
        path = self.config.sources_file_path
        if path is None:
            return Ingested()
        return ingest_file(self.queue, path, allow_other_sites=self.config.allow_other_sites)

    def expand(self, *, on_insert: Callable[[Expansion], None] = lambda expansion: None) -> Iterator[Expansion]:
        """Expand every source that is due; `on_insert` is called with the progress of each listing."""
        with ClaimReaper(self.queue, self.config) as report_running:
            report_running([])
            yield from expand_sources(self.queue, self.config, expand_one=partial(expand, on_insert=on_insert))

    def process(
        self, processor: str, limits: Limits, *, on_attempt: Callable[[Attempt], None] = lambda attempt: None
    ) -> Summary:
        """Process videos until none is due or a limit is reached, each in a child process."""
        self.queue.admission.makes_subtitles = processor == "subtitles"
        with closing(_Threads(lambda task: process_video(processor, task, self.config), limits.concurrency)) as threads:
            return self.worker(threads.submit, limits, on_attempt).run()

    def worker(
        self, submit: Submit, limits: Limits, on_attempt: Callable[[Attempt], None] = lambda attempt: None
    ) -> Worker:
        """Return a worker that processes videos with `submit`."""
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
        """Return up to `max_videos` videos for a loop of the caller; they are held as long as the `with` block runs."""
        return ClaimBlock(self.queue, self.config, max_videos)

    def give_back(self) -> int:
        """Give back everything that this run holds, also what an interrupted claim may hold. Return the number of rows."""
        return self.queue.release_holder(self.queue.worker)

    def show_dashboard(self, page: Page) -> None:
        """Write a report to the sheet's tab Dashboard. Do nothing where the queue is a database.

        Raises StoreError when the tab cannot be written; ConfigError for what a person can fix.
        """
        show_dashboard(self.config, page)

    def rounds(self, limits: Limits, summary: Summary) -> Iterator[Limits]:
        """Yield what is left of the limits, for one round of expanding and processing after another, until nothing is left.

        Between rounds, wait for videos that will be tried again soon, but not for sources and premieres; and for the end of a
        cooldown or a pause. `summary` contains what the rounds have done so far; the caller adds to it.
        """
        began = time.monotonic()
        while True:
            yield limits.less(summary.attempted, time.monotonic() - began)
            left = limits.less(summary.attempted, time.monotonic() - began)
            if summary.unfit or left.reached:
                return
            if blocked := self.queue.admission.blocked():
                if not self._is_anything_due(left) or not self._wait_while_blocked(blocked, left.max_seconds):
                    return
                continue
            wait_seconds = self._seconds_until_due()
            if wait_seconds is None or wait_seconds > self._longest_wait(left):
                return
            if wait_seconds:
                log.warning("waiting %.0f s for videos that will be tried again", wait_seconds)
                time.sleep(wait_seconds)

    def _longest_wait(self, left: Limits) -> float:
        return self.config.retry_backoff_max_seconds if left.max_seconds is None else left.max_seconds

    def _is_anything_due(self, left: Limits) -> bool:
        """Return whether a source is due, or a video is or will be tried again soon."""
        video_seconds, source_due = self._seconds_until_due(), self.queue.next_due(SOURCES)
        is_video_due = video_seconds is not None and video_seconds <= self._longest_wait(left)
        return is_video_due or (source_due is not None and source_due <= self.queue.store.now())

    def _wait_while_blocked(self, blocked: Blocked | None, max_seconds: float | None) -> bool:
        """Wait for the end of a cooldown or a pause. Return False, without waiting where possible, when it ends too late."""
        ends_at = None if max_seconds is None else time.monotonic() + max_seconds
        if blocked:
            log.warning("waiting for the end of the cooldown or pause")
        while blocked:
            blocked_seconds = (
                max(0.0, (blocked.until - self.queue.store.now()).total_seconds()) if blocked.until else None
            )
            seconds_left = None if ends_at is None else ends_at - time.monotonic()
            if seconds_left is not None and (seconds_left <= 0 or (blocked_seconds or 0) > seconds_left):
                log.warning("not waiting, the time of this run ends before: %s", blocked.why)
                return False
            pauses = (blocked_seconds, seconds_left, max(self.config.idle_poll_seconds, PAUSE_CHECK_SECONDS))
            time.sleep(min(seconds for seconds in pauses if seconds is not None))
            self.queue.renew_offer()
            blocked = self.queue.admission.blocked()
        return True

    def _seconds_until_due(self) -> float | None:
        due = self.queue.next_due(VIDEO_TASKS)
        return max(0.0, (due - self.queue.store.now()).total_seconds()) if due else None


class _Threads:
    """Attempts in threads of this process, each with its child process. Once it is closed, none runs and none begins."""

    def __init__(self, process: Callable[[VideoTask], Outcome], concurrency: int) -> None:
        self._process = process
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="video")
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def submit(self, task: VideoTask) -> Future[Outcome]:
        return self._pool.submit(self._attempt, task)

    def close(self) -> None:
        """End attempts that nothing waits for: one may have been submitted in the very moment of an interruption."""
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
