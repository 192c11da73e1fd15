"""A local folder as a place: links, modes, and left-over files of a killed process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from youtube_download_coordinator.errors import PlaceRefused, PlaceUnavailable
from youtube_download_coordinator.storage.local import LocalPlace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "place"


@pytest.fixture
def place(folder: Path) -> LocalPlace:
    return LocalPlace(folder)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"sound")
    return path


def add(place: LocalPlace, path: str, content: bytes = b"sound") -> bool:
    return place.put_if_absent(path, content, content_type="", metadata={})


def test_a_moved_file_is_the_same_file(place: LocalPlace, folder: Path, source: Path) -> None:
    inode = source.stat().st_ino
    place.put("a/b", source, content_type="", metadata={}, move=True)
    assert (folder / "a/b").stat().st_ino == inode
    assert not source.exists()
    assert place.put_if_absent("a/c", folder / "a/b", content_type="", metadata={}, move=True)
    assert (folder / "a/c").stat().st_ino == inode
    assert [held.path for held in place.list()] == ["a/c"]


def test_a_copy_is_another_file(place: LocalPlace, folder: Path, source: Path) -> None:
    place.put_if_absent("a", source, content_type="", metadata={})
    source.write_bytes(b"other")
    assert place.get("a") == b"sound"


def test_links_are_not_followed(place: LocalPlace, folder: Path, source: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "link").symlink_to(source)
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(FileNotFoundError):
        place.get("link")
    with pytest.raises(FileNotFoundError):
        place.get("out/source")
    assert place.head("link") is None
    assert place.head("out/source") is None
    place.delete("out/source")
    assert source.exists()
    with pytest.raises(PlaceRefused, match="leads out of"):
        add(place, "out/new")
    assert list(place.list()) == []
    assert not add(place, "link")
    assert source.read_bytes() == b"sound"


def test_what_is_half_written_is_in_no_listing(place: LocalPlace, folder: Path) -> None:
    add(place, ".archive/x/r.json")
    for name in (".a.m4a.0123abcd", ".parts/a.audio/a.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"half")
    assert [held.path for held in place.list()] == [".archive/x/r.json"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV])
def test_a_file_system_without_links(
    place: LocalPlace, source: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert place.put_if_absent("a", source, content_type="", metadata={}, move=True)
    assert not source.exists()
    assert not add(place, "a", b"second")
    assert place.get("a") == b"sound"
    assert [held.path for held in place.list()] == ["a"]


def test_a_link_whose_answer_was_lost(place: LocalPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def lose(first: Path, second: Path) -> None:
        real(first, second)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", lose)
    assert add(place, "a")
    assert not add(place, "a")


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [
        (errno.ENOSPC, PlaceUnavailable, "disk-full"),
        (errno.EIO, PlaceUnavailable, "disk"),
        (errno.ESTALE, PlaceUnavailable, "disk"),
        (errno.EACCES, PlaceRefused, "output-dir"),
        (errno.EROFS, PlaceRefused, "disk"),
    ],
)
def test_errors_of_the_disk(
    place: LocalPlace, number: int, kind: type[Exception], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(kind) as caught:
        add(place, "a")
    assert getattr(caught.value, "reason", "") == reason
    assert list(place.list()) == []


def test_a_file_where_a_folder_must_be(place: LocalPlace) -> None:
    add(place, "a")
    assert place.head("a/b") is None
    with pytest.raises(PlaceRefused):
        add(place, "a/b")
