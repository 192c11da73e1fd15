"""Videos: processed by a processor, one Prefect task for each attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Failed

from tasks.context import opaque
from tasks.sources import value_of
from youtube_download_coordinator import Config, TransientError, VideoTask
from youtube_download_coordinator.models import Failure, Outcome, Verdict
from youtube_download_coordinator.processing import (
    argument_of,
    call_in_process,
    check_processor,
    process_video,
    resolve_processor,
)
from youtube_download_coordinator.worker import Submit

FAILED_VERDICTS = {Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT}


@task(name="process video", task_run_name="{title}", cache_policy=NO_CACHE)
def process(title: str, processor: str, video: VideoTask, config: Config) -> Outcome | State[Outcome]:
    """Make one attempt in a child process.

    No Prefect retries: the video's attempts are counted in its row. No Prefect timeout: it ends nothing in a thread, and says
    so for each task; the child has a deadline, and its parent a second one.
    """
    outcome = process_video(processor, video, config)
    if isinstance(outcome, Failure) and outcome.verdict in FAILED_VERDICTS:
        return Failed(message=str(outcome), data=outcome)
    return outcome


def submit_with(processor: str, config: Config) -> Submit:
    """How a worker has videos processed: by the task above, or by the Prefect task that the import path leads to.

    Raises ProcessorError.
    """
    check_processor(processor)
    found = resolve_processor(processor)
    return _with_a_task_of_the_users(found, config) if isinstance(found, Task) else _in_a_child(processor, config)


def _in_a_child(processor: str, config: Config) -> Submit:
    def submit(video: VideoTask) -> Future[Outcome]:
        future = process.submit(video.title or video.url, processor, opaque(video), opaque(config))
        return _when_done(future, lambda: value_of(future.state))

    return submit


def _with_a_task_of_the_users(user_task: Task[..., Any], config: Config) -> Submit:
    """A Prefect task runs as a task run of its own, with its own retries, inside one attempt.

    Nothing can end a thread: at the deadline the attempt counts as failed, and the flow goes on without it.
    """
    gets_url = argument_of(user_task.fn, by_default="task") == "url"

    def submit(video: VideoTask) -> Future[Outcome]:
        future = user_task.submit(video.url if gets_url else opaque(video))
        outcome = _when_done(future, lambda: call_in_process(lambda _: future.result(), video))
        _fail_after(config.attempt_timeout.total_seconds(), outcome)
        return outcome

    return submit


def _when_done(future: PrefectFuture[Any], outcome: Callable[[], Outcome]) -> Future[Outcome]:
    """A future that the worker can wait for, with the outcome that is made when Prefect's is done."""
    ours: Future[Outcome] = Future()

    def on_done(_: object) -> None:
        future.wait()  # only now it knows its final state
        with suppress(InvalidStateError):  # the deadline was faster
            try:
                ours.set_result(outcome())
            except BaseException as error:  # noqa: BLE001  a stopped child: the worker knows what it means
                ours.set_exception(error)

    future.add_done_callback(on_done)
    return ours


def _fail_after(seconds: float, outcome: Future[Outcome]) -> None:
    def fail() -> None:
        with suppress(InvalidStateError):
            outcome.set_result(TransientError(f"not done after {seconds:g} s", reason="timeout").failure)

    timer = threading.Timer(seconds, fail)
    timer.daemon = True
    outcome.add_done_callback(lambda _: timer.cancel())
    timer.start()
