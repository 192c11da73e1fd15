"""Rows that are done, with their files in a place: published as attempts on a machine do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.memory_place import MemoryPlace
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Draft, DraftFile, Product, Record
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.parts import work_folder
from youtube_download_coordinator.processors.place_archive import PlaceArchive
from youtube_download_coordinator.processors.production import describe
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Held, Place
from youtube_download_coordinator.stores.sql import SqlStore

AUDIO = Product(kind="audio", name="audio-m4a")
SUBTITLES = Product(kind="subtitles", name="subtitles-vtt")
CAPTIONS = b"WEBVTT\n\n00:00:00.000 --> 00:00:01.500\ngood <b>morning</b>\n\n00:00:01.500 --> 00:00:03.000\neverybody\n"


class CountingPlace(MemoryPlace):
    """A place in memory that counts requests by their kind."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()

    def _put(self, *arguments: Any, **more: Any) -> bool:
        self.requests["put"] += 1
        return super()._put(*arguments, **more)

    def get(self, path: str) -> bytes:
        self.requests["get"] += 1
        return super().get(path)

    def head(self, path: str) -> Held | None:
        self.requests["head"] += 1
        return super().head(path)

    def list(self, prefix: str = "") -> Iterator[Held]:
        self.requests["list"] += 1
        return super().list(prefix)

    def delete(self, path: str) -> None:
        self.requests["delete"] += 1
        super().delete(path)


def video(number: int, **fields: Any) -> VideoTask:
    """Return a video of YouTube that is not in a queue yet."""
    name = f"video{number:06}"
    given = {"url": f"https://www.youtube.com/watch?v={name}", "key": f"yt:v:{name}", "title": f"Title {number}"}
    return new_video(number, **{**given, "accent": "Irish", **fields})


def sidecar(content: bytes, kind: str = "audio", **more: Any) -> dict[str, Any]:
    """Return a sidecar as a built-in makes it."""
    media = {"codec": "mp4a.40.2", "sample_rate_hz": 44100, "channels": 2, "duration_seconds": 61.25}
    youtube = {"title": "At YouTube", "channel": "A channel", "channel_id": "UC1", "upload_date": "20260102"}
    return {
        "kind": kind,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "youtube": {**youtube, "license": "Creative Commons Attribution license (reuse allowed)", "duration": 61},
        "made_with": {},
        **({"media": media, "source": {"track": "original", "language": "en"}} if kind == "audio" else {}),
        **more,
    }


@dataclass
class Machine:
    """A machine of a fleet, with its own disk."""

    folder: Path
    place: Place
    queue: Queue = field(default_factory=lambda: make_queue(SqlStore("sqlite://")))
    has_spool: bool = True

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def archive(self) -> Archive | PlaceArchive:
        spool = Spool.of(self.state_dir, self.place.address) if self.has_spool else None
        if isinstance(self.place, LocalPlace):
            return Archive(Path(self.place.address), spool)
        return PlaceArchive(self.place, self.folder, spool)

    def keep(
        self,
        row: VideoTask,
        product: Product = AUDIO,
        files: Mapping[str, bytes] | None = None,
        *,
        sidecars: Mapping[str, Mapping[str, Any]] | None = None,
        **draft: Any,
    ) -> Record:
        """Publish a product of a row: files by their extension, with sidecars of a built-in unless others are given."""
        files = files if files is not None else {"m4a": f"sound of {row.key}".encode()}
        archive = self.archive
        archive.lookup(row, product)
        with work_folder(self.folder, row, product.name) as work:
            made = []
            for extension, content in files.items():
                path = work / f"made.{extension}"
                path.write_bytes(content)
                beside = sidecars.get(extension) if sidecars is not None else sidecar(content, product.kind)
                stem = f"{row.accent}/{row.key.removeprefix('yt:v:')}"
                made.append(DraftFile(path=path, stem=stem, extension=extension, sidecar=beside))
            return archive.keep(row, product, Draft(files=made, **draft), work)

    def done(self, row: VideoTask, **keep: Any) -> VideoTask:
        """Add a row, publish its audio, and settle it. Return the row."""
        self.queue.add(VIDEO_TASKS, [row])
        return self.settle(lambda claimed: describe(self.keep(claimed, **keep)))

    def settle(self, process: Any) -> VideoTask:
        """Claim the next row, and record what `process` returns as its result."""
        (claim,) = self.queue.claim(VIDEO_TASKS, 1)
        result = process(claim.row)
        done = result if isinstance(result, Done) else Done(result=result)
        (settled,) = self.queue.settle([(claim, done)])
        assert isinstance(settled, VideoTask)
        return settled


def subtitles(language: str = "en", content: bytes = CAPTIONS, *, automatic: bool = False) -> dict[str, Any]:
    """Return the arguments of `Machine.keep` for subtitles."""
    name = f"{language}.vtt"
    made_with = {"language": language, "automatic": automatic}
    return {
        "product": SUBTITLES,
        "files": {name: content},
        "sidecars": {name: sidecar(content, "subtitles", made_with=made_with)},
    }
