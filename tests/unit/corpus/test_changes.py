"""The changelog of a corpus: two files of recordings are compared as streams, and no line names a video."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.memory_place import MemoryPlace
from youtube_download_coordinator.corpus.changes import CHANGES, Changes, read_changes, record_changes
from youtube_download_coordinator.corpus.recordings import RECORDINGS, Recording, write
from youtube_download_coordinator.queue.tombstones import key_hash

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def recording(number: int, **fields: Any) -> Recording:
    name = f"video{number}"
    base = Recording(
        id=number,
        key=f"yt:v:{name}",
        url=f"https://www.youtube.com/watch?v={name}",
        video_id=name,
        path=f"Irish/{name}.m4a",
        product="audio-m4a",
        seconds=1800.0,
        title=f"title of {name}",
    )
    return replace(base, **fields)


class Corpus:
    """A place into which files of recordings are published."""

    def __init__(self, folder: Path) -> None:
        self.place = MemoryPlace()
        self._file = folder / "recordings"

    def publish(self, *recordings: Recording) -> Changes | None:
        write(self._file, sorted(recordings, key=lambda each: each.id))
        summary = record_changes(self.place, self._file, NOW)
        self.place.put(RECORDINGS, self._file, content_type="application/gzip", metadata={})
        return summary

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the last changelog, without the summary."""
        *_, last = sorted((held.modified, held.path) for held in self.place.list(CHANGES))
        return [json.loads(line) for line in self.place.get(last[1]).splitlines()[1:]]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def test_the_first_publication_has_a_summary_alone(corpus: Corpus) -> None:
    assert corpus.publish(recording(1), recording(2)) == Changes(at="2026-11-29T12:00:00Z", recordings=2, is_first=True)
    assert corpus.lines() == []


def test_without_a_change_there_is_no_changelog(corpus: Corpus) -> None:
    corpus.publish(recording(1))
    assert corpus.publish(recording(1)) is None
    assert len(read_changes(corpus.place)) == 1


def test_what_was_added_removed_and_changed(corpus: Corpus) -> None:
    corpus.publish(*(recording(number) for number in range(1, 6)))
    summary = corpus.publish(
        recording(2),
        recording(3, license="CC", title="Another"),
        recording(4),
        recording(5),
        recording(9),
        recording(10),
    )
    assert summary == Changes(
        at="2026-11-29T12:00:00Z",
        recordings=6,
        added=2,
        added_seconds=3600,
        removed=1,
        removed_seconds=1800,
        changed=1,
    )
    assert str(summary) == "2026-11-29T12:00:00Z  6 recordings: +2 (1.00 hours), -1 (0.50 hours), 1 changed"
    lines = {(line["change"], line["key_sha256"]): line for line in corpus.lines()}
    assert set(lines) == {
        ("removed", key_hash("yt:v:video1")),
        ("changed", key_hash("yt:v:video3")),
        ("added", key_hash("yt:v:video9")),
        ("added", key_hash("yt:v:video10")),
    }
    assert lines["changed", key_hash("yt:v:video3")]["fields"] == {"license": ["", "CC"], "title": None}


def test_no_line_names_a_video(corpus: Corpus) -> None:
    corpus.publish(recording(1), recording(2))
    corpus.publish(recording(2, title="x", path="Irish/y.m4a", url="https://youtu.be/video2"), recording(3))
    written = b"".join(corpus.place.get(held.path) for held in corpus.place.list(CHANGES))
    assert b"video" not in written
    assert b"Irish" not in written


def test_several_files_of_one_row(corpus: Corpus) -> None:
    files = [recording(1, path=f"Irish/video1.{part}.m4a") for part in "abc"]
    corpus.publish(*files)
    corpus.publish(files[0], replace(files[2], seconds=5.0))
    assert sorted(line["change"] for line in corpus.lines()) == ["changed", "removed"]


def test_a_file_under_another_name_is_a_change(corpus: Corpus) -> None:
    corpus.publish(recording(1))
    corpus.publish(recording(1, path="Irish/video1.5f0c9a1e.m4a"))
    assert [(line["change"], line["fields"]) for line in corpus.lines()] == [("changed", {"path": None})]


@pytest.mark.parametrize("damage", [b"", b"no gzip at all", b"\x1f\x8b\x08\x00\x00"])
def test_damaged_recordings_are_compared_with_nothing(corpus: Corpus, tmp_path: Path, damage: bytes) -> None:
    corpus.place.put_if_absent(RECORDINGS, damage, content_type="", metadata={})
    summary = corpus.publish(recording(1))
    assert summary
    assert summary.recordings == 1


def test_the_last_ones_are_read(corpus: Corpus) -> None:
    for number in range(1, 4):
        corpus.publish(*(recording(each) for each in range(1, number + 1)))
    assert len(read_changes(corpus.place)) == 3
    assert len(read_changes(corpus.place, 2)) == 2
    corpus.place.put_if_absent(f"{CHANGES}/9-a-persons-file.jsonl", b"hello\n", content_type="", metadata={})
    assert len(read_changes(corpus.place)) == 3


@given(
    before=st.dictionaries(st.integers(1, 12), st.integers(0, 2)),
    after=st.dictionaries(st.integers(1, 12), st.integers(0, 2)),
)
def test_any_two_corpora(
    tmp_path_factory: pytest.TempPathFactory, before: dict[int, int], after: dict[int, int]
) -> None:
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    corpus.publish(*(recording(number, bytes=size) for number, size in before.items()))
    summary = corpus.publish(*(recording(number, bytes=size) for number, size in after.items()))
    changed = sum(before[number] != after[number] for number in before.keys() & after.keys())
    counts = (len(after.keys() - before.keys()), len(before.keys() - after.keys()), changed)
    if before == {} and after == {}:
        return
    assert (summary.added, summary.removed, summary.changed) == counts if summary else counts == (0, 0, 0)
