"""Make the products of a video, all from one extraction.

A file is made in `.parts/` below the output folder and moved when it is complete. So no partial file is ever in its final
place, and an interrupted attempt can be resumed. Each product has its own record (archive.py), which is written when its files
are in place. So an existing product costs no request, and only a failed product is retried.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from youtube_download_coordinator.errors import AttemptError, attempt_error
from youtube_download_coordinator.models import Done, Verdict, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Draft, DraftFile, Product, Record
from youtube_download_coordinator.processors.extraction import Extraction, VideoInfo
from youtube_download_coordinator.processors.media_check import Media
from youtube_download_coordinator.processors.names import BUILT_INS
from youtube_download_coordinator.processors.output_paths import Template
from youtube_download_coordinator.processors.parts import remove_parts, work_folder
from youtube_download_coordinator.processors.place_archive import PlaceArchive, open_archive
from youtube_download_coordinator.processors.rights import RightsCheck, Skipped, skipped_result
from youtube_download_coordinator.processors.sidecar import sidecar_content
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.queue.product_requests import ProductRequest
from youtube_download_coordinator.reasons import ASKED_FOR, SUBTITLES_BLOCK
from youtube_download_coordinator.storage.files import check_free_disk, read_json
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.error_rules import classify
from youtube_download_coordinator.youtube.ssrf_guard import guard_lifted

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files that a recipe has made in the work folder."""

    info: Mapping[str, Any]
    files: Mapping[str, Path]
    """The files by the end of their names (`m4a`, `en.vtt`)."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Additional facts for the sidecars, by the same end."""
    media: Media | None = None
    """The measured content, if the file is audio or video."""
    degraded: Sequence[str] = ()
    """The reasons for which it is degraded (reasons.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe by which a built-in processor makes its product."""

    product: Product
    make: Callable[[Extraction, Path], Made]
    """The function that makes the files in a work folder. Raises AttemptError."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options that yt-dlp needs at the extraction."""
    without_files: str = ""
    """The result of a video for which there is no such product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomStep:
    """A user's processor as one of several. Its return value is its product."""

    product: Product
    run: Callable[[VideoTask], tuple[Done, Sequence[Path]]]
    """The function that returns the result, and the files if it is one or several paths. Raises AttemptError."""


Step = Recipe | CustomStep

_PRECEDENCE = (
    Verdict.UNFIT,
    Verdict.THROTTLED,
    Verdict.RETRY,
    Verdict.LATER,
    Verdict.GONE,
    Verdict.PERMANENT,
)
"""The order in which one of several failures decides about the row: failures of all rows first, then temporary ones."""


class Production:
    """An attempt at the products of a video."""

    def __init__(
        self,
        task: VideoTask,
        settings: Settings,
        steps: Sequence[Step],
        *,
        existing: Sequence[Product] = (),
        asked: Collection[str] = (),
        archive: Archive | PlaceArchive | None = None,
    ) -> None:
        """Prepare an attempt. `existing` are products that are not made, but whose files a user's processor gets if they exist.

        `asked` are the requested kinds of products. `archive` replaces the archive of the settings.
        """
        self._task = task
        self._settings = settings
        self._steps = steps
        self._archive = archive or open_archive(settings)
        self._asked = asked
        self._existing_products = existing
        self._records: dict[str, Record] = {}
        self._failures: dict[str, AttemptError] = {}
        self._ran_custom = False
        self._rights = RightsCheck(task, settings)
        self.skipped = ""
        """The result of a video that a filter has skipped."""

    def run(self) -> Done:
        """Make the missing products, in order. After a failure, the other products are still made.

        The result is that of the first product with files, or else of the first product. Raises AttemptError.
        """
        for_users = any(isinstance(step, CustomStep) for step in self._steps)
        with self._archive.opened_for(self._task, for_users=for_users):
            return self._run()

    def _run(self) -> Done:
        looked_up = (self._archive.lookup(self._task, product) for product in self._existing_products)
        self._records = {record.kind: record for record in looked_up if record}
        self._records |= {step.product.kind: record for step in self._steps if (record := self._existing(step))}
        pending = [step for step in self._steps if step.product.kind not in self._records]
        recipes = [step for step in pending if isinstance(step, Recipe)]
        options = {name: value for recipe in recipes for name, value in recipe.options.items()}
        with Extraction(self._task.url, self._settings.network, options) as extraction:
            try:
                for step in pending:
                    if not self._make(step, extraction):
                        break
            except Skipped as skipped:
                self.skipped = str(skipped)
        if self._records:
            self._archive.list_products(self._task)
        if self._failures:
            raise self._failure()
        if self.skipped:
            remove_parts(self._settings.output_dir, self._task)
        return self._done(has_asked=extraction.has_asked or self._ran_custom)

    def _done(self, *, has_asked: bool) -> Done:
        """Return the result. If the video was skipped, append that to the files that existed before."""
        records = [record for step in self._steps if (record := self._records.get(step.product.kind))]
        before = [self._records[product.kind] for product in self._existing_products if product.kind in self._records]
        main = next((record for record in [*before, *records] if record.files), next(iter(records), None))
        result = (main.result or describe(main)) if main else ""
        if self.skipped:
            missing = [step.product.kind for step in self._steps if step.product.kind not in self._records]
            result = skipped_result(ProductRequest(products=missing, result=result), self.skipped)
        return Done(
            result=result,
            asked_youtube=has_asked,
            license=self._rights.rights.license,
            trainable=self._rights.rights.trainable,
            degraded=", ".join(dict.fromkeys(reason for record in records for reason in record.degraded)),
            media_seconds=next((record.media_seconds for record in records if record.media_seconds is not None), None),
        )

    def _existing(self, step: Step) -> Record | None:
        """Return the record of a product that need not be made. A record without files is valid until the row is done."""
        record = self._archive.lookup(self._task, step.product)
        if record and record.degraded and not self._settings.accept_degraded:
            return None
        is_retry = self._task.lease.reason not in ("", ASKED_FOR)
        if record and isinstance(step, CustomStep) and step.product.kind in self._asked:
            return record if is_retry else None  # a user's processor is called again
        if record is None or record.files or isinstance(step, CustomStep):
            return record
        return record if is_retry and step.without_files and len(self._steps) > 1 else None

    def _make(self, step: Step, extraction: Extraction) -> bool:
        """Make one product, or store its failure. Return whether to continue with the next product."""
        kind = step.product.kind
        try:
            if isinstance(step, Recipe):
                self._records[kind] = self._make_files(step, extraction)
            elif not self._failures:  # else it would lack the files of the failed products
                self._records[kind] = self._run_custom(step, extraction)
        except AttemptError as error:
            self._failures[kind] = error
            blocks_all = error.verdict is Verdict.THROTTLED and error.reason != SUBTITLES_BLOCK
            is_of_extraction = isinstance(step, Recipe) and not extraction.is_extracted
            return not (is_of_extraction or blocks_all or error.verdict is Verdict.UNFIT)
        return True

    def _make_files(self, recipe: Recipe, extraction: Extraction) -> Record:
        """Make the files, unless they wait to be published. Move them to their place with sidecars and a record."""
        output_dir, product = self._settings.output_dir, recipe.product
        try:
            with work_folder(output_dir, self._task, product.name) as work:
                draft = self._archive.unpublished(product, work)
                if draft is None:
                    check_free_disk(output_dir, self._settings.min_free_disk_bytes)
                    self._rights.check(extraction)
                    made = _make_with_cookies(recipe, extraction, work)
                    draft = _draft(self._task, self._settings, recipe, made, extraction.rights)
                if draft.files or len(self._steps) > 1:
                    return self._archive.keep(self._task, product, draft, work)
        except OSError as error:
            raise classify(error) from error
        return Record(kind=product.kind, name=product.name, result=recipe.without_files)

    def _run_custom(self, step: CustomStep, extraction: Extraction) -> Record:
        """Call a user's processor, unless its files wait to be published, and record its result."""
        try:
            with work_folder(self._settings.output_dir, self._task, step.product.name) as work:
                draft = self._archive.unpublished(step.product, work) or self._call_custom(step, extraction)
                return self._archive.keep(self._task, step.product, draft, work)
        except OSError as error:
            raise classify(error) from error

    def _call_custom(self, step: CustomStep, extraction: Extraction) -> Draft:
        if self._rights.has_filters:
            self._rights.check(extraction)
        self._ran_custom = True
        files = {kind: tuple(self._archive.paths(record)) for kind, record in self._records.items() if record.files}
        info = VideoInfo(partial(self._info, extraction))
        done, made = step.run(replace(self._task, files=files, info=info))
        root = self._archive.root
        own = [path for path in made if path.is_relative_to(root)]
        return Draft(
            files=[_own_file(path, root) for path in own],
            result="" if own and len(own) == len(made) else done.result,
            degraded=done.degraded.split(", ") if done.degraded else (),
            media_seconds=done.media_seconds,
        )

    def _info(self, extraction: Extraction) -> Mapping[str, Any]:
        """Return yt-dlp's information about the video. Without an extraction, read it from the product `metadata`."""
        metadata = self._records.get("metadata")
        if metadata and not extraction.is_extracted:
            with contextlib.suppress(OSError, ValueError):
                (path,) = self._archive.paths(metadata)
                info: Mapping[str, Any] = read_json(path, self._archive.root)
                return info
        with guard_lifted(False):
            return extraction.sanitized_info()

    def current_result(self, result: str) -> str:
        """Return the row's earlier result, updated with the new file names of products that were made again."""
        for record in self._records.values():
            for before in self._archive.earlier(record):
                result = renamed(result, before, record)
        return result

    def _failure(self) -> AttemptError:
        """Return the failure that decides about the row, with the name of its product if there are several."""
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
    """Make the files. If the video needs an account, try again with cookies."""
    try:
        return recipe.make(extraction, work)
    except AttemptError as error:
        if not extraction.renew_with_cookies(error):
            raise
    return recipe.make(extraction, work)


def _draft(task: VideoTask, settings: Settings, recipe: Recipe, made: Made, rights: Mapping[str, Any]) -> Draft:
    """Return the files with their final paths and the content of their sidecars."""
    kind, product = recipe.product.kind, recipe.product
    stem = Template.read(settings.output_template).place(task, kind, made.info).as_posix()
    files = []
    for extension, path in made.files.items():
        made_with = {**product.made_with, **made.facts.get(extension, {})}
        file = DraftFile(path=path, stem=stem, extension=extension)
        if kind != "metadata":  # `.info.json` already contains the row's columns
            name = PurePosixPath(file.name).name
            content = sidecar_content(
                path, name, task, kind, made.info, made_with, media=made.media, degraded=made.degraded, rights=rights
            )
            file = replace(file, sidecar=content)
        files.append(file)
    return Draft(
        files=files,
        result="" if files else recipe.without_files,
        degraded=made.degraded,
        media_seconds=made.media.seconds if made.media else None,
    )


def _own_file(path: Path, root: Path) -> DraftFile:
    """Return a file that a user's processor has written to its final path."""
    name, suffix = path.relative_to(root).as_posix(), path.suffix
    return DraftFile(path=path, stem=name.removesuffix(suffix), extension=suffix[1:])


def describe(record: Record) -> str:
    """Return the paths of a record as a result, relative to the output folder, so that any machine finds the files."""
    if record.kind in BUILT_INS or len(record.files) < 2:
        return describe_files(record.files)
    return json.dumps(record.files, ensure_ascii=False, separators=(",", ":"))


def names_files_of(result: str, record: Record) -> bool:
    """Return whether a row's result names the files of a record, with or without remarks in brackets."""
    description = describe(record)
    return bool(description) and (result == description or result.startswith(f"{description} ("))


def renamed(result: str, before: Record, after: Record) -> str:
    """Replace the files of one record by those of another in a row's result, if it names them."""
    return describe(after) + result.removeprefix(describe(before)) if names_files_of(result, before) else result


def describe_files(files: Sequence[str]) -> str:
    """Return the path, or several paths in shell notation: `x.{de,en}.vtt`."""
    if len(files) < 2:
        return files[0] if files else ""
    paths = [PurePosixPath(file) for file in files]
    languages = [path.suffixes[-2].removeprefix(".") for path in paths]
    first = paths[0]
    stem = first.name.removesuffix("".join(first.suffixes[-2:]))
    return str(first.with_name(f"{stem}.{{{','.join(languages)}}}{first.suffix}"))
