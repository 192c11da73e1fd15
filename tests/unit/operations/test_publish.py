"""Files on a local disk move to the place, and results become relative; an interrupted command goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.clip_site import Site, task
from tests.support.rows import make_queue, new_video
from tests.unit.processors.test_place_archive import FailingPlace, keep, names
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.errors import PlaceUnavailable
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.operations.publish import Publisher, PublishReport
from youtube_download_coordinator.processors.archive import Product
from youtube_download_coordinator.processors.built_in import Settings, audio
from youtube_download_coordinator.processors.facts import ProductFacts
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture
def place() -> FailingPlace:
    return FailingPlace()


@pytest.fixture
def queue() -> Iterator[Queue]:
    with closing(SqlStore("sqlite://")) as store:
        yield make_queue(store)


def finish(queue: Queue, video: VideoTask, result: str, degraded: str = "") -> None:
    queue.add(VIDEO_TASKS, [video])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Done(result=result, degraded=degraded))])


def results(queue: Queue) -> list[str]:
    return [row.result for row in queue.rows(VIDEO_TASKS)]


def publish(queue: Queue, place: Place, folder: Path) -> tuple[PublishReport, list[str]]:
    problems: list[str] = []
    return Publisher(queue, place, folder, problems.append).run(), problems


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".key"]


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_file_moves_and_its_result_is_relative(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace, is_absolute: bool
) -> None:
    name = audio(task(site), settings).result
    content = (settings.output_dir / name).read_bytes()
    finish(queue, task(site), str(settings.output_dir / name) if is_absolute else name, "low-bit-rate")
    report, problems = publish(queue, place, settings.output_dir)
    assert (report.published, report.corrected, problems) == (1, int(is_absolute), [])
    assert results(queue) == [f"{name} (degraded: low-bit-rate)"]
    assert (place.get(name), names(place)) == (content, {name, f"{name}.json"})
    assert left(settings.output_dir) == []
    assert publish(queue, place, settings.output_dir)[0] == PublishReport()


@pytest.mark.parametrize("fails", ["m4a", "m4a.json", ".json"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_was_interrupted_goes_on(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace, fails: str, moment: str
) -> None:
    name = audio(task(site), settings).result
    finish(queue, task(site), name)
    setattr(place, f"fails_{moment}", fails)
    with pytest.raises(PlaceUnavailable, match="run the command again"):
        publish(queue, place, settings.output_dir)
    assert (settings.output_dir / name).is_file()
    place.fails_before = place.fails_after = "-"
    assert publish(queue, place, settings.output_dir)[0].published == 1
    assert names(place) == {name, f"{name}.json"}


def test_a_file_that_the_place_has_otherwise_is_left(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace, tmp_path: Path
) -> None:
    name = audio(task(site), settings).result
    finish(queue, task(site), str(settings.output_dir / name))
    published = keep(place, tmp_path / "other", b"another's", video=task(site))
    report, problems = publish(queue, place, settings.output_dir)
    assert (report.published, report.problems) == (0, 1)
    assert "the place has a different file" in problems[0]
    assert (results(queue), names(place)) == ([published], {published, f"{published}.json"})
    assert (settings.output_dir / name).is_file()


def test_what_workers_have_made_anew_is_not_replaced(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace, tmp_path: Path
) -> None:
    """With other settings, after `output_dir` was changed."""
    name = audio(task(site), settings).result
    product = Product(kind="audio", name="audio-m4a", made_with={"mono": True})
    published = keep(place, tmp_path / "other", b"newer", product, task(site))
    finish(queue, task(site), published)
    report, (problem,) = publish(queue, place, settings.output_dir)
    assert (report.published, results(queue), names(place)) == (0, [published], {published, f"{published}.json"})
    assert "the place has a different file" in problem
    assert (settings.output_dir / name).is_file()


def test_a_file_stays_whose_row_somebody_changes(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace
) -> None:
    """The row still names it."""
    name = audio(task(site), settings).result
    finish(queue, task(site), str(settings.output_dir / name))
    place.on_put = lambda: queue.retry(VIDEO_TASKS, Selection(ids=[1]))
    assert publish(queue, place, settings.output_dir)[0].published == 0
    assert (settings.output_dir / name).is_file()


def test_nothing_stays_of_a_video_that_is_purged_meanwhile(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace
) -> None:
    finish(queue, task(site), audio(task(site), settings).result)

    def purge() -> None:
        queue.store.bury([tombstone(task(site).key)])
        queue.erase(VIDEO_TASKS, queue.store.scan(VIDEO_TASKS, Where(keys=[task(site).key])))

    place.on_put = purge
    report, problems = publish(queue, place, settings.output_dir)
    assert (report.published, problems, list(place.list())) == (0, [], [])
    assert left(settings.output_dir) == []


def test_a_file_that_is_not_that_of_its_sidecar_is_left(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace
) -> None:
    name = audio(task(site), settings).result
    finish(queue, task(site), name)
    (settings.output_dir / name).write_bytes(b"damaged")
    report, (problem,) = publish(queue, place, settings.output_dir)
    assert (report.published, names(place), results(queue)) == (0, set(), [name])
    assert problem.endswith(f"{name} is not the file that its sidecar describes, so it was not moved")


def test_absolute_results_in_the_output_folder_become_relative(queue: Queue, tmp_path: Path) -> None:
    finish(queue, new_video(1), f"{tmp_path}/Irish/x.m4a", "low-bit-rate")
    finish(queue, new_video(2), "/elsewhere/y.m4a")
    finish(queue, new_video(3), '{"a":1}')
    report, problems = publish(queue, LocalPlace(tmp_path), tmp_path)
    assert (report.corrected, dict(report.elsewhere), problems) == (1, {"host": 1}, [])
    assert results(queue) == ["Irish/x.m4a (degraded: low-bit-rate)", "/elsewhere/y.m4a", '{"a":1}']


def test_a_result_that_no_record_names_is_a_problem(queue: Queue, place: FailingPlace, tmp_path: Path) -> None:
    finish(queue, new_video(1), f"{tmp_path}/Irish/x.m4a")
    report, (problem,) = publish(queue, place, tmp_path)
    assert problem == f"video 1 (video-00001): no record names {tmp_path}/Irish/x.m4a, so it was not moved"
    assert report.problems == 1


def test_what_was_moved_is_in_the_index(
    site: Site, settings: Settings, queue: Queue, place: FailingPlace, tmp_path: Path
) -> None:
    name = audio(task(site), settings).result
    finish(queue, task(site), name)
    spool = Spool.of(tmp_path / "state", place.address)
    assert Publisher(queue, place, settings.output_dir, print, spool=spool).run().published == 1
    index = Index(place, tmp_path / "state")
    assert index.flush()
    (facts,) = index.entries()
    assert isinstance(facts, ProductFacts)
    (file,) = facts.files
    assert (file.path, file.bytes, file.codec) == (name, len(place.get(name)), "mp4a.40.2")
