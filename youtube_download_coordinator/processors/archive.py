"""What is there already: a record for each video and kind of file, below the output folder.

    <output_dir>/.archive/audio-m4a/3f/UKwSQSFN4Nw.json      {"key": "yt:v:...", "made_with": {...}, "files": ["Irish/x.m4a"]}

A record is one small file, written whole, so any number of processes and machines may share the folder, and to ask costs one
read however many there are. It speaks of files that were there: when a person deletes one, the video is fetched again.
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
    """What is made of a video."""

    kind: str
    name: str
    """The kind, and what else makes it another file: `audio-m4a`."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """What else was asked for; a file that was made with something else is made again, in its place."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The records below one output folder."""

    output_dir: Path

    def find(self, task: VideoTask, product: Product) -> list[Path]:
        """The files, if all of them are there; none: they are to be made."""
        record = self._read(task, product)
        if record is None or record.get("key") != task.key or record.get("made_with") != dict(product.made_with):
            return []
        files = [self.output_dir / str(name) for name in record.get("files") or ()]
        return files if all(_is_there(path) for path in files) else []

    def add(self, task: VideoTask, product: Product, files: Sequence[Path]) -> None:
        """Record that these files are there. Last of all: a record must not be older than its file."""
        path = self._path(task, product)
        make_folder(path.parent, self.output_dir)
        names = [file.relative_to(self.output_dir).as_posix() for file in files]
        write_text(path, json.dumps({"key": task.key, "made_with": dict(product.made_with), "files": names}) + "\n")

    def _path(self, task: VideoTask, product: Product) -> Path:
        # In 256 folders, and with the digest's start in the name where file systems do not tell `a` from `A`.
        digest = key_digest(task)
        return self.output_dir / FOLDER / product.name / digest[:2] / f"{file_stem(task)}.{digest[:8]}.json"

    def _read(self, task: VideoTask, product: Product) -> dict[str, Any] | None:
        """The record; None: there is none, or something else in its place."""
        try:
            record = json.loads(self._path(task, product).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) else None


def _is_there(path: Path) -> bool:
    """An empty file is what a power cut leaves of one."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False
