"""Makes the products of a video, all of one extraction.

A file is made in `.parts/` below the output folder and moved when it is complete: no half file is ever at its place, and an
attempt that was cut off is resumed. Each product has a record of its own (archive.py), which is written when its files are at
their place. So what exists is not made again and costs no request, and a product that failed is retried alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, attempt_error
from youtube_download_coordinator.models import Done, Verdict, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Product, Record
from youtube_download_coordinator.processors.extraction import Extraction, VideoInfo
from youtube_download_coordinator.processors.media_check import Media
from youtube_download_coordinator.processors.output_paths import Template
from youtube_download_coordinator.processors.parts import work_folder
from youtube_download_coordinator.processors.product_list import list_products
from youtube_download_coordinator.processors.sidecar import write_sidecar
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.reasons import ASKED_FOR, SUBTITLES_BLOCK
from youtube_download_coordinator.storage.files import check_free_disk, make_folder, move_into_place, read_file
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.error_rules import classify
from youtube_download_coordinator.youtube.ssrf_guard import guard_lifted

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files that yt-dlp has made, in the work folder."""

    info: Mapping[str, Any]
    files: Mapping[str, Path]
    """By the end of the file's name (`m4a`, `en.vtt`)."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the same end: more facts for the sidecar."""
    media: Media | None = None
    """What the file contains, where it is audio or video."""
    degraded: Sequence[str] = ()
    """Why it is worse than usual (reasons.py)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomStep:
    """A user's processor as one of several: its product is what it returns."""

    product: Product
    run: Callable[[VideoTask], tuple[Done, Sequence[Path]]]
    """Returns the result, and the files if that is one or several paths. Raises AttemptError."""


Step = Recipe | CustomStep

_PRECEDENCE = (
    Verdict.UNFIT,
    Verdict.THROTTLED,
    Verdict.RETRY,
    Verdict.LATER,
    Verdict.GONE,
    Verdict.PERMANENT,
)
"""Which failure of several decides about the row: first what concerns all rows, then what another attempt may cure."""


class Production:
    """One attempt at the products of a video."""

    def __init__(
        self,
        task: VideoTask,
        settings: Settings,
        steps: Sequence[Step],
        *,
        existing: Sequence[Product] = (),
        asked: Collection[str] = (),
    ) -> None:
        """`existing` are products that are not made, but whose files a user's processor gets where they exist.

        `asked` are kinds of products that a person has asked for.
        """
        self._task = task
        self._settings = settings
        self._steps = steps
        self._archive = Archive(settings.output_dir)
        self._existing_kinds = [product.kind for product in existing]
        self._asked = asked
        looked_up = (self._archive.lookup(task, product) for product in existing)
        self._records: dict[str, Record] = {record.kind: record for record in looked_up if record}
        self._failures: dict[str, AttemptError] = {}
        self._ran_custom = False

    def run(self) -> Done:
        """Make what does not exist yet, in order. A failure does not keep other products from being made.

        The result is that of the first product that has files, else of the first one. Raises AttemptError.
        """
        self._records |= {step.product.kind: record for step in self._steps if (record := self._existing(step))}
        pending = [step for step in self._steps if step.product.kind not in self._records]
        recipes = [step for step in pending if isinstance(step, Recipe)]
        options = {name: value for recipe in recipes for name, value in recipe.options.items()}
        with Extraction(self._task.url, self._settings.network, options) as extraction:
            for step in pending:
                if not self._make(step, extraction):
                    break
        if self._records:
            list_products(self._archive, self._task)
        if self._failures:
            raise self._failure()
        records = [self._records[step.product.kind] for step in self._steps]
        before = [self._records[kind] for kind in self._existing_kinds if kind in self._records]
        main = next((record for record in [*before, *records] if record.files), records[0])
        return Done(
            result=main.result or describe_files(main.files),
            asked_youtube=extraction.has_asked or self._ran_custom,
            degraded=", ".join(dict.fromkeys(reason for record in records for reason in record.degraded)),
            media_seconds=next((record.media_seconds for record in records if record.media_seconds is not None), None),
        )

    def _existing(self, step: Step) -> Record | None:
        """Return the record of a product that need not be made. That there was nothing to make holds until the row is done."""
        record = self._archive.lookup(self._task, step.product)
        if record and record.degraded and not self._settings.accept_degraded:
            return None
        is_retry = self._task.lease.reason not in ("", ASKED_FOR)
        if record and isinstance(step, CustomStep) and step.product.kind in self._asked:
            return record if is_retry else None  # it is called again
        if record is None or record.files or isinstance(step, CustomStep):
            return record
        return record if is_retry and step.without_files and len(self._steps) > 1 else None

    def _make(self, step: Step, extraction: Extraction) -> bool:
        """Make one product, or note why it failed. Return whether to go on with the next one."""
        kind = step.product.kind
        try:
            if isinstance(step, Recipe):
                self._records[kind] = self._make_files(step, extraction)
            elif not self._failures:  # else it would miss the files of what has failed
                self._records[kind] = self._run_custom(step, extraction)
        except AttemptError as error:
            self._failures[kind] = error
            blocks_all = error.verdict is Verdict.THROTTLED and error.reason != SUBTITLES_BLOCK
            return extraction.is_extracted and error.verdict is not Verdict.UNFIT and not blocks_all
        return True

    def _make_files(self, recipe: Recipe, extraction: Extraction) -> Record:
        """Make the files, and move them to their place with sidecars and a record."""
        output_dir, product = self._settings.output_dir, recipe.product
        try:
            check_free_disk(output_dir, self._settings.min_free_disk_bytes)
            with work_folder(output_dir, self._task, product.name) as work:
                made = _make_with_cookies(recipe, extraction, work)
                files = _put_into_place(self._task, self._settings, product, made)
                if files or len(self._steps) > 1:
                    result = "" if files else recipe.without_files
                    seconds = made.media.seconds if made.media else None
                    return self._archive.add(
                        self._task, product, files, result, degraded=made.degraded, media_seconds=seconds
                    )
        except OSError as error:
            raise classify(error) from error
        return Record(kind=product.kind, name=product.name, result=recipe.without_files)

    def _run_custom(self, step: CustomStep, extraction: Extraction) -> Record:
        self._ran_custom = True
        files = {kind: tuple(record.files) for kind, record in self._records.items() if record.files}
        info = VideoInfo(partial(self._info, extraction))
        done, made = step.run(replace(self._task, files=files, info=info))
        own = [path for path in made if path.is_relative_to(self._settings.output_dir)]
        try:
            return self._archive.add(
                self._task,
                step.product,
                own,
                done.result,
                degraded=done.degraded.split(", ") if done.degraded else (),
                media_seconds=done.media_seconds,
            )
        except OSError as error:
            raise classify(error) from error

    def _info(self, extraction: Extraction) -> Mapping[str, Any]:
        """Return yt-dlp's information about the video, from the product `metadata` when nothing was extracted yet."""
        metadata = self._records.get("metadata")
        if metadata and not extraction.is_extracted:
            with contextlib.suppress(OSError, ValueError):
                info: Mapping[str, Any] = json.loads(read_file(metadata.files[0], self._settings.output_dir))
                return info
        with guard_lifted(False):
            return extraction.sanitized_info()

    def _failure(self) -> AttemptError:
        """Return the failure that decides about the row, with the name of its product where there are several."""
        kind, error = min(self._failures.items(), key=lambda item: _PRECEDENCE.index(item[1].verdict))
        is_of_all = len(self._failures) == 1 and not self._records
        if len(self._steps) == 1 or is_of_all:
            return error
        others = [f"{other} {failure.reason}" for other, failure in self._failures.items() if other != kind]
        also = f"; also {', '.join(others)}" if others else ""
        failure = attempt_error(replace(error.failure, message=truncate(f"{kind}: {error}{also}")))
        failure.__cause__ = error
        return failure


def produce(task: VideoTask, settings: Settings, recipe: Recipe) -> Done:
    """Make one product unless it exists. The result is the path of its file. Raises AttemptError."""
    return Production(task, settings, [recipe]).run()


def _make_with_cookies(recipe: Recipe, extraction: Extraction, work: Path) -> Made:
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
            made_with = {**product.made_with, **made.facts.get(suffix, {})}
            write_sidecar(
                file, path, task, product.kind, made.info, made_with, media=made.media, degraded=made.degraded
            )
        move_into_place(file, path)
        files.append(path)
    return files


def describe_files(files: Sequence[Path]) -> str:
    """Return the path, or all of them in the notation of a shell: `x.{de,en}.vtt`."""
    if len(files) < 2:
        return str(files[0]) if files else ""
    languages = [path.suffixes[-2].removeprefix(".") for path in files]
    first = files[0]
    stem = first.name.removesuffix("".join(first.suffixes[-2:]))
    return str(first.with_name(f"{stem}.{{{','.join(languages)}}}{first.suffix}"))
