"""Records of the files that were made: one for each video and kind of file, below the output folder.

    <output_dir>/.archive/audio-m4a/3f/UKwSQSFN4Nw.json      {"key": "yt:v:...", "made_with": {...}, "files": ["Irish/x.m4a"]}

A record is one small file, replaced atomically, so any number of processes and machines may share the folder, and a look-up
costs one read however many records there are. When a person deletes a file, the video is downloaded again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.files import make_folder, write_text
from youtube_download_coordinator.processors.output_paths import file_stem, key_digest

FOLDER = ".archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The kind of files that a processor makes of a video."""

    kind: str
    name: str
    """The kind, and the settings that change the file's name: `audio-m4a`."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """All other settings that matter; a file that was made with other ones is made again, in its place."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The records below one output folder."""

    output_dir: Path

    def find(self, task: VideoTask, product: Product) -> list[Path]:
        """Return the files if all of them exist, else an empty list: they have to be made."""
        record = self._read(task, product)
        if record is None or record.get("key") != task.key or record.get("made_with") != dict(product.made_with):
            return []
        files = [self.output_dir / str(name) for name in record.get("files") or ()]
        return files if all(_exists(path) for path in files) else []

    def add(self, task: VideoTask, product: Product, files: Sequence[Path]) -> None:
        """Record the files. This comes last: a record must not be older than its files."""
        path = self._path(task, product)
        make_folder(path.parent, self.output_dir)
        names = [file.relative_to(self.output_dir).as_posix() for file in files]
        write_text(path, json.dumps({"key": task.key, "made_with": dict(product.made_with), "files": names}) + "\n")

    def _path(self, task: VideoTask, product: Product) -> Path:
        # In 256 folders. The start of the digest is in the name for file systems that ignore case.
        digest = key_digest(task)
        return self.output_dir / FOLDER / product.name / digest[:2] / f"{file_stem(task)}.{digest[:8]}.json"

    def _read(self, task: VideoTask, product: Product) -> dict[str, Any] | None:
        """Return the record, or None if there is none that can be read."""
        try:
            record = json.loads(self._path(task, product).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) else None


def _exists(path: Path) -> bool:
    """Return whether the file exists and is not empty, as a power cut may leave it."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False
