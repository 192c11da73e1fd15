"""Claim, process and finish videos in your own flow, with steps between them.

    with claim_videos(100) as videos:
        for video in videos:
            audio = process_video(video, "audio")
            finish(video, transcribe(audio))

The `with` block owns its claims (workers/claim_block.py of the library). While it runs, each claim is renewed until the video's
deadline. When it ends, for whatever reason, the remaining claims are released.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from youtube_download_coordinator import AttemptError, TransientError, VideoTask
from youtube_download_coordinator.errors import ClaimLost, attempt_error
from youtube_download_coordinator.models import Failure
from youtube_download_coordinator.prefect.flow_run import open_coordinator
from youtube_download_coordinator.prefect.run_state import ending_as_cancelled
from youtube_download_coordinator.workers.attempts import AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock
from youtube_download_coordinator.workers.run_processor import process_video as process_in_child

_open: list[ClaimBlock] = []


@contextmanager
def claim_videos(max_videos: int = 10) -> Iterator[ClaimBlock]:
    """Claim videos that are due, a few at a time, to iterate over in the block.

    An error that leaves the block is a failed attempt at the current video. Other videos that are not finished by then are
    released, and no attempt is counted. A cancelled run ends here, even if its worker is gone.
    """
    with ending_as_cancelled(), open_coordinator().claim_videos(max_videos) as videos:
        _open.append(videos)
        try:
            yield videos
        finally:
            _open.remove(videos)


def is_worth_retrying(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether to repeat a user's task inside the attempt. False after an error that decides what happens to the video."""
    return not isinstance(state.data, AttemptError) or isinstance(state.data, TransientError)


def _name() -> str:
    video: VideoTask = runtime.task_run.parameters["video"]
    return video.name


@task(
    name="process video",
    task_run_name=_name,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def process_video(video: VideoTask, processor: str | None = None) -> str:
    """Run a processor, or several, on a claimed video in a child process, until the video's deadline. Return its result.

    Without `processor`, the setting of that name is used.

    Raises the processor's AttemptError, which should be passed to `finish` (UnfitError: there is no such processor), and
    ClaimLost if the deadline is past.
    """
    videos = _holding(video)
    seconds_left = max(1.0, videos.seconds_left(video))
    config = videos.config.model_copy(update={"attempt_timeout_minutes": seconds_left / 60})
    outcome = process_in_child(processor or config.processor, video, config)
    if isinstance(outcome, Failure):
        raise attempt_error(outcome)
    return outcome.result


def finish(video: VideoTask, result: object = None) -> AttemptResult:
    """Record the result of a claimed video, or the exception that it failed with. Return the result of the attempt.

    This is not a Prefect task, because a video is one task run and Prefect must not retry the recording.
    """
    return _holding(video).finish(video, result)


def _holding(video: VideoTask) -> ClaimBlock:
    for videos in reversed(_open):
        if videos.holds(video):
            return videos
    raise ClaimLost(f"{video.url} does not belong to an open claim_videos block")
