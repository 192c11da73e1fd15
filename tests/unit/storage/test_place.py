"""Every place fulfils the contract of `storage/place.py`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from youtube_download_coordinator.storage.place import MAX_CONDITIONAL_BYTES, SHA256, Place

AUDIO, JSON = "audio/mp4", "application/json"
PATHS = [
    "a.m4a",
    "Irish/Ciarán Ó #1? 100%/x+y=z&[q]~'\".m4a",
    ".archive/audio-m4a/3f/x.json",
    "한국어/声.opus",
    "a b/ c.txt",
]
WRONG_PATHS = ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "./a", "a/.", "a\\b", "a\nb", "a\0b", "a/\udc80"]


def put(place: Place, path: str, content: bytes, folder: Path) -> None:
    source = folder / "source"
    source.write_bytes(content)
    place.put(path, source, content_type=AUDIO, metadata={SHA256: "00", "row_id": "42"})


@pytest.mark.parametrize("path", PATHS)
def test_what_is_put_is_there_whole(place: Place, path: str, tmp_path: Path) -> None:
    put(place, path, b"sound", tmp_path)
    held = place.head(path)
    assert held
    assert (held.path, held.size) == (path, 5)
    assert abs(held.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert place.get(path) == b"sound"
    with place.open(path) as file:
        assert (file.read(2), file.read()) == (b"so", b"und")
    place.download(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"sound"
    assert [(each.path, each.size) for each in place.list()] == [(path, 5)]


def test_content_type_and_metadata_travel_along(place: Place, tmp_path: Path) -> None:
    put(place, "a/b.m4a", b"sound", tmp_path)
    held = place.head("a/b.m4a")
    assert held
    if place.is_local:
        assert (held.content_type, held.sha256) == ("", "")
    else:
        assert (held.content_type, held.sha256) == (AUDIO, "00")
        assert held.metadata == {SHA256: "00", "row_id": "42"}


def test_a_put_replaces(place: Place, tmp_path: Path) -> None:
    put(place, "a", b"first", tmp_path)
    put(place, "a", b"second", tmp_path)
    assert place.get("a") == b"second"


def test_an_empty_file(place: Place, tmp_path: Path) -> None:
    put(place, "a", b"", tmp_path)
    assert place.get("a") == b""
    place.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b""


def test_put_if_absent_keeps_what_is_there(place: Place, tmp_path: Path) -> None:
    assert place.put_if_absent("x/r.json", b"first", content_type=JSON, metadata={})
    source = tmp_path / "source"
    source.write_bytes(b"second")
    assert not place.put_if_absent("x/r.json", source, content_type=JSON, metadata={}, move=True)
    assert place.get("x/r.json") == b"first"
    assert source.read_bytes() == b"second"
    assert place.put_if_absent("x/s.json", source, content_type=JSON, metadata={SHA256: "ab"})
    assert place.get("x/s.json") == b"second"
    assert source.exists()


def test_one_of_many_puts_first(place: Place) -> None:
    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        barrier.wait()
        return place.put_if_absent("race", b"%d" % number, content_type=JSON, metadata={})

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(race, range(8)))
    assert results.count(True) == 1
    assert place.get("race") == b"%d" % results.index(True)


def test_a_larger_file_is_no_conditional_one(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(MAX_CONDITIONAL_BYTES + 1)
    with pytest.raises(ValueError, match="too many for one request"):
        place.put_if_absent("large", source, content_type=AUDIO, metadata={})
    assert place.head("large") is None


def test_what_is_not_there(place: Place, tmp_path: Path) -> None:
    assert place.head("a/b") is None
    for read in (
        place.get,
        lambda path: place.open(path).__enter__(),
        lambda path: place.download(path, tmp_path / "x"),
    ):
        with pytest.raises(FileNotFoundError):
            read("a/b")
    assert not (tmp_path / "x").exists()
    place.delete("a/b")
    assert list(place.list()) == []
    assert list(place.list("a")) == []


def test_delete(place: Place, tmp_path: Path) -> None:
    put(place, "a/b", b"sound", tmp_path)
    place.delete("a/b")
    assert place.head("a/b") is None
    assert list(place.list()) == []


def test_a_prefix_is_a_folder(place: Place, tmp_path: Path) -> None:
    for path in ("Irish/a", "Irish/b/c", "Irish2/a", "d"):
        put(place, path, b"sound", tmp_path)
    assert sorted(held.path for held in place.list("Irish")) == ["Irish/a", "Irish/b/c"]
    assert sorted(held.path for held in place.list("Irish/")) == ["Irish/a", "Irish/b/c"]
    assert sorted(held.path for held in place.list()) == ["Irish/a", "Irish/b/c", "Irish2/a", "d"]


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_no_path_leads_out(place: Place, path: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"sound")
    calls = (
        lambda: place.put(path, source, content_type=AUDIO, metadata={}),
        lambda: place.put_if_absent(path, b"", content_type=AUDIO, metadata={}),
        lambda: place.get(path),
        lambda: place.open(path).__enter__(),
        lambda: place.download(path, tmp_path / "copy"),
        lambda: place.head(path),
        lambda: place.delete(path),
        lambda: place.url(path),
    )
    for call in calls:
        with pytest.raises(ValueError):  # UnicodeError is one
            call()
    assert list(place.list()) == []


@pytest.mark.parametrize("metadata", [{"SHA": "x"}, {"row-id": "x"}, {"a": "ü"}, {"a": ""}, {"a": " x"}, {"a": "b\nc"}])
def test_metadata_that_not_every_place_keeps(place: Place, metadata: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"sound")
    with pytest.raises(ValueError, match="metadata"):
        place.put("a", source, content_type=AUDIO, metadata=metadata)
    with pytest.raises(ValueError, match="metadata"):
        place.put_if_absent("a", b"", content_type=AUDIO, metadata=metadata)
    assert place.head("a") is None


def test_a_url_names_the_file(place: Place) -> None:
    assert place.url("a/b.m4a") == f"{place.address}/a/b.m4a"
    assert not place.address.endswith("/")
