"""The index of a place: segments that any number of machines put, merge and rewrite; and what waits on a machine's disk."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.memory_place import MemoryPlace
from tests.support.rows import Clock
from youtube_download_coordinator.corpus import index as index_module
from youtube_download_coordinator.corpus.index import INDEX, MERGED_AT_ONCE, Index
from youtube_download_coordinator.corpus.index_upkeep import EVERY_SECONDS, IndexUpkeep
from youtube_download_coordinator.errors import PlaceRefused, PlaceUnavailable
from youtube_download_coordinator.processors.facts import (
    CheckedRow,
    FileFacts,
    ProductFacts,
    decode,
    encode,
    file_facts,
)
from youtube_download_coordinator.processors.facts_spool import SPOOL, Spool
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Held, Place


class ServedPlace(MemoryPlace):
    """A place that does something before certain requests."""

    def __init__(self) -> None:
        super().__init__(f"memory://{id(self)}")
        self.before_put: Callable[[], None] = lambda: None
        self.before_delete: Callable[[], None] = lambda: None

    def put_if_absent(self, path: str, source: Path | bytes, **more: object) -> bool:
        self.before_put()
        return super().put_if_absent(path, source, **more)  # type: ignore[arg-type]

    def delete(self, path: str) -> None:
        self.before_delete()
        super().delete(path)


@pytest.fixture
def place() -> ServedPlace:
    return ServedPlace()


@pytest.fixture
def index(place: ServedPlace, tmp_path: Path) -> Index:
    return Index(place, tmp_path)


def facts(number: int) -> ProductFacts:
    file = FileFacts(path=f"Irish/{number}.m4a", bytes=number, captions=((0.0, 1.5, "Ωραία"),))
    return ProductFacts(key=f"yt:v:{number}", kind="audio", product="audio-m4a", files=(file,))


def keys(index: Index) -> list[str]:
    return sorted(entry.key for entry in index.entries())


def keys_in(place: Place) -> list[str]:
    """Return the keys in the place, as another machine sees them."""
    return keys(Index(place, Path("/another-machine")))


def segments(place: Place) -> list[Held]:
    return sorted(place.list(INDEX), key=lambda held: held.path)


def fill(index: Index, numbers: range) -> list[str]:
    """Put a segment for each of these facts. Return their keys."""
    for number in numbers:
        index.add([facts(number)])
        assert index.flush()
    return sorted(f"yt:v:{number}" for number in numbers)


def test_facts_are_read_as_they_were_written() -> None:
    for entry in (facts(1), CheckedRow(key="yt:v:1", version=7)):
        assert encode(decode(encode(entry))) == encode(entry)
    (captions,) = [file.captions for file in facts(1).files]
    entry = decode(encode(facts(1)))
    assert isinstance(entry, ProductFacts)
    assert [tuple(caption) for caption in entry.files[0].captions] == list(captions)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -1, 2**64, True, "5"])
def test_a_sidecar_with_a_wrong_number_has_none(number: object) -> None:
    made = file_facts("x.m4a", {"bytes": number, "media": {"sample_rate_hz": number, "duration_seconds": number}})
    assert (made.bytes, made.sample_rate_hz, made.seconds) == (None, None, None)
    assert file_facts("x.m4a", {"bytes": 5 * 2**31}).bytes == 5 * 2**31


def test_what_a_newer_version_added_is_ignored() -> None:
    assert decode(encode(facts(1)).replace(b'"kind"', b'"added":[1],"kind"')) == decode(encode(facts(1)))


def test_a_flush_puts_what_waits_and_leaves_nothing_behind(index: Index, place: ServedPlace) -> None:
    index.add([facts(1), facts(2)])
    assert index.flush()
    assert index.flush()
    assert keys(index) == ["yt:v:1", "yt:v:2"]
    assert len(segments(place)) == 1
    assert list(index.folder.iterdir()) == []


def test_a_place_that_is_away_costs_nothing_but_a_line(
    index: Index, place: ServedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise PlaceUnavailable("the bucket does not answer")

    place.before_put = away
    index.add([facts(1)])
    with caplog.at_level(logging.WARNING):
        assert not index.flush()
        assert not index.flush()
    assert len(caplog.messages) == 1
    assert "does not answer" in caplog.text
    index.add([facts(2)])
    place.before_put = lambda: None
    assert index.flush()
    assert keys(index) == ["yt:v:1", "yt:v:2"]


def test_a_process_that_is_killed_after_the_put_puts_no_second_segment(index: Index, place: ServedPlace) -> None:
    index.add([facts(1)])
    spool = Spool(index.folder)
    spool.take()
    (taken,) = spool.taken()
    content = taken.read_bytes()
    assert index.flush()
    taken.write_bytes(content)
    assert index.flush()
    assert keys(index) == ["yt:v:1"]


def test_what_is_written_during_a_flush_is_put_by_the_next(index: Index, place: ServedPlace) -> None:
    index.add([facts(1)])
    place.before_put = lambda: index.add([facts(2)])
    assert index.flush()
    place.before_put = lambda: None
    assert keys_in(place) == ["yt:v:1"]
    assert index.flush()
    assert keys_in(place) == ["yt:v:1", "yt:v:2"]


def test_two_processes_that_flush_put_each_line_once(index: Index, place: ServedPlace, tmp_path: Path) -> None:
    index.add([facts(1)])
    flushes = iter([Index(place, tmp_path).flush])

    def flush_too() -> None:
        for flush in flushes:
            flush()

    place.before_put = flush_too
    assert index.flush()
    assert keys(index) == ["yt:v:1"]


def test_full_segments_are_split(index: Index, place: ServedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "SEGMENT_BYTES", 1)
    index.add(map(facts, range(5)))
    assert index.flush()
    assert len(segments(place)) > 1
    assert keys(index) == [f"yt:v:{number}" for number in range(5)]


# -- merging


def test_many_small_segments_are_merged(index: Index, place: ServedPlace) -> None:
    expected = fill(index, range(MERGED_AT_ONCE - 1))
    index.merge()
    assert len(segments(place)) == MERGED_AT_ONCE - 1
    expected += fill(index, range(100, 101))
    index.merge()
    assert len(segments(place)) == 1
    assert keys(index) == sorted(expected)


def test_a_last_line_without_its_end_is_merged_with_the_others(index: Index, place: ServedPlace) -> None:
    expected = fill(index, range(1))
    index.add([facts(1)])
    spool = index.folder / SPOOL
    os.truncate(spool, spool.stat().st_size - 1)  # its process was killed before the last byte
    assert index.flush()
    expected += ["yt:v:1", *fill(index, range(100, 100 + MERGED_AT_ONCE))]
    index.merge()
    assert len(segments(place)) == 1
    assert keys(index) == sorted(expected)


def test_two_that_merge_at_once_lose_nothing(index: Index, place: ServedPlace, tmp_path: Path) -> None:
    expected = fill(index, range(MERGED_AT_ONCE))
    other = Index(place, tmp_path)
    merges = iter([other.merge])

    def merge_too() -> None:
        for merge in merges:
            merge()

    place.before_put = merge_too
    index.merge()
    assert sorted(set(keys(index))) == expected


def test_one_that_is_killed_while_it_deletes_loses_nothing(index: Index, place: ServedPlace) -> None:
    expected = fill(index, range(MERGED_AT_ONCE))
    deletions = iter(range(3))

    def killed() -> None:
        if next(deletions, None) is None:
            raise KeyboardInterrupt

    place.before_delete = killed
    with pytest.raises(KeyboardInterrupt):
        index.merge()
    assert sorted(set(keys(index))) == expected


def test_a_segment_that_is_merged_while_it_is_read_is_read_in_its_successor(index: Index, place: ServedPlace) -> None:
    expected = fill(index, range(MERGED_AT_ONCE))
    lines = index.lines()
    seen = [next(lines)]
    index.merge()
    seen += lines
    assert sorted({entry.key for entry in map(decode, seen)}) == expected


# -- dropping


def test_dropped_keys_are_in_no_segment(index: Index, place: ServedPlace) -> None:
    fill(index, range(4))
    before = {held.path for held in segments(place)}
    index.add([facts(1)])
    assert index.drop(["yt:v:1", "yt:v:3", "yt:v:9"]) == 3
    assert keys(index) == ["yt:v:0", "yt:v:2"]
    assert all(b"yt:v:1" not in gzip.decompress(place.get(held.path)) for held in segments(place))
    assert len(before & {held.path for held in segments(place)}) == 2
    assert index.drop(["yt:v:1"]) == 0


def test_a_merge_that_began_before_a_drop_brings_nothing_back(index: Index, place: ServedPlace, tmp_path: Path) -> None:
    fill(index, range(MERGED_AT_ONCE))
    other = Index(place, tmp_path)
    drops = iter([other.drop])

    def drop_meanwhile() -> None:
        for drop in drops:
            drop(["yt:v:1"])

    place.before_put = drop_meanwhile
    index.merge()
    assert "yt:v:1" not in keys(index)


# -- beside the work


@pytest.fixture
def upkeep(tmp_path: Path) -> tuple[IndexUpkeep, Clock]:
    clock = Clock()
    return IndexUpkeep(tmp_path / "media", tmp_path / "state", clock), clock


def test_a_worker_puts_facts_at_its_start_every_ten_minutes_and_at_its_end(
    upkeep: tuple[IndexUpkeep, Clock], tmp_path: Path
) -> None:
    keeper, clock = upkeep
    place = LocalPlace(tmp_path / "media")
    index = Index(place, tmp_path / "state")
    index.add([facts(1)])
    keeper.tick()
    keeper.join()
    assert keys_in(place) == ["yt:v:1"]
    index.add([facts(2)])
    keeper.tick()
    keeper.join()
    assert keys_in(place) == ["yt:v:1"]
    clock.seconds += EVERY_SECONDS
    keeper.tick()
    keeper.join()
    assert keys_in(place) == ["yt:v:1", "yt:v:2"]
    index.add([facts(3)])
    keeper.close()
    assert keys_in(place) == ["yt:v:1", "yt:v:2", "yt:v:3"]


def test_a_process_that_published_nothing_opens_no_place(tmp_path: Path) -> None:
    keeper = IndexUpkeep("s3://bucket/prefix", tmp_path / "state")
    keeper.tick()
    keeper.close()
    assert not (tmp_path / "state").exists()


def test_a_place_that_refuses_is_one_error(tmp_path: Path) -> None:
    class Refusing(ServedPlace):
        def list(self, prefix: str = "") -> Iterator[Held]:
            raise PlaceRefused("the role lacks the right to list")

    place = Refusing()
    index = Index(place, tmp_path)
    index.add([facts(1)])
    assert index.flush()
    with pytest.raises(PlaceRefused, match="lacks the right"):
        list(index.entries())


def test_a_spool_on_a_full_disk_takes_half_a_line_back(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add([facts(1)])
    write, calls = os.write, iter([True])

    def full(fd: int, data: bytes) -> int:
        if next(calls, False):
            return write(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    index.add([facts(2)])
    monkeypatch.setattr(os, "write", write)
    assert (index.folder / SPOOL).read_bytes() == encode(facts(1))
