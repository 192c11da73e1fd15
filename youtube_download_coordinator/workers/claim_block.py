"""Videos for code that goes through them itself, instead of giving a processor to a worker.

    with coordinator.claim_videos(100) as videos:       # claimed a few at a time, as the loop comes to them
        for video in videos:                            # its attempt begins, and its deadline
            videos.finish(video, transcribe(video))     # the result; or an exception, which counts as a processor's does

The block is the owner: claims are renewed while it runs, and whatever ends it, nothing stays held: what was finished is recorded,
what was not is given back. An error that leaves the block counts as a failed attempt at the video that the loop is at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ClaimLost, StoreError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processes import parent as children
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.queue import describe
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.heartbeat import Heartbeat
from youtube_download_coordinator.workers.reaper import ClaimReaper
from youtube_download_coordinator.workers.run_processor import outcome_of_result
from youtube_download_coordinator.workers.worker import (
    DEADLINE_GRACE_SECONDS,
    AttemptResult,
    attempt_result,
    settle_one,
    wait_to_begin,
)

log = logging.getLogger(__name__)


class ClaimBlock:
    """Up to `max_videos` videos that are due, for as long as the `with` block runs. Safe to use from several threads."""

    def __init__(self, queue: Queue, config: Config, max_videos: int) -> None:
        self.config = config
        self._queue = queue
        self._left = max_videos
        self._waiting: list[Claim[VideoTask]] = []
        self._begun: dict[int, Claim[VideoTask]] = {}
        self._at: int | None = None
        self._stopped = False
        self._open = ExitStack()

    def __enter__(self) -> ClaimBlock:
        self._attempts_run = self._open.enter_context(ClaimReaper(self._queue, self.config))
        self._open.enter_context(Heartbeat(self._queue))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, Exception):
                self._failed(error)
            elif error is None:
                self._give_back_unfinished()
            else:
                children.stop_all()
            self._leave()
        except StoreError as failure:  # what ended the block matters more; the survivor tries again when we are gone
            log.error("claims cannot be given back: %s", failure)  # noqa: TRY400
        finally:
            self._open.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[VideoTask]:
        """Begin with one video after another, until none is due, `max_videos` are reached, or this worker is to stop."""
        while claim := self._next():
            self._at = claim.row.id
            self._begun[claim.row.id] = claim
            deadline_seconds = self.config.attempt_timeout.total_seconds() + DEADLINE_GRACE_SECONDS
            claim.renew_until = self._queue.monotonic() + deadline_seconds
            self._attempts_run(list(self._begun))
            log.info("%s: attempt %d begins", describe(claim.row), claim.row.lease.tries + 1)
            yield claim.row
        self._at = None

    def finish(self, video: VideoTask, result: object = None) -> AttemptResult:
        """Record what came of a video; waits while the store is unavailable, as long as the claim may hold.

        `result` is what a processor returns, or an exception that it raises: both mean the same here (run_processor.py). Lost: the
        claim ran out, or the video was finished before, and nothing is recorded. Raises StoreUnavailable.
        """
        claim = self._begun.pop(video.id, None)
        if claim is None:
            log.warning("%s is not held by this block any more: its outcome is dropped", describe(video))
            return AttemptResult.LOST
        if isinstance(result, children.Stopped):
            self._queue.release([claim])
            return AttemptResult.GIVEN_BACK
        ending = self._record(claim, result)
        self._attempts_run(list(self._begun))
        return ending

    def seconds_left(self, video: VideoTask) -> float:
        """Until the deadline of a video's attempt. Raises ClaimLost when it is past, or the video is not held."""
        claim = self._begun.get(video.id)
        if claim is None or claim.renew_until is None or not self._queue.is_valid(claim):
            raise ClaimLost(f"{describe(video)} is not held by this block, or not any more")
        return max(0.0, claim.renew_until - DEADLINE_GRACE_SECONDS - self._queue.monotonic())

    def holds(self, video: VideoTask) -> bool:
        """Whether this is the block that the video came from."""
        return video.lease.holder == self._queue.worker

    def _next(self) -> Claim[VideoTask] | None:
        while not self._stopped and (self._waiting or self._claim()):
            if self._queue.admission.needs_probe:
                self._claim_anew()
                continue
            claim = self._waiting.pop(0)
            if self._queue.is_valid(claim):  # else it ran out in a suspended machine
                self._stopped = wait_to_begin(self._queue.admission, VIDEO_TASKS, claim.row) is not None
                if not self._stopped and self._queue.is_valid(claim):  # still: the store may have been away
                    return claim
            self._queue.release([claim])
        return None

    def _claim_anew(self) -> None:
        """A cooldown came and went: what waits since before would begin beside the probe."""
        self._queue.release(self._waiting)
        self._left += len(self._waiting)
        self._waiting.clear()

    def _claim(self) -> bool:
        count = min(self.config.claim_batch_size, self._left)
        self._waiting += self._queue.claim(VIDEO_TASKS, count) if count > 0 else []
        self._left -= len(self._waiting)
        return bool(self._waiting)

    def _record(self, claim: Claim[VideoTask], result: object) -> AttemptResult:
        outcome = outcome_of_result(result)
        row = settle_one(self._queue, claim, outcome)
        ending = attempt_result(outcome, row)
        level = logging.INFO if ending is AttemptResult.DONE else logging.WARNING
        log.log(
            level, "%s: %s: %s", describe(claim.row), ending, row.lease.detail if row else "somebody else holds it now"
        )
        self._stopped = self._stopped or ending is AttemptResult.GIVEN_BACK
        return ending

    def _failed(self, error: Exception) -> None:
        """An error left the block: it is the fault of the video that the loop is at, if it is any video's."""
        if self._at is None or self._at not in self._begun:
            return
        claim = self._begun.pop(self._at)
        if isinstance(error, StoreError | children.Stopped):
            self._queue.release([claim])
        else:
            self._record(claim, error)

    def _give_back_unfinished(self) -> None:
        if self._begun:
            log.warning("%d videos were begun and not finished; they are given back", len(self._begun))
            self._queue.release(list(self._begun.values()))
            self._begun.clear()

    def _leave(self) -> None:
        """Give back what waits. Threads may still be at what was begun: it is free when this process has ended."""
        self._queue.forget(list(self._begun.values()))
        self._queue.release(self._waiting)
        if self._begun:
            log.warning(
                "%d videos may still be worked on; they are given back when this process ends", len(self._begun)
            )
