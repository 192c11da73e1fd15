"""Files go to object storage when they are whole: of several attempts one record wins, and nothing that it names is replaced."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clip_site import Site, task
from tests.support.memory_place import MemoryPlace
from tests.support.rows import new_video
from youtube_download_coordinator.errors import LaterError, PlaceRefused, PlaceUnavailable, UnfitError
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Draft, DraftFile, Product
from youtube_download_coordinator.processors.built_in import RECIPES, Settings
from youtube_download_coordinator.processors.parts import UNPUBLISHED_FILE, unpublished_keys, work_folder
from youtube_download_coordinator.processors.place_archive import FRESH_SECONDS, PlaceArchive
from youtube_download_coordinator.processors.place_sweep import place_time, sweep_place
from youtube_download_coordinator.processors.production import CustomStep, Production, Recipe
from youtube_download_coordinator.processors.sidecar import sha256_of
from youtube_download_coordinator.storage.place import MAX_CONDITIONAL_BYTES, Held

PRODUCT = Product(kind="audio", name="audio-m4a")
VIDEO = new_video(1, id=7)


class FailingPlace(MemoryPlace):
    """A place whose next puts fail: of names with this end, before or after the file is there."""

    def __init__(self) -> None:
        super().__init__()
        self.error: type[PlaceUnavailable | PlaceRefused] = PlaceUnavailable
        self.fails_before = self.fails_after = "-"
        self.on_put: Callable[[], object] = lambda: None
        """Called before each put."""

    def put_if_absent(
        self,
        path: str,
        source: Path | bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        move: bool = False,
    ) -> bool:
        self.on_put()
        if path.endswith(self.fails_before):
            raise self.error("away")
        is_new = super().put_if_absent(path, source, content_type=content_type, metadata=metadata)
        if path.endswith(self.fails_after):
            raise self.error("away")
        return is_new


@pytest.fixture
def place() -> FailingPlace:
    return FailingPlace()


def audio(site: Site, settings: Settings, place: MemoryPlace, **fields: Any) -> Done:
    video = replace(task(site), id=7, **fields)
    steps = [RECIPES["audio"](video, settings, None)]
    return Production(video, settings, steps, archive=PlaceArchive(place, settings.output_dir)).run()


def keep(
    place: MemoryPlace, folder: Path, content: bytes = b"sound", product: Product = PRODUCT, video: VideoTask = VIDEO
) -> str:
    """Publish one file as an attempt does on a machine with this folder. Return its name."""
    archive = PlaceArchive(place, folder)
    archive.lookup(video, product)
    with work_folder(folder, video, product.name) as work:
        path = work / "made.m4a"
        path.write_bytes(content)
        sidecar = {"sha256": sha256_of(path), "bytes": len(content)}
        file = DraftFile(path=path, stem="Irish/x", extension="m4a", sidecar=sidecar)
        draft = archive.unpublished(product, work) or Draft(files=[file])
        (name,) = archive.keep(video, product, draft, work).files
    return name


def names(place: MemoryPlace) -> set[str]:
    return {held.path for held in place.list() if not held.path.startswith(".archive/")}


def record_names(place: MemoryPlace) -> list[str]:
    return sorted(held.path for held in place.list(".archive") if held.path.endswith(".json"))


def files_on(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


# -- one attempt


def test_a_file_is_published_with_its_sidecar_and_leaves_the_disk(
    site: Site, settings: Settings, place: MemoryPlace
) -> None:
    done = audio(site, settings, place)
    assert names(place) == {done.result, f"{done.result}.json"}
    held = place.head(done.result)
    assert held
    assert (held.content_type, held.metadata["row_id"]) == ("audio/mp4", "7")
    sidecar = json.loads(place.get(f"{done.result}.json"))
    assert (sidecar["file"], sidecar["sha256"]) == (Path(done.result).name, held.sha256)
    assert [product["files"] for product in sidecar["products"]] == [[done.result]]
    assert files_on(settings.output_dir) == []
    site.log.clear()
    assert audio(site, settings, place) == replace(done, asked_youtube=False)
    assert site.log == []


@pytest.mark.parametrize("fails", ["m4a", "m4a.json", ".json"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_upload_that_fails_is_repeated_without_a_request(
    site: Site, settings: Settings, place: FailingPlace, fails: str, moment: str
) -> None:
    setattr(place, f"fails_{moment}", fails)
    with pytest.raises(LaterError) as caught:
        audio(site, settings, place)
    assert (caught.value.reason, str(caught.value)) == ("upload", "away")
    assert unpublished_keys(settings.output_dir) == {task(site).key}
    place.fails_before = place.fails_after = "-"
    site.log.clear()
    done = audio(site, settings, place)
    assert (site.log, done.asked_youtube) == ([], False)
    assert names(place) == {done.result, f"{done.result}.json"}
    assert len(record_names(place)) == 1
    assert files_on(settings.output_dir) == []


def test_a_waiting_file_that_is_no_longer_whole_is_made_again(
    site: Site, settings: Settings, place: FailingPlace
) -> None:
    """A power cut may leave a part of a file whose name is there."""
    place.fails_before = "m4a"
    with pytest.raises(LaterError):
        audio(site, settings, place)
    (waiting,) = settings.output_dir.rglob("*.m4a")
    waiting.write_bytes(waiting.read_bytes()[:1000])
    place.fails_before = "-"
    done = audio(site, settings, place)
    held = place.head(done.result)
    assert held
    assert held.sha256 == hashlib.sha256(place.get(done.result)).hexdigest()
    assert held.size > 1000


def test_a_place_that_refuses_makes_the_machine_unfit_and_keeps_the_file(
    site: Site, settings: Settings, place: FailingPlace
) -> None:
    place.error, place.fails_before = PlaceRefused, "m4a"
    with pytest.raises(UnfitError) as caught:
        audio(site, settings, place)
    assert caught.value.reason == "place-refused"
    assert unpublished_keys(settings.output_dir)


def test_what_was_made_with_other_settings_is_not_published(
    site: Site, settings: Settings, place: FailingPlace
) -> None:
    place.fails_before = "m4a"
    with pytest.raises(LaterError):
        audio(site, settings, place)
    place.fails_before = "-"
    site.log.clear()
    done = audio(site, replace(settings, audio_mono=True), place)
    assert site.log
    assert json.loads(place.get(f"{done.result}.json"))["media"]["channels"] == 1


def test_a_product_that_is_made_again_gets_names_and_a_record_of_its_own(
    site: Site, settings: Settings, place: MemoryPlace
) -> None:
    first = audio(site, settings, place)
    before = place.get(first.result)
    mono = replace(settings, audio_mono=True)
    second = audio(site, mono, place)
    assert (place.get(first.result), first.result != second.result) == (before, True)
    assert [name.rpartition("/")[2].count(".") for name in record_names(place)] == [3, 2]
    assert audio(site, mono, place) == replace(second, asked_youtube=False)


def test_a_result_that_the_row_keeps_gets_the_new_names(site: Site, settings: Settings, place: MemoryPlace) -> None:
    """As when a row is asked for a further product, for which the audio is made again: the sweep removes the first file."""
    first = audio(site, settings, place)
    mono = replace(settings, audio_mono=True)
    steps = [RECIPES["audio"](task(site), mono, None)]
    for _ in ("made now", "made before"):
        production = Production(task(site), mono, steps, archive=PlaceArchive(place, mono.output_dir))
        new = production.run().result
        assert new != first.result
        assert production.current_result(f"{first.result} (degraded: x)") == f"{new} (degraded: x)"
        assert production.current_result("another result") == "another result"


def test_a_file_that_a_person_deletes_is_made_again_under_its_name(
    site: Site, settings: Settings, place: MemoryPlace
) -> None:
    first = audio(site, settings, place)
    place.delete(first.result)
    assert place.head(audio(site, settings, place).result)
    assert len(record_names(place)) == 2


def test_a_file_too_large_for_a_conditional_put_has_a_name_of_the_attempt(tmp_path: Path, place: MemoryPlace) -> None:
    name = keep(place, tmp_path, b"\0" * (MAX_CONDITIONAL_BYTES + 1))
    assert name != "Irish/x.m4a"
    assert (name.startswith("Irish/x."), name.endswith(".m4a")) == (True, True)
    assert names(place) == {name, f"{name}.json"}


# -- several attempts


def test_of_two_machines_one_record_wins(tmp_path: Path, place: MemoryPlace) -> None:
    """The second had begun when there was none."""
    slow = PlaceArchive(place, tmp_path / "b")
    slow.lookup(VIDEO, PRODUCT)
    name = keep(place, tmp_path / "a", b"first")
    with work_folder(tmp_path / "b", VIDEO, PRODUCT.name) as work:
        path = work / "made.m4a"
        path.write_bytes(b"second")
        file = DraftFile(path=path, stem="Irish/x", extension="m4a", sidecar={"sha256": "1" * 64})
        record = slow.keep(VIDEO, PRODUCT, Draft(files=[file]), work)
    assert list(record.files) == [name]
    assert (place.get(name), names(place)) == (b"first", {name, f"{name}.json"})
    assert len(record_names(place)) == 1


def test_a_name_that_is_taken_is_left_as_it_is(tmp_path: Path, place: MemoryPlace) -> None:
    """By a file that a killed attempt has left, for example."""
    place.put_if_absent("Irish/x.m4a", b"another's", content_type="audio/mp4", metadata={})
    name = keep(place, tmp_path)
    assert (place.get("Irish/x.m4a"), place.get(name)) == (b"another's", b"sound")


def test_what_was_put_hours_ago_is_put_anew(tmp_path: Path, place: FailingPlace) -> None:
    """The sweep may be about to remove it."""
    place.fails_after = "m4a"
    with pytest.raises(LaterError):
        keep(place, tmp_path)
    (mark,) = tmp_path.rglob(UNPUBLISHED_FILE)
    content = json.loads(mark.read_text())
    mark.write_text(json.dumps(content | {"begun": content["begun"] - FRESH_SECONDS - 1}))
    place.fails_after = "-"
    name = keep(place, tmp_path)
    assert (name != "Irish/x.m4a", place.get(name)) == (True, b"sound")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"key": "url:video-00001", "made_with": {}, "files": ["../x"]}']
)
def test_a_record_that_is_none_is_followed_by_one(tmp_path: Path, place: MemoryPlace, content: bytes) -> None:
    name = keep(place, tmp_path / "a")
    (record,) = record_names(place)
    place.delete(record)
    place.put_if_absent(record, content, content_type="application/json", metadata={})
    assert keep(place, tmp_path / "b", b"again") != name
    assert len(record_names(place)) == 2


# -- processors of users


def test_a_users_processor_gets_local_files_and_what_it_writes_beside_them_is_published(
    site: Site, settings: Settings, place: FailingPlace
) -> None:
    calls = []

    def transcribe(video: VideoTask) -> tuple[Done, list[Path]]:
        calls.append(video.files["audio"][0].stat().st_size)
        path = video.files["audio"][0].with_suffix(".txt")
        path.write_text("hello")
        return Done(result=str(path)), [path]

    def run() -> Done:
        video = task(site)
        step = CustomStep(product=Product(kind="m:transcribe", name="custom-m"), run=transcribe)
        steps: list[Recipe | CustomStep] = [RECIPES["audio"](video, settings, None), step]
        return Production(video, settings, steps, archive=PlaceArchive(place, settings.output_dir)).run()

    place.fails_before = "txt"
    with pytest.raises(LaterError):
        run()
    place.fails_before = "-"
    done = run()
    assert done.result.endswith(".m4a")
    held = place.head(done.result)
    assert held
    assert calls == [held.size]  # it is not called again, for its file waited
    assert place.get(done.result.removesuffix("m4a") + "txt") == b"hello"
    assert files_on(settings.output_dir) == []


# -- the worker's own network

GUARDED = """
import sys
from pathlib import Path
from youtube_download_coordinator.processors.place_archive import open_archive
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.youtube.network import Network

settings = Settings(output_dir=Path("work"), place="s3://bucket/corpus", network=Network(allow_other_sites=True))
settings.network.guard_this_process()
open_archive(settings)
"""


def test_a_machine_gets_its_credentials_beside_the_guard_of_its_network(tmp_path: Path) -> None:
    """With other sites allowed, yt-dlp may not connect to the address from which the machines of a cloud have them."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        address = f"http://127.0.0.1:{metadata.getsockname()[1]}"
        environment = {**others, "HOME": str(tmp_path), "AWS_METADATA_ENDPOINT": address}
        subprocess.run([sys.executable, "-c", GUARDED], env=environment, cwd=Path(__file__).parents[3], check=True)


# -- the sweep


def later(**duration: float) -> datetime:
    return datetime.now(UTC) + timedelta(**duration)


def test_the_sweep_removes_what_no_record_names_for_a_day(tmp_path: Path, place: FailingPlace) -> None:
    place.fails_before = ".json"
    with pytest.raises(LaterError):
        keep(place, tmp_path)
    place.fails_before = "-"
    place.put_if_absent("README.md", b"a person's", content_type="text/plain", metadata={})
    place.put_if_absent("x", b"", content_type="text/plain", metadata={"record": "../x"})
    named = keep(place, tmp_path / "b")
    assert sweep_place(place, later(hours=23)) == 0
    assert sweep_place(place, later(hours=25), at_once=True) == 1
    assert names(place) == {named, f"{named}.json", "README.md", "x"}


@pytest.mark.parametrize("copied_to", ["selected/x.m4a", "Irish/x (copy).m4a"])
def test_the_sweep_leaves_copies_whose_metadata_is_that_of_the_file(
    tmp_path: Path, place: MemoryPlace, copied_to: str
) -> None:
    """Every tool copies metadata too."""
    name = keep(place, tmp_path)
    copy(place, place, name, copied_to)
    assert sweep_place(place, later(hours=25)) == 0
    assert place.head(copied_to)


def test_the_sweep_leaves_a_place_whose_prefix_continues_this_one(tmp_path: Path, place: MemoryPlace) -> None:
    """`s3://bucket/corpus` and `s3://bucket/corpus/irish`."""
    inner = MemoryPlace()
    keep(inner, tmp_path)
    for held in list(inner.list()):
        copy(inner, place, held.path, f"irish/{held.path}")
    before = {held.path for held in place.list()}
    assert sweep_place(place, later(hours=25)) == 0
    assert {held.path for held in place.list()} >= before


def test_the_sweep_leaves_names_that_no_attempt_gives(tmp_path: Path, place: MemoryPlace) -> None:
    """A file of a person may have any name, for example one with a backslash."""

    class Foreign(MemoryPlace):
        def list(self, prefix: str = "") -> Iterator[Held]:
            yield Held(path="notes\\x.txt", size=1, modified=datetime.now(UTC))
            yield from super().list(prefix)

    assert sweep_place(Foreign(), later(hours=25)) == 0


def test_a_mark_of_a_clock_that_was_ahead_does_not_end_the_sweeps(tmp_path: Path, place: FailingPlace) -> None:
    sweep_place(place, later(days=3650))
    place.fails_before = ".json"
    with pytest.raises(LaterError):
        keep(place, tmp_path)
    assert sweep_place(place, later(hours=25)) == 1


def test_the_time_is_that_of_the_place(place: MemoryPlace) -> None:
    before = datetime.now(UTC)
    assert before <= place_time(place) <= datetime.now(UTC)
    assert list(place.list()) == []


def copy(source: MemoryPlace, target: MemoryPlace, name: str, new_name: str) -> None:
    held = source.head(name)
    assert held
    target.put_if_absent(new_name, source.get(name), content_type=held.content_type, metadata=held.metadata)


def test_the_sweep_removes_the_files_of_records_that_were_replaced(tmp_path: Path, place: MemoryPlace) -> None:
    first = keep(place, tmp_path)
    second = keep(place, tmp_path, product=replace(PRODUCT, made_with={"mono": True}))
    assert sweep_place(place, later(hours=25)) == 2
    assert names(place) == {second, f"{second}.json"}
    assert first != second
    keep(place, tmp_path)
    assert len(record_names(place)) == 3  # none of them goes, for they are numbered


def test_the_sweep_runs_once_a_day_and_goes_on_where_it_ended(tmp_path: Path, place: FailingPlace) -> None:
    place.put_if_absent("x", b"", content_type="text/plain", metadata={})
    assert sweep_place(place, later(hours=1)) == 0
    place.fails_before = ".json"
    with pytest.raises(LaterError):
        keep(place, tmp_path)
    assert sweep_place(place, later(hours=24)) == 0
    assert sweep_place(place, later(hours=26)) == 1
