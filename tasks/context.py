"""The run that we are in: its coordinator, its log, and how it ends when something is wrong that a line can say."""

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
from tasks.events import cooldown_opened, video_ended
from youtube_download_coordinator import Coordinator, CoordinatorError, StoreUnavailable, UserError
from youtube_download_coordinator.wiring import worker_name

P = ParamSpec("P")
T = TypeVar("T")

RETRY_DELAYS_SECONDS = [5.0, 20.0, 60.0]
"""Of a step that found the store unavailable."""


class RunLogHandler(APILogHandler):
    """Sends to the run what is logged inside one. Elsewhere it is silent, where Prefect's own would warn."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


class NotSaidYet(logging.Filter):
    """Drops a traceback through Prefect's engine, which it logs after a flow has returned a failed state, with its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def _show_the_librarys_log_in_runs() -> None:
    """Like PREFECT_LOGGING_EXTRA_LOGGERS, which is of no use to us: a worker has read it before it loads a flow.

    Whoever has set it all the same reads each line once. The level is that of Prefect's own loggers, PREFECT_LOGGING_LEVEL.
    """
    library = logging.getLogger("youtube_download_coordinator")
    if not any(isinstance(handler, APILogHandler) for handler in library.handlers):
        library.addHandler(RunLogHandler())
    if library.level == logging.NOTSET:
        # From the setting: Prefect gives its loggers their level only when the first run begins.
        library.setLevel(get_current_settings().logging.level)


_show_the_librarys_log_in_runs()
logging.getLogger("prefect.flow_runs").addFilter(NotSaidYet())


def opaque(value: T) -> T:
    """An argument of a task that Prefect does not look into: a queue is no place to search for futures."""
    return cast(T, quote(value))


def coordinator() -> Coordinator:
    """A coordinator with the worker's settings; its claims carry the ID of the flow run.

    No setting comes from a parameter, which Prefect would store in clear.
    """
    ours = Coordinator(settings_of_this_worker(), run=str(runtime.flow_run.id or ""))
    ours.queue.on_attempt_end = video_ended
    ours.queue.admission.on_cooldown = cooldown_opened
    return ours


def host() -> str:
    """This machine's name, as it stands in ClaimedBy."""
    return worker_name("").partition("/")[0]


def rename_run(name: str) -> None:
    """Say in the run's name what has come of it."""
    if not runtime.flow_run.id:
        return
    with unless_prefect_is_away("a new name of this run"), get_client(sync_client=True) as client:
        client.update_flow_run(UUID(runtime.flow_run.id), name=name)


@contextmanager
def unless_prefect_is_away(what: str) -> Iterator[None]:
    """Show something: what was done stands in the queue, and is not undone because a server does not answer."""
    try:
        yield
    except (PrefectHTTPStatusError, HTTPError) as error:
        get_run_logger().warning("Prefect's server did not take %s: %s", what, error)


def fail_with_message(flow_function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """End the flow as failed, with the line that says what to mend, where an error of ours would show as a traceback."""

    @wraps(flow_function)
    def in_one_line(*arguments: P.args, **named: P.kwargs) -> State[Any]:
        try:
            return flow_function(*arguments, **named)
        except CoordinatorError as error:
            line = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            get_run_logger().error("%s", line)
            return Failed(message=line)

    # Prefect would look up the names of annotations in this module, not in the flow's.
    in_one_line.__signature__ = inspect.signature(flow_function, eval_str=True)  # type: ignore[attr-defined]
    return in_one_line


def store_was_unavailable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Whether a step that is safe to repeat is worth repeating: a person's mistake does not go away by itself."""
    return isinstance(state.data, StoreUnavailable)


REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE: dict[str, Any] = {
    "retries": len(RETRY_DELAYS_SECONDS),
    "retry_delay_seconds": RETRY_DELAYS_SECONDS,
    "retry_condition_fn": store_was_unavailable,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Of a Prefect task around one step that is safe to repeat."""


def no_prefect_retry(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Never repeat a task.

    With `retries=1`, and not with none: Prefect logs a failed state that a task returns after its last retry together with the
    traceback of no exception ("NoneType: None").
    """
    return False


def value_of(state: State[Any]) -> Any:
    """What a state holds, also a failed one; an exception is raised."""
    value = getattr(state.data, "result", state.data)
    if isinstance(value, BaseException):
        raise value
    return value
