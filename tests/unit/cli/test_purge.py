"""`ydc purge` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.corpus_rows import Machine, video
from tests.support.rows import make_queue
from tests.support.terminal import Ydc
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql import SqlStore

ID = "video000001"


@pytest.fixture
def media(folder: Path) -> Path:
    """Return the folder with the files of two videos that are done."""
    store = SqlStore(f"sqlite:///{folder / 'coordinator.db'}")
    machine = Machine(folder / "media", LocalPlace(folder / "media"), make_queue(store))
    for number in (1, 2):
        machine.done(video(number))
    store.close()
    return folder / "media"


def names(media: Path) -> set[str]:
    return {path.name for path in media.rglob("*") if path.is_file() and ".corpus" not in path.parts}


def test_a_video_is_taken_out_and_reported(folder: Path, media: Path, ydc: Ydc) -> None:
    before = names(media)
    seen = ydc("purge", "--video", ID, "--dry-run")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.splitlines()[:2] == [
        f"would remove .archive/audio-m4a/{tombstone(f'yt:v:{ID}')[:2]}/{ID}.{tombstone(f'yt:v:{ID}')[:8]}.json",
        f"would remove Irish/{ID}.m4a",
    ]
    assert "1 videos would be purged: 1 rows erased, 2 files and 1 records would be removed" in seen.stdout
    assert names(media) == before
    done = ydc("purge", "--video", ID, "--yes", "--report", "report.json", "--requested-by", "Jane")
    assert done.returncode == 0, done.stderr
    assert "1 videos purged: 1 rows erased, 2 files and 1 records removed" in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["tombstones"] == [tombstone(f"yt:v:{ID}")]
    assert (report["requested_by"], report["rows"], report["files"], report["records"]) == ("Jane", 1, 2, 1)
    assert ID not in (folder / "report.json").read_text()
    assert not [name for name in names(media) if ID in name]
    rows = SqlStore(f"sqlite:///{folder / 'coordinator.db'}").scan(VIDEO_TASKS)
    assert [row.url for row in rows] == ["purged", video(2).url]


def test_without_yes_it_asks_and_changes_nothing(media: Path, ydc: Ydc) -> None:
    before = names(media)
    asked = ydc("purge", "--video", ID)
    assert asked.returncode == 2
    assert "1 videos will be removed from" in asked.stderr
    assert "add --yes" in asked.stderr
    assert names(media) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which videos? Give --video, --channel, --source or --file"),
        (["--video", "what?"], "is not a video's ID or address"),
        (["--channel", ID], "not a channel"),
        (["--source", "9"], "there is no source with the ID 9"),
        (["--file", "missing"], "missing cannot be read"),
        (["--video", ID, "--report", "no/such/report.json"], "nothing was changed"),
    ],
)
def test_a_mistake_is_one_line(media: Path, ydc: Ydc, arguments: list[str], said: str) -> None:
    answer = ydc("purge", *arguments, "--yes")
    assert answer.returncode == 2
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_restoring_says_how_many_there_are(media: Path, ydc: Ydc) -> None:
    assert ydc("purge", "--video", ID, "--yes").returncode == 0
    restored = ydc("purge", "--restore")
    assert restored.returncode == 0
    assert restored.stdout.startswith("1 tombstones of purged videos are in ")
