"""Existing files are found without a request, by any process, until a person deletes them."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import rows
from tests.support.clip_site import Site, files, task
from youtube_download_coordinator.errors import AttemptError, LaterError, TransientError
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.processors.archive import Archive, Product
from youtube_download_coordinator.processors.built_in import Settings, audio
from youtube_download_coordinator.processors.parts import held_alone
from youtube_download_coordinator.processors.product_list import list_products
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.files import READ_MAX_BYTES
from youtube_download_coordinator.stores.sql import SqlStore

PRODUCT = Product(kind="audio", name="audio-m4a")


def put(path: Path, content: bytes = b"sound") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_that_a_person_deletes_is_fetched_again(site: Site, settings: Settings) -> None:
    path = settings.output_dir / audio(task(site), settings).result
    path.unlink()
    site.log.clear()
    assert audio(task(site), settings) == Done(result=str(path.relative_to(settings.output_dir)))
    assert site.log
    assert path.is_file()


def test_a_video_that_two_queues_list_is_processed_in_each_and_fetched_once(site: Site, settings: Settings) -> None:
    """Two spreadsheets know nothing of each other; a folder that both write into does."""
    asked = []
    for number in (1, 2):
        queue = rows.make_queue(SqlStore("sqlite://"), f"host/{number}")
        queue.add(VIDEO_TASKS, [task(site)])
        (claim,) = queue.claim(VIDEO_TASKS, 1)
        site.log.clear()
        (row,) = queue.settle([(claim, audio(claim.row, settings))])
        assert row is not None
        assert (row.lease.state, (settings.output_dir / row.result).is_file()) == (State.DONE, True)
        asked.append(bool(site.log))
        queue.store.close()
    assert asked == [True, False]


def test_a_file_of_another_layout_is_found(site: Site, settings: Settings) -> None:
    """Else a changed template would fetch everything again."""
    path = audio(task(site), replace(settings, output_template="{type}/{title}")).result
    site.log.clear()
    assert audio(task(site), settings) == Done(result=path, asked_youtube=False)
    assert site.log == []


def test_a_file_that_was_made_otherwise_is_made_again(site: Site, settings: Settings) -> None:
    wav = replace(settings, audio_codec="wav")
    path = audio(task(site), wav).result
    site.log.clear()
    assert audio(task(site), replace(wav, audio_mono=True)) == Done(result=path)
    assert site.log
    assert audio(task(site), replace(wav, audio_mono=True)) == Done(result=path, asked_youtube=False)


def _endless(path: Path) -> None:
    path.touch()
    os.truncate(path, READ_MAX_BYTES + 1)


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "nested": lambda path: path.write_text('{"key":' + "[" * 200_000 + "]" * 200_000 + "}"),
    "endless": _endless,
    "digits": lambda path: path.write_text('{"media_seconds":' + "9" * 6000 + "}"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_a_record_or_a_sidecar_is_none(site: Site, settings: Settings, kind: str) -> None:
    """Whoever may write into the folder puts it there, and costs that video its record at most."""
    name = audio(task(site), settings).result
    path, archive = settings.output_dir / name, Archive(settings.output_dir)
    sidecar = path.with_name(f"{path.name}.json")
    sidecar.unlink()
    UNREADABLE[kind](sidecar)
    list_products(archive, task(site))
    (record,) = (settings.output_dir / ".archive").rglob("*.json")
    record.unlink()
    UNREADABLE[kind](record)
    assert archive.records(task(site)) == []
    site.log.clear()
    if kind == "a folder":
        with pytest.raises(AttemptError):
            audio(task(site), settings)
    else:
        assert audio(task(site), settings).result == name
        assert site.log


def test_each_codec_has_a_record(site: Site, settings: Settings) -> None:
    paths = {codec: audio(task(site), replace(settings, audio_codec=codec)).result for codec in ("m4a", "mp3")}
    site.log.clear()
    for codec, path in paths.items():
        assert audio(task(site), replace(settings, audio_codec=codec)).result == path
    assert site.log == []


def test_the_folder_may_be_moved(tmp_path: Path) -> None:
    path = put(tmp_path / "a" / "Irish" / "x.m4a")
    Archive(tmp_path / "a").add(rows.new_video(1), PRODUCT, [path])
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert Archive(tmp_path / "b").find(rows.new_video(1), PRODUCT) == [tmp_path / "b" / "Irish" / "x.m4a"]


def test_one_of_several_files_that_is_gone_is_as_all(tmp_path: Path) -> None:
    paths = [put(tmp_path / "x.de.vtt"), put(tmp_path / "x.en.vtt")]
    Archive(tmp_path).add(rows.new_video(1), PRODUCT, paths)
    assert Archive(tmp_path).find(rows.new_video(1), PRODUCT) == paths
    paths[1].unlink()
    assert Archive(tmp_path).find(rows.new_video(1), PRODUCT) == []


def test_an_empty_file_is_what_a_power_cut_leaves(tmp_path: Path) -> None:
    path = put(tmp_path / "x.m4a", b"")
    Archive(tmp_path).add(rows.new_video(1), PRODUCT, [path])
    assert Archive(tmp_path).find(rows.new_video(1), PRODUCT) == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"key": "url:video-00001", "made_with": {}, "files": null}', "\0"]
)
def test_a_record_that_is_none_does_not_matter(tmp_path: Path, content: str) -> None:
    archive, video = Archive(tmp_path), rows.new_video(1)
    archive.add(video, PRODUCT, [put(tmp_path / "x.m4a")])
    record_in(tmp_path).write_text(content)
    assert archive.find(video, PRODUCT) == []


@pytest.mark.parametrize("names", ['["/etc/hostname"]', '["../x.m4a"]', '["a/../../x.m4a"]', '["."]', '["x.m4a", "\\u0000"]',
                                   "[1]", '"x.m4a"', "7"])  # fmt: skip
def test_a_record_that_names_a_file_outside_is_refused(tmp_path: Path, names: str) -> None:
    put(tmp_path / "x.m4a")
    archive, video = Archive(tmp_path / "media"), rows.new_video(1)
    archive.add(video, PRODUCT, [put(tmp_path / "media" / "x.m4a")])
    record = record_in(tmp_path / "media")
    record.write_text(record.read_text().replace('["x.m4a"]', names))
    assert archive.find(video, PRODUCT) == []


def test_an_absolute_path_in_the_folder_is_rewritten_once(tmp_path: Path) -> None:
    """Then the folder may be moved."""
    archive, video, path = Archive(tmp_path / "media"), rows.new_video(1), put(tmp_path / "media" / "Irish" / "x.m4a")
    archive.add(video, PRODUCT, [path])
    record = record_in(tmp_path / "media")
    expected = record.read_text()
    record.write_text(expected.replace("Irish/x.m4a", str(path)))
    assert archive.find(video, PRODUCT) == [path]
    assert record.read_text() == expected


def test_a_record_behind_a_link_is_not_read(tmp_path: Path) -> None:
    archive, video = Archive(tmp_path / "media"), rows.new_video(1)
    archive.add(video, PRODUCT, [put(tmp_path / "media" / "x.m4a")])
    record = record_in(tmp_path / "media")
    (tmp_path / "elsewhere").write_bytes(record.read_bytes())
    record.unlink()
    record.symlink_to(tmp_path / "elsewhere")
    assert archive.find(video, PRODUCT) == []


def test_a_file_whose_name_begins_with_a_dash_is_found(tmp_path: Path) -> None:
    """A version before this one named files and records so."""
    archive, video = Archive(tmp_path), rows.new_video(1, key="yt:v:-aB_cdefghi")
    path = put(tmp_path / "Irish" / "-aB_cdefghi.m4a")
    archive.add(video, PRODUCT, [path])
    record = record_in(tmp_path)
    assert record.name.startswith("_-aB_cdefghi.")
    record.rename(record.with_name(record.name.removeprefix("_")))
    assert archive.find(video, PRODUCT) == [path]


def record_in(output_dir: Path) -> Path:
    """Return the only record below an output folder."""
    (record,) = (path for path in (output_dir / ".archive").rglob("*") if path.is_file())
    return record


def test_names_that_differ_in_case_alone_are_two_records(tmp_path: Path) -> None:
    """Where the disk does not tell them apart, too."""
    for key in ("yt:v:aaaaaaaaaaa", "yt:v:AAAAAAAAAAA"):
        Archive(tmp_path).add(rows.new_video(1, key=key), PRODUCT, [put(tmp_path / key[-1] / "x.m4a")])
    names = [path.name.lower() for path in (tmp_path / ".archive").rglob("*.json")]
    assert len(set(names)) == 2


def test_many_may_write_at_once_and_nobody_reads_half(tmp_path: Path) -> None:
    archive, video = Archive(tmp_path), rows.new_video(1)
    path = put(tmp_path / "x.m4a")
    archive.add(video, PRODUCT, [path])
    seen: list[list[Path]] = []

    def write() -> None:
        for _ in range(50):
            archive.add(video, PRODUCT, [path])

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.append(archive.find(video, PRODUCT))
    assert all(found == [path] for found in seen)
    assert len([each for each in (tmp_path / ".archive").rglob("*") if each.is_file()]) == 1


def test_two_processes_do_not_make_one_file_at_once(site: Site, settings: Settings) -> None:
    """One that was frozen may wake up beside its successor: both would write to the same half file."""
    work = settings.output_dir / ".parts"
    site.faults["/clip.mp4"] = ["", *["reset"] * 4]
    with pytest.raises(TransientError):
        audio(task(site), settings)
    (parts,) = work.iterdir()
    with held_alone(parts), pytest.raises(LaterError) as caught:
        audio(task(site), settings)
    assert caught.value.reason == "busy"
    assert audio(task(site), settings).result.endswith(".m4a")
    assert not any(".parts" in name for name in files(settings))


def test_a_sidecar_has_what_joins_a_file_with_its_row(site: Site, settings: Settings) -> None:
    video = replace(task(site), id=7, source_id=2, type="talk", title="=A title", extra={"Gender": "f"})
    wav = replace(settings, audio_codec="wav", audio_sample_rate_hz=16000, audio_mono=True)
    path = settings.output_dir / audio(video, wav).result
    found = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert (found["file"], found["kind"], found["bytes"]) == (path.name, "audio", path.stat().st_size)
    assert found["video_task"] == {
        "ID": 7, "SourceID": 2, "URL": video.url, "Accent": "Scottish", "Type": "talk", "Title": "=A title", "Gender": "f",
    }  # fmt: skip
    assert found["media"] == {
        "codec": "wav",
        "bit_rate_kbps": pytest.approx(256, rel=0.1),
        "sample_rate_hz": 16000,
        "channels": 1,
        "duration_seconds": pytest.approx(1, abs=0.1),
    }
    assert (found["youtube"]["id"], found["youtube"]["ext"]) == ("clip", "mp4")
    assert (found["made_with"]["sample_rate_hz"], found["made_with"]["mono"]) == (16000, True)
    assert found["made_with"]["yt_dlp"][:2] == "20"
