"""A video, a page or an answer that takes all there is costs its own row an attempt, and the worker goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clip_site import Site, task
from tests.support.greedy_site import MEGABYTE, GreedySite, greedy_site
from tests.support.rows import new_video
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import Failure, State, Verdict, VideoTask
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import AttemptResult
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.workers.worker import Limits

pytestmark = pytest.mark.slow

DISK_MB, RESERVE_MB = 48, 8


@pytest.fixture(scope="module")
def greedy() -> Iterator[GreedySite]:
    with greedy_site() as site:
        yield site


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 48 MB, and unmount it at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}M", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def video(site: GreedySite, name: str) -> VideoTask:
    return new_video(1, url=f"{site.url}/{name}", key=f"url:{site.url}/{name}")


def config(output_dir: Path, **settings: Any) -> Config:
    defaults: dict[str, Any] = {"allow_other_sites": True, "allow_private_addresses": True, "min_free_disk_bytes": 0}
    return Config(output_dir=output_dir, **defaults | settings)


def test_the_worker_goes_on_after_answers_that_take_all_memory(greedy: GreedySite, site: Site, tmp_path: Path) -> None:
    """3 MB that inflate to 3 GB, and a page without an end."""
    settings = {
        "database_url": f"sqlite:///{tmp_path}/queue.db",
        "state_dir": tmp_path,
        "max_child_memory_bytes": 400_000_000,
    }
    with Coordinator(config(tmp_path / "media", **settings)) as coordinator:
        rows = [video(greedy, "bomb.html"), video(greedy, "endless.html"), task(site)]
        coordinator.queue.add(VIDEO_TASKS, rows)
        summary = coordinator.process("download", Limits(concurrency=1))
        assert dict(summary.results) == {AttemptResult.RETRY: 2, AttemptResult.DONE: 1}
        assert not summary.unfit
        kept = coordinator.queue.store.scan(VIDEO_TASKS)
        assert [(row.lease.state, row.lease.reason, row.retry_count) for row in kept] == [
            (State.PENDING, "memory", 1),
            (State.PENDING, "memory", 1),
            (State.DONE, "", 0),
        ]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("endless.mp4", {"max_file_bytes": 8 * MEGABYTE}),
        ("huge.mp4", {"max_file_bytes": 8 * MEGABYTE}),
        ("endless.mp4", {"min_free_disk_bytes": RESERVE_MB * MEGABYTE}),
        ("huge.mp4", {"min_free_disk_bytes": RESERVE_MB * MEGABYTE}),
    ],
)
def test_a_video_that_does_not_fit_is_its_own_failure(
    greedy: GreedySite, small_disk: Path, name: str, settings: dict[str, int]
) -> None:
    outcome = process_video("download", video(greedy, name), config(small_disk, **settings))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "too-large")
    assert not [path for path in small_disk.rglob("*") if path.is_file()], "nothing of it stays"


def test_a_disk_that_others_fill_is_the_machines_fault(site: Site, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes((DISK_MB - RESERVE_MB + 1) * MEGABYTE))
    outcome = process_video("download", task(site), config(small_disk, min_free_disk_bytes=RESERVE_MB * MEGABYTE))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.UNFIT, "disk-full")


def test_a_file_that_ffmpeg_makes_too_large_is_its_own_failure(site: Site, tmp_path: Path) -> None:
    """The clip is smaller than the limit, and the same sound as WAV is larger."""
    clip_bytes = len(site.files["/clip.mp4"][1])
    settings = config(tmp_path, audio_codec="wav", max_file_bytes=clip_bytes + 1000)
    outcome = process_video("audio", task(site), settings)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "too-large")
    assert not (tmp_path / ".parts").is_dir() or not list((tmp_path / ".parts").iterdir())
