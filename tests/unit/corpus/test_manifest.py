"""Manifests: the selection of recordings, splits, and the names of files."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.manifests import recording, write_in
from tests.support.memory_place import MemoryPlace
from tests.unit.corpus.test_formats import lines_of, table_of
from youtube_download_coordinator.corpus.manifest import ManifestOptions, check_folder, naming
from youtube_download_coordinator.corpus.splits import split_of
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Place


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    corpus = [
        recording(1, seconds=3600.0),
        recording(2, seconds=4.0),
        recording(3, seconds=None),
        recording(4, degraded="format-18"),
        recording(5, accent="Scots"),
    ]
    counts = write_in(tmp_path, corpus, format="csv", min_seconds=5, without_degraded=True, accent="IRISH", text="talk")
    assert counts.describe("manifest.csv") == (
        "1 recording, 1.0 hours in manifest.csv; left out: 1 degraded, 1 filtered, 1 of unknown length, 1 too short"
    )
    assert [row["row_id"] for row in table_of(tmp_path / "manifest.csv")] == ["1"]


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({"type": "TALK"}, [1, 2]),
        ({"type": "song"}, []),
        ({"source_id": 7}, [2]),
        ({"text": "s2"}, [2]),  # in a column of one's own
        ({"text": "GOOD MORNING"}, [1, 2]),  # in the captions
        ({"text": "start_seconds"}, []),  # no text: the name of a field of captions
        ({"text": "speaker"}, []),  # the name of a column of one's own
    ],
)
def test_conditions_do_not_distinguish_case(conditions: dict[str, Any], ids: list[int], tmp_path: Path) -> None:
    write_in(tmp_path, [recording(1), recording(2, source_id=7)], **conditions)
    assert [line["row_id"] for line in lines_of(tmp_path / "manifest.jsonl")] == ids


@pytest.mark.parametrize("name", ["nemo", "csv", "parquet", "audiofolder", "lhotse"])
def test_no_channel_is_in_two_splits(name: Any, tmp_path: Path) -> None:
    corpus = [recording(number, channel_id=f"UC{number % 97}") for number in range(1, 400)]
    write_in(tmp_path, corpus, format=name, split=True)
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == (6 if name == "lhotse" else 3)
    if name in {"nemo", "audiofolder"}:
        channels = defaultdict(set)
        for path in tmp_path.iterdir():
            for line in lines_of(path):
                channels[line["channel_id"]].add(line["split"])
                assert f".{line['split']}." in path.name
        assert all(len(splits) == 1 for splits in channels.values())
        assert {split for splits in channels.values() for split in splits} == {"train", "dev", "test"}


def test_splits_are_90_5_and_5_percent_of_the_channels() -> None:
    splits = [split_of(recording(1, channel_id=f"UC{number}")) for number in range(20_000)]
    assert splits.count("train") / 20_000 == pytest.approx(0.9, abs=0.01)
    assert splits.count("dev") / 20_000 == pytest.approx(0.05, abs=0.01)
    assert splits.count("test") / 20_000 == pytest.approx(0.05, abs=0.01)


def test_an_unknown_channel_goes_with_its_source() -> None:
    by_source = {split_of(recording(number, channel_id="", source_id=3)) for number in range(1, 100)}
    by_itself = {split_of(recording(number, channel_id="", source_id=None)) for number in range(1, 100)}
    assert len(by_source) == 1
    assert by_itself == {"train", "dev", "test"}


def test_paths_begin_in_the_folder_of_the_manifest(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path)
    for folder, named in (
        (tmp_path, "Irish/a.m4a"),
        (tmp_path / "lists", "../Irish/a.m4a"),
        (tmp_path / "Irish", "a.m4a"),
        (tmp_path.parent, "Irish/a.m4a"),  # outside: from output_dir
        (None, "Irish/a.m4a"),
    ):
        assert naming("relative", place, folder)("Irish/a.m4a") == named
    assert naming("absolute", place, None)("Irish/a.m4a") == str(tmp_path / "Irish/a.m4a")
    assert naming("urls", place, None)("Irish/a b.m4a") == (tmp_path / "Irish/a b.m4a").as_uri()
    assert naming("urls", MemoryPlace("s3://b/p"), None)("Irish/a.m4a") == "s3://b/p/Irish/a.m4a"
    assert naming("relative", MemoryPlace("s3://b/p"), tmp_path)("Irish/a.m4a") == "Irish/a.m4a"


@pytest.mark.parametrize(
    ("options", "place", "told"),
    [
        ({"format": "audiofolder", "segments": True}, MemoryPlace(), "--segments"),
        ({"format": "audiofolder", "paths": "urls"}, MemoryPlace(), "--urls"),
        ({"paths": "absolute"}, MemoryPlace(), "is not a folder of this machine"),
        ({"text": ""}, MemoryPlace(), "--text is empty"),
        ({"min_seconds": -1}, MemoryPlace(), "--min-duration"),
        ({"min_seconds": float("nan")}, MemoryPlace(), "--min-duration"),
    ],
)
def test_a_mistake_is_one_clear_line(options: dict[str, Any], place: Place, told: str) -> None:
    with pytest.raises(UserError, match=told):
        ManifestOptions(**options).check(place)


def test_an_audiofolder_is_not_below_its_files(tmp_path: Path) -> None:
    options = ManifestOptions(format="audiofolder")
    with pytest.raises(UserError, match="output_dir itself"):
        check_folder(options, naming("relative", LocalPlace(tmp_path), tmp_path / "lists"))


def test_options_are_kept_as_json() -> None:
    options = ManifestOptions(format="lhotse", split=True, accent="Irish", min_seconds=2.5)
    assert ManifestOptions.from_json(options.as_json() | {"added": 1}) == options
    assert ManifestOptions().as_json() == {}
    for damaged in ("[]", "null", '{"format": "x"}'):
        with pytest.raises(ValueError, match="not the options"):
            ManifestOptions.from_json(json.loads(damaged))
