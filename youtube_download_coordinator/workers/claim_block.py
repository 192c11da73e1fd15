"""Lend claimed videos to a user's own loop, instead of giving a processor to a worker.

    with coordinator.claim_videos(100) as videos:       # claimed a few at a time, as the loop comes to them
        for video in videos:                            # its attempt begins, and its deadline
            videos.finish(video, transcribe(video))     # the result; or an exception, which counts as a processor's does

The block owns the claims. They are renewed while it runs. However it ends, no claim is left: finished videos are recorded and the
others are released. An error that leaves the block counts as a failed attempt at the loop's current video.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ClaimLost, StoreError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processes.parent import Stopped, stop_all
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.claims import describe
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import AttemptResult, Attempts, log_attempt
from youtube_download_coordinator.workers.heartbeat import Heartbeat
from youtube_download_coordinator.workers.reaper import ClaimReaper
from youtube_download_coordinator.workers.run_processor import outcome_of_result

log = logging.getLogger(__name__)


class ClaimBlock:
    """Up to `max_videos` due videos, claimed while the `with` block runs. Any thread may finish them."""

    def __init__(self, queue: Queue, config: Config, max_videos: int) -> None:
        self.config = config
        self._queue = queue
        self._attempts = Attempts(
            queue=queue,
            table=VIDEO_TASKS,
            timeout=config.attempt_timeout,
            claim_batch_size=config.claim_batch_size,
            max_rows=max_videos,
        )
        self._current: Claim[VideoTask] | None = None
        self._open = ExitStack()

    def __enter__(self) -> ClaimBlock:
        self._attempts.report_running = self._open.enter_context(ClaimReaper(self._queue, self.config))
        self._open.enter_context(Heartbeat(self._queue))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, Exception):
                self._fail_current(error)
            elif error is not None:
                stop_all()
        except StoreError as failure:
            # Do not hide the error that ended the block. The reaper tries again when this process has ended.
            log.error("an outcome could not be recorded: %s", failure)  # noqa: TRY400
        finally:
            self._close(may_still_run=error is not None)
            self._open.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[VideoTask]:
        """Begin one video after another until none is due, `max_videos` are reached, or this worker has to stop."""
        while claim := self._attempts.wait_to_begin():
            self._current = claim
            yield claim.row
        self._current = None

    def finish(self, video: VideoTask, result: object = None) -> AttemptResult:
        """Record the outcome of a video. Wait while the store is unavailable and the claim may be valid.

        `result` is the return value of a processor, or an exception that it raises (run_processor.py). If the claim has expired,
        or the video was finished before, nothing is recorded and the result is LOST. Raises StoreUnavailable.
        """
        claim = self._take(video)
        if claim is None:
            log.warning("%s is no longer held by this block: the outcome is discarded", describe(video))
            return AttemptResult.LOST
        return self._record(claim, result)

    def seconds_left(self, video: VideoTask) -> float:
        """Return the seconds until the attempt's deadline. Raises ClaimLost if it is past, or the video is not held."""
        claim = self._claim_of(video)
        if claim is None or claim.renew_until is None or not self._queue.is_valid(claim):
            raise ClaimLost(f"{describe(video)} is not held by this block")
        return max(0.0, claim.renew_until - self._attempts.grace_seconds - self._queue.monotonic())

    def holds(self, video: VideoTask) -> bool:
        """Return whether the video was claimed by this block."""
        return video.lease.holder == self._queue.worker

    def _claim_of(self, video: VideoTask) -> Claim[VideoTask] | None:
        return next((claim for claim in reversed(list(self._attempts.begun)) if claim.row.id == video.id), None)

    def _take(self, video: VideoTask) -> Claim[VideoTask] | None:
        """Return the claim of a video. Only the first call returns it, because two threads may finish a video."""
        claim = self._claim_of(video)
        return claim if claim and self._attempts.begun.pop(claim, None) else None

    def _record(self, claim: Claim[VideoTask], result: object) -> AttemptResult:
        if isinstance(result, Stopped):
            self._attempts.end(claim, None)
            self._attempts.release([claim])
            return AttemptResult.GIVEN_BACK
        outcome = outcome_of_result(result)
        return log_attempt(claim.row, outcome, self._attempts.settle(claim, outcome)).result

    def _fail_current(self, error: Exception) -> None:
        """Count an error that left the block as a failed attempt at the loop's current video, unless no video caused it."""
        claim = self._take(self._current.row) if self._current else None
        if claim:
            self._record(claim, Stopped(str(error)) if isinstance(error, StoreError) else error)

    def _close(self, *, may_still_run: bool) -> None:
        """Release the other videos. After an error, threads may still be processing those that were begun."""
        begun = list(self._attempts.begun)
        if begun and not may_still_run:
            log.warning("%d videos were started and not finished; they are released", len(begun))
        self._attempts.close(running=begun if may_still_run else ())
