"""A full disk is blamed on the video or on the machine, whichever is the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import new_video
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.processors import disk_bounds
from youtube_download_coordinator.processors.disk_bounds import DiskBounds
from youtube_download_coordinator.storage import files

GB = 10**9
VIDEO = new_video(1, key="yt:v:aaaaaaaaaaa")


class Disk:
    """A disk whose free space and parts are as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 0.0
        self.parts: dict[str, float] = {}
        for module in (disk_bounds, files):
            monkeypatch.setattr(module, "free_bytes", lambda output_dir: int(self.free * GB))
        own = VIDEO.key.removeprefix("yt:v:")
        monkeypatch.setattr(
            disk_bounds, "part_folders", lambda output_dir, task: [Path(n) for n in self.parts if n == own]
        )
        monkeypatch.setattr(
            disk_bounds, "other_folders", lambda output_dir, task: [Path(n) for n in self.parts if n != own]
        )
        monkeypatch.setattr(disk_bounds, "folder_bytes", lambda folder: int(self.parts[folder.name] * GB))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize(
    ("free_before", "free_now", "own", "other", "reason"),
    [
        (9, 1.0, 7, 0, ""),
        (9, 0.9, 8.1, 0, "too-large"),  # it alone has taken all the room
        (9, 0.9, 2, 0, "too-large"),  # others have taken some, and it is the largest that still grows
        (9, 0.9, 2, 3, ""),  # the larger one ends, and makes room
        (9, 0.4, 2, 3, "disk-full"),  # but it has not
        (9, 0.9, 0.9, 0.5, "disk-full"),  # no large video: files that are done have filled the disk
        (1.2, 0.9, 0.3, 0, "too-large"),
        (0.9, 0.8, 0.1, 0, "disk-full"),  # it was full before
    ],
)
def test_a_full_disk_is_the_fault_of_a_large_video_or_the_machines(
    disk: Disk, tmp_path: Path, free_before: float, free_now: float, own: float, other: float, reason: str
) -> None:
    disk.free = free_before
    bounds = DiskBounds(tmp_path, VIDEO, min_free_bytes=GB)
    disk.free, disk.parts = free_now, {"aaaaaaaaaaa": own, "bbbbbbbbbbb": other}
    assert reason_of(bounds.check) == reason


def test_what_an_earlier_attempt_has_left_counts_as_room(disk: Disk, tmp_path: Path) -> None:
    disk.free, disk.parts = 2, {"aaaaaaaaaaa": 6}
    bounds = DiskBounds(tmp_path, VIDEO, min_free_bytes=GB)
    assert reason_of(bounds.check_formats, {"filesize": 7 * GB}) == ""
    assert reason_of(bounds.check_formats, {"filesize": 7 * GB + 1}) == "too-large"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({}, ""),
        ({"filesize": None, "filesize_approx": None}, ""),
        ({"filesize": 4 * GB}, ""),
        ({"filesize": 4 * GB + 1}, "too-large"),
        ({"filesize_approx": 4.5 * GB}, "too-large"),
        ({"requested_formats": [{"filesize": GB}, {"filesize_approx": GB}]}, ""),
        ({"requested_formats": [{"filesize": 2 * GB}, {"filesize_approx": GB}]}, "too-large"),  # and the merged file
    ],
)
def test_a_video_whose_size_is_known_is_not_begun(
    disk: Disk, tmp_path: Path, info: dict[str, Any], reason: str
) -> None:
    disk.free = 5
    assert reason_of(DiskBounds(tmp_path, VIDEO, min_free_bytes=GB).check_formats, info) == reason


@pytest.mark.parametrize(
    ("progress", "reason"),
    [
        ({"downloaded_bytes": 100}, ""),
        ({"downloaded_bytes": 101}, "too-large"),
        ({"downloaded_bytes": 1, "total_bytes": 101}, "too-large"),
        ({"downloaded_bytes": 1, "total_bytes": None, "total_bytes_estimate": 101}, ""),  # often wrong
    ],
)
def test_a_download_ends_at_the_largest_size(disk: Disk, tmp_path: Path, progress: dict[str, Any], reason: str) -> None:
    bounds = DiskBounds(tmp_path, VIDEO, max_file_bytes=100)
    assert reason_of(bounds.check_progress, progress) == reason


def test_without_bounds_nothing_is_checked(disk: Disk, tmp_path: Path) -> None:
    bounds = DiskBounds(tmp_path, VIDEO)
    disk.parts = {"aaaaaaaaaaa": 9}
    for check, argument in ((bounds.check_formats, {"filesize": 9 * GB}), (bounds.check_progress, {"total_bytes": GB})):
        assert reason_of(check, argument) == ""
    assert reason_of(bounds.check) == ""


def reason_of(check: Any, *arguments: Any) -> str:
    """Return the reason of the error that a check raises; an empty text where it raises none."""
    try:
        check(*arguments)
    except AttemptError as error:
        return error.reason
    return ""
