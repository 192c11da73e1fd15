"""Find a processor by its name, and check it before a worker starts.

A processor is a built-in (`download`, `audio`, `metadata`, `subtitles`: processors/built_in.py) or a callable with one parameter.
A callable is named by its import path, `module:function`, or by the name that its distribution registered (ENTRY_POINTS):

    def process(url: str) -> object             receives the URL
    def process(task: VideoTask) -> object      annotated `VideoTask`, or without an annotation and named `task` or `video_task`:
                                                receives the row with its url, accent, type, title, extra

The same rule applies to `process_next_task`, `--processor`, a flow's parameter and a Prefect task. Several processors,
`audio,subtitles,my_module:transcribe`, run in one attempt (product_steps.py).

This module is imported in every child process: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

from youtube_download_coordinator.errors import AttemptError, ProcessorError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.names import BUILT_INS, processor_names
from youtube_download_coordinator.text import did_you_mean, truncate

if TYPE_CHECKING:
    from youtube_download_coordinator.processes.supervisor import Emit

ENTRY_POINTS = "youtube_download_coordinator.processors"
"""The entry point group in which a distribution registers its processors: `whisper = "my_package.my_module:transcribe"`."""
CHECK_SECONDS = 120.0
"""The longest time for importing a processor during the check."""

TASK_NAMES = ("task", "video_task")
"""A parameter without an annotation that has one of these names receives the VideoTask."""

Processor = Callable[..., Any]


def check_processor(spec: str) -> None:
    """Check that the processors can be found. Use a child process, because importing their modules may have side effects.

    Raises ProcessorError, with one line that says what is wrong.
    """
    from youtube_download_coordinator.processes import parent

    target = f"{__name__}:check_in_child"
    with parent.run(target, {"spec": spec}, deadline_seconds=CHECK_SECONDS, name=f"check {spec}") as child:
        try:
            problem = child.result()
        except AttemptError as error:
            problem = f"the processor {spec} cannot be imported: {error.reason}, {error}"
    if problem:
        raise ProcessorError(problem)


def check_in_child(payload: Mapping[str, Any], emit: Emit) -> str:
    """Return an error message, or "" if there is none: the part of `check_processor` in the child process."""
    try:
        resolve_processors(payload["spec"])
    except ProcessorError as error:
        return str(error)
    return ""


def resolve_processors(spec: str) -> dict[str, Processor]:
    """Import the processors of a list, in order. Raises ProcessorError, with one line that says what is wrong."""
    names = processor_names(spec)
    processors = {name: resolve_processor(name) for name in names}
    if len(names) > 1 and (task := next((name for name in names if is_prefect_task(processors[name])), "")):
        raise ProcessorError(
            f"the processor {task} is a Prefect task, which cannot be combined with others: name it alone"
        )
    return processors


def is_prefect_task(processor: Processor) -> bool:
    return type(processor).__module__ == "prefect.tasks"


def resolve_processor(spec: str) -> Processor:
    """Import the processor: a built-in, called with (task, settings, emit), or any other, called with one argument.

    Other processors are named by an entry point of ENTRY_POINTS or as `module:attribute`. A class whose instances are callable is
    instantiated. Raises ProcessorError, with one line that says what is wrong.
    """
    if spec in BUILT_INS:
        return _attribute(importlib.import_module("youtube_download_coordinator.processors.built_in"), spec)
    module_name, _, attribute = import_path(spec).partition(":")
    processor = _attribute(_module(module_name), attribute)
    if inspect.isclass(processor) and _takes(processor, 0) and hasattr(processor, "__call__"):  # noqa: B004  of its instances
        processor = _instance_of(processor, spec)
    check_callable(processor, spec)
    return processor


def import_path(spec: str) -> str:
    """Return `module:attribute` of a processor that is not a built-in. Raises ProcessorError, which lists the known names."""
    module_name, _, attribute = spec.strip().partition(":")
    if module_name and attribute:
        return spec.strip()
    installed = _installed()
    paths = sorted(installed.get(spec.strip(), ()))
    if len(paths) > 1:
        raise ProcessorError(f"the processor “{spec}” is installed more than once: choose {' or '.join(paths)}")
    if not paths:
        names = [*BUILT_INS, *sorted(installed)]
        raise ProcessorError(
            f"the processor “{spec}” is neither {', '.join(names)} nor module:function{did_you_mean(spec, names, 3)}"
        )
    return paths[0]


def _installed() -> dict[str, set[str]]:
    """Return the import paths of the processors of installed distributions, by name."""
    from importlib.metadata import entry_points

    paths: dict[str, set[str]] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        paths.setdefault(entry.name, set()).add(f"{entry.module}:{entry.attr}")
    return paths


def check_callable(processor: object, name: str) -> None:
    """Raise ProcessorError unless the processor can be called with one video. `name` is for the message."""
    if not callable(processor):
        raise ProcessorError(f"the processor {name} is a {type(processor).__name__}, which cannot be called")
    if not _takes(processor, 1):
        signature = inspect.signature(processor)
        raise ProcessorError(f"the processor {name} is called with one argument, the video, but takes {signature}")
    inner = processor if inspect.isroutine(processor) else type(processor).__call__
    if any(
        is_kind(function)
        for function in (processor, inner)
        for is_kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    ):
        raise ProcessorError(f"the processor {name} is a generator, so a call does nothing: it must not `yield`")


def _takes(processor: Processor, count: int) -> bool:
    """Return whether it can be called with `count` positional arguments. Without a signature, one is assumed."""
    try:
        signature = inspect.signature(processor)
    except (TypeError, ValueError):
        return count == 1
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _instance_of(kind: Processor, spec: str) -> Processor:
    try:
        processor: Processor = kind()
    except Exception as error:
        raise ProcessorError(
            f"the processor {spec} cannot be instantiated: {type(error).__name__}: {truncate(str(error))}"
        ) from error
    return processor


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        raise ProcessorError(f"“{name}” is not a module: write my_package.my_module:function, without .py and slashes")
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
    """Append the working directory to sys.path, so that its files hide no installed module. Python does it only for `-m`."""
    directory = os.getcwd()
    if "" not in sys.path and directory not in sys.path:
        sys.path.append(directory)
    importlib.invalidate_caches()  # the file may be newer than this process


def _attribute(module: ModuleType, path: str) -> Processor:
    value: Any = module
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            where = getattr(value, "__file__", None) or getattr(value, "__qualname__", type(value).__name__)
            raise ProcessorError(f"there is no {name} in {where}{did_you_mean(name, dir(value), 3)}") from error
    processor: Processor = value
    return processor


def gets_url(processor: Processor) -> bool:
    """Return whether the processor receives the URL rather than the VideoTask."""
    parameter = _first_parameter(processor)
    if parameter is None:
        return True
    if parameter.annotation in (parameter.empty, Any, object):
        return parameter.name not in TASK_NAMES
    return not _names_task(parameter.annotation)


def _names_task(annotation: object) -> bool:
    if isinstance(annotation, str):  # it could not be evaluated
        return "VideoTask" in re.findall(r"\w+", annotation)
    return annotation is VideoTask or VideoTask in get_args(annotation)


def _first_parameter(processor: Processor) -> inspect.Parameter | None:
    for evaluate in (True, False):  # an annotation may use names that only a type checker imports
        try:
            return next(iter(inspect.signature(processor, eval_str=evaluate).parameters.values()), None)
        except Exception:  # noqa: BLE001, S112  evaluating may raise anything; some built-in functions have no signature
            continue
    return None
