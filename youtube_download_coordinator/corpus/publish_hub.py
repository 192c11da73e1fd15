"""Upload a corpus to a dataset repository on Hugging Face: media in batches, then the manifest and the card.

A run may be killed at any moment. The next one queries the hub for existing files, and continues.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from youtube_download_coordinator.corpus.card import CROISSANT, PAGE, known_recordings
from youtube_download_coordinator.corpus.hub import Batch, batches, keep
from youtube_download_coordinator.corpus.hub_client import HubClient, utc_now
from youtube_download_coordinator.corpus.hub_lock import HubLock
from youtube_download_coordinator.corpus.publication import published
from youtube_download_coordinator.corpus.recordings import FOLDER, RECORDINGS, Recording
from youtube_download_coordinator.corpus.tombstone_copies import copies
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.place import Place

BATCH_FILES, BATCH_BYTES = 500, 2_000_000_000
"""The limits of a batch, which ends with the file that exceeds one of them. A remote place needs this much disk space."""
ASKED_AT_ONCE = 500
"""The number of files in one query to the hub."""


@dataclass(slots=True)
class HubReport:
    """The counts of a run."""

    files: int = 0
    bytes: int = 0
    commits: int = 0
    present: int = 0
    """The number of files that already existed."""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.files:,} files published in {self.commits:,} commits ({self.bytes / 1e6:,.1f} MB);"
            f" {self.present:,} were there already"
        )


class HubPublisher:
    """A publisher of a place's recordings and their descriptions."""

    def __init__(
        self, place: Place, hub: HubClient, work_dir: Path, say: Callable[[str], None], *, is_public: bool = False
    ) -> None:
        self._place = place
        self._hub = hub
        self._work_dir = work_dir
        self._say = say
        self._is_public = is_public
        self._report = HubReport()

    def preview(self) -> HubReport:
        """Return the counts of what `run` would upload, without small files. Change nothing."""
        is_private = self._hub.is_private()
        self._check_visibility(is_private)
        for recording in self._missing(is_there=is_private is not None):
            self._report.files += 1
            self._report.bytes += recording.bytes or 0
        return self._report

    def run(self, lock: HubLock) -> HubReport:
        """Publish the files that the hub does not have yet. Raises UserError and PlaceUnavailable."""
        self._check_visibility(self._hub.is_private())
        self._hub.create()
        self._hub.load_commit_times()
        self._settle_batches()
        self._work_dir.mkdir(parents=True, exist_ok=True)
        missing = self._missing(is_there=True)
        while True:
            with tempfile.TemporaryDirectory(prefix="hub-", dir=self._work_dir) as folder:
                lock.renew(Path(folder))
                files, hashes = self._fetch(missing, Path(folder))
                if not files:
                    break
                self._publish_media(files, hashes)
        self._publish_descriptions(lock)
        if self._is_public:
            self._hub.make_public()
        return self._report

    def _check_visibility(self, is_private: bool | None) -> None:
        if is_private is False and not self._is_public:
            raise UserError(f"{self._hub.repo} is public: publish into it with --public, or name another repository")

    def _settle_batches(self) -> None:
        """Find the batches of killed processes that were committed, and forget the others."""
        for batch in batches(self._place):
            if not batch.commit and (batch.repo, batch.revision) == (self._hub.repo, self._hub.revision):
                commit = self._hub.commit_of(batch.id)
                if commit:
                    keep(self._place, batch, commit)
                else:
                    self._place.delete(batch.path)

    def _missing(self, *, is_there: bool) -> Iterator[Recording]:
        """Yield the recordings whose files are missing on the hub, or have other content there."""
        recordings = known_recordings(self._place)
        while some := list(islice(recordings, ASKED_AT_ONCE)):
            there = self._hub.files([recording.path for recording in some]) if is_there else {}
            for recording in some:
                if there.get(recording.path) and there[recording.path] == recording.sha256:
                    self._report.present += 1
                else:
                    yield recording

    def _fetch(self, missing: Iterator[Recording], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
        """Return the files of the next batch, and the hashes of their videos' keys, by their paths in the repository."""
        files: dict[str, Path] = {}
        hashes: dict[str, str] = {}
        size = 0
        while len(files) < BATCH_FILES and size < BATCH_BYTES and (recording := next(missing, None)):
            try:
                files[recording.path] = self._local_file(recording.path, folder / f"{len(files)}")
            except FileNotFoundError:
                self._report.problems.append(f"{recording.path} is not in the place: run ydc verify --files")
                continue
            hashes[recording.path] = tombstone(recording.key)
            size += files[recording.path].stat().st_size
        return files, hashes

    def _local_file(self, path: str, copy: Path) -> Path:
        if self._place.is_local:
            file = Path(self._place.url(path))
            if not file.is_file():
                raise FileNotFoundError(path)
            return file
        self._place.download(path, copy)
        return copy

    def _descriptions(self, folder: Path) -> dict[str, Path]:
        figures = sorted(held.path for held in self._place.list(f"{FOLDER}/card"))
        files = {}
        for number, path in enumerate((RECORDINGS, *sorted(published(self._place).files), CROISSANT, *figures, PAGE)):
            if self._place.head(path):
                files[path] = self._local_file(path, folder / f"{number}")
        if PAGE not in files:
            self._report.problems.append("the place has no card: run ydc card")
        return files

    def _publish_media(self, files: dict[str, Path], hashes: dict[str, str]) -> None:
        """Publish the files of videos, except purged ones. Either `ydc purge` sees the batch, or this sees its tombstones."""
        batch = self._begin(hashes.values())
        purged = set(copies(self._place)).intersection(hashes.values())
        kept = {path: file for path, file in files.items() if hashes[path] not in purged}
        self._publish("Add recordings", batch, kept)

    def _publish_descriptions(self, lock: HubLock) -> None:
        """Publish the manifests and the card. If they change in the meantime, for example by a purge, publish the new ones."""
        is_current = False
        while not is_current:
            with tempfile.TemporaryDirectory(prefix="hub-", dir=self._work_dir) as folder:
                lock.renew(Path(folder))
                before = self._place.head(RECORDINGS)
                files = self._descriptions(Path(folder))
                batch = self._begin(())
                is_current = self._place.head(RECORDINGS) == before
                self._publish("Describe the recordings", batch, files if is_current else {})

    def _begin(self, hashes: Iterable[str]) -> Batch:
        """Keep a batch before its commit is made: a killed process has left which videos it may have published."""
        batch = Batch(
            id=secrets.token_hex(6),
            repo=self._hub.repo,
            revision=self._hub.revision,
            began_at=utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            hashes=tuple(dict.fromkeys(hashes)),
        )
        keep(self._place, batch)
        return batch

    def _publish(self, title: str, batch: Batch, files: dict[str, Path]) -> None:
        from huggingface_hub import CommitOperationAdd

        operations = [CommitOperationAdd(path, str(file)) for path, file in files.items()]
        commit = self._hub.commit(batch.id, title, operations) if operations else ""
        if not commit:
            self._place.delete(batch.path)
            self._report.present += len(files)
            return
        keep(self._place, batch, commit)
        size = sum(file.stat().st_size for file in files.values())
        self._report.files += len(files)
        self._report.bytes += size
        self._report.commits += 1
        self._say(f"{title}: {len(files):,} files, {size / 1e6:,.1f} MB, commit {commit[:12]}")
