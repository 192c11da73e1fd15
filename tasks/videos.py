"""Process videos, each attempt in a Prefect task."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from typing import Any, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Failed

from tasks.context import opaque, value_of
from youtube_download_coordinator import Config, TransientError, VideoTask
from youtube_download_coordinator.models import Failure, Outcome, Verdict
from youtube_download_coordinator.operations import preflight
from youtube_download_coordinator.prefect.steps import is_worth_retrying
from youtube_download_coordinator.processes.parent import Stopped
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.queue.product_requests import request_of
from youtube_download_coordinator.workers.find_processor import check_processor, gets_url, resolve_processors
from youtube_download_coordinator.workers.in_process import refuse_filters
from youtube_download_coordinator.workers.run_processor import call_in_process, process_video
from youtube_download_coordinator.workers.worker import Submit, UncancellableFuture

FAILED_VERDICTS = {Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT}


@task(
    name="process video",
    task_run_name="{title}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def process(title: str, processor: str, video: VideoTask, config: Config) -> Outcome | State[Any]:
    """Make one attempt in a child process.

    The task has no Prefect retries, because the video's attempts are counted in its row. It has no Prefect timeout, because that
    cannot end a thread. The child process has a deadline instead, and its parent a second one.
    """
    try:
        outcome = process_video(processor, video, config)
    except Stopped as stopped:
        return Cancelled(message=f"{stopped}; the claim is released", data=stopped)
    if isinstance(outcome, Failure) and outcome.verdict in FAILED_VERDICTS:
        return Failed(message=str(outcome), data=outcome)
    return outcome


def submit_with(processor: str, config: Config) -> Submit:
    """Return a function that submits a video to `process`, or to the Prefect task that `processor` names.

    Raises ProcessorError, and PreflightError when this machine lacks something that the processor needs.
    """
    check_unless_imported(processor)
    preflight.require(config, processor)
    function, *_ = resolve_processors(processor).values()
    submit_to_child = _submit_to_child(processor, config)
    if not isinstance(function, Task):
        return submit_to_child
    refuse_filters(config)
    submit_to_task = _submit_to_task(function, config)
    # Products that people requested in addition come from built-in processors, not from the task.
    return lambda video: submit_to_child(video) if request_of(video.lease) else submit_to_task(video)


def check_unless_imported(processor: str) -> None:
    """Check the processors in a child process, unless their modules are imported already. Raises ProcessorError.

    The module of a Prefect task imports Prefect, which takes seconds in a child.
    """
    if any(name.partition(":")[0] not in sys.modules for name in processor_names(processor)):
        check_processor(processor)


def _submit_to_child(processor: str, config: Config) -> Submit:
    def submit(video: VideoTask) -> Future[Outcome]:
        outcome: Future[Outcome] = Future()
        outcome.set_running_or_notify_cancel()  # it is cancelled by stopping the child and waiting for the outcome
        _start_thread(
            outcome,
            lambda: value_of(process(video.name, processor, opaque(video), opaque(config), return_state=True)),
        )
        return outcome

    return submit


def _submit_to_task(user_task: Task[..., Any], config: Config) -> Submit:
    """Return a function that submits a video to a user's Prefect task: one task run, with its own retries, in one attempt.

    A thread cannot be ended. At the deadline the attempt counts as failed, and the flow continues and ends without the thread.
    """
    takes_url = gets_url(user_task.fn)
    retry = user_task.retry_condition_fn or is_worth_retrying

    def submit(video: VideoTask) -> Future[Outcome]:
        outcome = UncancellableFuture()
        named_task = user_task.with_options(
            task_run_name=user_task.task_run_name or (lambda: video.name), retry_condition_fn=retry
        )
        _start_thread(outcome, lambda: _attempt(named_task, video.url if takes_url else opaque(video), video))
        _fail_after(config.attempt_timeout.total_seconds(), outcome)
        return outcome

    return submit


def _attempt(user_task: Task[..., Any], argument: object, video: VideoTask) -> Outcome:
    def call(_: object) -> object:
        state: Any = user_task(argument, return_state=True)
        return _result_of(state) if inspect.isawaitable(state) else cast("State[Any]", state).result()

    try:
        return call_in_process(call, video)
    except BaseException as error:  # noqa: BLE001  sys.exit in a task must not end the flow
        return TransientError(f"{type(error).__name__}: {error}", reason="exited").failure


async def _result_of(state: Awaitable[State[Any]]) -> object:
    return await (await state).aresult()


def _start_thread(outcome: Future[Outcome], attempt: Callable[[], Outcome]) -> None:
    """Run the attempt in a daemon thread with this run's context. Neither the flow nor the interpreter waits for it.

    Prefect's own task runner waits for its threads, so a task that hangs would keep the flow from ending.
    """

    def run() -> None:
        with suppress(InvalidStateError):  # a deadline or an interrupt came first
            try:
                outcome.set_result(attempt())
            except BaseException as error:  # noqa: BLE001  the worker handles a stopped child
                outcome.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="attempt", daemon=True).start()


def _fail_after(seconds: float, outcome: Future[Outcome]) -> None:
    def fail() -> None:
        with suppress(InvalidStateError):
            outcome.set_result(TransientError(f"not done after {seconds:g} s", reason="timeout").failure)

    timer = threading.Timer(seconds, fail)
    timer.daemon = True
    outcome.add_done_callback(lambda _: timer.cancel())
    timer.start()
