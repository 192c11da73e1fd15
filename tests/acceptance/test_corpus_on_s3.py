"""A corpus with captions in a bucket: every format is opened there, with the counts and hours of the queue.

Files and captions are published as attempts publish them. The sound is one clip, and only its sidecars say how long it is.
YDC_TEST_CORPUS_VIDEOS=200 makes more of them, in a minute or two.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clip_site import make_clip
from tests.support.corpus_rows import Machine, sidecar, subtitles, video
from tests.support.manifests import offline_datasets
from tests.support.object_storage import BUCKET, s3_environment, s3_server
from youtube_download_coordinator import corpus
from youtube_download_coordinator.corpus.formats import FORMATS
from youtube_download_coordinator.corpus.manifest import ManifestOptions
from youtube_download_coordinator.corpus.publication import publish
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.opening import open_place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VIDEOS = int(os.environ.get("YDC_TEST_CORPUS_VIDEOS", "20"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Yield a machine whose place is a bucket."""
    with s3_server() as url:
        for name, value in s3_environment(url).items():
            monkeypatch.setenv(name, value)
        yield Machine(tmp_path / "machine", open_place(f"s3://{BUCKET}/corpus"))


def fill(machine: Machine, clip: bytes) -> None:
    """Make videos of one channel for each ten, with captions of two segments, each of another length."""
    for number in range(1, VIDEOS + 1):
        media = {"codec": "mp4a.40.2", "sample_rate_hz": 44100, "channels": 2, "duration_seconds": 60 + number / 8}
        youtube = {"title": f"Talk {number}", "channel_id": f"UC{number // 10}", "channel": f"C{number // 10}"}
        made = sidecar(clip, media=media, youtube=youtube)
        row = machine.done(video(number, extra={"Speaker": f"S{number}"}), files={"m4a": clip}, sidecars={"m4a": made})
        machine.keep(row, **subtitles())


def lines_of(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def test_every_format_is_opened_with_the_counts_and_hours_of_the_queue(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas

    fill(machine, make_clip(tmp_path / "clip.mp4"))
    seconds = sum(60 + number / 8 for number in range(1, VIDEOS + 1))
    for name in FORMATS:
        publish(machine.queue, machine.place, machine.state_dir, ManifestOptions(format=name))

    local = tmp_path / "bucket"
    for held in machine.place.list():
        (local / held.path).parent.mkdir(parents=True, exist_ok=True)
        machine.place.download(held.path, local / held.path)
    results = {row.result for row in machine.queue.rows(VIDEO_TASKS)}
    assert len(results) == VIDEOS

    nemo = lines_of(local / "manifest.jsonl")
    assert {line["audio_filepath"] for line in nemo} == results
    assert sum(line["duration"] for line in nemo) == seconds
    assert {line["text"] for line in nemo} == {"good morning everybody"}
    assert all((local / line["audio_filepath"]).stat().st_size == line["bytes"] for line in nemo)

    for table in (pandas.read_csv(local / "manifest.csv"), pandas.read_parquet(local / "manifest.parquet")):
        assert (len(table), table["duration"].sum()) == (VIDEOS, seconds)

    lhotse = lines_of(local / "recordings.jsonl.gz")
    assert sum(line["duration"] for line in lhotse) == pytest.approx(seconds)
    assert len(lines_of(local / "supervisions.jsonl.gz")) == len(lhotse) == VIDEOS

    datasets = offline_datasets(tmp_path / "cache", monkeypatch)
    loaded = datasets.load_dataset("audiofolder", data_dir=str(local), split="train")
    assert (loaded.num_rows, sum(loaded["duration"])) == (VIDEOS, seconds)
    audio = loaded.cast_column("audio", datasets.Audio(decode=False))["audio"]
    assert all(Path(each["path"]).is_file() for each in audio)

    assert sum(each.seconds or 0 for each in corpus.read(machine.place)) == seconds
