"""Finding a processor, and running it on one video within a deadline. Whatever it does is recorded as what it is.

A processor is a built-in (`download`, `audio`, `metadata`, `subtitles`: processors/built_in.py), or a callable of one parameter,
which is named by its import path, `module:function`, or by the name that its distribution gave it (ENTRY_POINTS):

    def process(task: VideoTask) -> object      gets the row: its url, accent, type, title, extra
    def process(url: str) -> object             annotated `str`, or called `url` or `video_url`: gets the URL alone

What it returns is kept as the row's result: text and paths as they are, None as nothing, other JSON compactly. It may be `async`.
It fails by raising: an AttemptError (errors.py) says itself what becomes of the row, yt-dlp's errors are understood, every other
error is tried again. Threads and processes that it leaves behind are ended when it returns.

This module is imported in every child: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

from youtube_download_coordinator.errors import AttemptError, ProcessorError, UnfitError, UserError
from youtube_download_coordinator.models import (
    Done,
    Failure,
    Outcome,
    VideoTask,
    video_task_from_json,
    video_task_to_json,
)
from youtube_download_coordinator.text import did_you_mean, sanitize, truncate

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.processes.supervisor import Emit

BUILT_INS = ("download", "audio", "metadata", "subtitles")
ENTRY_POINTS = "youtube_download_coordinator.processors"
"""The group in which a distribution names its processors: `whisper = "my_package.my_module:transcribe"`."""
CHECK_SECONDS = 120.0
"""The longest that importing a processor may take when it is checked."""
REASON_MAX_CHARACTERS = 40

Processor = Callable[..., Any]


# -- running


def process_video(
    spec: str, task: VideoTask, config: Config, *, on_message: Callable[[Any], None] | None = None
) -> Outcome:
    """Run the processor on one video in a child process, for `config.attempt_timeout` at the longest.

    Nothing that the processor does is raised here. `on_message` gets what a built-in says of its progress, about once a second:
    {"downloaded_bytes": n, "total_bytes": n or None}. Raises children.Stopped when somebody stopped the child.
    """
    from youtube_download_coordinator.processes import parent as children  # the child has no use for it

    payload = {"spec": spec, "task": video_task_to_json(task), "settings": _worker_settings(config)}
    deadline_seconds = config.attempt_timeout.total_seconds()
    target = f"{__name__}:run_in_child"
    try:
        with children.run(target, payload, deadline_seconds=deadline_seconds, name=f"{spec} {task.key}") as child:
            for message in child:
                if on_message is not None:
                    on_message(message)
            answer = child.result()
    except AttemptError as error:
        return _storable_failure(error.failure)
    return _done(**answer)


def call_in_process(processor: Processor, task: VideoTask) -> Outcome:
    """Call a function on one video, here: no deadline, no protection. Results and errors count as a child's do.

    It gets the URL, unless its parameter is annotated `VideoTask` or called `task` or `video_task`.
    KeyboardInterrupt, SystemExit and the like go through.
    """
    try:
        return outcome_of_result(_call(processor, task, by_default="url"))
    except Exception as error:  # noqa: BLE001  whatever it raises is the outcome
        return outcome_of_result(error)


def outcome_of_result(result: object) -> Outcome:
    """What comes of an attempt that returned this, or raised it."""
    if isinstance(result, Exception):
        return _storable_failure(attempt_error_of(result).failure)
    return _done(**_answer(result))


def run_in_child(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """The child's half of `process_video`. Raises AttemptError."""
    task = video_task_from_json(payload["task"])
    try:
        value = _apply(payload["spec"], task, payload["settings"], emit)
    except Exception as error:
        raise attempt_error_of(error) from error
    return _answer(value)


def _answer(value: object) -> dict[str, Any]:
    """What a processor returned, as JSON: the arguments of `_done`. It may also have returned a Done itself."""
    text, not_json = as_text(value.result if isinstance(value, Done) else value)
    asked_youtube = value.asked_youtube if isinstance(value, Done) else True
    return {"text": truncate(text), "not_json": not_json, "asked_youtube": asked_youtube}


def attempt_error_of(error: Exception) -> AttemptError:
    """What an error of a processor means for the row."""
    if isinstance(error, UserError):
        return UnfitError(str(error), reason="processor")
    if isinstance(error, MemoryError):
        return UnfitError(f"MemoryError: {error}", reason="memory")
    from youtube_download_coordinator.youtube.error_rules import classify  # only those who fail need it

    verdict = classify(error)
    if verdict.reason == "error" and verdict is not error:
        _log_traceback(error)
    return verdict


def as_text(value: object) -> tuple[str, str]:
    """What a processor returned, as the row keeps it; and its type, if it is no JSON."""
    if value is None:
        return "", ""
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value), ""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")), ""
    except (TypeError, ValueError, RecursionError):
        return _str(value), type(value).__name__


def _str(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  the work is done, only its result has no text
        return f"<{type(value).__name__}>"


def _done(text: str, not_json: str, asked_youtube: bool) -> Done:
    if not_json:
        import logging

        log = logging.getLogger(__name__)
        log.warning("the processor returned a %s, which is no JSON; its text is kept: %s", not_json, truncate(text))
    return Done(result=truncate(sanitize(text)), asked_youtube=asked_youtube)


def _storable_failure(failure: Failure) -> Failure:
    reason = truncate(sanitize(failure.reason), REASON_MAX_CHARACTERS) or "error"
    message = truncate(sanitize(failure.message))
    return replace(failure, reason=reason, message=message)


def _log_traceback(error: Exception) -> None:
    import logging

    logging.getLogger(__name__).warning("the processor raised %s", type(error).__name__, exc_info=error)


def _worker_settings(config: Config) -> dict[str, Any]:
    """What the built-ins need to know, and nothing else: no address of a database goes into a child."""

    alike = (
        "output_template", "audio_codec", "audio_sample_rate_hz", "audio_mono", "subtitle_languages", "subtitle_kinds",
        "subtitle_format", "subtitles_required", "min_free_disk_bytes",
    )  # fmt: skip
    return {
        "output_dir": str(config.output_dir.absolute()),
        "network": config.network.to_json(),
        **{name: getattr(config, name) for name in alike},
    }


# -- calling


def _apply(spec: str, task: VideoTask, settings: Mapping[str, Any], emit: Emit) -> object:
    from youtube_download_coordinator.youtube.import_lock import importing

    # A built-in imports yt-dlp only when it needs it, under a lock of its own.
    with importing("" if spec in BUILT_INS else settings["network"]["state_dir"]):
        processor = resolve_processor(spec)
    if type(processor).__module__ == "prefect.tasks":  # it would start a Prefect server for each video
        raise ProcessorError(
            f"the processor {spec} is a Prefect task: only flows run it, process-videos or one of your own"
        )
    if spec not in BUILT_INS:
        return _call(processor, task, by_default="task")
    from youtube_download_coordinator.processors.built_in import Settings

    ours = Settings.from_json(settings)
    ours.network.guard_this_process()
    return processor(task, ours, emit)


def _call(processor: Processor, task: VideoTask, *, by_default: str) -> object:
    value = processor(task.url if argument_of(processor, by_default) == "url" else task)
    if inspect.isawaitable(value):
        import asyncio

        value = asyncio.run(_finish(value))
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise ProcessorError("the processor returned a generator, so nothing was done: it must not `yield`")
    return value


async def _finish(value: Awaitable[object]) -> object:
    return await value


def argument_of(processor: Processor, by_default: str) -> str:
    """Which argument the processor wants: `url` or `task`."""
    parameter = _first_parameter(processor)
    if parameter is None:
        return by_default
    annotation = parameter.annotation
    if annotation in (str, "str") or str in get_args(annotation):
        return "url"
    if annotation is not parameter.empty:
        return "task" if annotation in (VideoTask, "VideoTask") else by_default
    return {"url": "url", "video_url": "url", "task": "task", "video_task": "task"}.get(parameter.name, by_default)


def _first_parameter(processor: Processor) -> inspect.Parameter | None:
    for evaluate in (True, False):  # an annotation may name what only a type checker imports
        try:
            return next(iter(inspect.signature(processor, eval_str=evaluate).parameters.values()), None)
        except Exception:  # noqa: BLE001, S112  evaluating may raise anything; some built-in functions have no signature
            continue
    return None


# -- finding


def check_processor(spec: str) -> None:
    """Find the processor, in a child: whatever its module does when it is imported, it does not do it here.

    Raises ProcessorError, with one line that says what is wrong.
    """
    from youtube_download_coordinator.processes import parent as children

    target = f"{__name__}:check_in_child"
    with children.run(target, {"spec": spec}, deadline_seconds=CHECK_SECONDS, name=f"check {spec}") as child:
        try:
            problem = child.result()
        except AttemptError as error:
            problem = f"the processor {spec} cannot be imported: {error.reason}, {error}"
    if problem:
        raise ProcessorError(problem)


def check_in_child(payload: Mapping[str, Any], emit: Emit) -> str:
    """The child's half of `check_processor`: the problem, or nothing."""
    try:
        resolve_processor(payload["spec"])
    except ProcessorError as error:
        return str(error)
    return ""


def resolve_processor(spec: str) -> Processor:
    """Import the processor: a built-in by its name, called with (task, settings, emit), else another, called with one.

    That is an installed one by its name (an entry point of ENTRY_POINTS), or `module:attribute`. A class whose objects can be
    called is made an object. Raises ProcessorError, with one line that says what is wrong.
    """
    if spec in BUILT_INS:
        return _attribute(importlib.import_module("youtube_download_coordinator.processors.built_in"), spec)
    module_name, _, attribute = import_path(spec).partition(":")
    processor = _attribute(_module(module_name), attribute)
    if inspect.isclass(processor) and _takes(processor, 0) and hasattr(processor, "__call__"):  # noqa: B004  of its objects
        processor = _made(processor, spec)
    check_callable(processor, spec)
    return processor


def import_path(spec: str) -> str:
    """`module:attribute` of a processor that is no built-in. Raises ProcessorError, with the names that there are."""
    module_name, _, attribute = spec.strip().partition(":")
    if module_name and attribute:
        return spec.strip()
    installed = _installed()
    homes = sorted(installed.get(spec.strip(), ()))
    if len(homes) > 1:
        raise ProcessorError(f"the processor “{spec}” is installed more than once: choose {' or '.join(homes)}")
    if not homes:
        names = [*BUILT_INS, *sorted(installed)]
        raise ProcessorError(
            f"the processor “{spec}” is neither {', '.join(names)} nor module:function{did_you_mean(spec, names, 3)}"
        )
    return homes[0]


def _installed() -> dict[str, set[str]]:
    """What installed distributions offer: names, and where each leads."""
    from importlib.metadata import entry_points

    found: dict[str, set[str]] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, set()).add(f"{entry.module}:{entry.attr}")
    return found


def check_callable(processor: object, name: str) -> None:
    """Raise ProcessorError unless it can be called with one video. `name` is for the message."""
    if not callable(processor):
        raise ProcessorError(f"the processor {name} is a {type(processor).__name__}, which cannot be called")
    if not _takes(processor, 1):
        signature = inspect.signature(processor)
        raise ProcessorError(f"the processor {name} is called with one argument, the video, but takes {signature}")
    inner = processor if inspect.isroutine(processor) else type(processor).__call__
    if any(
        is_kind(each)
        for each in (processor, inner)
        for is_kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    ):
        raise ProcessorError(f"the processor {name} is a generator, so a call does nothing: it must not `yield`")


def _takes(processor: Processor, count: int) -> bool:
    """Whether it can be called with so many positional arguments; also when nobody knows."""
    try:
        signature = inspect.signature(processor)
    except (TypeError, ValueError):
        return count == 1
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _made(kind: Processor, spec: str) -> Processor:
    try:
        made: Processor = kind()
    except Exception as error:
        raise ProcessorError(
            f"the processor {spec} cannot be made: {type(error).__name__}: {truncate(str(error))}"
        ) from error
    return made


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        raise ProcessorError(f"“{name}” is no module: write my_package.my_module:function, without .py and slashes")
    _add_working_directory()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ProcessorError(f"there is no module {error.name}, neither in {os.getcwd()} nor installed") from error
        raise ProcessorError(f"{name} cannot be imported: it imports {error.name}, which is not installed") from error
    except SystemExit as error:
        raise ProcessorError(f"{name} cannot be imported: it calls sys.exit({error.code!r})") from error
    except Exception as error:
        raise ProcessorError(f"{name} cannot be imported: {type(error).__name__}: {truncate(str(error))}") from error


def _add_working_directory() -> None:
    """At the end, so that a file there hides no module that is installed. `python -m` has done it; a console script has not."""
    directory = os.getcwd()
    if "" not in sys.path and directory not in sys.path:
        sys.path.append(directory)
    importlib.invalidate_caches()  # the file may be younger than this process


def _attribute(module: ModuleType, path: str) -> Processor:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            where = getattr(found, "__file__", None) or getattr(found, "__qualname__", type(found).__name__)
            raise ProcessorError(f"there is no {name} in {where}{did_you_mean(name, dir(found), 3)}") from error
    processor: Processor = found
    return processor
