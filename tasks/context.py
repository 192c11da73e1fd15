"""The current run: its coordinator, its log, and its end after an error that one line explains."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from httpx import HTTPError
from prefect import runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import FailedRun, PrefectHTTPStatusError
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings
from prefect.states import Failed
from prefect.utilities.annotations import quote

from tasks.blocks import settings_of_this_worker
from tasks.events import cooldown_opened, outage_suspected, video_ended
from youtube_download_coordinator import Coordinator, CoordinatorError, StoreUnavailable, UserError
from youtube_download_coordinator.wiring import worker_name

P = ParamSpec("P")
T = TypeVar("T")

RETRY_DELAYS_SECONDS = [5.0, 20.0, 60.0]
"""Delays of a step that found the store unavailable."""


class RunLogHandler(APILogHandler):
    """Sends log records of a run to it. Outside a run it drops them, where Prefect's own handler would warn."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def _is_not_a_failed_run(record: logging.LogRecord) -> bool:
    """Return False for the traceback through its own engine that Prefect logs after a flow returned a failed state."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def _show_library_log_in_runs() -> None:
    """Send the library's log to the runs. PREFECT_LOGGING_EXTRA_LOGGERS would not: a worker reads it before it loads a flow.

    If it is set nevertheless, each line is sent once. The level is that of Prefect's own loggers, PREFECT_LOGGING_LEVEL.
    """
    library = logging.getLogger("youtube_download_coordinator")
    if not any(isinstance(handler, APILogHandler) for handler in library.handlers):
        library.addHandler(RunLogHandler())
    if library.level == logging.NOTSET:
        # From the setting: Prefect sets the level of its loggers only when the first run begins.
        library.setLevel(get_current_settings().logging.level)


_show_library_log_in_runs()
logging.getLogger("prefect.flow_runs").addFilter(_is_not_a_failed_run)


def opaque(value: T) -> T:
    """Wrap an argument of a task, such as a queue, so that Prefect does not search it for futures."""
    return cast(T, quote(value))


def open_coordinator() -> Coordinator:
    """Open a coordinator with the worker's settings. Its claims contain the ID of the flow run.

    No setting is a flow parameter, because Prefect stores parameters unencrypted.
    """
    coordinator = Coordinator(settings_of_this_worker(), run=str(runtime.flow_run.id or ""))
    coordinator.queue.on_attempt_end = video_ended
    coordinator.queue.admission.on_cooldown = cooldown_opened
    coordinator.queue.admission.on_suspicion = outage_suspected
    return coordinator


def host() -> str:
    """Return this machine's name, as in ClaimedBy."""
    return worker_name("").partition("/")[0]


def rename_run(name: str) -> None:
    """Change the run's name, which shows what it did."""
    if not runtime.flow_run.id:
        return
    with tolerate_prefect_errors("a new name of this run"), get_client(sync_client=True) as client:
        client.update_flow_run(UUID(runtime.flow_run.id), name=name)


@contextmanager
def tolerate_prefect_errors(what: str) -> Iterator[None]:
    """Log a warning when Prefect's server fails to show something: the results are in the queue, and the flow goes on."""
    try:
        yield
    except (PrefectHTTPStatusError, HTTPError) as error:
        get_run_logger().warning("Prefect's server did not take %s: %s", what, error)


def fail_with_message(flow_function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """End a flow that raises a CoordinatorError as failed, with the error's line instead of a traceback."""

    @wraps(flow_function)
    def run_flow(*arguments: P.args, **named: P.kwargs) -> State[Any]:
        try:
            return flow_function(*arguments, **named)
        except CoordinatorError as error:
            line = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            get_run_logger().error("%s", line)
            return Failed(message=line)

    # Prefect would look up the names of annotations in this module instead of the flow's.
    run_flow.__signature__ = inspect.signature(flow_function, eval_str=True)  # type: ignore[attr-defined]
    return run_flow


def store_was_unavailable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether to repeat a step that is safe to repeat: not after a user error, which would only occur again."""
    return isinstance(state.data, StoreUnavailable)


REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE: dict[str, Any] = {
    "retries": len(RETRY_DELAYS_SECONDS),
    "retry_delay_seconds": RETRY_DELAYS_SECONDS,
    "retry_condition_fn": store_was_unavailable,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Options of a Prefect task around one step that is safe to repeat."""


def no_prefect_retry(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Never repeat a task.

    It is used with `retries=1`: without retries, Prefect logs a failed state that a task returns together with an empty
    traceback ("NoneType: None").
    """
    return False


def value_of(state: State[Any]) -> Any:
    """Return the value of a state, also of a failed one; raise it if it is an exception."""
    value = getattr(state.data, "result", state.data)
    if isinstance(value, BaseException):
        raise value
    return value
