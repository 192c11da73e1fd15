"""The run that we are in: its coordinator, and how it ends when a person has made a mistake."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Failed
from prefect.utilities.annotations import quote

from youtube_download_coordinator import Config, Coordinator, UserError

P = ParamSpec("P")
T = TypeVar("T")


def opaque(value: T) -> T:
    """An argument of a task that Prefect does not look into: a queue is no place to search for futures."""
    return cast(T, quote(value))


def coordinator() -> Coordinator:
    """A coordinator with the worker's settings; its claims carry the ID of the flow run.

    Settings come from the worker's environment, never from a parameter, which Prefect would store in clear.
    """
    return Coordinator(Config(), run=str(runtime.flow_run.id or ""))


def mistakes_in_one_line(flow_function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """End the flow as failed, with the line that says what to mend, where a person's mistake would show as a traceback."""

    @wraps(flow_function)
    def in_one_line(*arguments: P.args, **named: P.kwargs) -> State[Any]:
        try:
            return flow_function(*arguments, **named)
        except UserError as error:
            get_run_logger().error("%s", error)
            return Failed(message=str(error))

    return in_one_line
