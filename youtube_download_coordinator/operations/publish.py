"""Move files from this machine's disk into object storage, and make results relative to `output_dir`.

It is safe to repeat: published products are skipped, and an interrupted run continues. A file is removed from the disk once the
record in the place names the same bytes.
"""

from __future__ import annotations

import hashlib
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, LaterError, PlaceUnavailable, UnfitError, UserError
from youtube_download_coordinator.models import State, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Draft, DraftFile, Product, Record
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.place_archive import PlaceArchive
from youtube_download_coordinator.processors.production import names_files_of, renamed
from youtube_download_coordinator.processors.removal import remove_videos
from youtube_download_coordinator.processors.sidecar import SUFFIX, sha256_of
from youtube_download_coordinator.queue.maintenance import SCAN_PAGE_ROWS, Maintenance, batches
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import is_purged
from youtube_download_coordinator.storage.files import read_json
from youtube_download_coordinator.storage.place import Place


@dataclass(slots=True)
class PublishReport:
    """The counts of a run."""

    published: int = 0
    """Number of products whose files were moved from this disk to the place."""
    corrected: int = 0
    """Number of rows."""
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Number of rows whose result is a path on another machine or in another folder, by machine."""
    problems: int = 0

    def __str__(self) -> str:
        text = f"{self.published} products published, {self.corrected} rows corrected"
        machines = ", ".join(f"{host}: {count}" for host, count in sorted(self.elsewhere.items()))
        return text + (f"; left to other machines or folders: {machines}" if machines else "")


class Publisher:
    """A run that publishes the files of one folder. `report` receives one line for each problem."""

    def __init__(
        self,
        queue: Maintenance,
        place: Place,
        folder: Path,
        report: Callable[[str], None],
        *,
        spool: Spool | None = None,
    ) -> None:
        """Prepare a run. `spool` records facts about published files for the index of the corpus."""
        self._queue = queue
        self._spool = spool
        self._place = place
        self._local = Archive(folder.absolute())
        self._report = report
        self._done = PublishReport()
        self._removable: list[tuple[VideoTask, Record]] = []

    def run(self) -> PublishReport:
        """Publish the files of all videos that are done. Raises UserError if the place refuses, PlaceUnavailable if it fails."""
        for rows in batches(self._queue.rows(VIDEO_TASKS, Where(state=State.DONE)), SCAN_PAGE_ROWS):
            results = {row.id: result for row in rows if (result := self._result(row)) != row.result}
            corrected = self._queue.correct_results(results)
            self._done.corrected += len(corrected)
            purged = self._remove_purged()
            missed = results.keys() - corrected - purged  # changed by somebody else: the next run removes the files
            for row, record in self._removable:  # only now: a row must not name a file that is gone
                if row.id not in missed:
                    self._local.remove(row, record)
                    self._done.published += row.id not in purged
            self._removable.clear()
        return self._done

    def _remove_purged(self) -> set[int]:
        """Remove published files of videos that were purged after their rows were read. Return the IDs of the videos."""
        keys = {row.id: row.key for row, _ in self._removable}
        rows = self._queue.store.scan(VIDEO_TASKS, Where(ids=list(keys)), limit=len(keys)) if keys else []
        purged = {row.id for row in rows if is_purged(row)}
        if purged:
            remove_videos(self._place, [keys[row_id] for row_id in purged])
        return purged

    def _result(self, row: VideoTask) -> str:
        """Publish the products of a video. Return its new result."""
        result = row.result
        if not self._place.is_local:
            for product, record in self._local.products(row):
                published = self._published(row, product, record)
                if published is not None:
                    relative = self._relative(result)
                    result = renamed(relative, record, published) if names_files_of(relative, record) else result
        elif self._place.address == str(self._local.output_dir):
            result = self._relative(result)
        if result == row.result and result.startswith("/"):
            self._note_left(row)
        return result

    def _note_left(self, row: VideoTask) -> None:
        if self._relative(row.result) != row.result:
            self._problem(row, f"no record names {row.result}, so it was not moved")
        else:
            self._done.elsewhere[row.claimed_by.partition("/")[0] or "?"] += 1

    def _published(self, row: VideoTask, product: Product, record: Record) -> Record | None:
        """Publish one product, and remove it from the disk. Return its record, or None after a problem."""
        archive = PlaceArchive(self._place, self._local.output_dir, self._spool)
        try:
            files = [self._draft_file(name, product.kind) for name in record.files]
            sums = [sha256_of(file.path) for file in files]
            for file, sha256 in zip(files, sums, strict=True):
                if file.sidecar and file.sidecar["sha256"] != sha256:
                    self._problem(row, f"{file.name} is not the file that its sidecar describes, so it was not moved")
                    return None
            published = archive.lookup(row, product, with_any_settings=True) or archive.publish(
                row, product, _draft(record, files), _attempt_of(row, product, sums)
            )
            if [self._sum_of(name) for name in published.files] != sums:
                self._problem(
                    row, f"the place has a different file, so {', '.join(record.files) or product.name} was not moved"
                )
                return published
        except LaterError as error:
            raise PlaceUnavailable(f"{error}; run the command again to continue") from None
        except UnfitError as error:
            raise UserError(str(error)) from None
        except (AttemptError, OSError) as error:
            self._problem(row, str(error))
            return None
        self._removable.append((row, record))
        return published

    def _sum_of(self, name: str) -> str:
        held = self._place.head(name)
        return held.sha256 if held else ""

    def _draft_file(self, name: str, kind: str) -> DraftFile:
        path = self._local.output_dir / name
        extension = "".join(path.suffixes[-2:] if kind in {"metadata", "subtitles"} else path.suffixes[-1:])
        return DraftFile(
            path=path,
            stem=name.removesuffix(extension),
            extension=extension.removeprefix("."),
            sidecar=_sidecar_of(path, self._local.output_dir),
        )

    def _relative(self, result: str) -> str:
        """Return the result without the folder at its start."""
        for root in (self._local.output_dir, self._local.output_dir.resolve()):
            if result.startswith(f"{root}/"):
                return result.removeprefix(f"{root}/")
        return result

    def _problem(self, row: VideoTask, problem: str) -> None:
        self._done.problems += 1
        self._report(f"video {row.id} ({row.name}): {problem}")


def _draft(record: Record, files: Sequence[DraftFile]) -> Draft:
    return Draft(files=files, result=record.result, degraded=record.degraded, media_seconds=record.media_seconds)


def _attempt_of(row: VideoTask, product: Product, sums: Sequence[str]) -> str:
    """Return a name for the attempt that stays the same if the command is repeated."""
    parts = [socket.gethostname(), row.key, product.name, *sums]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _sidecar_of(path: Path, folder: Path) -> Mapping[str, Any] | None:
    try:
        content = read_json(path.with_name(path.name + SUFFIX), folder)
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) and "sha256" in content else None
