"""Permanently remove videos from a corpus (`ydc purge`): their rows, files, records, and everything else that names them.

The order of the steps makes it safe to kill a purge and to run it again:

1. Add the tombstones to the place (`.corpus/tombstones/`) and to the queue, so that no machine fetches the videos again.
2. Erase the rows, whoever holds them, so that workers' results are refused. Wait until the workers' claims have ended.
3. Remove files and sidecars, then the records that name them, found by the tombstones.
4. Publish the manifests again, and write the card again.
5. Remove the facts from the index. It contains the channel of each video, so until then the same selection finds the rest.
"""

from __future__ import annotations

import getpass
import logging
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.card import write_card_again
from youtube_download_coordinator.corpus.hub import commits_with
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.corpus.publication import publish_again
from youtube_download_coordinator.corpus.purge_selection import PurgeSelection
from youtube_download_coordinator.corpus.tombstone_copies import copies, put_copy
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.processors.removal import Buried, Remains, find_remains, remove, remove_half_files
from youtube_download_coordinator.queue.maintenance import Maintenance, batches
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table, Where
from youtube_download_coordinator.queue.tombstones import PURGED_KEY, is_erased, tombstone
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.text import format_utc

_log = logging.getLogger(__name__)

TABLES: tuple[Table[Any], ...] = (VIDEO_TASKS, DEAD_LETTERS, SOURCES)
_KEYS_AT_ONCE = 250
_ROWS_AT_ONCE = 10_000
"""A sheet may have several rows with one key: duplicates."""
_ERASE_ROUNDS = 20
"""How often an erasure is retried because a worker has changed the row at the same time."""


@dataclass(slots=True, kw_only=True)
class PurgeReport:
    """The report of a purge or its preview. It names videos only by their tombstones."""

    at: str
    """ISO-8601, UTC."""
    by: str = ""
    """The user and the machine that ran the command."""
    requested_by: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options that selected the videos, without options that name a video."""
    is_dry_run: bool = False
    tombstones: Sequence[str] = ()
    """SHA-256 of the keys."""
    rows: int = 0
    files: int = 0
    """Files and sidecars."""
    records: int = 0
    bytes: int = 0
    half_files: int = 0
    """Folders on this machine in which files were being made."""
    index_lines: int = 0
    manifests: int = 0
    """The number of manifests that were published again."""
    card: bool = False
    """Whether the card was written again."""
    kept_files: int = 0
    """Files of other videos whose names contain an ID of a purged video."""
    hub: Sequence[Mapping[str, str]] = ()
    """The commits that published the videos to a hub, which must be reverted."""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        verb = "would be purged" if self.is_dry_run else "purged"
        gone = "would be removed" if self.is_dry_run else "removed"
        return (
            f"{len(self.tombstones):,} videos {verb}: {self.rows:,} rows erased, {self.files:,} files and "
            f"{self.records:,} records {gone} ({self.bytes / 1e6:,.1f} MB), {self.half_files:,} unfinished files"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """The removal of videos from one queue and one place."""

    queue: Maintenance
    place: Place
    index: Index
    config: Config
    say: Callable[[str], None] = _log.info
    sleep: Callable[[float], None] = time.sleep

    def select(self, selection: PurgeSelection) -> frozenset[str]:
        """Return the keys of the selected videos. Raises UserError, StoreError and PlaceError."""
        if selection.channels:  # facts that are missing in the index are read from the place
            for _ in recordings(self.queue, self.place, self.config.state_dir):
                pass
        return frozenset(selection.find_keys(self.queue, self.index))

    def preview(self, keys: frozenset[str], asked: Mapping[str, Any]) -> tuple[PurgeReport, Remains]:
        """Return a report of what a purge would do, and the files that it would remove. Change nothing."""
        tombstones = frozenset(map(tombstone, keys))
        remains = find_remains(self.place, Buried(tombstones))
        rows = sum(len(rows) for table in TABLES for rows in self._rows(table, keys))
        report = self._report(tombstones, remains, asked)
        report.rows, report.is_dry_run, report.hub = rows, True, self._commits(tombstones)
        return report, remains

    def run(self, keys: frozenset[str], asked: Mapping[str, Any]) -> PurgeReport:
        """Remove the videos. If a run is killed, the next one with the same selection completes it.

        After a StoreError or PlaceError, run it again.
        """
        tombstones = frozenset(map(tombstone, keys))
        buried = Buried(tombstones)
        if tombstones:
            put_copy(self.place, tombstones)
            self.queue.store.bury(tombstones)
        count, until = self._erase_rows(keys)
        self._wait(until)
        remains = find_remains(self.place, buried)
        if remains.files or remains.records:
            total = len(remains.files) + len(remains.records)
            remove(self.place, remains, lambda gone: self.say(f"{gone:,} of {total:,} files and records removed"))
        report = self._report(tombstones, remains, asked)
        report.rows = count
        report.half_files, in_use = remove_half_files(self.config.work_dir, buried)
        if in_use:
            self.say(f"{in_use} unfinished files are in use; a worker of this machine removes them when it ends")
        report.manifests = len(publish_again(self.queue, self.place, self.config.state_dir))
        report.card = write_card_again(self.queue, self.place, self.config, self.say)
        report.index_lines = self._drop_index(buried)
        # Last: `publish_hub` keeps a batch, then looks whether the tombstones or the manifests have changed.
        report.hub = self._commits(tombstones)
        return report

    def restore(self) -> int:
        """Restore tombstones that a person has deleted, from the place and from the rows. Return the number of tombstones.

        Rows of these videos, which an earlier version of the sheet or a backup may have brought back, are erased again.
        """
        known = set(copies(self.place))
        for table in (VIDEO_TASKS, DEAD_LETTERS):
            known |= {row.key.removeprefix(PURGED_KEY)[:64] for row in self.queue.rows(table) if _is_purged(row.key)}
        self.queue.store.bury(known, are_all=True)
        rows = (row for table in TABLES for row in self.queue.rows(table) if not is_erased(row))
        count, _ = self._erase_rows(frozenset(row.key for row in rows if tombstone(row.key) in known))
        if count:
            self.say(f"{count:,} rows of purged videos had come back and are erased again")
        return len(known)

    # --- the queue ---------------------------------------------------------------------------------------------------

    def _rows(self, table: Table[Any], keys: Collection[str]) -> Iterator[list[Any]]:
        """Yield batches of the rows that are not erased yet."""
        for chunk in batches(sorted(keys), _KEYS_AT_ONCE):
            purged_keys = [f"{PURGED_KEY}{tombstone(key)}" for key in chunk if not _is_purged(key)]
            rows = self.queue.store.scan(table, Where(keys=[*chunk, *purged_keys]), limit=_ROWS_AT_ONCE)
            if left := [row for row in rows if not is_erased(row)]:
                yield left

    def _erase_rows(self, keys: frozenset[str]) -> tuple[int, datetime | None]:
        """Erase the rows. Return their number, and when the last claim on one of them has certainly ended."""
        count, until = 0, None
        for table in TABLES:
            for rows in self._rows(table, keys):
                untils = [row.lease.until for row in rows if row.lease.state is State.HELD]
                for _ in range(_ERASE_ROUNDS):
                    won = {change.new.id for change in self.queue.erase(table, rows)}
                    count += len(won)
                    lost = [row.id for row in rows if row.id not in won]
                    if not lost:
                        break
                    rows = self.queue.store.scan(table, Where(ids=lost), limit=len(lost))  # deleted ones are gone
                    untils += [row.lease.until for row in rows if row.lease.state is State.HELD]
                else:
                    raise StoreUnavailable(f"{len(lost)} rows are being changed by workers: run the command again")
                until = max([each for each in [until, *untils] if each], default=None)
        self.queue.store.flush()
        return count, until

    def _wait(self, until: datetime | None) -> None:
        """Wait until a worker that held a row has certainly stopped, because it may be publishing the file."""
        if until is None or (seconds := (until - self.queue.store.now()).total_seconds()) <= 0:
            return
        self.say(
            f"a worker was processing one of the videos: waiting until its claim has ended, at {format_utc(until)}"
        )
        self.sleep(seconds + 1)

    # --- the place ---------------------------------------------------------------------------------------------------

    def _drop_index(self, buried: Buried) -> int:
        keys = {facts.key for facts in self.index.entries() if buried.has_key(facts.key) and not _is_purged(facts.key)}
        return self.index.drop(keys) if keys else 0

    def _report(self, tombstones: frozenset[str], remains: Remains, asked: Mapping[str, Any]) -> PurgeReport:
        return PurgeReport(
            at=format_utc(self.queue.store.now()),
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            asked=asked,
            tombstones=sorted(tombstones),
            files=len(remains.files),
            records=len(remains.records),
            bytes=remains.bytes,
            kept_files=len(remains.others),
        )

    def _commits(self, tombstones: frozenset[str]) -> list[Mapping[str, str]]:
        return [commit._asdict() for commit in commits_with(self.place, tombstones)]


def _is_purged(key: str) -> bool:
    return key.startswith(PURGED_KEY)
