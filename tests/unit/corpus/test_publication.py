"""Manifests in the place itself: what is published is published again as the corpus grows and shrinks."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus_rows import Machine, subtitles, video
from tests.support.memory_place import MemoryPlace
from youtube_download_coordinator import corpus
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.changes import read_changes
from youtube_download_coordinator.corpus.findings import Finding, FindingKind, keep_findings
from youtube_download_coordinator.corpus.formats import FORMATS
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.manifest import ManifestOptions
from youtube_download_coordinator.corpus.publication import PUBLISHED, publish, publish_again, scratch_folder
from youtube_download_coordinator.corpus.purge import Purge
from youtube_download_coordinator.corpus.recordings import RECORDINGS
from youtube_download_coordinator.errors import PlaceUnavailable, UserError
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Place


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return LocalPlace(tmp_path / "media") if request.param == "local" else MemoryPlace()


@pytest.fixture
def machine(tmp_path: Path, place: Place) -> Machine:
    """Return a machine that has published three videos."""
    machine = Machine(tmp_path / "machine", place)
    for number in (1, 2, 3):
        machine.done(video(number, extra={"Speaker": f"S{number}"}))
    return machine


def publish_on(machine: Machine, **options: Any) -> dict[str, str]:
    chosen = ManifestOptions(**options) if options else None
    counts = publish(machine.queue, machine.place, machine.state_dir, chosen)
    return {name: each.describe(name) for name, each in counts.items()}


def lines(place: Place, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.get(name).decode().splitlines()]


def top(place: Place) -> set[str]:
    return {held.path for held in place.list() if "/" not in held.path}


def test_the_place_becomes_a_data_set(machine: Machine) -> None:
    told = publish_on(machine)

    assert told == {"manifest.jsonl": "3 recordings, 183.8 seconds in manifest.jsonl"}
    manifest = lines(machine.place, "manifest.jsonl")
    assert [line["audio_filepath"] for line in manifest] == [row.result for row in machine.queue.rows(VIDEO_TASKS)]
    assert [line["Speaker"] for line in manifest] == ["S1", "S2", "S3"]
    assert [each.path for each in corpus.read(machine.place)] == [line["audio_filepath"] for line in manifest]


def test_a_second_run_writes_the_same_bytes_and_new_rows_add_lines(machine: Machine) -> None:
    for name in FORMATS:
        publish_on(machine, format=name)
    names = [*top(machine.place), RECORDINGS, PUBLISHED]

    def sums() -> dict[str, str]:
        return {name: hashlib.sha256(machine.place.get(name)).hexdigest() for name in names}

    before, old = sums(), machine.place.get("manifest.jsonl")
    told = publish_on(machine)
    assert sums() == before
    assert list(told) == [
        "metadata.jsonl",
        "manifest.csv",
        "recordings.jsonl.gz",
        "manifest.jsonl",
        "manifest.parquet",
    ]
    assert len(list(corpus.read(machine.place))) == 3

    for number in range(4, 14):
        machine.done(video(number, extra={"Speaker": "new"}))
    publish_again(machine.queue, machine.place, machine.state_dir)
    new = machine.place.get("manifest.jsonl")
    assert new.startswith(old)
    assert new[len(old) :].count(b"\n") == 10
    assert len(list(corpus.read(machine.place))) == 13


def test_what_is_published_is_remembered_with_its_options(machine: Machine) -> None:
    machine.done(video(4, accent="Scots"))
    publish_on(machine, format="audiofolder", accent="Scots")
    publish_on(machine, format="csv")

    assert publish_on(machine) == {
        "metadata.jsonl": "1 recording, 61.2 seconds in metadata.jsonl; left out: 3 filtered",
        "manifest.csv": "4 recordings, 245.0 seconds in manifest.csv",
    }
    assert len(list(corpus.read(machine.place))) == 4  # all of them, whatever a manifest leaves out


def test_files_of_other_options_are_removed(machine: Machine) -> None:
    publish_on(machine, format="nemo")
    assert top(machine.place) == {"manifest.jsonl"}
    publish_on(machine, format="nemo", split=True)
    assert top(machine.place) == {"manifest.train.jsonl", "manifest.dev.jsonl", "manifest.test.jsonl"}
    publish_on(machine, format="nemo")
    assert top(machine.place) == {"manifest.jsonl"}


def test_a_row_without_a_file_is_counted(machine: Machine) -> None:
    machine.queue.add(VIDEO_TASKS, [video(9)])
    machine.settle(lambda claimed: "no file of mine")
    assert publish_on(machine) == {
        "manifest.jsonl": "3 recordings, 183.8 seconds in manifest.jsonl; left out: 1 without a file"
    }


def test_captions_of_a_person_are_the_text(machine: Machine) -> None:
    row = next(iter(machine.queue.rows(VIDEO_TASKS)))
    machine.keep(row, **subtitles())
    publish_on(machine, format="nemo")
    assert [line["text"] for line in lines(machine.place, "manifest.jsonl")] == ["good morning everybody", "", ""]

    told = publish_on(machine, format="nemo", segments=True)
    assert [(line["offset"], line["duration"]) for line in lines(machine.place, "manifest.jsonl")] == [
        (0, 1.5),
        (1.5, 1.5),
    ]
    assert told["manifest.jsonl"].endswith("left out: 2 without captions")


def test_nothing_is_published_again_where_nothing_is_published(machine: Machine) -> None:
    assert publish_again(machine.queue, machine.place, machine.state_dir) == {}
    assert top(machine.place) == set()


def test_other_products_can_be_published_beside(machine: Machine) -> None:
    told = publish_on(machine, format="csv", product="download")
    assert told["manifest.csv"].endswith("left out: 3 without a file")
    assert len(list(corpus.read(machine.place))) == 3


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"formats": {"nemo": 7}, "files": []}',
        b'{"formats": {"nemo": {"min_seconds": "x"}}, "files": []}',
    ],
)
def test_a_damaged_list_is_none(machine: Machine, damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(damaged)
    machine.place.put(PUBLISHED, tmp_path / "list", content_type="application/json", metadata={})
    assert list(publish_on(machine)) == ["manifest.jsonl"]


def test_a_wrong_list_deletes_no_recording(machine: Machine, tmp_path: Path) -> None:
    (row, *_) = machine.queue.rows(VIDEO_TASKS)
    content = {"formats": {"nemo": {}}, "files": ["manifest.jsonl", "manifest.csv", row.result]}
    (tmp_path / "list").write_text(json.dumps(content))
    machine.place.put(PUBLISHED, tmp_path / "list", content_type="application/json", metadata={})
    publish_on(machine)
    assert machine.place.head(row.result)


def test_after_an_outage_in_the_middle_the_next_run_publishes_everything(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_on(machine, format="nemo")
    put = type(machine.place).put

    def fails(place: Any, path: str, *arguments: Any, **named: Any) -> None:
        if path == "manifest.train.jsonl":
            raise PlaceUnavailable("away", reason="upload")
        put(place, path, *arguments, **named)

    with monkeypatch.context() as away:
        away.setattr(type(machine.place), "put", fails)
        with pytest.raises(PlaceUnavailable):
            publish_on(machine, format="nemo", split=True)
    assert top(machine.place) == {"manifest.jsonl"}

    publish_on(machine)
    assert top(machine.place) == {"manifest.train.jsonl", "manifest.dev.jsonl", "manifest.test.jsonl"}
    assert list(machine.state_dir.glob("manifest-*")) == []


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_is_purged_meanwhile_is_not_published(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_whole: bool
) -> None:
    publish_on(machine)
    (_, row, _) = machine.queue.rows(VIDEO_TASKS)
    index = Index(machine.place, tmp_path / "other", machine.queue.buried_keys)
    config = Config(output_dir=tmp_path / "other", state_dir=tmp_path / "other")
    purge = Purge(queue=machine.queue, place=machine.place, index=index, config=config)
    put = type(machine.place).put
    keys = iter([row.key])

    def puts(place: Any, path: str, *arguments: Any, **named: Any) -> None:
        if path == "manifest.jsonl" and (key := next(keys, None)):
            if is_whole:
                purge.run(frozenset({key}), {})
            else:
                machine.queue.store.bury([tombstone(key)])  # the row is erased later
        put(place, path, *arguments, **named)

    monkeypatch.setattr(type(machine.place), "put", puts)
    assert publish_on(machine)["manifest.jsonl"].startswith("2 recordings")
    assert row.result not in machine.place.get("manifest.jsonl").decode()
    assert row.key not in {recording.key for recording in corpus.read(machine.place)}


def test_a_mistake_changes_nothing(machine: Machine) -> None:
    with pytest.raises(UserError):
        publish_on(machine, format="audiofolder", segments=True)
    assert top(machine.place) == set()


def test_what_a_killed_process_left_behind_is_removed(tmp_path: Path) -> None:
    for name, age in (("manifest-old", 2 * 86400), ("manifest-new", 60)):
        (tmp_path / name).mkdir()
        changed = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (changed, changed))
    with scratch_folder(tmp_path) as folder:
        assert {path.name for path in tmp_path.iterdir()} == {"manifest-new", folder.name}


def test_each_publication_that_changes_something_has_a_changelog(machine: Machine) -> None:
    publish_on(machine)
    publish_on(machine)
    machine.done(video(4))
    publish_on(machine)
    changes = read_changes(machine.place)
    assert [(each.recordings, each.added, each.is_first) for each in changes] == [(3, 0, True), (4, 1, False)]


def test_what_is_gone_from_youtube_can_be_left_out(machine: Machine) -> None:
    gone = next(machine.queue.rows(VIDEO_TASKS))
    finding = Finding(kind=FindingKind.PRIVATE, id=gone.id, key=gone.key, name=gone.name, at="2026-11-29T12:00:00.000Z")
    keep_findings(machine.place, [finding], machine.queue.store.now())
    assert publish_on(machine, without_gone=True) == {
        "manifest.jsonl": "2 recordings, 122.5 seconds in manifest.jsonl; left out: 1 gone from YouTube"
    }
