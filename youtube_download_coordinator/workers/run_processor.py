"""Run a processor on one video, in a child process with a deadline or in this process, and return the Outcome.

The return value of a processor becomes the row's result: text and paths are kept unchanged, None becomes an empty result, and
other values become compact JSON. A processor may be `async`. It fails by raising an exception. An AttemptError (errors.py)
determines what happens to the row, errors of yt-dlp are classified, and after any other error the video is retried. Threads and
processes that it leaves behind are ended when it returns.

This module is imported in every child process: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import AttemptError, ProcessorError, TransientError, UnfitError, UserError
from youtube_download_coordinator.models import (
    Done,
    Failure,
    Outcome,
    VideoTask,
    video_task_from_json,
    video_task_to_json,
)
from youtube_download_coordinator.processors.names import BUILT_INS, processor_names
from youtube_download_coordinator.reasons import REQUEST_START, TOO_LARGE
from youtube_download_coordinator.text import sanitize, truncate
from youtube_download_coordinator.workers.find_processor import (
    Processor,
    gets_url,
    is_prefect_task,
    resolve_processors,
)

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.processes.supervisor import Emit

REASON_MAX_CHARACTERS = 40


# -- running


def process_video(
    spec: str, task: VideoTask, config: Config, *, on_message: Callable[[Any], None] | None = None
) -> Outcome:
    """Run the processors that `spec` names on one video in a child process, for at most `config.attempt_timeout`.

    Exceptions of a processor are not raised here. `on_message` receives the progress of a built-in, about once a second:
    {"downloaded_bytes": n, "total_bytes": n or None}. Raises parent.Stopped if the child process was stopped.
    """
    from youtube_download_coordinator.processes import parent  # the child process does not need it

    payload = {"spec": spec, "task": video_task_to_json(task), "settings": _worker_settings(config)}
    deadline_seconds = config.attempt_timeout.total_seconds()
    names = {name.strip() for name in spec.split(",")} | {*_asked_products(task)}
    run = partial(
        parent.run,
        f"{__name__}:run_in_child",
        payload,
        deadline_seconds=deadline_seconds,
        name=f"{spec} {task.key}",
        limits=config.child_limits(runs_own_code=not names <= set(BUILT_INS)),
        check=_disk_check(task, config) if names & set(BUILT_INS) else None,
    )
    try:
        with run() as child:
            for message in child:
                if on_message is not None:
                    on_message(message)
            result = child.result()
    except AttemptError as error:
        if error.reason == TOO_LARGE:
            _remove_parts(task, config)
        return _storable_failure(error.failure)
    return _done(**result)


def _asked_products(task: VideoTask) -> Sequence[str]:
    """Return the products that were requested after the row was done."""
    if REQUEST_START not in task.lease.detail:
        return ()
    from youtube_download_coordinator.queue.product_requests import request_of  # most child processes do not need it

    return request_of(task.lease).products


def _disk_check(task: VideoTask, config: Config) -> Callable[[], None] | None:
    # The child process imports it only for a built-in.
    from youtube_download_coordinator.processors.disk_bounds import DiskBounds
    from youtube_download_coordinator.processors.parts import unpublished_keys

    if task.key in unpublished_keys(config.work_dir):
        return None  # publishing its files makes room
    return DiskBounds(config.work_dir.absolute(), task, min_free_bytes=config.min_free_disk_bytes).check


def _remove_parts(task: VideoTask, config: Config) -> None:
    from youtube_download_coordinator.processors.parts import remove_parts

    remove_parts(config.work_dir.absolute(), task)


def call_in_process(processor: Processor, task: VideoTask) -> Outcome:
    """Call a function on one video in this process, without a deadline or protection.

    Results and errors have the same meaning as in a child process. KeyboardInterrupt, SystemExit and the like are raised.
    """
    try:
        return _done(**_result_to_json(call(processor, task)))
    except Exception as error:  # noqa: BLE001  whatever it raises is the outcome
        return outcome_of_result(error)


def outcome_of_result(result: object) -> Outcome:
    """Return the outcome of an attempt that returned this value or raised this exception."""
    if isinstance(result, Exception):
        return _storable_failure(attempt_error_of(result).failure)
    return _done(**_result_to_json(result))


def run_in_child(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Run the processor: the part of `process_video` in the child process. Raises AttemptError."""
    task = video_task_from_json(payload["task"])
    try:
        value = _apply(payload["spec"], task, payload["settings"], emit)
    except Exception as error:
        raise attempt_error_of(error) from error
    return _result_to_json(value)


def _result_to_json(value: object) -> dict[str, Any]:
    """Return a processor's return value, which may be a Done, as the arguments of `_done`."""
    done = _storable_done(value) if isinstance(value, Done) else Done()
    text, not_json = as_text(value.result if isinstance(value, Done) else value)
    return {"text": truncate(text), "not_json": not_json} | {name: getattr(done, name) for name in _KEPT}


_KEPT = ("asked_youtube", "degraded", "media_seconds", "license", "trainable")
"""The fields of a Done that are kept, besides its result."""


def attempt_error_of(error: Exception) -> AttemptError:
    """Return an AttemptError for any error of a processor."""
    if isinstance(error, UserError):
        return UnfitError(str(error), reason="processor")
    from youtube_download_coordinator.youtube.error_rules import classify  # needed only after a failure

    try:
        attempt_error = classify(error)
    except Exception:  # noqa: BLE001  its text cannot be read
        return TransientError(type(error).__name__, reason="error")
    if attempt_error.reason == "error" and attempt_error is not error:
        import logging

        logging.getLogger(__name__).warning("the processor raised %s", type(error).__name__, exc_info=error)
    return attempt_error


def as_text(value: object) -> tuple[str, str]:
    """Return a result as the row's text, and the name of its type if it is not JSON."""
    if value is None:
        return "", ""
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value), ""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")), ""
    except (TypeError, ValueError, RecursionError):
        pass
    kind = type(value).__name__
    try:
        return str(value), kind
    except Exception:  # noqa: BLE001  the work is done, only its result has no text
        return f"<{kind}>", kind


def _done(text: str, not_json: str, **kept: Any) -> Done:
    if not_json:
        import logging

        log = logging.getLogger(__name__)
        log.warning(
            "the processor returned a %s, which is not JSON; it is stored as text: %s", not_json, truncate(text)
        )
    return Done(result=truncate(sanitize(text)), **kept)


def _storable_done(done: Done) -> Done:
    from youtube_download_coordinator.queue.done_fields import storable  # most child processes do not need it

    return storable(done)


def _storable_failure(failure: Failure) -> Failure:
    reason = truncate(sanitize(failure.reason), REASON_MAX_CHARACTERS) or "error"
    message = truncate(sanitize(failure.message))
    return replace(failure, reason=reason, message=message)


def _worker_settings(config: Config) -> dict[str, Any]:
    """Return only the settings that the built-ins need. A child process never receives a database's address."""
    names = (
        "output_template", "audio_codec", "audio_sample_rate_hz", "audio_mono", "audio_track", "audio_min_kbps",
        "accept_degraded", "subtitle_languages", "subtitle_kinds",
        "subtitle_format", "subtitles_required", "min_free_disk_bytes", "max_file_bytes",
        "licenses", "trainable", "trainability", "trainability_url",
    )  # fmt: skip
    return {
        "output_dir": str(config.work_dir.absolute()),
        "place": config.output_dir if isinstance(config.output_dir, str) else "",
        "network": config.network.to_json(),
        **{name: getattr(config, name) for name in names},
    }


# -- calling


def _apply(spec: str, task: VideoTask, settings: Mapping[str, Any], emit: Emit) -> object:
    from youtube_download_coordinator.youtube.import_lock import importing

    names: Sequence[str] = processor_names(spec)
    existing: Sequence[str] = ()
    asked = _asked_products(task)
    if asked:
        from youtube_download_coordinator.workers.product_steps import planned_products

        names, existing = planned_products(names, asked)
    # A built-in imports yt-dlp only when it needs it, under its own lock.
    with importing("" if set(names) <= set(BUILT_INS) else settings["network"]["state_dir"]):
        processors = resolve_processors(",".join(names))
    if is_prefect_task(processors[names[0]]):  # running it would start a Prefect server for each video
        raise ProcessorError(
            f"the processor {spec} is a Prefect task: only flows run it, process-videos or one of your own"
        )
    is_own_alone = len(names) == 1 and names[0] not in BUILT_INS and not asked
    if is_own_alone and not (settings["licenses"] or settings["trainable"]):
        return call(processors[names[0]], task)
    from youtube_download_coordinator.processors.worker_settings import Settings
    from youtube_download_coordinator.workers.product_steps import call_if_permitted, run_products

    worker_settings = Settings.from_json(settings)
    worker_settings.network.guard_this_process()
    if is_own_alone:
        return call_if_permitted(processors[names[0]], task, worker_settings)
    return run_products(processors, task, worker_settings, emit, existing)


def call(processor: Processor, task: VideoTask) -> object:
    """Call a processor that is not a built-in, and return its result; await it if it is `async`."""
    value = processor(task.url if gets_url(processor) else task)
    if inspect.isawaitable(value):
        value = _run_to_end(value)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise ProcessorError("the processor returned a generator, so nothing was done: it must not `yield`")
    return value


def _run_to_end(value: Awaitable[object]) -> object:
    import asyncio

    coroutine = awaited(value)
    try:
        return asyncio.run(coroutine)
    except RuntimeError:
        if inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
            raise
        coroutine.close()
        if inspect.iscoroutine(value):
            value.close()
        raise ProcessorError(
            "the processor returned a coroutine, and an event loop runs in this thread already:"
            " await coordinator.aprocess_next_task(...) instead"
        ) from None


async def awaited(value: Awaitable[object]) -> object:
    """Await any awaitable, as a coroutine."""
    return await value
