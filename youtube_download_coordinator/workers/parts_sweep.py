"""Remove unfinished files that no attempt on this machine will resume, and files in object storage that no record names."""

from __future__ import annotations

import logging
from pathlib import Path

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, PlaceError, StoreError
from youtube_download_coordinator.models import State, VideoTask
from youtube_download_coordinator.processors.parts import idle_parts, remove_if_idle, remove_parts
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Where
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult

_log = logging.getLogger(__name__)

KEPT_SECONDS = 7 * 86400.0
"""How long an unfinished file is kept if its row may be processed here again or is not in this queue."""
_LAST = frozenset({AttemptResult.DONE, AttemptResult.DEAD, AttemptResult.LOST})
_RESUMED = frozenset({State.PENDING, State.HELD})


def sweep_parts(queue: Queue, output_dir: Path) -> None:
    """Remove the parts of rows that are done, dead, purged or on another machine, and of rows not processed for a week.

    If the queue does not answer, keep them until the next sweep.
    """
    parts = idle_parts(output_dir)
    keys = sorted({part.key for part in parts if part.key})
    try:
        rows = [
            row
            for table in (VIDEO_TASKS, DEAD_LETTERS)
            for row in (queue.store.scan(table, Where(keys=keys), limit=len(keys)) if keys else ())
        ]
        purged_keys = queue.buried_keys(keys)
    except StoreError as error:
        _log.warning("unfinished files could not be removed: %s", error)
        return
    host = queue.worker.partition("/")[0]
    unneeded = {row.key for row in rows if not _is_resumed(row, host)} | purged_keys
    oldest = queue.store.now().timestamp() - KEPT_SECONDS if parts else 0.0
    removed = [
        part for part in parts if (part.key in unneeded or part.changed_at < oldest) and remove_if_idle(part.folder)
    ]
    if removed:
        _log.info("%d unfinished files that no attempt will resume were removed from %s", len(removed), output_dir)


def sweep_storage(output_dir: Path | str) -> int:
    """Remove files from object storage that no record has named for a day. Return their number. Runs at most once a day."""
    if isinstance(output_dir, Path):
        return 0
    from youtube_download_coordinator.processors.place_sweep import place_time, sweep_place  # most commands do without

    try:
        place = open_place(output_dir)
        return sweep_place(place, place_time(place))
    except (PlaceError, ConfigError) as error:
        _log.warning("files that no record names could not be removed from %s: %s", output_dir, error)
        return 0


def clean_up_after(queue: Queue, attempt: Attempt, config: Config) -> None:
    """Remove the parts of a row after its last attempt here, and published files of a video that was purged meanwhile."""
    if attempt.result in _LAST:
        remove_parts(config.work_dir, attempt.task)
    if attempt.result is not AttemptResult.LOST:
        return
    from youtube_download_coordinator.processors import removal  # most attempts do not need it

    try:  # a purge waits for claims to expire; this process may have been frozen for longer
        if queue.buried_keys([attempt.task.key]):
            removal.remove_videos(open_place(config.output_dir), [attempt.task.key])
    except (PlaceError, ConfigError, StoreError) as error:
        _log.error(
            "video %d was purged during its attempt, and its files could not be removed; run the purge again: %s",
            attempt.task.id,
            error,
        )


def _is_resumed(row: VideoTask, host: str) -> bool:
    """Return whether an attempt on this machine may resume the row."""
    is_elsewhere = row.lease.state is State.HELD and row.lease.holder.partition("/")[0] != host
    return row.lease.state in _RESUMED and not is_elsewhere
