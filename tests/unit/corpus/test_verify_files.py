"""Verify the files of finished videos: one listing, then reading the files whose last check is oldest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus_rows import CountingPlace, Machine, subtitles, video
from tests.support.memory_place import MemoryPlace
from youtube_download_coordinator.corpus.index import INDEX
from youtube_download_coordinator.corpus.verify_files import FilesSummary, FilesVerifier
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.processors.archive import FOLDER, Product
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Place


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return LocalPlace(tmp_path / "media") if request.param == "local" else MemoryPlace()


@pytest.fixture
def machine(tmp_path: Path, place: Place) -> Machine:
    return Machine(tmp_path / "machine", place)


def verify(machine: Machine, **more: Any) -> tuple[list[tuple[str, str]], FilesSummary]:
    """Return the kinds and the paths of the findings, and the summary."""
    verifier = FilesVerifier(queue=machine.queue, place=machine.place, state_dir=machine.state_dir)
    findings = list(verifier.run(more.pop("selection", Selection()), **more))
    for finding in findings:
        assert f"ydc retry {finding.id}" in finding.advice
    return sorted((finding.kind.value, finding.name) for finding in findings), verifier.summary


def put(machine: Machine, path: str, content: bytes) -> None:
    """Replace a file."""
    machine.place.delete(path)
    machine.place.put_if_absent(path, content, content_type="", metadata={})


def test_whole_files_are_read_once(machine: Machine) -> None:
    for number in (1, 2):
        machine.keep(machine.done(video(number)), **subtitles())

    found, summary = verify(machine)
    assert (found, summary.rows, summary.files, summary.read, summary.left) == ([], 2, 4, 4, 0)
    found, summary = verify(machine, older_than_days=30)
    assert (found, summary.files, summary.read) == ([], 4, 0)
    assert verify(machine)[1].read == 4, "all are read again"


def test_all_files_are_missing_where_the_place_is_empty(machine: Machine) -> None:
    """Records and index are gone with them: a disk that is not mounted, another bucket."""
    path = machine.done(video(1)).result
    machine.queue.add(VIDEO_TASKS, [video(2)])
    (claim,) = machine.queue.claim(VIDEO_TASKS, 1)
    machine.queue.settle([(claim, Done(result="a user's text"))])
    assert verify(machine)[0] == []
    for held in list(machine.place.list()):
        machine.place.delete(held.path)
    found, summary = verify(machine)
    assert found == [("missing", path)]
    assert (summary.rows, summary.files, summary.without) == (2, 1, 1)


def test_what_is_wrong_with_files(machine: Machine) -> None:
    paths = [machine.done(video(number)).result for number in range(1, 7)]
    missing, empty, longer, changed, bare, whole = paths
    machine.place.delete(missing)
    put(machine, empty, b"")
    put(machine, longer, b"sound of yt:v:video000003 and more")
    put(machine, changed, b"SOUND of yt:v:video000004")
    machine.place.delete(f"{bare}.json")

    found, summary = verify(machine)
    assert found == [
        ("changed", longer),
        ("changed", changed),
        ("empty", empty),
        ("missing", missing),
        ("no-sidecar", bare),
    ]
    assert summary.read == 2, "what is wrong already is not read"
    assert verify(machine, older_than_days=30)[0] == found, "until it is repaired"
    quick, summary = verify(machine, reads=False)
    assert (quick, summary.read) == ([each for each in found if each[1] != changed], 0)
    assert whole not in dict(found).values()


def test_a_record_that_is_gone(machine: Machine) -> None:
    machine.done(video(1))
    (record,) = [held.path for held in machine.place.list(FOLDER)]
    machine.place.delete(record)

    assert verify(machine)[0] == [("no-record", record)]


@pytest.mark.parametrize("lost", ["file", "record"])
def test_without_an_index(machine: Machine, lost: str) -> None:
    row = machine.done(video(1))
    machine.done(video(2))
    shutil.rmtree(machine.state_dir)
    for held in list(machine.place.list(INDEX)):
        machine.place.delete(held.path)
    records = [held.path for held in machine.place.list(FOLDER) if "video000001" in held.path]
    machine.place.delete(row.result if lost == "file" else records[0])

    kind = "missing" if lost == "file" else "no-record"
    for _ in range(2):  # the second time it is known that nothing is known of the row
        found, summary = verify(machine)
        assert found == [(kind, row.result)]
        assert summary.rows == 2


def test_a_product_that_the_index_does_not_know(machine: Machine) -> None:
    """It was made before there was an index."""
    row = machine.done(video(1))
    machine.has_spool = False
    record = machine.keep(row, **subtitles())
    assert verify(machine)[0] == []
    machine.place.delete(record.files[0])
    assert verify(machine)[0] == [("missing", record.files[0])]


def test_files_of_users_may_change(machine: Machine) -> None:
    machine.done(video(1), product=Product(kind="mine", name="mine"), sidecars={})
    (path,) = [held.path for held in machine.place.list("Irish")]
    put(machine, path, b"other")
    assert verify(machine)[0] == []
    machine.place.delete(path)
    assert verify(machine)[0] == [("missing", path)]


def test_a_function_that_makes_no_file_is_no_problem(machine: Machine) -> None:
    machine.queue.add(VIDEO_TASKS, [video(1)])
    machine.settle(lambda row: "saw it")
    found, summary = verify(machine)
    assert (found, summary.without) == ([], 1)


def test_a_file_that_is_published_meanwhile_is_no_problem(tmp_path: Path) -> None:
    class Slow(MemoryPlace):
        """Somebody publishes a file as soon as the listing has ended."""

        then: Any = None

        def list(self, prefix: str = "") -> Any:
            yield from super().list(prefix)
            if not prefix and self.then:
                self.then()

    place = Slow()
    machine = Machine(tmp_path, place)
    machine.done(video(1))
    place.then = lambda: machine.done(video(2))
    found, summary = verify(machine)
    assert (found, summary.rows) == ([], 2)


def test_a_listing_answers_for_all_files(tmp_path: Path) -> None:
    place = CountingPlace()
    machine = Machine(tmp_path, place)
    for number in range(1, 21):
        machine.done(video(number))
    verify(machine)
    place.requests.clear()
    verify(machine, reads=False)
    assert place.requests["list"] <= 6
    assert (place.requests["head"], place.requests["get"]) == (0, 1), "the index alone"


def test_selected_videos_alone(machine: Machine) -> None:
    rows = [machine.done(video(number, accent=accent)) for number, accent in enumerate(("Irish", "Scots"), 1)]
    for row in rows:
        machine.place.delete(row.result)
    assert verify(machine, selection=Selection(accent="Scots"))[0] == [("missing", rows[1].result)]


def test_a_run_that_is_cut_off_goes_on(machine: Machine) -> None:
    for number in range(1, 6):
        machine.done(video(number))
    found, summary = verify(machine, limit=2)
    assert (found, summary.read, summary.left) == ([], 2, 3)
    found, summary = verify(machine, older_than_days=30)
    assert (found, summary.read, summary.left) == ([], 3, 0)
