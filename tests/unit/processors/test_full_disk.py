"""A disk that is full is the machine's fault: the claim is given back, and no video is blamed. On a really full file system."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.clip_site import Site, task
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import UnfitError
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.processors.built_in import Settings, audio, download, metadata
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube.network import Network

SIZE_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a megabyte, and unmount it at the end."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a file system cannot be made here (are you root?): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, but_bytes: int) -> None:
    """Leave about this much room."""
    with (folder / "filler").open("wb", buffering=0) as file:
        file.write(bytes(SIZE_BYTES - but_bytes))


@pytest.fixture
def settings(small_disk: Path) -> Settings:
    """Return settings without a minimum of free space, so that the disk fills up during a download."""
    return Settings(output_dir=small_disk, network=Network(allow_other_sites=True))


@pytest.mark.parametrize(
    ("codec", "room_bytes"),
    [("wav", 0), ("wav", 12288), ("wav", 40960), ("m4a", 28672), ("m4a", 36864), ("m4a", 40960)],
)
def test_a_disk_that_gets_full_blames_no_video(
    site: Site, settings: Settings, small_disk: Path, codec: str, room_bytes: int
) -> None:
    """While the folder is made, while it downloads, while ffmpeg converts, while the sidecar is written."""
    fill(small_disk, room_bytes)
    with pytest.raises(UnfitError) as caught:
        audio(task(site), replace(settings, audio_codec=codec))
    assert caught.value.reason == "disk-full"
    assert not [path for path in small_disk.rglob("*") if path.suffix[1:] == codec and ".parts" not in path.parts]


@pytest.mark.parametrize("processor", [download, metadata])
def test_the_others_do_so_too(site: Site, settings: Settings, small_disk: Path, processor: object) -> None:
    assert callable(processor)
    fill(small_disk, 4096)
    with pytest.raises(UnfitError) as caught:
        processor(task(site), settings)
    assert caught.value.reason == "disk-full"


def test_it_goes_on_when_there_is_room_again(site: Site, settings: Settings, small_disk: Path) -> None:
    fill(small_disk, 16384)
    with pytest.raises(UnfitError):
        download(task(site), settings)
    (small_disk / "filler").unlink()
    site.log.clear()
    assert (settings.output_dir / download(task(site), settings).result).read_bytes() == site.files["/clip.mp4"][1]
    assert any(wanted and not wanted.startswith("bytes=0") for _, wanted in site.log)


def test_no_attempt_begins_with_too_little_room(site: Site, small_disk: Path) -> None:
    config = Config(output_dir=small_disk, allow_other_sites=True, min_free_disk_bytes=2 * SIZE_BYTES)
    outcome = process_video("audio", task(site), config)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.UNFIT, "disk-full")
    assert "YDC_MIN_FREE_DISK_BYTES" in outcome.message
    assert site.log == []
