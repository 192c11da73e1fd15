"""For a flow of your own, with steps that no processor has: claim videos, process them, finish them.

    with claim_videos(100) as videos:
        for video in videos:
            audio = process_video(video, "audio")
            finish(video, transcribe(audio))

The `with` block is the owner of what it claims (workers/claim_block.py of the library): claims are renewed while it runs, that of each
video until its deadline, and nothing is held when it ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from tasks.context import coordinator
from tasks.videos import may_go_away
from youtube_download_coordinator import VideoTask
from youtube_download_coordinator.errors import ClaimLost, attempt_error
from youtube_download_coordinator.models import Failure
from youtube_download_coordinator.workers.attempts import AttemptResult
from youtube_download_coordinator.workers.claim_block import ClaimBlock
from youtube_download_coordinator.workers.run_processor import process_video as process_in_child

_open: list[ClaimBlock] = []


@contextmanager
def claim_videos(max_videos: int = 10) -> Iterator[ClaimBlock]:
    """Videos that are due, to be gone through in the block: claimed a few at a time, held until they are finished.

    An error that leaves the block is a failed attempt at the video that the loop is at; what else is not finished by then is
    given back without a count.
    """
    with coordinator().claim_videos(max_videos) as videos:
        _open.append(videos)
        try:
            yield videos
        finally:
            _open.remove(videos)


def _name() -> str:
    video: VideoTask = runtime.task_run.parameters["video"]
    return video.name


@task(
    name="process video",
    task_run_name=_name,
    retry_condition_fn=may_go_away,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def process_video(video: VideoTask, processor: str = "audio") -> str:
    """Run a processor on a claimed video, in a child process, within what is left of its deadline; the result.

    Raises the AttemptError that the processor failed with, to be handed to `finish` (UnfitError: there is no such processor), and
    ClaimLost when the deadline is past.
    """
    videos = _holding(video)
    seconds_left = max(1.0, videos.seconds_left(video))
    config = videos.config.model_copy(update={"attempt_timeout_minutes": seconds_left / 60})
    outcome = process_in_child(processor, video, config)
    if isinstance(outcome, Failure):
        raise attempt_error(outcome)
    return outcome.result


def finish(video: VideoTask, result: object = None) -> AttemptResult:
    """Record what came of a claimed video: its result, or the exception that it failed with; what became of the row.

    No Prefect task: a video is one task run, and there is nothing here that Prefect could try again better.
    """
    return _holding(video).finish(video, result)


def _holding(video: VideoTask) -> ClaimBlock:
    for videos in reversed(_open):
        if videos.holds(video):
            return videos
    raise ClaimLost(f"{video.url} does not come from a claim_videos block that is open")
