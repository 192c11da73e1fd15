"""Takes videos out of a corpus for good (`ydc purge`): their rows, files, records, and whatever else names them.

The order of the steps makes it safe to kill a purge and to run it again:

1. the tombstones, in the place (`.corpus/tombstones/`) and in the queue: from then on no machine fetches the videos;
2. the rows, whoever holds them: what a worker makes of one is refused, and it is waited for until its claim has ended;
3. files and sidecars, then the records that name them, found by the tombstones;
4. the manifests, which are published again, and the card, which counts what they have;
5. the index, which knows the channel of each video: until then the same selection finds what is left.
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
"""How often a row is erased again because a worker has changed it at the same moment."""


@dataclass(slots=True, kw_only=True)
class PurgeReport:
    """What a purge did, or would do. Videos are named by their tombstones alone."""

    at: str
    """ISO-8601, UTC."""
    by: str = ""
    """Who ran the command: user and machine."""
    requested_by: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options that selected the videos; those that name a video are left out."""
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
    """How many were published again."""
    card: bool = False
    """Whether the card was written again."""
    kept_files: int = 0
    """Files of other videos that have an ID in their names."""
    hub: Sequence[Mapping[str, str]] = ()
    """The commits that published the videos to a hub, which have to be reverted."""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        verb = "would be purged" if self.is_dry_run else "purged"
        gone = "would be removed" if self.is_dry_run else "removed"
        return (
            f"{len(self.tombstones):,} videos {verb}: {self.rows:,} rows erased, {self.files:,} files and "
            f"{self.records:,} records {gone} ({self.bytes / 1e6:,.1f} MB), {self.half_files:,} half files"
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
        if selection.channels:  # what the index lacks is read from the place
            for _ in recordings(self.queue, self.place, self.config.state_dir):
                pass
        return frozenset(selection.find_keys(self.queue, self.index))

    def preview(self, keys: frozenset[str], asked: Mapping[str, Any]) -> tuple[PurgeReport, Remains]:
        """Return what a purge would do, and the files that would go. Change nothing."""
        tombstones = frozenset(map(tombstone, keys))
        remains = find_remains(self.place, Buried(tombstones))
        rows = sum(len(rows) for table in TABLES for rows in self._rows(table, keys))
        report = self._report(tombstones, remains, asked)
        report.rows, report.is_dry_run, report.hub = rows, True, self._commits(tombstones)
        return report, remains

    def run(self, keys: frozenset[str], asked: Mapping[str, Any]) -> PurgeReport:
        """Take the videos out. What a killed run has left is done by the next one with the same selection.

        Raises StoreError and PlaceError: run it again.
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
            self.say(f"{in_use} half files are in use now; a worker of this machine removes them when it ends")
        report.manifests = len(publish_again(self.queue, self.place, self.config.state_dir))
        report.card = write_card_again(self.queue, self.place, self.config, self.say)
        report.index_lines = self._drop_index(buried)
        # Last: `publish_hub` keeps a batch, then looks whether the tombstones or the manifests have changed.
        report.hub = self._commits(tombstones)
        return report

    def restore(self) -> int:
        """Bring back tombstones that a person has deleted, from the place and from the rows. Return how many there are.

        Rows of these videos are erased again: an earlier version of the sheet, or a backup, has brought them back.
        """
        known = set(copies(self.place))
        for table in (VIDEO_TASKS, DEAD_LETTERS):
            known |= {row.key.removeprefix(PURGED_KEY)[:64] for row in self.queue.rows(table) if _is_purged(row.key)}
        self.queue.store.bury(known, are_all=True)
        rows = (row for table in TABLES for row in self.queue.rows(table) if not is_erased(row))
        count, _ = self._erase_rows(frozenset(row.key for row in rows if tombstone(row.key) in known))
        if count:
            self.say(f"{count:,} rows of purged videos had come back: they are erased")
        return len(known)

    # --- the queue ---------------------------------------------------------------------------------------------------

    def _rows(self, table: Table[Any], keys: Collection[str]) -> Iterator[list[Any]]:
        """Yield the rows that are not erased yet, some at a time."""
        for chunk in batches(sorted(keys), _KEYS_AT_ONCE):
            purged_keys = [f"{PURGED_KEY}{tombstone(key)}" for key in chunk if not _is_purged(key)]
            rows = self.queue.store.scan(table, Where(keys=[*chunk, *purged_keys]), limit=_ROWS_AT_ONCE)
            if left := [row for row in rows if not is_erased(row)]:
                yield left

    def _erase_rows(self, keys: frozenset[str]) -> tuple[int, datetime | None]:
        """Erase the rows. Return how many, and when the last claim on one of them has ended for sure."""
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
                    raise StoreUnavailable(f"{len(lost)} rows change all the time: run the command again")
                until = max([each for each in [until, *untils] if each], default=None)
        self.queue.store.flush()
        return count, until

    def _wait(self, until: datetime | None) -> None:
        """Wait until a worker that held a row has certainly stopped: it may be publishing the file at this moment."""
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
