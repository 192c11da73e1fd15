"""The typed records of a corpus, and the file with all of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.memory_place import MemoryPlace
from youtube_download_coordinator import corpus
from youtube_download_coordinator.corpus.recordings import RECORDINGS, Recording, Segment, decode, encode, write
from youtube_download_coordinator.storage.place import Place

FULL = Recording(
    id=7,
    key="yt:v:UKwSQSFN4Nw",
    url="https://www.youtube.com/watch?v=UKwSQSFN4Nw",
    video_id="UKwSQSFN4Nw",
    path="Irish/UKwSQSFN4Nw.m4a",
    product="audio-m4a",
    seconds=61.25,
    accent="Irish",
    segments=(Segment(0.0, 1.5, "good morning"), Segment(1.5, 3.0, "Ωραία")),
    columns={"Speaker": "A"},
)


def published(place: Place, folder: Path, recordings: list[Recording]) -> None:
    write(folder / "recordings", recordings)
    place.put(RECORDINGS, folder / "recordings", content_type="application/gzip", metadata={})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    place = MemoryPlace()
    published(place, tmp_path, [FULL])

    assert list(corpus.read(place)) == [FULL]
    assert FULL.text == "good morning Ωραία"


def test_a_folder_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / ".corpus").mkdir()
    write(tmp_path / RECORDINGS, [FULL, FULL])

    assert list(corpus.read(tmp_path)) == list(corpus.read(str(tmp_path))) == [FULL, FULL]


def test_the_same_recordings_give_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a", [FULL]) == write(tmp_path / "b", [FULL]) == 1
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_place_without_a_manifest_has_none() -> None:
    with pytest.raises(FileNotFoundError):
        list(corpus.read(MemoryPlace()))


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert decode(encode(FULL).replace('"id":7', '"id":7,"added":1')) == FULL


@pytest.mark.parametrize("line", ["[]", "{}", "7", "", '{"id": 1}'])
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        decode(line)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.floats(0, 1e6), st.integers(1, 2**53))
def test_any_text_survives(text: str, seconds: float, number: int) -> None:
    recording = Recording(
        id=number,
        key="yt:v:x",
        url="u",
        video_id="x",
        path="p",
        product="audio-m4a",
        title=text,
        seconds=seconds or None,
        segments=(Segment(0.0, seconds, text),),
    )
    assert decode(encode(recording)) == recording
    assert encode(recording).count("\n") == 1


def test_the_file_is_ordinary_gzip(tmp_path: Path) -> None:
    write(tmp_path / "a", [FULL])
    assert gzip.decompress((tmp_path / "a").read_bytes()).decode() == encode(FULL)
