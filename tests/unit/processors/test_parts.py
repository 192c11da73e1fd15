"""The folders in which files are made: for the worker's user alone, one attempt at a time, and removed when nobody resumes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rows import new_video
from youtube_download_coordinator.errors import AttemptError, PermanentError, TransientError, UnfitError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.parts import remove_parts, work_folder

VIDEO = new_video(1, key="yt:v:-aB_cdefghi")
STRANGER = 4321


@pytest.fixture(autouse=True)
def _common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("output_mode", "parts_mode"), [(0o755, 0o700), (0o777, 0o700), (0o775, 0o770)])
@pytest.mark.parametrize("was", [None, 0o755, 0o777])
def test_other_users_cannot_enter_them(tmp_path: Path, output_mode: int, parts_mode: int, was: int | None) -> None:
    """A group that may write to the output folder shares them."""
    tmp_path.chmod(output_mode)
    if was is not None:
        (tmp_path / ".parts").mkdir()
        (tmp_path / ".parts").chmod(was)
    with work_folder(tmp_path, VIDEO, "audio-m4a") as work:
        assert work.name == "_-aB_cdefghi.audio-m4a"
        assert mode(work.parent) & 0o077 == parts_mode & 0o077 & (0o755 if was is None or was == 0o755 else 0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of other users")
@pytest.mark.parametrize("name", [".parts", ".parts/_-aB_cdefghi.audio-m4a"])
def test_a_folder_that_another_user_has_made_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    os.chown(tmp_path / name, STRANGER, STRANGER)
    with (
        pytest.raises(UnfitError, match="belongs to another user") as caught,
        work_folder(tmp_path, VIDEO, "audio-m4a"),
    ):
        pass
    assert caught.value.reason == "output-dir"


@pytest.mark.parametrize("name", [".parts", ".parts/_-aB_cdefghi.audio-m4a"])
def test_a_link_in_their_place_is_refused(tmp_path: Path, name: str) -> None:
    """Also one that leads to another folder inside."""
    (tmp_path / "inside").mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "inside")
    with pytest.raises(UnfitError) as caught, work_folder(tmp_path, VIDEO, "audio-m4a"):
        pass
    assert caught.value.reason == "output-dir"
    assert list((tmp_path / "inside").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "writes", "is_left"),
    [
        (TransientError(), True, True),
        (TransientError(), False, False),
        (UnfitError(), True, True),
        (PermanentError(), True, False),
    ],
)
def test_what_nobody_resumes_is_removed(tmp_path: Path, error: AttemptError, writes: bool, is_left: bool) -> None:
    work = tmp_path / ".parts" / "_-aB_cdefghi.audio-m4a"
    with contextlib.suppress(AttemptError), work_folder(tmp_path, VIDEO, "audio-m4a"):
        if writes:
            (work / "x.part").write_bytes(b"half")
        raise error
    assert work.exists() is is_left
    with work_folder(tmp_path, VIDEO, "audio-m4a"):
        pass
    assert not work.exists()


@pytest.mark.parametrize("product", ["audio-m4a", "audio-wav"])
def test_the_parts_of_one_video_are_removed_unless_a_process_works_there(tmp_path: Path, product: str) -> None:
    for task in (VIDEO, new_video(2, key="yt:v:bbbbbbbbbbb")):
        leave_part(tmp_path, task, product)
    with work_folder(tmp_path, VIDEO, "metadata"):
        remove_parts(tmp_path, VIDEO)
        assert names(tmp_path) == {"_-aB_cdefghi.metadata", f"bbbbbbbbbbb.{product}"}


def leave_part(output_dir: Path, task: VideoTask, product: str = "audio-m4a") -> None:
    with contextlib.suppress(TransientError), work_folder(output_dir, task, product) as work:
        (work / "x.part").write_bytes(b"half")
        raise TransientError


def names(output_dir: Path) -> set[str]:
    return {path.name for path in (output_dir / ".parts").iterdir()}
