"""Run several processors in one attempt: `audio,subtitles,my_module:transcribe`.

This module is imported in child processes: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import LaterError
from youtube_download_coordinator.models import Done, Lease, State, VideoTask
from youtube_download_coordinator.processors.archive import Product
from youtube_download_coordinator.processors.built_in import RECIPES, is_no_subtitles
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.names import BUILT_INS, MEDIA
from youtube_download_coordinator.processors.output_paths import safe_name
from youtube_download_coordinator.processors.production import CustomStep, Production, Step
from youtube_download_coordinator.processors.rights import RightsCheck, Skipped, skipped_result
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.queue.done_fields import storable
from youtube_download_coordinator.queue.product_requests import NO_REQUEST, ProductRequest, request_of
from youtube_download_coordinator.reasons import OTHER_PROCESSOR
from youtube_download_coordinator.text import sanitize, truncate
from youtube_download_coordinator.workers.find_processor import Processor
from youtube_download_coordinator.workers.run_processor import as_text, attempt_error_of, call
from youtube_download_coordinator.youtube.ssrf_guard import guard_lifted

if TYPE_CHECKING:
    from youtube_download_coordinator.processes.supervisor import Emit


def run_products(
    processors: Mapping[str, Processor], task: VideoTask, settings: Settings, emit: Emit, existing: Sequence[str] = ()
) -> Done:
    """Make the products of these processors, by name, in their order. Raises AttemptError.

    `existing` are built-ins whose files are only looked up. A row with a request for further products keeps its result, updated
    with the names of files that were made again.
    """
    steps = [_step(name, processor, task, settings, emit) for name, processor in processors.items()]
    looked_up = [RECIPES[name](task, settings, emit).product for name in existing]
    request = request_of(task.lease)
    production = Production(task, settings, steps, existing=looked_up, asked=request.products)
    done = production.run()
    if not request.result or is_no_subtitles(request.result):
        return done
    result = production.current_result(request.result)
    if production.skipped:
        result = skipped_result(ProductRequest(products=request.products, result=result), production.skipped)
    was_degraded = Lease(state=State.DONE, detail=result, nonce="").degraded
    return replace(done, result=result, degraded="" if was_degraded else done.degraded)


def call_if_permitted(processor: Processor, task: VideoTask, settings: Settings) -> object:
    """Call a user's processor that makes everything itself if the video passes the filters. Return its result."""
    check = RightsCheck(task, settings)
    with Extraction(task.url, settings.network, {}) as extraction:
        try:
            check.check(extraction)
        except Skipped as skipped:
            return Done(
                result=skipped_result(NO_REQUEST, str(skipped)),
                asked_youtube=extraction.has_asked,
                license=check.rights.license,
                trainable=check.rights.trainable,
            )
    with guard_lifted():
        return call(processor, task)


def planned_products(names: Sequence[str], asked: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the products that a worker makes for a row with requested products, and the products that it only looks up.

    A built-in is made alone. A user's processor gets files, so the worker's built-ins are made before it if they are missing.
    Raises LaterError if the worker does not run the requested processor: a worker never imports a processor named in a row.
    """
    if other := next((name for name in asked if name not in BUILT_INS and name not in names), ""):
        raise LaterError(f"{other} was requested, which this worker does not make", reason=OTHER_PROCESSOR)
    built_ins = [name for name in names if name in BUILT_INS and name not in asked]
    if set(asked) <= set(BUILT_INS):
        return asked, built_ins
    has_media = not MEDIA.isdisjoint(asked)
    before = [name for name in built_ins if not (has_media and name in MEDIA)]
    wanted = {*before, *asked}
    made = [name for name in asked if name not in names] + [name for name in names if name in wanted]
    return made, [name for name in built_ins if name not in wanted]


def _step(name: str, processor: Processor, task: VideoTask, settings: Settings, emit: Emit) -> Step:
    if name in RECIPES:
        return RECIPES[name](task, settings, emit)
    return CustomStep(product=Product(kind=name, name=f"custom-{safe_name(name)}"), run=partial(_run_custom, processor))


def _run_custom(processor: Processor, task: VideoTask) -> tuple[Done, Sequence[Path]]:
    """Call a user's processor. Return its result as text, and as files if it is one path or several."""
    try:
        with guard_lifted():  # it may use a service in the worker's own network
            value = call(processor, task)
    except Exception as error:
        raise attempt_error_of(error) from error
    done = storable(value) if isinstance(value, Done) else Done()
    if isinstance(value, Done):
        value = value.result
    paths = _paths(value)
    text, _ = as_text([str(path) for path in paths] if len(paths) > 1 else value)
    return replace(done, result=truncate(sanitize(text))), paths


def _paths(value: object) -> Sequence[Path]:
    values = value if isinstance(value, list | tuple) else [value]
    paths = [Path(os.fsdecode(value)).absolute() for value in values if isinstance(value, os.PathLike)]
    return paths if len(paths) == len(values) else []
