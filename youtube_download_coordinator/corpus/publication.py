"""Publish manifests in the place itself, so that a folder or a bucket is a data set, and keep them up to date.

    .corpus/recordings.jsonl.gz    all recordings (recordings.py)
    .corpus/published.json         the published manifests, with their options
    .corpus/changes/               the changes of each publication (changes.py)
    manifest.jsonl, ...            the manifests

A publication writes all of them from the same recordings. Two machines that publish at the same time write the same bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from youtube_download_coordinator.corpus.changes import record_changes
from youtube_download_coordinator.corpus.formats import FORMATS
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.corpus.manifest import (
    Manifest,
    ManifestCounts,
    ManifestOptions,
    check_folder,
    naming,
    writing,
)
from youtube_download_coordinator.corpus.recordings import FOLDER, RECORDINGS, Recording
from youtube_download_coordinator.corpus.recordings import write as write_recordings
from youtube_download_coordinator.models import State
from youtube_download_coordinator.private_files import make_private_folder
from youtube_download_coordinator.queue.maintenance import Maintenance
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.place import Place

PUBLISHED = f"{FOLDER}/published.json"
_NAMES = frozenset(
    name for each in FORMATS for split in (False, True) for name in ManifestOptions(format=each, split=split).names()
)
"""The names of all files that are manifests. No other file is ever deleted."""
_SCRATCH = "manifest-"
_SCRATCH_MAX_SECONDS = 86400
"""The age at which a folder of a killed process is removed."""


@dataclass(slots=True)
class Published:
    """The manifests of a place."""

    formats: dict[str, ManifestOptions] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    """The files of these manifests, and of manifests that are being replaced."""

    def encode(self) -> str:
        formats = {name: options.as_json() for name, options in self.formats.items()}
        return json.dumps({"version": 1, "formats": formats, "files": sorted(self.files)}, indent=1) + "\n"


def published(place: Place) -> Published:
    """Return the manifests of the place, or none if the list is damaged. Raises PlaceError."""
    try:
        content = json.loads(place.get(PUBLISHED))
        formats = {name: ManifestOptions.from_json(options) for name, options in sorted(content["formats"].items())}
        return Published(formats, set(_NAMES.intersection(content["files"])))
    except FileNotFoundError:
        return Published()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Published()


def write_manifest(
    queue: Maintenance,
    place: Place,
    state_dir: Path,
    options: ManifestOptions,
    name_file: Callable[[str], str],
    files: Sequence[IO[bytes]],
) -> ManifestCounts:
    """Write one manifest to open files. Raises PlaceError, StoreError and UserError."""
    manifest = Manifest(options, _columns(queue), name_file, files)
    with writing([manifest]):
        _fill(queue, recordings(queue, place, state_dir, product=options.product), [manifest])
    return manifest.counts


def publish(
    queue: Maintenance, place: Place, state_dir: Path, options: ManifestOptions | None = None
) -> dict[str, ManifestCounts]:
    """Publish the manifest with these options, and the existing manifests again. Return the counts of each, by its file.

    Without options and without any manifest, publish one for NeMo. If videos are purged in the meantime, start again without
    them, because the purge may have published earlier. `state_dir` is the setting. Raises PlaceError, StoreError and UserError.
    """
    present = published(place)
    if options or not present.formats:
        options = options or ManifestOptions()
        present.formats = dict(sorted((present.formats | {options.format: options}).items()))
    for each in present.formats.values():
        each.check(place)
    wanted = {name for each in present.formats.values() for name in each.names()}
    obsolete, present.files = present.files - wanted, present.files | wanted
    with scratch_folder(state_dir) as folder:
        buried: Collection[str] | None = None
        while buried != (buried := frozenset(queue.store.tombstones())):
            counts = _write_all(queue, place, state_dir, list(present.formats.values()), folder, buried)
            # First, so that the next publication knows the files even if this process is killed.
            _put_list(place, folder, present)
            _put_all(place, folder, present, queue.store.now())
        for name in obsolete:
            place.delete(name)
        present.files = wanted
        _put_list(place, folder, present)
    return counts


def publish_again(queue: Maintenance, place: Place, state_dir: Path) -> dict[str, ManifestCounts]:
    """Publish the existing manifests, if any, with the current rows and files. Raises the errors of `publish`."""
    return publish(queue, place, state_dir) if published(place).formats else {}


def _write_all(
    queue: Maintenance,
    place: Place,
    state_dir: Path,
    formats: Sequence[ManifestOptions],
    folder: Path,
    buried: Collection[str],
) -> dict[str, ManifestCounts]:
    """Write the files of all manifests, and RECORDINGS, into a local folder, in one pass for each product.

    `buried`: tombstones of videos to leave out, whose rows may not be erased yet.
    """
    counts: dict[str, ManifestCounts] = {}
    root = Path(place.address) if place.is_local else None
    for product in sorted({"", *(options.product for options in formats)}):
        with ExitStack() as stack:
            manifests = {}
            for options in (each for each in formats if each.product == product):
                name_file = naming(options.paths, place, root)
                check_folder(options, name_file)
                files = [stack.enter_context((folder / name).open("wb")) for name in options.names()]
                manifests[options.names()[0]] = Manifest(options, _columns(queue), name_file, files)
            with writing(list(manifests.values())):
                made = recordings(queue, place, state_dir, product=product)
                kept = (each for each in made if tombstone(each.key) not in buried) if buried else made
                found = _filled(queue, kept, list(manifests.values()))
                if product:
                    for _ in found:
                        pass
                else:
                    write_recordings(_recordings_in(folder), found)
            counts |= {name: manifest.counts for name, manifest in manifests.items()}
    return {options.names()[0]: counts[options.names()[0]] for options in formats}


def _put_all(place: Place, folder: Path, present: Published, now: datetime) -> None:
    for options in present.formats.values():
        for name in options.names():
            content_type = FORMATS[options.format].content_type
            place.put(name, folder / name, content_type=content_type, metadata={}, move=True)
    record_changes(place, _recordings_in(folder), now)
    place.put(RECORDINGS, _recordings_in(folder), content_type="application/gzip", metadata={}, move=True)


def _recordings_in(folder: Path) -> Path:
    """Return the local path of the file that becomes RECORDINGS. lhotse has a file of the same name."""
    return folder / f"all-{Path(RECORDINGS).name}"


def _put_list(place: Place, folder: Path, present: Published) -> None:
    path = folder / Path(PUBLISHED).name
    path.write_text(present.encode(), encoding="utf-8")
    place.put(PUBLISHED, path, content_type="application/json", metadata={}, move=True)


def _columns(queue: Maintenance) -> list[str]:
    """Return the custom columns, in an order that does not depend on the store."""
    return sorted(queue.store.used_columns(VIDEO_TASKS))


def _fill(queue: Maintenance, found: Iterator[Recording], manifests: Sequence[Manifest]) -> None:
    for _ in _filled(queue, found, manifests):
        pass


def _filled(queue: Maintenance, found: Iterator[Recording], manifests: Sequence[Manifest]) -> Iterator[Recording]:
    """Yield the recordings after writing them to the manifests. Count the rows that are done and have no file."""
    done, rows, last_id = queue.counts(VIDEO_TASKS).get(State.DONE, 0), 0, 0
    for recording in found:
        rows += recording.id != last_id
        last_id = recording.id
        for manifest in manifests:
            manifest.add(recording)
        yield recording
    for manifest in manifests:
        manifest.counts.left_out["without a file"] += max(0, done - rows)


@contextmanager
def scratch_folder(state_dir: Path) -> Iterator[Path]:
    """Yield an empty folder, and remove it at the end, together with folders of killed processes."""
    make_private_folder(state_dir)
    for left in state_dir.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            if left.is_dir() and time.time() - left.stat().st_mtime > _SCRATCH_MAX_SECONDS:  # noqa: TID251 - of files
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=state_dir) as folder:
        yield Path(folder)
