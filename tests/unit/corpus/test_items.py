"""The recordings of a queue: rows that are done, joined with facts that are read once and then kept in an index."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus_rows import CountingPlace, Machine, sidecar, subtitles, video
from tests.support.memory_place import MemoryPlace
from tests.support.rows import make_queue
from youtube_download_coordinator.corpus import place_reader
from youtube_download_coordinator.corpus.findings import Finding, FindingKind, keep_findings
from youtube_download_coordinator.corpus.index import INDEX, Index
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.corpus.recordings import Recording, Segment
from youtube_download_coordinator.errors import PermanentError, PlaceRefused, PlaceUnavailable
from youtube_download_coordinator.processors.archive import Product
from youtube_download_coordinator.processors.facts_spool import SPOOL, Spool
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Held, Place
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return LocalPlace(tmp_path / "media") if request.param == "local" else MemoryPlace()


@pytest.fixture
def machine(tmp_path: Path, place: Place) -> Machine:
    return Machine(tmp_path / "machine", place)


def read(machine: Machine, **more: Any) -> list[Recording]:
    return list(recordings(machine.queue, machine.place, machine.state_dir, **more))


def test_a_recording_has_what_the_row_and_the_sidecar_contain(machine: Machine) -> None:
    row = machine.done(video(1, extra={"Speaker": "A"}, source_id=3, type="talk"))

    (recording,) = read(machine)
    assert recording == Recording(
        id=row.id,
        key="yt:v:video000001",
        url=row.url,
        video_id=recording.video_id,
        path=row.result,
        product="audio-m4a",
        bytes=25,
        sha256=sidecar(b"sound of yt:v:video000001")["sha256"],
        seconds=61.25,
        codec="mp4a.40.2",
        sample_rate_hz=44100,
        channels=2,
        title="Title 1",
        accent="Irish",
        type="talk",
        source_id=3,
        channel="A channel",
        channel_id="UC1",
        upload_date="20260102",
        language="en",
        track="original",
        license="Creative Commons Attribution license (reuse allowed)",
        collected_at=recording.collected_at,
        columns={"Speaker": "A"},
    )
    assert recording.collected_at.endswith("Z")


def test_what_is_read_from_the_place_is_what_was_written_down(machine: Machine) -> None:
    machine.done(video(1), degraded=["sabr"], media_seconds=60.5)
    machine.keep(machine.done(video(2)), **subtitles())
    before = read(machine)

    shutil.rmtree(machine.state_dir)
    for held in list(machine.place.list(INDEX)):
        machine.place.delete(held.path)

    assert read(machine) == before
    assert [recording.degraded for recording in before] == ["sabr", ""]


def test_captions_of_the_spoken_language_are_segments(machine: Machine) -> None:
    row = machine.done(video(1))
    machine.keep(row, **subtitles("en-GB"))
    (recording,) = read(machine)
    assert recording.segments == (Segment(0.0, 1.5, "good morning"), Segment(1.5, 3.0, "everybody"))
    assert (recording.text, recording.caption_language) == ("good morning everybody", "en-GB")


@pytest.mark.parametrize("given", [subtitles("de"), subtitles(automatic=True), subtitles(content=b"not captions")])
def test_other_captions_are_not(machine: Machine, given: dict[str, Any]) -> None:
    machine.keep(machine.done(video(1)), **given)
    (recording,) = read(machine)
    assert (recording.text, recording.caption_language) == ("", "")


def test_captions_do_not_depend_on_the_order_of_lines_in_the_index(machine: Machine) -> None:
    row = machine.done(video(1))
    for name, language in (("subtitles-b", "en-GB"), ("subtitles-a", "en-US")):
        machine.keep(row, **{**subtitles(language), "product": Product(kind="subtitles", name=name)})
    before = read(machine)
    index = Index(machine.place, machine.state_dir)
    entries = list(index.entries())
    index.drop([row.key])
    index.add(reversed(entries))
    assert read(machine) == before


def test_only_rows_that_are_done_have_recordings(machine: Machine) -> None:
    machine.done(video(1))
    machine.queue.add(VIDEO_TASKS, [video(2), video(3)])
    (claim, _) = machine.queue.claim(VIDEO_TASKS, 2)
    machine.keep(claim.row)
    machine.queue.settle([(claim, PermanentError("gone", reason="private").failure)])
    assert [recording.id for recording in read(machine)] == [1]


def test_a_product_that_is_made_again_replaces_the_one_before(machine: Machine) -> None:
    row = machine.done(video(1))
    again = Product(kind="audio", name="audio-m4a", made_with={"mono": True})
    record = machine.keep(row, again, {"m4a": b"mono"})
    machine.queue.correct_results({row.id: record.files[0]})
    (recording,) = read(machine)
    assert (recording.path, recording.bytes) == (record.files[0], 4)


def test_a_product_may_be_named(machine: Machine) -> None:
    row = machine.done(video(1))
    machine.keep(row, Product(kind="audio", name="audio-wav"), {"wav": b"wave"})
    machine.keep(row, Product(kind="cut", name="custom-cut"), {"1.wav": b"1", "2.wav": b"22"}, sidecars={})
    assert [recording.product for recording in read(machine)] == ["audio-m4a"]
    assert [recording.bytes for recording in read(machine, product="audio-wav")] == [4]
    cut = read(machine, product="cut")
    assert [(recording.bytes, recording.channel, recording.seconds) for recording in cut] == [
        (1, "A channel", None),
        (2, "A channel", None),
    ]
    assert [len(recording.sha256) for recording in cut] == [64, 64]
    assert read(machine, product="download") == []


# -- requests


def counted(tmp_path: Path, rows: int, *, has_spool: bool) -> Machine:
    machine = Machine(tmp_path / f"{rows}", CountingPlace(), has_spool=has_spool)
    for number in range(rows):
        machine.done(video(number))
    return machine


def requests_of_a_run(machine: Machine) -> dict[str, int]:
    assert isinstance(machine.place, CountingPlace)
    machine.place.requests.clear()
    read(machine)
    return dict(machine.place.requests)


@pytest.mark.parametrize("rows", [1, 30])
def test_what_was_written_down_costs_no_request_for_a_row(tmp_path: Path, rows: int) -> None:
    machine = counted(tmp_path, rows, has_spool=True)
    assert requests_of_a_run(machine) == {"put": 1, "list": 3, "get": 1}
    assert requests_of_a_run(machine) == {"list": 3, "get": 1}


@pytest.mark.parametrize("rows", [1, 30])
def test_what_is_not_known_is_read_once(tmp_path: Path, rows: int) -> None:
    machine = counted(tmp_path, rows, has_spool=False)
    first = requests_of_a_run(machine)
    assert (first["list"], first["put"], first["get"]) == (4, 1, 2 * rows)
    assert requests_of_a_run(machine) == {"list": 3, "get": 1}


@pytest.mark.parametrize("rows", [1, 30])
def test_rows_without_a_record_are_remembered(tmp_path: Path, rows: int) -> None:
    machine = Machine(tmp_path, CountingPlace())
    for number in range(rows):
        machine.queue.add(VIDEO_TASKS, [video(number)])
        machine.settle(lambda row: "42 words")
    assert requests_of_a_run(machine) == {"list": 4, "put": 1}
    assert requests_of_a_run(machine) == {"list": 3, "get": 1}


def test_a_few_new_rows_are_read_without_a_listing_of_all_records(tmp_path: Path) -> None:
    machine = counted(tmp_path, 3, has_spool=True)
    read(machine)
    other = Machine(tmp_path / "other", machine.place, machine.queue, has_spool=False)
    other.done(video(100))
    assert requests_of_a_run(machine) == {"list": 3, "get": 3, "head": 2, "put": 1}


# -- machines and disks


def test_two_machines_have_one_index(tmp_path: Path, place: Place) -> None:
    first = Machine(tmp_path / "1", place)
    second = Machine(tmp_path / "2", place, first.queue)
    first.done(video(1))
    second.done(video(2))
    assert Index(place, second.state_dir).flush()
    assert [recording.id for recording in read(first)] == [1, 2]
    assert len(list(place.list(INDEX))) == 2


def test_half_a_line_of_a_killed_process_is_ignored(machine: Machine) -> None:
    machine.done(video(1))
    spool = Spool.of(machine.state_dir, machine.place.address).folder / SPOOL
    with spool.open("ab") as file:
        file.write(b'{"key":"yt:v:video')
    machine.done(video(2))
    with spool.open("ab") as file:
        file.write(b'{"key":"yt:v:video000009"')
    assert [recording.id for recording in read(machine)] == [1, 2]


def test_a_state_dir_that_cannot_be_written_fails_nothing(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.folder.mkdir()
    machine.state_dir.write_text("a file in its place")
    machine.done(video(1))
    machine.done(video(2))
    with caplog.at_level(logging.WARNING):
        assert [recording.id for recording in read(machine)] == [1, 2]
    assert len(caplog.messages) <= 1


def test_a_damaged_segment_is_read_anew_and_replaced(
    machine: Machine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    machine.done(video(1))
    before = read(machine)
    (held,) = machine.place.list(INDEX)
    (tmp_path / "half").write_bytes(machine.place.get(held.path)[:40])
    machine.place.put(held.path, tmp_path / "half", content_type="application/gzip", metadata={})
    with caplog.at_level(logging.WARNING):
        assert read(machine) == before
        assert read(machine) == before
    assert sum("damaged" in message for message in caplog.messages) == 1
    assert held.path not in [segment.path for segment in machine.place.list(INDEX)]


def test_columns_are_those_of_now(tmp_path: Path, place: Place) -> None:
    queue = make_queue(SqlStore(f"sqlite:///{tmp_path}/queue.db"))
    machine = Machine(tmp_path / "machine", place, queue)
    machine.done(video(1))
    read(machine)
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database, database:
        database.execute("UPDATE videos SET accent = 'Scottish', extra = '{\"Speaker\": \"B\"}'")
    (recording,) = read(machine)
    assert (recording.accent, recording.columns) == ("Scottish", {"Speaker": "B"})


def test_a_row_whose_file_is_gone_has_no_recording(machine: Machine) -> None:
    machine.has_spool = False
    row = machine.done(video(1))
    machine.place.delete(row.result)
    machine.place.delete(f"{row.result}.json")
    assert read(machine) == []


def test_a_video_that_is_gone_is_marked(machine: Machine) -> None:
    rows = [machine.done(video(number)) for number in (1, 2)]
    at = "2026-11-29T12:00:00.000Z"
    finding = Finding(kind=FindingKind.GONE, id=rows[1].id, key=rows[1].key, name="Title 2", at=at)
    keep_findings(machine.place, [finding], machine.queue.store.now())

    assert [recording.availability for recording in read(machine)] == ["", "gone"]


class ReadOnlyPlace(CountingPlace):
    """A place in which this machine may only read."""

    is_closed = False

    def _put(self, *arguments: Any, **more: Any) -> bool:
        if self.is_closed:
            raise PlaceRefused("the role may not put files")
        return super()._put(*arguments, **more)


def test_who_may_only_read_a_place_reads_a_row_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = ReadOnlyPlace()
    machine = Machine(tmp_path, place, has_spool=False)
    for number in range(3):
        machine.done(video(number))
    place.is_closed = True
    with caplog.at_level(logging.WARNING):
        first = read(machine)
        assert requests_of_a_run(machine) == {"list": 3}
        assert read(machine) == first
    assert len(first) == 3
    assert ["may not put" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("error", [PlaceUnavailable, PlaceRefused])
def test_a_place_that_cannot_be_read_is_one_error(
    tmp_path: Path, error: type[PlaceUnavailable | PlaceRefused], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = counted(tmp_path, 1, has_spool=True)

    def fails(place: CountingPlace, prefix: str = "") -> Iterator[Held]:
        raise error("the bucket is away")

    monkeypatch.setattr(CountingPlace, "list", fails)
    with pytest.raises(error, match="the bucket is away"):
        read(machine)


def test_many_rows_that_are_not_known_are_found_by_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_reader, "PROBED_AT_MOST", 2)
    machine = counted(tmp_path, 1, has_spool=True)
    read(machine)
    other = Machine(tmp_path / "other", machine.place, machine.queue, has_spool=False)
    for number in range(100, 110):
        other.done(video(number))
    requests = requests_of_a_run(machine)
    assert (requests["list"], requests["get"], "head" in requests) == (4, 21, False)
