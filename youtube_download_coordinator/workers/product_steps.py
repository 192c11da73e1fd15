"""Several processors in one attempt, `audio,subtitles,my_module:transcribe`: every product of a video.

This module is imported in child processes: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Product
from youtube_download_coordinator.processors.built_in import RECIPES, Settings
from youtube_download_coordinator.processors.output_paths import safe_name
from youtube_download_coordinator.processors.production import CustomStep, Production, Step
from youtube_download_coordinator.text import sanitize, truncate
from youtube_download_coordinator.workers.find_processor import Processor
from youtube_download_coordinator.workers.run_processor import as_text, attempt_error_of, call
from youtube_download_coordinator.youtube.ssrf_guard import guard_lifted

if TYPE_CHECKING:
    from youtube_download_coordinator.processes.supervisor import Emit


def run_products(processors: Mapping[str, Processor], task: VideoTask, settings: Settings, emit: Emit) -> Done:
    """Make the products of these processors, by name, in their order. Raises AttemptError."""
    return Production(
        task, settings, [_step(name, processor, task, settings, emit) for name, processor in processors.items()]
    ).run()


def _step(name: str, processor: Processor, task: VideoTask, settings: Settings, emit: Emit) -> Step:
    if name in RECIPES:
        return RECIPES[name](task, settings, emit)
    return CustomStep(product=Product(kind=name, name=f"custom-{safe_name(name)}"), run=partial(_run_custom, processor))


def _run_custom(processor: Processor, task: VideoTask) -> tuple[str, Sequence[Path]]:
    """Call a user's processor. Return what it returned as text, and as files if it is a path or several."""
    try:
        with guard_lifted():  # it may use a service in the worker's own network
            value = call(processor, task)
    except Exception as error:
        raise attempt_error_of(error) from error
    if isinstance(value, Done):
        value = value.result
    paths = _paths(value)
    text, _ = as_text([str(path) for path in paths] if len(paths) > 1 else value)
    return truncate(sanitize(text)), paths


def _paths(value: object) -> Sequence[Path]:
    values = value if isinstance(value, list | tuple) else [value]
    paths = [Path(os.fsdecode(value)).absolute() for value in values if isinstance(value, os.PathLike)]
    return paths if len(paths) == len(values) else []
