"""Set up the current flow run: its coordinator, its log, and its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from httpx import HTTPError
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import FailedRun, PrefectHTTPStatusError
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings

from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.block import settings_of_this_worker
from youtube_download_coordinator.prefect.events import cooldown_opened, outage_suspected, video_ended
from youtube_download_coordinator.wiring import worker_name


class RunLogHandler(APILogHandler):
    """A handler that sends log records to the current run. Outside a run it drops them; Prefect's own handler would warn."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def _is_not_a_failed_run(record: logging.LogRecord) -> bool:
    """Return False for the traceback through its own engine that Prefect logs after a flow returned a failed state."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def _show_library_log_in_runs() -> None:
    """Send the library's log to the runs. PREFECT_LOGGING_EXTRA_LOGGERS has no effect, because a worker reads it too early.

    If it is set nevertheless, each line is sent once. The level is PREFECT_LOGGING_LEVEL, as for Prefect's own loggers.
    """
    library = logging.getLogger("youtube_download_coordinator")
    if not any(isinstance(handler, APILogHandler) for handler in library.handlers):
        library.addHandler(RunLogHandler())
    if library.level == logging.NOTSET:
        # From the setting: Prefect sets the level of its loggers only when the first run begins.
        library.setLevel(get_current_settings().logging.level)


def _is_not_a_returned_failure(record: logging.LogRecord) -> bool:
    """Return False for the line with an empty traceback that Prefect logs after a task returned a failed state."""
    return not (record.exc_info and record.exc_info[0] is None)


_show_library_log_in_runs()
logging.getLogger("prefect.task_runs").addFilter(_is_not_a_returned_failure)
logging.getLogger("prefect.flow_runs").addFilter(_is_not_a_failed_run)


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


def name_with_processor(what: str) -> Callable[[], str]:
    """Return a function with which Prefect names a run: its action, its machine, and its processor if one is given."""

    def name() -> str:
        processor = runtime.flow_run.parameters.get("processor")
        return f"{what} on {host()}" + (f": {processor}" if processor else "")

    return name


def rename_run(name: str) -> None:
    """Change the run's name, so that it shows the result."""
    if not runtime.flow_run.id:
        return
    with tolerate_prefect_errors("a new name for this run"), get_client(sync_client=True) as client:
        client.update_flow_run(UUID(runtime.flow_run.id), name=name)


@contextmanager
def tolerate_prefect_errors(what: str) -> Iterator[None]:
    """Log a warning if a request to Prefect's server fails. The results are in the queue, so the flow continues."""
    try:
        yield
    except (PrefectHTTPStatusError, HTTPError) as error:
        get_run_logger().warning("Prefect's server did not accept %s: %s", what, error)
