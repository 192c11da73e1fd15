"""Limit the disk space that the files of one attempt may use. A video that needs more fails as `too-large`.

The attempt checks the limits while yt-dlp downloads. The worker's process checks them once a second, also while ffmpeg converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import TransientError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.parts import folder_bytes, other_folders, part_folders
from youtube_download_coordinator.reasons import TOO_LARGE
from youtube_download_coordinator.storage.files import check_free_disk, free_bytes, in_megabytes


class DiskBounds:
    """The limits of one attempt, from its beginning. 0: no limit."""

    def __init__(self, output_dir: Path, task: VideoTask, *, min_free_bytes: int = 0, max_file_bytes: int = 0) -> None:
        self._output_dir = output_dir
        self._task = task
        self._min_free_bytes = min_free_bytes
        self._max_file_bytes = max_file_bytes
        free = free_bytes(output_dir)
        self._began_full = free < min_free_bytes
        self._room_bytes = free - min_free_bytes + self._own_bytes()
        """The space that the attempt may use, including files left by an earlier attempt."""

    def check_formats(self, info: Mapping[str, Any]) -> None:
        """Raise TransientError if the chosen formats will not fit, as far as yt-dlp knows their sizes."""
        formats = info.get("requested_formats") or [info]
        sizes = [int(part.get("filesize") or part.get("filesize_approx") or 0) for part in formats]
        self._check_file(sum(sizes))
        # During the merge, both the formats and the merged file exist.
        self._check_room(sum(sizes) * (2 if len(sizes) > 1 else 1))

    def check_progress(self, progress: Mapping[str, Any]) -> None:
        """Check the sizes that yt-dlp reports to a progress hook. Raises the errors of `check`."""
        size = max(int(progress.get(name) or 0) for name in ("downloaded_bytes", "total_bytes"))
        self._check_file(size)
        self._check_room(size)
        self.check()

    def check(self) -> None:
        """Raise TransientError if the attempt uses too much space, and UnfitError if the disk is full for another reason."""
        if not self._min_free_bytes or (free := free_bytes(self._output_dir)) >= self._min_free_bytes:
            return
        own = self._own_bytes()
        largest = max(map(folder_bytes, other_folders(self._output_dir, self._task)), default=0)
        self._check_room(own)
        if own > self._min_free_bytes and own >= largest:
            raise self._too_large(own)
        if not largest > self._min_free_bytes or free <= self._min_free_bytes / 2:
            check_free_disk(self._output_dir, self._min_free_bytes)
        # Otherwise the attempt with the largest parts fails, and frees space.

    def check_failed(self) -> None:
        """Raise the error of a limit that has made an attempt fail. A file at its largest size cannot grow."""
        for folder in part_folders(self._output_dir, self._task):
            largest = max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
            self._check_file(largest + 1)
        self.check()

    def _check_file(self, size: int) -> None:
        if self._max_file_bytes and size > self._max_file_bytes:
            allowed = in_megabytes(self._max_file_bytes)
            raise TransientError(f"it is larger than {allowed} (YDC_MAX_FILE_BYTES)", reason=TOO_LARGE)

    def _check_room(self, size: int) -> None:
        if self._min_free_bytes and not self._began_full and size > self._room_bytes:
            raise self._too_large(size)

    def _too_large(self, size: int) -> TransientError:
        return TransientError(
            f"it needs {in_megabytes(size)} of disk space, and {in_megabytes(max(self._room_bytes, 0))} were available:"
            f" {in_megabytes(self._min_free_bytes)} must stay free (YDC_MIN_FREE_DISK_BYTES)",
            reason=TOO_LARGE,
        )

    def _own_bytes(self) -> int:
        return sum(map(folder_bytes, part_folders(self._output_dir, self._task)))
