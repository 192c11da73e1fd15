"""Publish the files and records of videos in object storage, which several machines may use at the same time.

    Irish/UKwSQSFN4Nw.m4a                             a file
    Irish/UKwSQSFN4Nw.m4a.json                        its sidecar
    .archive/audio-m4a/3f/UKwSQSFN4Nw.0d2b3c4f.json   the record, which names both; put last, only if there is none

A file is made on the local disk (parts.py) and published when it is complete. Until its record is published, it stays in the work
folder with `.unpublished`, so that a later attempt can continue without a request to YouTube.

A file that a record names is never replaced. If a file's name is taken, or the file is too large for a conditional put, it gets
a name with the attempt's mark: `Irish/UKwSQSFN4Nw.5f0c9a1e.m4a`. A record is not replaced either. A product that is made again,
with other settings or because its file was deleted, gets the next record, `UKwSQSFN4Nw.0d2b3c4f.2.json`. The last record is
valid.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from youtube_download_coordinator.errors import (
    LaterError,
    PermanentError,
    PlaceError,
    PlaceRefused,
    PlaceUnavailable,
    UnfitError,
)
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.archive import (
    Archive,
    Draft,
    DraftFile,
    Product,
    Record,
    draft_record,
    name_of,
    record_of,
    record_path,
)
from youtube_download_coordinator.processors.content_types import content_type_of
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.parts import UNPUBLISHED_FILE, clear_work, work_folder
from youtube_download_coordinator.processors.product_list import product_entry
from youtube_download_coordinator.processors.sidecar import SUFFIX, sha256_of, sidecar_text
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.reasons import PLACE_REFUSED, UPLOAD
from youtube_download_coordinator.storage.files import make_folder, read_json, write_text
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import MAX_CONDITIONAL_BYTES, ROW_ID, SHA256, Held, Place, check_path
from youtube_download_coordinator.youtube.ssrf_guard import guard_lifted

_log = logging.getLogger(__name__)

ATTEMPT, RECORD, NAME = "attempt", "record", "name_sha256"
"""Keys of the metadata: the attempt that put a file, the path of the record that will name it (percent-encoded), and a hash of
the file's path. A copy, or a file seen from a prefix above its place, has another path."""
FRESH_SECONDS = 6 * 3600.0
"""How long files of an attempt are used. Later they are put again under other names, because the sweep may remove them."""
VIEW = "files"
"""The work folder in which users' processors find files and write their own."""
_FRACTIONS = 8
"""Hexadecimal digits of an attempt's name."""


def open_archive(settings: Settings) -> Archive | PlaceArchive:
    """Return the archive in which files with these settings are published."""
    with guard_lifted():
        place = open_place(settings.place or settings.output_dir)
    spool = Spool.of(settings.network.state_dir, place.address) if settings.network.state_dir else None
    return PlaceArchive(place, settings.output_dir, spool) if settings.place else Archive(settings.output_dir, spool)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A draft that is being published, as in `.unpublished`."""

    draft: Draft
    attempt: str
    begun: float
    """The time of the attempt's first put, in seconds since 1970."""
    is_resumed: bool

    @property
    def is_large(self) -> bool:
        return any(file.path.stat().st_size > MAX_CONDITIONAL_BYTES for file in self.draft.files)


class PlaceArchive:
    """The files and records of one attempt in a place. Its methods raise AttemptError if the place fails."""

    def __init__(self, place: Place, folder: Path, spool: Spool | None = None) -> None:
        """Open an archive. `folder` is where files are made on this machine; `spool` collects the facts about them."""
        self._place = place
        self._folder = folder
        self._spool = spool
        self._view: Path | None = None
        self._known: dict[str, Record] = {}
        self._generations: dict[str, int] = {}
        self._contents: dict[str, list[Mapping[str, Any]]] = {}
        """The records of each product, by its name."""

    # --- existing products -----------------------------------------------------------------------------------------------

    def lookup(self, task: VideoTask, product: Product, *, with_any_settings: bool = False) -> Record | None:
        """Return the record of a product, or None if it has to be made, for example because one of its files is gone.

        `with_any_settings`: return a record of files made with other settings as well.
        """
        with _attempt_errors():
            content = self._latest(task, product.name)
            if with_any_settings and content is not None:
                content = {**content, "made_with": dict(product.made_with)}
            record = self._usable(task, product, content)
        if record:
            self._known[product.name] = record
        return record

    def _usable(self, task: VideoTask, product: Product, content: Mapping[str, Any] | None) -> Record | None:
        if content is None or content.get("made_with") != dict(product.made_with) or content.get("key") != task.key:
            return None
        names = content.get("files")
        if not isinstance(names, list) or not (names or "result" in content) or not all(map(self._exists, names)):
            return None
        return record_of(product.kind, product.name, names, content)

    def _exists(self, name: object) -> bool:
        try:
            held = self._place.head(check_path(name)) if isinstance(name, str) else None
        except ValueError:
            return False
        return held is not None and held.size > 0

    def _latest(self, task: VideoTask, product_name: str) -> Mapping[str, Any] | None:
        """Return the content of the last record, {} if it cannot be read, or None if there is none."""
        base = record_path(task, product_name)
        contents: list[Mapping[str, Any]] = []
        while (content := read_record(self._place, generation_path(base, len(contents) + 1))) is not None:
            contents.append(content)
        self._generations[product_name], self._contents[product_name] = len(contents), contents
        return contents[-1] if contents else None

    def earlier(self, record: Record) -> list[Record]:
        """Return the product's other records. The sweep removes their files, so a row must name the files of this record."""
        lists = [content.get("files") for content in self._contents.get(record.name, ())]
        others = [[str(name) for name in names] for names in lists if isinstance(names, list)]
        return [replace(record, files=names) for names in others if names and names != record.files]

    # --- the processors of users -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def opened_for(self, task: VideoTask, *, for_users: bool) -> Iterator[None]:
        """Keep local copies of files during the `with` block if users' processors need them."""
        with contextlib.ExitStack() as stack:
            self._view = stack.enter_context(work_folder(self._folder, task, VIEW)) if for_users else None
            yield

    @property
    def root(self) -> Path:
        """Return the folder whose files a user's processor gets, and below which it writes its own."""
        return self._view or self._folder

    def paths(self, record: Record) -> list[Path]:
        """Return local copies of the files of a record."""
        with _attempt_errors():
            return [self._local_copy(name) for name in record.files]

    def _local_copy(self, name: str) -> Path:
        path = self.root / check_path(name)
        if not path.is_file():
            make_folder(path.parent, self.root)
            self._place.download(name, path)
        return path

    def list_products(self, task: VideoTask) -> None:
        """Do nothing, because published files do not change. A sidecar lists the products that existed before its file."""

    # --- publishing --------------------------------------------------------------------------------------------------

    def unpublished(self, product: Product, work: Path) -> Draft | None:
        """Return the draft that an earlier attempt has not published. Remove a draft that was made with other settings."""
        pending = _read_pending(product, work)
        if pending is None and (work / UNPUBLISHED_FILE).exists():
            clear_work(work)
        return pending.draft if pending else None

    def keep(self, task: VideoTask, product: Product, draft: Draft, work: Path) -> Record:
        """Publish the files, their sidecars and the record. If another machine was first, return its record."""
        pending = _read_pending(product, work)
        if pending is None or _now() - pending.begun > FRESH_SECONDS:
            pending = _begin(product, draft, work)
        record, names = self._publish(task, product, pending)
        if self._view and list(record.files) == names:  # otherwise the files belong to another machine
            for name, file in zip(names, pending.draft.files, strict=True):
                make_folder((self._view / name).parent, self._view)
                file.path.replace(self._view / name)
        return record

    def publish(self, task: VideoTask, product: Product, draft: Draft, attempt: str) -> Record:
        """Publish files without moving them. A later call with the same attempt's name continues where this one ended."""
        pending = _Pending(draft=draft, attempt=attempt, begun=_now(), is_resumed=True)
        return self._publish(task, product, pending)[0]

    def _publish(self, task: VideoTask, product: Product, pending: _Pending) -> tuple[Record, list[str]]:
        """Publish a draft. Return the record that is valid afterwards, and the names of the files."""
        with _attempt_errors():
            names = self._put_files(task, product, pending)
            record = self._put_record(task, product, pending, names)
        self._known[product.name] = record
        return record, names

    def _put_files(self, task: VideoTask, product: Product, pending: _Pending) -> list[str]:
        """Put the files and their sidecars. Return the names of the files."""
        if not pending.is_large and (names := self._put_all(task, product, pending, "")) is not None:
            return names
        for mark in (pending.attempt[:_FRACTIONS], secrets.token_hex(_FRACTIONS // 2)):
            if (names := self._put_all(task, product, pending, f".{mark}")) is not None:
                return names
        raise LaterError("the names of its files are taken", reason=UPLOAD, not_before=_AT_ONCE)

    def _put_all(self, task: VideoTask, product: Product, pending: _Pending, mark: str) -> list[str] | None:
        """Put the files under names with this mark. Return None, with nothing left, if a name is taken."""
        files = pending.draft.files
        names = [name_of(file.stem + mark, file.extension) for file in files]
        record = quote(record_path(task, product.name))
        metadata = {ROW_ID: str(task.id), ATTEMPT: pending.attempt, RECORD: record}
        done: list[str] = []
        for file, name in zip(files, names, strict=True):
            own = {**metadata, NAME: name_hash(name), SHA256: _sum_of(file)}
            is_there = self._put(name, file.path, own, pending)
            done += [name] if is_there else []
            if is_there and file.sidecar is not None:
                text = self._sidecar(product, file, name, names)
                own = {**metadata, NAME: name_hash(name + SUFFIX)}
                is_there = self._put_if_ours(name + SUFFIX, text.encode(), own)
                done += [name + SUFFIX] if is_there else []
            if not is_there:
                self._discard(done)
                return None
        return names

    def _put(self, name: str, path: Path, metadata: Mapping[str, str], pending: _Pending) -> bool:
        size = path.stat().st_size
        if size <= MAX_CONDITIONAL_BYTES:
            return self._put_if_ours(name, path, metadata)
        if pending.is_resumed and (held := self._place.head(name)) and held.size == size and _is_ours(held, metadata):
            return True
        self._place.put(name, path, content_type=content_type_of(name), metadata=metadata)
        return True

    def _put_if_ours(self, name: str, source: Path | bytes, metadata: Mapping[str, str]) -> bool:
        """Put a file unless the name is taken. Return whether the file at that name is this attempt's."""
        if self._place.put_if_absent(name, source, content_type=content_type_of(name), metadata=metadata):
            return True
        held = self._place.head(name)
        return held is not None and _is_ours(held, metadata)

    def _sidecar(self, product: Product, file: DraftFile, name: str, names: Sequence[str]) -> str:
        """Return the sidecar with the currently known products. It is not changed when others are made later."""
        record = Record(kind=product.kind, name=product.name, files=names)
        products = [product_entry(known) for known in {**self._known, product.name: record}.values()]
        return sidecar_text({**(file.sidecar or {}), "file": PurePosixPath(name).name, "products": products})

    def _put_record(self, task: VideoTask, product: Product, pending: _Pending, names: Sequence[str]) -> Record:
        """Put the record that names the files. If another attempt was first, discard them and return its record."""
        content = draft_record(task, product, names, pending.draft, pending.begun) | {ATTEMPT: pending.attempt}
        text = (json.dumps(content) + "\n").encode()
        base = record_path(task, product.name)
        if product.name not in self._generations:
            self._latest(task, product.name)
        while True:
            generation = self._generations[product.name] + 1
            path = generation_path(base, generation)
            if self._place.put_if_absent(
                path, text, content_type=content_type_of(path), metadata={ROW_ID: str(task.id)}
            ):
                break
            other = self._latest(task, product.name)
            if other and other.get(ATTEMPT) == pending.attempt:
                generation = self._generations[product.name]
                break
            if record := self._usable(task, product, other):
                _log.info("%s: another machine has already published its %s", task.url, product.name)
                self._discard([*names, *(name + SUFFIX for name in names)])
                return record
        if self._spool:
            files = [(name, file.path, file.sidecar) for name, file in zip(names, pending.draft.files, strict=True)]
            self._spool.remember(task.key, product.kind, product.name, content, files, generation=generation)
        return record_of(product.kind, product.name, names, content)

    def _discard(self, names: Sequence[str]) -> None:
        """Delete files that this attempt has put and that no record names. The sweep removes any others after a day."""
        with contextlib.suppress(PlaceError):
            for name in names:
                self._place.delete(name)


_AT_ONCE = datetime.fromtimestamp(0, UTC)
"""A time in the past, so that the queue makes its usual short pause."""


def _now() -> float:
    return time.time()  # noqa: TID251  (the age of files, to be compared with a day)


@contextlib.contextmanager
def _attempt_errors() -> Iterator[None]:
    """Translate errors of the place into AttemptErrors. The place and its credential server may be in the worker's network."""
    try:
        with guard_lifted():
            yield
    except PlaceUnavailable as error:
        raise LaterError(str(error), reason=UPLOAD, not_before=_AT_ONCE) from error
    except PlaceRefused as error:
        raise UnfitError(str(error), reason=error.reason or PLACE_REFUSED) from error
    except ValueError as error:
        raise PermanentError(f"a name that the place cannot keep: {error}", reason=PLACE_REFUSED) from error


def _is_ours(held: Held, metadata: Mapping[str, str]) -> bool:
    """Return whether this attempt has put the file, recently enough that the sweep keeps it until the record is published."""
    is_fresh = _now() - held.modified.timestamp() < FRESH_SECONDS
    return is_fresh and held.metadata.get(ATTEMPT) == metadata[ATTEMPT]


def name_hash(name: str) -> str:
    """Return a hash of a file's path in the place. The path itself is too long for metadata."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def generation_path(base: str, generation: int) -> str:
    """Return the path of a product's record. `base` is the path of the first record."""
    return base if generation == 1 else f"{base.removesuffix('.json')}.{generation}.json"


def read_record(place: Place, path: str) -> Mapping[str, Any] | None:
    """Return the content of a record, {} if it cannot be read, or None if it does not exist."""
    try:
        content = json.loads(place.get(path))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _begin(product: Product, draft: Draft, work: Path) -> _Pending:
    """Save a draft for publishing, under the name of a new attempt. Move its files to the work folder if necessary."""
    files = []
    for number, file in enumerate(draft.files):
        path = file.path
        if path.parent != work:
            path = work / f"{number}.{path.name}"
            file.path.replace(path)
        files.append(replace(file, path=path))
    pending = _Pending(draft=replace(draft, files=files), attempt=secrets.token_hex(16), begun=_now(), is_resumed=False)
    content = asdict(pending) | {"product": product.name, "made_with": dict(product.made_with)}
    content["sha256"] = [_sum_of(file) for file in files]
    for file in content["draft"]["files"]:
        file["path"] = file["path"].name
    write_text(work / UNPUBLISHED_FILE, json.dumps(content, default=str) + "\n")
    return pending


def _sum_of(file: DraftFile) -> str:
    return str(file.sidecar["sha256"]) if file.sidecar else sha256_of(file.path)


def _read_pending(product: Product, work: Path) -> _Pending | None:
    """Return the draft that waits to be published, if it is this product and complete."""
    try:
        content = read_json(work / UNPUBLISHED_FILE, work)
        if (content["product"], content["made_with"]) != (product.name, dict(product.made_with)):
            return None
        fields = content["draft"]
        files = [DraftFile(**{**file, "path": work / file["path"]}) for file in fields["files"]]
        draft = Draft(**{**fields, "files": files})
        if [sha256_of(file.path) for file in files] != content["sha256"]:  # a power cut may leave half of a file
            return None
        return _Pending(draft=draft, attempt=content[ATTEMPT], begun=content["begun"], is_resumed=True)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
