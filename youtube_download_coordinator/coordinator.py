"""Run the queue without Prefect: a Coordinator combines everything that a Config describes.

coordinator = Coordinator(Config(sources_file_path="sources.txt"))
while True:
    coordinator.process_next_task(lambda url: print(url))
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from youtube_download_coordinator.client import Client
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.index_upkeep import IndexUpkeep
from youtube_download_coordinator.errors import ProcessorError, SourcesFileError, StoreError, UserError
from youtube_download_coordinator.models import Outcome, VideoTask
from youtube_download_coordinator.operations.package_index import advise_upgrade
from youtube_download_coordinator.operations.summary import show_dashboard
from youtube_download_coordinator.processes.parent import Stopped, stop_all
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Blocked
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.sources_file import Ingested, ingest_file
from youtube_download_coordinator.status_page import Page
from youtube_download_coordinator.wiring import open_machine_state, open_queue
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock
from youtube_download_coordinator.workers.expansion import Expansion, expand, expand_sources
from youtube_download_coordinator.workers.find_processor import check_callable
from youtube_download_coordinator.workers.in_process import (
    LoopBridge,
    attempt_in_process,
    ends_without_cleanup,
    is_async,
    refuse_filters,
    runs_event_loop,
    warned_after,
)
from youtube_download_coordinator.workers.parts_sweep import clean_up_after, sweep_parts, sweep_storage
from youtube_download_coordinator.workers.reaper import ClaimReaper, dismiss
from youtube_download_coordinator.workers.request_canary import request_canary
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.workers.wait_log import WaitLog
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


class Coordinator:
    """A worker with everything it needs. It is cheap to create, because the whole process shares one connection.

        with Coordinator(config) as coordinator:
            while coordinator.process_next_task(process): ...

    It may be created before a fork: each process opens its own connection, and gets its own worker name, when it first needs
    them. Threads may share it. A copy, for example one that is pickled for another process, is another worker on the same
    queue.

    Raises ConfigError when the settings do not name a queue.
    """

    def __init__(self, config: Config | None = None, *, run: str = "") -> None:
        self.config = config or Config()
        self._run = run
        self._queue: Queue | None = None
        self._opening = threading.RLock()
        self._is_closed = self._is_stopped = self._is_swept = False
        self._ingested: tuple[int, int, int] | None = None
        self._asks_again_at = 0.0
        self._wait_log = WaitLog()
        self._index = IndexUpkeep(self.config.output_dir, self.config.state_dir)
        self.client = Client(self.config, self._get_queue, on_change=self._ask_at_once)
        _coordinators.add(self)
        self.queue  # noqa: B018  so that a wrong setting is an error now

    # --- open and closed -----------------------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """Return this process's view of the queue. Raises UserError when the coordinator is closed."""
        with self._opening:
            if self._is_closed:
                raise UserError("this Coordinator is closed: create another one")
            if self._queue is None:
                self._queue = self._open()
            return self._queue

    def _get_queue(self) -> Queue:
        return self.queue

    def __reduce__(self) -> tuple[Callable[[], Coordinator], tuple[()]]:
        """Pickle the settings alone: connections and claims belong to this process."""
        return partial(Coordinator, self.config, run=self._run), ()

    def _open(self) -> Queue:
        queue = open_queue(self.config, self._run)
        queue.admission.canary = Canary(
            request=partial(request_canary, config=self.config),
            configured_url=self.config.canary_url,
            machine_state=queue.admission.machine_state,
        )
        queue.admission.find_upgrade = advise_upgrade
        self._index.buried_keys = queue.buried_keys
        weakref.finalize(self, dismiss, queue.worker)
        return queue

    def close(self) -> None:
        """Release this worker's claims, write the cells that people see, and close the connections. Repeated calls do nothing.

        If attempts are running, no further one starts. They keep their claims and record their outcomes, and the last one to end
        closes the coordinator. A failed write is logged; another process repeats it.
        """
        with self._opening:
            queue, self._queue = self._queue, None
            self._is_closed = self._is_stopped = True
        if queue is not None and not queue.after_loops(partial(self._release_and_close, queue)):
            log.info("this Coordinator closes when its running attempts have ended")

    def _release_and_close(self, queue: Queue) -> None:
        try:
            queue.release_all()
            queue.store.flush()
            self._index.close()
            queue.store.close()
            open_machine_state(self.config).close()
        except StoreError as error:
            log.warning("the queue does not show the last changes yet: %s", error)
        finally:
            dismiss(queue.worker)

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def after_fork(self) -> None:
        """Discard the parent's queue: the parent keeps its claims, and one of its threads may have been using the queue."""
        self._queue, self._opening = None, threading.RLock()
        self._asks_again_at = 0.0

    # --- the whole job in one call -----------------------------------------------------------------------------------

    def process_next_task(self, processor: Callable[[Any], Any]) -> bool:
        """Process one video with `processor` in this thread. Return whether there was one. See `process_next`."""
        return _is_processed(self.process_next(processor))

    def process_next(self, processor: Callable[[Any], Any]) -> AttemptResult | None:
        """Process one video with `processor` in this thread. Return the result of the attempt, or None if no video is due.

        The processor receives the URL, or the VideoTask if its parameter is annotated as one, or has no annotation and is named
        `task` or `video_task`. The call imports the sources file if it has changed, and expands sources while no video is due. An
        exception of the processor counts as a failed attempt. SystemExit and KeyboardInterrupt release the video and are raised.
        The claim is renewed while the processor runs, for at most `in_process_timeout_minutes`. If the claim is lost, the outcome
        is discarded. If there is nothing to do, the call waits for a random part of `claim_jitter_seconds`.

        Raises ProcessorError if the processor cannot be called in this way, ConfigError if filters on rights are set (only
        workers apply them), SourcesFileError if the sources file cannot be read the first time, and StoreUnavailable if the
        queue does not answer.
        """
        check_callable(processor, getattr(processor, "__name__", repr(processor)))
        if is_async(processor) and runs_event_loop():
            raise ProcessorError(
                "process_next_task would block the running event loop: await coordinator.aprocess_next_task(...) instead"
            )
        return self._process_next(processor)

    def stop(self) -> None:
        """Start no further attempt, in any thread. Running attempts are finished; waiting calls end within `idle_poll_seconds`.

        From then on `process_next_task` returns False at once. This method may be called in a signal handler.
        """
        self._is_stopped = True

    async def aprocess_next_task(self, processor: Callable[[Any], Any]) -> bool:
        """Do what `process_next_task` does without blocking the running event loop.

        An `async` processor runs in this loop. Other processors, and requests to the queue, run in threads of the loop's default
        executor. If the call is cancelled, it cancels an `async` processor, releases the video and raises CancelledError.
        """
        check_callable(processor, getattr(processor, "__name__", repr(processor)))
        bridge = LoopBridge(processor, asyncio.get_running_loop())
        work = asyncio.ensure_future(asyncio.to_thread(self._process_next, bridge.call))
        try:
            return _is_processed(await asyncio.shield(work))
        except asyncio.CancelledError:
            bridge.cancel()
            await asyncio.wait([work])
            raise

    def _process_next(self, processor: Callable[[Any], Any]) -> AttemptResult | None:
        refuse_filters(self.config)
        result: AttemptResult | None = None
        queue = self.queue
        try:
            if time.monotonic() >= self._asks_again_at and not self._is_stopped:
                self._ingest_if_changed()
                summary = self._process_or_expand(processor)
                result = next(iter(summary.results), None)
                if _is_processed(result):
                    return result
                self._asks_again_at = time.monotonic() + self.config.idle_poll_seconds
                if result:
                    log.warning("nothing is claimed for %g s: %s", self.config.idle_poll_seconds, summary.stopped_by)
                elif not summary.stopped_by and not self._is_stopped:
                    self._wait_log.nothing_due("", self.config.idle_poll_seconds, summary.held_back)
        finally:
            if self.config.flush_every_call or ends_without_cleanup():
                self._flush(queue)
            if self._is_closed:  # closed meanwhile, so this call has started the last reaper
                dismiss(queue.worker)
        if not self._is_stopped:
            time.sleep(random.random() * self.config.claim_jitter_seconds)
        return result

    def _flush(self, queue: Queue) -> None:
        try:
            queue.store.flush()
        except StoreError as error:
            log.warning("the queue does not show the last changes yet: %s", error)

    def _process_or_expand(self, processor: Callable[[Any], Any]) -> Summary:
        """Process one video. While none is due, expand one source after the other."""
        summary = self._process_here(processor)
        if not summary.attempted and not self._is_stopped:
            for _ in expand_sources(self.queue, self.config):
                if self._is_stopped:
                    break
                summary = self._process_here(processor)
                if summary.attempted:
                    break
        return summary

    def _process_here(self, processor: Callable[[Any], Any]) -> Summary:
        """Process one video in this thread. The processor cannot be ended, so its claim is renewed as long as it runs."""
        interruptions: list[BaseException] = []

        def submit(task: VideoTask) -> Future[Outcome]:
            future: Future[Outcome] = Future()
            with warned_after(self.config.attempt_timeout, task):
                future.set_result(attempt_in_process(processor, task, interruptions))
            return future

        summary = Worker(
            queue=self.queue,
            submit=submit,
            limits=Limits(concurrency=1, max_videos=1),
            claim_batch_size=1,
            attempt_timeout=self.config.in_process_timeout,
            grace_seconds=0,
            wait_log=self._wait_log,
            is_stopped=lambda: self._is_stopped,
            reaper=ClaimReaper(self.queue, self.config, keep=True),
        ).run()
        if interruptions:
            raise interruptions[0]
        return summary

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
            log.warning("the sources file cannot be read and is skipped: %s", error)  # an editor may be replacing it
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
        self.queue.admission.makes_subtitles = "subtitles" in processor_names(processor)
        with closing(_Threads(lambda task: process_video(processor, task, self.config), limits.concurrency)) as threads:
            return self.worker(threads.submit, limits, on_attempt).run()

    def worker(
        self, submit: Submit, limits: Limits, on_attempt: Callable[[Attempt], None] = lambda attempt: None
    ) -> Worker:
        """Return a worker that processes videos with `submit`."""
        self._sweep_parts()
        self._index.tick()

        def report(attempt: Attempt) -> None:
            clean_up_after(self.queue, attempt, self.config)
            self._index.tick()
            on_attempt(attempt)

        return Worker(
            queue=self.queue,
            submit=submit,
            limits=limits,
            claim_batch_size=self.config.claim_batch_size,
            attempt_timeout=self.config.attempt_timeout,
            idle_poll_seconds=self.config.idle_poll_seconds,
            wait_log=self._wait_log,
            on_attempt=report,
            is_stopped=lambda: self._is_stopped,
            reaper=ClaimReaper(self.queue, self.config),
        )

    def claim_videos(self, max_videos: int) -> ClaimBlock:
        """Claim up to `max_videos` videos for the caller's own loop. They are held while the `with` block runs."""
        self._sweep_parts()
        return ClaimBlock(self.queue, self.config, max_videos)

    def _sweep_parts(self) -> None:
        """Remove partial files that nobody resumes, once."""
        if not self._is_swept:
            self._is_swept = True
            sweep_parts(self.queue, self.config.work_dir)
            if isinstance(
                self.config.output_dir, str
            ):  # in the background, because the first listing of a large place takes minutes
                sweep = partial(sweep_storage, self.config.output_dir)
                threading.Thread(target=sweep, name="sweep", daemon=True).start()

    def give_back(self) -> int:
        """Release all claims of this run, including those of an interrupted request. Return the number of rows."""
        return self.queue.release_holder(self.queue.worker)

    def show_dashboard(self, page: Page) -> None:
        """Write a report to the sheet's tab Dashboard. Do nothing if the queue is a database.

        Raises StoreError if the tab cannot be written, and ConfigError if a person can fix the cause.
        """
        show_dashboard(self.config, page)

    def rounds(self, limits: Limits, summary: Summary) -> Iterator[Limits]:
        """Yield the remaining limits for each round of expanding and processing, until nothing is left to do.

        Between rounds, wait for the end of a cooldown or a pause, and for videos that will be tried again soon, but not for
        sources and premieres. `summary` contains the results of the previous rounds; the caller adds to it.
        """
        began = time.monotonic()
        while True:
            yield limits.less(summary.attempted, time.monotonic() - began)
            left = limits.less(summary.attempted, time.monotonic() - began)
            if summary.unfit or left.reached or self._is_stopped:
                return
            if blocked := self.queue.admission.blocked():
                if not self._is_anything_due(left) or not self._wait_while_blocked(blocked, left.max_seconds):
                    return
                continue
            wait_seconds = self._seconds_until_due()
            summary.held_back = self.queue.held_back_by_targets()
            if wait_seconds is None or wait_seconds > self._longest_wait(left):
                return
            if wait_seconds:
                log.warning("waiting %.0f s for videos that will be tried again", wait_seconds)
                self._sleep(wait_seconds)

    def _sleep(self, seconds: float) -> None:
        """Sleep in short parts, so that `stop` takes effect between them."""
        ends_at, part_seconds = time.monotonic() + seconds, max(self.config.idle_poll_seconds, PAUSE_CHECK_SECONDS)
        while not self._is_stopped and (left_seconds := ends_at - time.monotonic()) > 0:
            time.sleep(min(left_seconds, part_seconds))

    def _longest_wait(self, left: Limits) -> float:
        return self.config.retry_backoff_max_seconds if left.max_seconds is None else left.max_seconds

    def _is_anything_due(self, left: Limits) -> bool:
        """Return whether a source is due, or a video is or will be tried again soon."""
        video_seconds, source_due = self._seconds_until_due(), self.queue.next_due(SOURCES)
        is_video_due = video_seconds is not None and video_seconds <= self._longest_wait(left)
        return is_video_due or (source_due is not None and source_due <= self.queue.store.now())

    def _wait_while_blocked(self, blocked: Blocked | None, max_seconds: float | None) -> bool:
        """Wait for the end of a cooldown or a pause. Return False if it ends too late, if possible without waiting."""
        ends_at = None if max_seconds is None else time.monotonic() + max_seconds
        if blocked:
            log.warning("waiting for the end of the cooldown or pause")
        while blocked and not self._is_stopped:
            blocked_seconds = (
                max(0.0, (blocked.until - self.queue.store.now()).total_seconds()) if blocked.until else None
            )
            seconds_left = None if ends_at is None else ends_at - time.monotonic()
            if seconds_left is not None and (seconds_left <= 0 or (blocked_seconds or 0) > seconds_left):
                log.warning("not waiting, because the time of this run ends first: %s", blocked.why)
                return False
            pauses = (blocked_seconds, seconds_left, max(self.config.idle_poll_seconds, PAUSE_CHECK_SECONDS))
            time.sleep(min(seconds for seconds in pauses if seconds is not None))
            self.queue.renew_offer()
            blocked = self.queue.admission.blocked()
        return True

    def _seconds_until_due(self) -> float | None:
        due = self.queue.next_due(VIDEO_TASKS)
        return max(0.0, (due - self.queue.store.now()).total_seconds()) if due else None


def _is_processed(result: AttemptResult | None) -> bool:
    """Return whether a video was processed, so that the next one may be tried at once."""
    return result is not None and result is not AttemptResult.GIVEN_BACK


_coordinators: weakref.WeakSet[Coordinator] = weakref.WeakSet()


def _after_fork() -> None:
    for coordinator in list(_coordinators):
        coordinator.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class _Threads:
    """An executor of attempts in threads, each with its child process. Once it is closed, no attempt runs or starts."""

    def __init__(self, process: Callable[[VideoTask], Outcome], concurrency: int) -> None:
        self._process = process
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="video")
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def submit(self, task: VideoTask) -> Future[Outcome]:
        return self._pool.submit(self._attempt, task)

    def close(self) -> None:
        """End attempts that nobody waits for: one may have been submitted at the moment of an interruption."""
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
