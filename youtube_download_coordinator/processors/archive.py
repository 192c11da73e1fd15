"""Keep records of the files that were made, one for each video and kind of file, below the output folder.

    <output_dir>/.archive/audio-m4a/3f/UKwSQSFN4Nw.json   {"key": "yt:v:...", "made_with": {...}, "files": ["Irish/x.m4a"], ...}

A record is one small file, replaced atomically, so any number of processes and machines may share the folder. A look-up costs one
read, whatever the number of records. When a person deletes a file, the video is downloaded again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.output_paths import file_stem, key_digest, video_id
from youtube_download_coordinator.processors.sidecar import SUFFIX, sidecar_text
from youtube_download_coordinator.queue.done_fields import media_length
from youtube_download_coordinator.storage.files import make_folder, move_into_place, read_json, write_text
from youtube_download_coordinator.text import format_utc

_log = logging.getLogger(__name__)

FOLDER = ".archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The kind of files that a processor makes of a video."""

    kind: str
    name: str
    """The kind, and the settings that change the file's name: `audio-m4a`."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """All other settings that matter. A file that was made with other settings is made again, in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of a product that was made."""

    kind: str
    name: str
    files: Sequence[str] = ()
    """The files' paths below the output folder, with `/` between the parts."""
    result: str = ""
    """The result if there are no files: that there are no subtitles, or the text that a user's processor returned."""
    degraded: Sequence[str] = ()
    """The reasons for which the files are degraded."""
    media_seconds: float | None = None
    """The measured length of audio or video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFile:
    """A complete file that is not in its final place yet."""

    path: Path
    stem: str
    """Its final path below the output folder, without its extension."""
    extension: str
    """`m4a`, `en.vtt`; may be empty."""
    sidecar: Mapping[str, Any] | None = None
    """The content of its sidecar; None: no sidecar."""

    @property
    def name(self) -> str:
        """Return the path below the output folder."""
        return name_of(self.stem, self.extension)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A product that was made and is not recorded yet, with the attributes of a Record."""

    files: Sequence[DraftFile]
    result: str = ""
    degraded: Sequence[str] = ()
    media_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """The files and records below one output folder."""

    output_dir: Path
    spool: Spool | None = None
    """The spool to which facts about new files are written for the index of the corpus."""

    @property
    def root(self) -> Path:
        """Return the folder whose files a user's processor gets, and below which it writes its own."""
        return self.output_dir

    @contextlib.contextmanager
    def opened_for(self, task: VideoTask, *, for_users: bool) -> Iterator[None]:
        """Do nothing: a user's processor works on the files themselves."""
        yield

    def paths(self, record: Record) -> list[Path]:
        """Return the files of a record, as local paths."""
        return [self.output_dir / name for name in record.files]

    def list_products(self, task: VideoTask) -> None:
        """Write the list of all recorded products into each sidecar."""
        from youtube_download_coordinator.processors.product_list import list_products

        list_products(self, task)

    def unpublished(self, product: Product, work: Path) -> Draft | None:
        """Return a draft that an earlier attempt has not published. There is none, because local files are published at once."""
        return None

    def keep(self, task: VideoTask, product: Product, draft: Draft, work: Path) -> Record:
        """Move the files to their place, each after its sidecar, so that an existing file always has a sidecar. Record them."""
        for file in draft.files:
            path = self.output_dir / file.name
            make_folder(path.parent, self.output_dir)
            if file.sidecar is not None:
                write_text(path.with_name(path.name + SUFFIX), sidecar_text(file.sidecar))
            if file.path != path:
                move_into_place(file.path, path)
        now = time.time()  # noqa: TID251  (it is recorded, and decides nothing)
        content = draft_record(task, product, [file.name for file in draft.files], draft, now)
        record = self._put(task, product, content)
        if self.spool:
            files = [(file.name, self.output_dir / file.name, file.sidecar) for file in draft.files]
            self.spool.remember(task.key, product.kind, product.name, content, files)
        return record

    def find(self, task: VideoTask, product: Product) -> list[Path]:
        """Return the files if all of them exist, or an empty list if they have to be made."""
        record = self.lookup(task, product)
        return self.paths(record) if record else []

    def lookup(self, task: VideoTask, product: Product) -> Record | None:
        """Return the record of a product, or None if it has to be made, for example because one of its files is gone."""
        content = self._read(task, product.name)
        if content is None or content.get("made_with") != dict(product.made_with):
            return None
        record = self._record(task, product.name, content)
        if record and any(Path(name).is_absolute() for name in content["files"]):
            self.add(
                task,
                product,
                self.paths(record),
                record.result,
                degraded=record.degraded,
                media_seconds=record.media_seconds,
            )
        return record

    def earlier(self, record: Record) -> list[Record]:
        """Return the product's other records. There are none, because a local folder keeps one record for each product."""
        return []

    def records(self, task: VideoTask) -> list[Record]:
        """Return the records of all products of the video by name, whatever settings they were made with."""
        return [record for _, record in self.products(task)]

    def products(self, task: VideoTask) -> list[tuple[Product, Record]]:
        """Return all recorded products of the video by name, each with its record."""
        try:
            names = sorted(os.listdir(self.output_dir / FOLDER))
        except (FileNotFoundError, NotADirectoryError):
            return []
        contents = ((name, self._read(task, name)) for name in names)
        found = [(content, self._record(task, name, content)) for name, content in contents if content is not None]
        return [
            (Product(kind=record.kind, name=record.name, made_with=content.get("made_with") or {}), record)
            for content, record in found
            if record
        ]

    def remove(self, task: VideoTask, record: Record) -> None:
        """Remove the files of a product and their sidecars, and finally the record."""
        for path in self.paths(record):
            path.with_name(path.name + SUFFIX).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another file is there
                path.parent.rmdir()
        for stem in ("", video_id(task)):
            self._path(task, record.name, stem).unlink(missing_ok=True)

    def add(
        self,
        task: VideoTask,
        product: Product,
        files: Sequence[Path],
        result: str = "",
        *,
        degraded: Sequence[str] = (),
        media_seconds: float | None = None,
    ) -> Record:
        """Record the files, and return the record. Call this last, because a record must not be older than its files."""
        names = [file.relative_to(self.output_dir).as_posix() for file in files]
        return self._put(task, product, record_content(task, product, names, result, degraded, media_seconds))

    def _put(self, task: VideoTask, product: Product, content: Mapping[str, Any]) -> Record:
        path = self._path(task, product.name)
        make_folder(path.parent, self.output_dir)
        write_text(path, json.dumps(content) + "\n")
        return record_of(product.kind, product.name, content["files"], content)

    def _path(self, task: VideoTask, product_name: str, stem: str = "") -> Path:
        return self.output_dir / record_path(task, product_name, stem)

    def _read(self, task: VideoTask, product_name: str) -> dict[str, Any] | None:
        """Return the content of a record of this video, or None if there is no readable record.

        Version 0.1.0 used the ID as the name of the record, even if it begins with `-`.
        """
        stems = dict.fromkeys((file_stem(task), video_id(task)))
        for path in (self._path(task, product_name, stem) for stem in stems):
            try:
                content = read_json(path, self.output_dir)
            except (FileNotFoundError, NotADirectoryError, ValueError):
                continue
            return content if isinstance(content, dict) and content.get("key") == task.key else None
        return None

    def _record(self, task: VideoTask, name: str, content: Mapping[str, Any]) -> Record | None:
        """Return the record if all its files exist. Version 0.1.0 recorded only the files."""
        names = content.get("files")
        if not isinstance(names, list) or not (names or "result" in content):
            return None
        files = [path for file in names if (path := self._inside(file))]
        if len(files) < len(names):
            _log.warning("ignored a record of %s: it names a file outside %s", task.url, self.output_dir)
            return None
        if not all(_exists(path) for path in files):
            return None
        names = [path.relative_to(self.output_dir).as_posix() for path in files]
        return record_of(str(content.get("kind") or name.partition("-")[0]), name, names, content)

    def _inside(self, name: object) -> Path | None:
        """Return the path of a recorded file, or None if its name leads out of the output folder.

        The name may be an absolute path in this folder. Links in the folder are followed: its owner may have moved files.
        """
        if not isinstance(name, str) or "\0" in name:
            return None
        path = Path(os.path.normpath(self.output_dir / name))
        roots = (Path(os.path.normpath(self.output_dir)), self.output_dir.resolve())
        root = next((root for root in roots if path.is_relative_to(root) and path != root), None)
        return self.output_dir / path.relative_to(root) if root else None


def name_of(stem: str, extension: str) -> str:
    return f"{stem}.{extension}" if extension else stem


def record_path(task: VideoTask, product_name: str, stem: str = "") -> str:
    """Return the path of a product's record below the output folder."""
    # In 256 folders. The start of the digest is in the name for file systems that ignore case.
    digest = key_digest(task)
    return f"{FOLDER}/{product_name}/{digest[:2]}/{stem or file_stem(task)}.{digest[:8]}.json"


def record_content(
    task: VideoTask,
    product: Product,
    names: Sequence[str],
    result: str,
    degraded: Sequence[str],
    media_seconds: float | None,
) -> dict[str, Any]:
    """Return a record as JSON."""
    content: dict[str, Any] = {"key": task.key, "made_with": dict(product.made_with), "files": list(names)}
    content |= {"kind": product.kind, "result": result}
    content |= {"degraded": list(degraded)} if degraded else {}
    return content | ({"media_seconds": media_seconds} if media_seconds is not None else {})


def draft_record(
    task: VideoTask, product: Product, names: Sequence[str], draft: Draft, made_seconds: float
) -> dict[str, Any]:
    """Return the record of a draft whose files have these names, as JSON. `made_seconds`: when it was made, since 1970."""
    content = record_content(task, product, names, draft.result, draft.degraded, draft.media_seconds)
    return content | {"made_at": format_utc(datetime.fromtimestamp(made_seconds, UTC))}


def record_of(kind: str, name: str, files: Sequence[str], content: Mapping[str, Any]) -> Record:
    """Return the record with this content, whose files exist."""
    degraded = content.get("degraded")
    return Record(
        kind=kind,
        name=name,
        files=list(files),
        result=str(content.get("result") or ""),
        degraded=[str(reason) for reason in degraded] if isinstance(degraded, list) else [],
        media_seconds=media_length(content.get("media_seconds")),
    )


def _exists(path: Path) -> bool:
    """Return whether the file exists and is not empty. A power cut may leave an empty file."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False
