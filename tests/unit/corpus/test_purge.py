"""Videos are taken out for good: nothing in the place names them, whatever is killed, and no listing brings them back."""

from __future__ import annotations

import gzip
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import object_storage
from tests.support.corpus_rows import CountingPlace, Machine, sidecar, subtitles, video
from tests.support.fragile_place import FragilePlace, Killed
from tests.support.memory_place import MemoryPlace
from tests.support.object_storage import BUCKET
from tests.support.rows import make_queue, new_source
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.hub import Batch, keep
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.corpus.manifest import ManifestOptions
from youtube_download_coordinator.corpus.publication import publish
from youtube_download_coordinator.corpus.purge import Purge, PurgeReport
from youtube_download_coordinator.corpus.purge_selection import PurgeSelection, channel_key, read_list, video_key
from youtube_download_coordinator.corpus.tombstone_copies import COPIES
from youtube_download_coordinator.errors import PlaceUnavailable, UserError
from youtube_download_coordinator.models import Done, Source, VideoTask
from youtube_download_coordinator.processors.parts import KEY_FILE, UNPUBLISHED_FILE, unpublished_keys
from youtube_download_coordinator.processors.place_archive import PlaceArchive
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.queue.tombstones import is_erased, is_purged, tombstone
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.object_place import ObjectPlace
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.expansion import expand_next
from youtube_download_coordinator.workers.parts_sweep import clean_up_after, sweep_parts
from youtube_download_coordinator.youtube.listing import Listed, ListedVideo

CHANNEL, OTHER = "UC" + "a" * 22, "UC" + "b" * 22
GONE, KEPT = range(3), range(3, 6)


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with object_storage.s3_server() as url:
        yield url


@pytest.fixture(params=["memory", "local", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "s3":
        for name, value in object_storage.s3_environment(request.getfixturevalue("s3_url")).items():
            monkeypatch.setenv(name, value)
        return ObjectPlace(f"s3://{BUCKET}/{tmp_path.name}")
    return LocalPlace(tmp_path / "media") if request.param == "local" else CountingPlace()


@pytest.fixture
def machine(tmp_path: Path, place: Place) -> Machine:
    return Machine(tmp_path / "machine", place)


def add(machine: Machine, number: int, channel: str, **fields: Any) -> VideoTask:
    """Process a video of a channel: audio and captions."""
    content, youtube = f"sound {number}".encode(), {"channel_id": channel, "title": "A title"}
    beside = sidecar(content, video_task={"URL": video(number).url}, youtube=youtube)
    row = machine.done(
        video(number, extra={"Speaker": "A"}, **fields), files={"m4a": content}, sidecars={"m4a": beside}
    )
    captions = subtitles()
    captions["sidecars"]["en.vtt"]["youtube"] = youtube
    machine.keep(row, **captions)
    return row


def fill(machine: Machine) -> None:
    """List two channels, one of them as a playlist of both, and process their videos."""
    sources = [new_source(1, key=f"yt:c:{CHANNEL}"), new_source(2, key="yt:p:PLboth")]
    machine.queue.add(SOURCES, sources)
    for number in GONE:
        add(machine, number, CHANNEL, source_id=1 if number else 2)
    for number in KEPT:
        add(machine, number, OTHER, source_id=2)


def purge_of(machine: Machine, **more: Any) -> Purge:
    return Purge(
        queue=machine.queue,
        place=machine.place,
        index=Index(machine.place, machine.state_dir, machine.queue.buried_keys),
        config=Config(output_dir=machine.folder, state_dir=machine.state_dir),
        **more,
    )


def run(machine: Machine, selection: PurgeSelection, **more: Any) -> PurgeReport:
    purge = purge_of(machine, **more)
    return purge.run(purge.select(selection), {})


def mentions(place: Place, number: int) -> list[str]:
    """Return the paths of the files whose name or content has the ID of a video."""
    return naming(place, video(number).key.removeprefix("yt:v:"))


def naming(place: Place, wanted: str) -> list[str]:
    """Return the paths of the files whose name or content has a text."""
    found = []
    for held in place.list():
        content = place.get(held.path)
        content = gzip.decompress(content) if held.path.endswith(".gz") else content
        if wanted in held.path or wanted.encode() in content:
            found.append(held.path)
    return found


def paths(place: Place) -> set[str]:
    return {held.path for held in place.list()}


def check_gone(machine: Machine) -> None:
    assert {number: mentions(machine.place, number) for number in GONE} == {number: [] for number in GONE}
    assert [recording.key for recording in recordings(machine.queue, machine.place, machine.state_dir)] == [
        video(number).key for number in KEPT
    ]
    rows = machine.queue.store.scan(VIDEO_TASKS)
    assert [is_erased(row) for row in rows] == [True] * len(GONE) + [False] * len(KEPT)
    assert machine.queue.add(VIDEO_TASKS, [video(number) for number in GONE]) == [None] * len(GONE)


# --- what goes, and what stays ---------------------------------------------------------------------------------------


def test_a_channel_is_taken_out(machine: Machine) -> None:
    fill(machine)
    publish(machine.queue, machine.place, machine.state_dir, ManifestOptions(format="csv"))
    publish(machine.queue, machine.place, machine.state_dir, ManifestOptions(segments=True))
    report = run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))
    check_gone(machine)
    assert report.manifests == 2
    assert (report.rows, report.records, report.files) == (3, 6, 12)
    assert report.index_lines >= 6
    assert sorted(report.tombstones) == sorted(tombstone(video(number).key) for number in GONE)
    assert "video0000" not in str(report.as_json())
    kept = [path for path in paths(machine.place) if "video00000" in path]
    assert len(kept) == 6 * len(KEPT)
    assert len([path for path in paths(machine.place) if path.startswith(COPIES)]) == 1


@pytest.mark.parametrize(
    "selection",
    [
        PurgeSelection(keys=[video(number).key for number in GONE]),
        PurgeSelection(sources=[1], keys=[video(0).key]),
        PurgeSelection(channels=[f"yt:c:{CHANNEL}"]),
    ],
)
def test_every_way_to_select_takes_the_same_videos(machine: Machine, selection: PurgeSelection) -> None:
    fill(machine)
    run(machine, selection)
    check_gone(machine)


def test_a_channel_by_its_name_is_known_from_its_source(machine: Machine) -> None:
    machine.queue.add(SOURCES, [new_source(1, key="yt:a:@somebody")])
    add(machine, 0, CHANNEL, source_id=1)
    add(machine, 1, CHANNEL)
    add(machine, 2, OTHER)
    run(machine, PurgeSelection(channels=[channel_key("https://www.youtube.com/@Somebody/videos")]))
    assert [is_purged(row) for row in machine.queue.store.scan(VIDEO_TASKS)] == [True, True, False]


def test_earlier_generations_and_what_no_record_names_go_too(machine: Machine) -> None:
    fill(machine)
    row = machine.queue.store.scan(VIDEO_TASKS)[0]
    for path in [path for path in paths(machine.place) if path.endswith("video000000.m4a")]:
        machine.place.delete(path)  # so that it is made again
    machine.keep(row, files={"m4a": b"again"})
    for path in ("Irish/video000001.5f0c9a1e.m4a", "x/[video000002] half.m4a.json"):
        machine.place.put_if_absent(path, b"left by a killed attempt", content_type="", metadata={})
    run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))
    check_gone(machine)


def test_a_file_of_another_video_that_has_the_id_in_its_title_is_kept(machine: Machine) -> None:
    fill(machine)
    name = "Irish/reply to video000001 [video000004].m4a"
    machine.place.put_if_absent(name, b"x", content_type="", metadata={})
    beside = f'{{"video_task": {{"URL": "{video(4).url}"}}}}'.encode()
    machine.place.put_if_absent(f"{name}.json", beside, content_type="", metadata={})
    report = run(machine, PurgeSelection(keys=[video(1).key]))
    assert {name, f"{name}.json"} <= paths(machine.place)
    assert report.kept_files == 2


def test_a_video_that_nobody_has_listed_is_never_fetched(machine: Machine) -> None:
    report = run(machine, PurgeSelection(keys=[video(7).key]))
    assert report.rows == report.files == 0
    assert machine.queue.add(VIDEO_TASKS, [video(7)]) == [None]


def test_the_same_source_listed_again_adds_none_of_them(machine: Machine) -> None:
    fill(machine)
    run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        for number in (*GONE, 9):
            yield ListedVideo(video(number).url, video(number).key, "Title", 60)

    expansion = expand_next(machine.queue, Config(), listing)
    assert expansion is not None
    assert expansion.new == 1
    (claim,) = machine.queue.claim(VIDEO_TASKS, 10)
    assert claim.row.key == video(9).key


def test_the_report_has_the_commits_that_published_the_videos(machine: Machine) -> None:
    fill(machine)
    for number, commit in ((GONE[0], "c0ffee"), (KEPT[0], "decade")):
        batch = Batch(
            id=f"b{number}",
            repo="lab/corpus",
            revision="main",
            began_at="2026-11-29T12:00:00Z",
            hashes=(tombstone(video(number).key),),
        )
        keep(machine.place, batch, commit)

    keep(machine.place, Batch(id="c1", repo="lab/corpus", revision="main", began_at="2026-11-29T13:00:00Z"), "facade")
    keep(machine.place, Batch(id="c2", repo="lab/other", revision="main", began_at="2026-11-29T13:00:00Z"), "0ddba11")

    report = run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))

    assert [(commit["repo"], commit["commit"], commit["contains"]) for commit in report.hub] == [
        ("lab/corpus", "c0ffee", "media"),
        ("lab/corpus", "facade", "descriptions"),
    ]


def test_a_dry_run_changes_nothing_and_says_what_would_go(machine: Machine) -> None:
    fill(machine)
    selection = PurgeSelection(channels=[f"yt:c:{CHANNEL}"])
    purge = purge_of(machine)
    keys = purge.select(selection)
    before = {path: machine.place.get(path) for path in paths(machine.place)}
    rows = machine.queue.store.scan(VIDEO_TASKS)
    report, remains = purge.preview(keys, {})
    assert {path: machine.place.get(path) for path in paths(machine.place)} == before
    assert machine.queue.store.scan(VIDEO_TASKS) == rows
    assert list(machine.queue.store.tombstones()) == []
    would_go = {*remains.files, *remains.records}
    done = purge.run(keys, {})
    assert before.keys() - paths(machine.place) - {path for path in before if path.startswith(".corpus/")} == would_go
    assert (report.rows, report.files, report.records) == (done.rows, done.files, done.records)


# --- killed, and run again -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_after", [False, True])
def test_a_purge_that_is_killed_at_any_request_is_completed_by_the_next(tmp_path: Path, is_after: bool) -> None:
    selection = PurgeSelection(channels=[f"yt:c:{CHANNEL}"])
    was_killed, number = True, -1
    while was_killed:
        number += 1
        place = FragilePlace()
        place.is_after = is_after
        machine = Machine(tmp_path / str(number), place)
        fill(machine)
        publish(machine.queue, place, machine.state_dir, ManifestOptions(format="csv"))
        place.left = number
        try:
            run(machine, selection)
            was_killed = False
        except Killed:
            place.left = 10**9
            buried = machine.queue.buried_keys([video(gone).key for gone in GONE])
            named = {path for gone in GONE for path in mentions(place, gone)} - {"manifest.csv"}
            named = {path for path in named if not path.startswith(".corpus/")}
            files = {path for path in named if not path.startswith(".archive/")}
            records = [place.get(path).decode() for path in named - files]
            nameless = [path for path in files if not any(path.removesuffix(".json") in record for record in records)]
            assert nameless == [], "a file is left that no record names"
            if machine.queue.claim(VIDEO_TASKS, 10) or len(named) < 18:
                assert len(buried) == len(GONE), "it would be fetched again"
            run(machine, selection)
        check_gone(machine)
        (_, *lines) = place.get("manifest.csv").decode().splitlines()
        assert len(lines) == len(KEPT)
    assert number > 25, "each request was the last of one process"


def test_a_place_that_is_away_is_an_error_and_the_next_run_completes_it(machine: Machine) -> None:
    if not isinstance(machine.place, MemoryPlace):
        pytest.skip("one place is enough")
    fill(machine)
    delete, machine.place.delete = machine.place.delete, _away  # type: ignore[method-assign]
    with pytest.raises(PlaceUnavailable):
        run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))
    machine.place.delete = delete  # type: ignore[method-assign]
    run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))
    check_gone(machine)


def _away(path: str) -> None:
    raise PlaceUnavailable("away")


# --- workers ---------------------------------------------------------------------------------------------------------


def test_it_waits_for_the_claim_that_it_takes_away_and_removes_what_was_published_meanwhile(machine: Machine) -> None:
    machine.queue.add(VIDEO_TASKS, [video(0)])
    (claim,) = machine.queue.claim(VIDEO_TASKS, 1)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        machine.keep(claim.row)

    run(machine, PurgeSelection(keys=[video(0).key]), sleep=sleep)
    assert [timedelta(seconds=seconds) > timedelta(minutes=9) for seconds in waits] == [True]
    assert mentions(machine.place, 0) == []
    assert machine.queue.settle([(claim, Done(result="x.m4a"))]) == [None]


def test_a_process_that_wakes_up_later_removes_what_it_has_published(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path / "media")
    machine = Machine(tmp_path / "machine", place)
    machine.queue.add(VIDEO_TASKS, [video(0)])
    (claim,) = machine.queue.claim(VIDEO_TASKS, 1)
    other = make_queue(machine.queue.store, "host/b")
    run(replace(machine, queue=other), PurgeSelection(keys=[video(0).key]), sleep=lambda seconds: None)
    machine.keep(claim.row)
    assert mentions(place, 0) != []
    config = Config(output_dir=tmp_path / "media", state_dir=tmp_path / "state")
    attempt = Attempt(task=claim.row, result=AttemptResult.LOST, seconds=1, detail="")
    clean_up_after(machine.queue, attempt, config)
    assert mentions(place, 0) == []


def test_a_file_that_waits_unpublished_is_neither_claimed_nor_kept(tmp_path: Path) -> None:
    """On another machine: its next sweep removes the folder, whose video it can never claim again."""
    place = MemoryPlace()
    other = Machine(tmp_path / "other", place)
    other.queue.add(VIDEO_TASKS, [video(0)])
    folder = other.folder / ".parts" / "video000000.audio-m4a"
    folder.mkdir(parents=True)
    (folder / KEY_FILE).write_text(video(0).key)
    (folder / UNPUBLISHED_FILE).write_text("{}")
    (folder / "made.m4a").write_bytes(b"sound")
    run(replace(other, folder=tmp_path / "first"), PurgeSelection(keys=[video(0).key]))
    other.queue.unpublished = lambda: unpublished_keys(other.folder)
    assert other.queue.claim(VIDEO_TASKS, 5) == []
    sweep_parts(other.queue, other.folder)
    assert not folder.exists()


def test_half_files_on_this_machine_go(machine: Machine) -> None:
    machine.queue.add(VIDEO_TASKS, [video(0)])
    folder = machine.folder / ".parts" / "video000000.audio-m4a"
    folder.mkdir(parents=True)
    (folder / KEY_FILE).write_text(video(0).key)
    assert run(machine, PurgeSelection(keys=[video(0).key])).half_files == 1
    assert not folder.exists()


def test_facts_that_another_machine_has_not_put_yet_are_left_out(tmp_path: Path) -> None:
    place = MemoryPlace()
    other = Machine(tmp_path / "other", place)
    add(other, 0, CHANNEL)
    add(other, 3, OTHER)
    run(replace(other, folder=tmp_path / "first"), PurgeSelection(keys=[video(0).key]))
    assert Index(place, other.state_dir, other.queue.buried_keys).flush()
    assert mentions(place, 0) == []
    assert mentions(place, 3) != []


def test_an_archive_in_object_storage_is_empty_afterwards(tmp_path: Path) -> None:
    machine = Machine(tmp_path, MemoryPlace())
    fill(machine)
    row = machine.queue.store.scan(VIDEO_TASKS)[0]
    run(machine, PurgeSelection(keys=[row.key]))
    assert isinstance(machine.archive, PlaceArchive)
    assert [path for path in paths(machine.place) if "video000000" in path] == []


# --- tombstones that somebody deleted --------------------------------------------------------------------------------


def test_tombstones_come_back_from_the_place_and_from_the_rows(machine: Machine, tmp_path: Path) -> None:
    fill(machine)
    run(machine, PurgeSelection(keys=[video(0).key, "yt:v:neverlisted"]))
    fresh = replace(machine, queue=make_queue(type(machine.queue.store)("sqlite://")))  # type: ignore[call-arg]
    assert purge_of(fresh).restore() == 2
    assert fresh.queue.add(VIDEO_TASKS, [video(0)]) == [None]
    machine.place.delete(next(path for path in paths(machine.place) if path.startswith(COPIES)))
    assert purge_of(machine).restore() == 1


def test_rows_that_a_backup_has_brought_back_are_erased_again(machine: Machine) -> None:
    fill(machine)
    run(machine, PurgeSelection(keys=[video(0).key]))
    fresh = replace(machine, queue=make_queue(type(machine.queue.store)("sqlite://")))  # type: ignore[call-arg]
    fresh.queue.add(SOURCES, [new_source(1, url=video(0).url, key=video(0).key), new_source(2)])
    fresh.queue.add(VIDEO_TASKS, [video(0), video(1)])
    said: list[str] = []
    assert purge_of(fresh, say=said.append).restore() == 1
    assert said == ["2 rows of purged videos had come back and are erased again"]
    assert [is_erased(row) for row in fresh.queue.rows(VIDEO_TASKS)] == [True, False]
    assert [is_erased(row) for row in fresh.queue.rows(SOURCES)] == [True, False]
    purge_of(fresh, say=said.append).restore()
    assert len(said) == 1, "they are erased already"


# --- what a person types ---------------------------------------------------------------------------------------------


def test_a_list_is_read_with_its_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("# asked for on Monday\nvideo000000\n\nhttps://youtu.be/video000001?t=3\nvideo000000\n")
    assert read_list(path, allow_other_sites=False) == [video(0).key, video(1).key]
    path.write_text("video000000\nnot an id\nhttps://www.youtube.com/@handle\n")
    with pytest.raises(UserError, match=r"nothing was changed; line 2: 'not an id'.*; line 3: "):
        read_list(path, allow_other_sites=False)
    path.write_text("\n")
    with pytest.raises(UserError, match="contains no video"):
        read_list(path, allow_other_sites=False)
    with pytest.raises(UserError, match="cannot be read"):
        read_list(tmp_path / "missing", allow_other_sites=False)


def test_what_is_no_channel_or_video_is_one_line(machine: Machine) -> None:
    assert channel_key("@Handle") == "yt:a:@handle"
    assert channel_key(CHANNEL) == f"yt:c:{CHANNEL}"
    with pytest.raises(UserError, match="not a channel"):
        channel_key("video000000")
    with pytest.raises(UserError, match="not a video"):
        video_key("nothing of the kind", allow_other_sites=False)
    with pytest.raises(UserError, match="there are no videos of the channel @nobody"):
        purge_of(machine).select(PurgeSelection(channels=["yt:a:@nobody"]))
    with pytest.raises(UserError, match="there is no source with the ID 77"):
        purge_of(machine).select(PurgeSelection(sources=[77]))
