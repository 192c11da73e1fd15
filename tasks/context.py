"""Run and repeat tasks, and end a flow with one line after an error that the line explains."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from prefect.states import Failed
from prefect.task_engine import TaskRunTimeoutError
from prefect.utilities.annotations import quote

from youtube_download_coordinator import CoordinatorError, StoreUnavailable, UserError
from youtube_download_coordinator.prefect.deployment_runs import delete_overdue_runs
from youtube_download_coordinator.prefect.run_state import wait_for_server, watching_for_cancellation

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("youtube_download_coordinator.runs")
"""Logs the end of a run, also where deploy/ has switched off Prefect's own lines about each run."""

STEP_SECONDS = 600.0
"""The timeout of a step. It runs on the main thread, where Prefect can interrupt it."""
RETRY_DELAYS_SECONDS = [5.0, 20.0, 60.0]
"""Delays between repetitions of a step, if the store is unavailable."""


def opaque(value: T) -> T:
    """Wrap an argument of a task, such as a queue, so that Prefect does not search it for futures."""
    return cast(T, quote(value))


def fail_with_message(flow_function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """End a flow that raises a CoordinatorError as failed, with the error's line instead of a traceback.

    The last line of the run's log is its final state. A cancelled run ends as Cancelled, even if no worker watches it. A run that
    receives SIGTERM ends as Stopped. No other run ends before Prefect's server answers.
    """

    def outcome(*arguments: P.args, **named: P.kwargs) -> State[Any]:
        try:
            return flow_function(*arguments, **named)
        except (CoordinatorError, TaskRunTimeoutError) as error:
            line = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            get_run_logger().error("%s", line)
            return Failed(message=line)

    @wraps(flow_function)
    def run_flow(*arguments: P.args, **named: P.kwargs) -> State[Any]:
        delete_overdue_runs()
        with watching_for_cancellation() as watch:
            try:
                state = outcome(*arguments, **named)
                wait_for_server()
            except TerminationSignal:
                if watch is None:
                    raise
                watch.interrupted()
            # An interrupted subflow has returned, so its parent ends too.
            state = (watch and watch.final_state()) or state
            if not state.is_failed():
                log.info("%s: %s", state.name, state.message)
            return state

    # Prefect would look up the names of annotations in this module instead of the flow's.
    run_flow.__signature__ = inspect.signature(flow_function, eval_str=True)  # type: ignore[attr-defined]
    return run_flow


def store_was_unavailable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether to repeat a step: only if the store was unavailable, because a user error would occur again."""
    return isinstance(state.data, StoreUnavailable)


REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE: dict[str, Any] = {
    "retries": len(RETRY_DELAYS_SECONDS),
    "retry_delay_seconds": RETRY_DELAYS_SECONDS,
    "retry_condition_fn": store_was_unavailable,
    "timeout_seconds": STEP_SECONDS,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Options of a Prefect task for one step that is safe to repeat."""


def value_of(state: State[Any]) -> Any:
    """Return the value of a state, even of a failed one. If the value is an exception, raise it."""
    value = getattr(state.data, "result", state.data)
    if isinstance(value, BaseException):
        raise value
    return value
