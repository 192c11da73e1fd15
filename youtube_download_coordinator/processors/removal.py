"""Remove purged videos (queue/tombstones.py) from a place: their files, sidecars, and the records of all generations.

The files are found in one listing of the place. The name of a record contains the beginning of the key's hash, and the path of a
file contains the video's ID, because every `output_template` does. So files left by an interrupted removal, a killed attempt or
another machine are found from the tombstones alone. Records are removed last, because they name the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.processors.archive import FOLDER
from youtube_download_coordinator.processors.parts import idle_parts, remove_if_idle
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.sources.urls import video_target
from youtube_download_coordinator.storage.place import Place, check_path

THREADS = 16
"""The number of simultaneous requests to a place."""
_AT_ONCE = 10_000
_ID = re.compile(r"(?=([A-Za-z0-9_-]{11}))")
_OTHER_SITE = re.compile(r"-([0-9a-f]{12})(?![0-9a-f])")
"""The end of the names of files from other sites (output_paths.video_id)."""
_RECORD = re.compile(r"\.([0-9a-f]{8})(?:\.\d+)?\.json$")


class Buried:
    """A set of tombstones that can be searched for keys and names of files."""

    def __init__(self, tombstones: Collection[str]) -> None:
        self.tombstones = frozenset(tombstones)
        self._starts = {each[:8] for each in self.tombstones} | {each[:12] for each in self.tombstones}
        self._is_id = lru_cache(maxsize=100_000)(self.has_id)

    def has_key(self, key: str) -> bool:
        return tombstone(key) in self.tombstones

    def has_id(self, video_id: str) -> bool:
        """Return whether this is the ID of a buried video on YouTube."""
        return hashlib.sha256(f"yt:v:{video_id}".encode()).hexdigest() in self.tombstones

    def is_in(self, text: str) -> bool:
        """Return whether a name contains the ID of a buried video."""
        if any(match[1] in self._starts for match in _OTHER_SITE.finditer(text)):
            return True
        return any(self._is_id(match[1]) for match in _ID.finditer(text))

    def may_name_record(self, path: str) -> bool:
        """Return whether this may be the name of a record of a buried video."""
        match = _RECORD.search(path)
        return bool(match and match[1] in self._starts)


@dataclass(slots=True)
class Remains:
    """The remaining files and records of buried videos in a place."""

    files: dict[str, int] = field(default_factory=dict)
    """The paths of files and sidecars, with their sizes in bytes."""
    records: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    """Files of other videos whose names contain the ID of a buried video, for example in a title. They are kept."""

    @property
    def bytes(self) -> int:
        return sum(self.files.values()) + sum(self.records.values())


def find_remains(place: Place, buried: Buried) -> Remains:
    """Return the files and records of buried videos in a place. Raises PlaceError."""
    remains, named = Remains(), dict[str, int]()
    for held in place.list():
        if held.path.startswith(f"{FOLDER}/"):
            if buried.may_name_record(held.path) or buried.is_in(held.path):
                remains.records[held.path] = held.size
        elif not held.path.startswith(".corpus/") and buried.is_in(held.path):
            named[held.path] = held.size
    with ThreadPoolExecutor(THREADS, "purge") as pool:
        _read_records(place, buried, remains, named, pool)
        rest = [path for path in named if path not in remains.files]
        for path, is_other in zip(rest, pool.map(lambda path: _is_of_another(place, buried, path), rest), strict=True):
            if is_other:
                remains.others.append(path)
            else:
                remains.files[path] = named[path]
    return remains


def _read_records(
    place: Place, buried: Buried, remains: Remains, named: dict[str, int], pool: ThreadPoolExecutor
) -> None:
    """Keep only the records of buried videos, and add the files that they name."""
    candidates = list(remains.records)
    contents = pool.map(lambda path: _read_json(place, path), candidates)
    for path, content in zip(candidates, contents, strict=True):
        key = content.get("key")
        if isinstance(key, str) and not buried.has_key(key):
            del remains.records[path]
            continue
        files = content.get("files")
        for name in _valid(files if isinstance(files, list) else ()):
            for each in (name, f"{name}{SUFFIX}"):
                if each in named:
                    remains.files[each] = named[each]
                elif each not in remains.files and (held := place.head(each)) is not None:
                    remains.files[each] = held.size


def _valid(names: Iterable[object]) -> Iterator[str]:
    for name in names:
        with contextlib.suppress(ValueError):
            yield check_path(str(name))


def _is_of_another(place: Place, buried: Buried, path: str) -> bool:
    """Return whether a file belongs to another video, according to its sidecar or its own content."""
    contents = [_read_json(place, path)] if path.endswith(SUFFIX) else []
    contents.append(_read_json(place, f"{path}{SUFFIX}"))
    for content in contents:
        task = content.get("video_task")
        url = task.get("URL") if isinstance(task, dict) else None
        if isinstance(url, str):
            with contextlib.suppress(BadUrl):
                return not buried.has_key(video_target(url, allow_other_sites=True).key)
    return False


def _read_json(place: Place, path: str) -> dict[str, Any]:
    try:
        content = json.loads(place.get(path))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(place: Place, remains: Remains, progress: Callable[[int], None] = lambda count: None) -> None:
    """Delete files and sidecars, then records, many at a time. `progress` receives the number of deleted files.

    Raises PlaceError.
    """
    count = 0
    with ThreadPoolExecutor(THREADS, "purge") as pool:
        for paths in (remains.files, remains.records):
            rest = iter(paths)
            while batch := list(islice(rest, _AT_ONCE)):
                count += sum(1 for _ in pool.map(place.delete, batch))
                progress(count)
    if place.is_local:
        _remove_empty_folders(Path(place.address), remains.files)


def remove_videos(place: Place, keys: Iterable[str]) -> None:
    """Remove the files and records of the videos with these keys. Raises PlaceError."""
    remove(place, find_remains(place, Buried([tombstone(key) for key in keys])))


def _remove_empty_folders(root: Path, paths: Iterable[str]) -> None:
    """Remove folders that have become empty. They may be named after the video."""
    folders = {parent for path in paths for parent in PurePosixPath(path).parents if parent.parts}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with contextlib.suppress(OSError):  # something else is there
            (root / folder).rmdir()


def remove_half_files(work_dir: Path, buried: Buried) -> tuple[int, int]:
    """Remove the folders of attempts at buried videos on this machine. Return how many were removed and how many are in use."""
    parts = [part for part in idle_parts(work_dir) if part.key and buried.has_key(part.key)]
    removed = sum(remove_if_idle(part.folder) for part in parts)
    return removed, len(parts) - removed
