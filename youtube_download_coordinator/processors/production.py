"""Makes the products of a video: each in a work folder, moved to its place when it is complete, and recorded.

A file is made in `.parts/` below the output folder: no half file is ever at its place, and an attempt that was cut off is
resumed. A product that exists is not made again, and costs no request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Product
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.files import check_free_disk, make_folder, move_into_place
from youtube_download_coordinator.processors.output_paths import Template
from youtube_download_coordinator.processors.parts import work_folder
from youtube_download_coordinator.processors.sidecar import write_sidecar
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.youtube.error_rules import classify

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files that yt-dlp has made, in the work folder."""

    info: Mapping[str, Any]
    files: Mapping[str, Path]
    """By the end of the file's name (`m4a`, `en.vtt`)."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the same end: more facts for the sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a built-in processor makes its product."""

    product: Product
    make: Callable[[Extraction, Path], Made]
    """Makes the files in a work folder. Raises AttemptError."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What yt-dlp needs for it at the extraction."""
    without_files: str = ""
    """The result of a video for which there is nothing to make."""


def produce(task: VideoTask, settings: Settings, recipe: Recipe) -> Done:
    """Make the product's files unless they exist, and move them to their place with sidecars and a record."""
    archive = Archive(settings.output_dir)
    if existing := archive.find(task, recipe.product):
        return Done(result=describe_files(existing), asked_youtube=False)
    check_free_disk(settings.output_dir, settings.min_free_disk_bytes)
    try:
        with (
            Extraction(task.url, settings.network, recipe.options) as extraction,
            work_folder(settings.output_dir, task, recipe.product.name) as work,
        ):
            made = _make(recipe, extraction, work)
            files = _put_into_place(task, settings, recipe.product, made)
            if files:
                archive.add(task, recipe.product, files)
    except OSError as error:
        raise classify(error) from error
    return Done(result=describe_files(files) or recipe.without_files)


def _make(recipe: Recipe, extraction: Extraction, work: Path) -> Made:
    """Make the files, once more with cookies where they are kept for videos that need an account."""
    try:
        return recipe.make(extraction, work)
    except AttemptError as error:
        if not extraction.renew_with_cookies(error):
            raise
    return recipe.make(extraction, work)


def _put_into_place(task: VideoTask, settings: Settings, product: Product, made: Made) -> list[Path]:
    """Move the files to their place, each after its sidecar: whoever sees the file also finds the sidecar."""
    stem = settings.output_dir / Template.read(settings.output_template).place(task, product.kind, made.info)
    make_folder(stem.parent, settings.output_dir)
    files = []
    for suffix, file in made.files.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        if product.kind != "metadata":  # a JSON file that has the row's columns itself
            write_sidecar(
                file, path, task, product.kind, made.info, {**product.made_with, **made.facts.get(suffix, {})}
            )
        move_into_place(file, path)
        files.append(path)
    return files


def describe_files(files: Sequence[Path]) -> str:
    """Return the path, or all of them in the notation of a shell."""
    if len(files) < 2:
        return str(files[0]) if files else ""
    languages = [path.suffixes[-2].removeprefix(".") for path in files]
    first = files[0]
    stem = first.name.removesuffix("".join(first.suffixes[-2:]))
    return str(first.with_name(f"{stem}.{{{','.join(languages)}}}{first.suffix}"))
