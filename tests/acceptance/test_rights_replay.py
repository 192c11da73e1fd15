"""Licence and trainability decide before any media is fetched: real yt-dlp, recorded YouTube, a simulated API for trainability.

The recordings have no part of a page that names a licence. So yt-dlp is told to ask the API for that part, where the replay
server sends what these tests want.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Replay, recorded_video
from tests.support.trainability_api import Answer, TrainabilityApi, permits, trainability_api
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.client import Client
from youtube_download_coordinator.models import State, VideoTask
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Limits

pytestmark = pytest.mark.slow

FREE, STANDARD, UNSEEN = (recorded_video(number) for number in (1, 2, 3))
CREATIVE_COMMONS = "Creative Commons Attribution license (reuse allowed)"


def video_id(video: VideoTask) -> str:
    return video.key.removeprefix("yt:v:")


def page_of(video: VideoTask, license_text: str = "") -> dict[str, Any]:
    """Return the rule by which the replay server names a licence below a video, or none."""
    row = {"title": {"simpleText": "License"}, "contents": [{"simpleText": license_text}]}
    rows = [{"metadataRowRenderer": row}] if license_text else []
    below = {"metadataRowContainer": {"metadataRowContainerRenderer": {"rows": rows}}}
    contents = [{"videoSecondaryInfoRenderer": {"owner": {"videoOwnerRenderer": {}}, **below}}]
    body = {"contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": contents}}}}}
    return {"match": f"/v1/next.*{video_id(video)}", "action": "json", "body": body}


@pytest.fixture
def api(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainabilityApi]:
    """Yield the API; the recorded YouTube names the licences of two of three videos."""
    for name, value in replay.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    replay.faults(page_of(FREE, CREATIVE_COMMONS), page_of(STANDARD))
    with trainability_api() as server:
        yield server


def run(folder: Path, api: TrainabilityApi, **settings: Any) -> dict[str, VideoTask]:
    """Process the videos that are due of a queue with all three. Return the rows, by video."""
    config = Config(
        database_url=f"sqlite:///{folder}/queue.db",
        state_dir=folder / "state",
        output_dir=folder / "media",
        output_template="{id}",
        trainability_url=api.url,
        idle_poll_seconds=0,
        min_free_disk_bytes=0,
        yt_dlp_options={"extractor_args": {"youtube": {"webpage_skip": ["initial_data"]}}},
        **settings,
    )
    with closing(Coordinator(config)) as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [FREE, STANDARD, UNSEEN])
        coordinator.process("audio", Limits(concurrency=1))
        return {row.key: row for row in coordinator.queue.rows(VIDEO_TASKS)}


def fetched(replay: Replay) -> set[str]:
    """Return the videos whose media were requested."""
    urls = [url for _, _, url, *_ in replay.log() if "videoplayback" in url]
    return {video_id(video) for video in (FREE, STANDARD, UNSEEN) if any(video_id(video) in url for url in urls)}


def test_only_the_media_of_licences_that_are_wanted_are_fetched(
    replay: Replay, api: TrainabilityApi, tmp_path: Path
) -> None:
    rows = run(tmp_path, api, licenses=("creative-commons",))
    assert {row.key: (row.lease.state, row.lease.tries, row.result) for row in rows.values()} == {
        FREE.key: (State.DONE, 0, f"{video_id(FREE)}.m4a"),
        STANDARD.key: (State.DONE, 0, "skipped, licence youtube"),
        UNSEEN.key: (State.DONE, 0, "skipped, licence unknown"),
    }
    assert fetched(replay) == {video_id(FREE)}
    assert api.asked == []
    assert [rows[video.key].custom_column("License") for video in (FREE, STANDARD)] == ["creative-commons", "youtube"]
    sidecar = json.loads((tmp_path / "media" / f"{video_id(FREE)}.m4a.json").read_text())
    assert sidecar["rights"] == {"license": "creative-commons"}
    assert sidecar["youtube"]["license"] == CREATIVE_COMMONS


def test_skipped_videos_are_counted_and_a_retry_follows_new_settings(
    replay: Replay, api: TrainabilityApi, tmp_path: Path
) -> None:
    run(tmp_path, api, licenses=("creative-commons",))
    config = Config(database_url=f"sqlite:///{tmp_path}/queue.db", state_dir=tmp_path / "state")
    with closing(Coordinator(config)) as coordinator:
        assert overview(coordinator.queue).skipped == {"licence unknown": 1, "licence youtube": 1}
        client: Client = coordinator.client
        assert client.retry(status="done", text="skipped, licence youtube") == 1
    replay.reset()
    replay.faults(page_of(STANDARD))
    rows = run(tmp_path, api, licenses=("creative-commons", "youtube"))
    assert rows[STANDARD.key].result == f"{video_id(STANDARD)}.m4a"
    assert fetched(replay) == {video_id(STANDARD)}


def test_without_permission_youtube_itself_is_not_asked(replay: Replay, api: TrainabilityApi, tmp_path: Path) -> None:
    api.answers = {video_id(FREE): permits("all"), video_id(UNSEEN): Answer(status=503)}
    rows = run(tmp_path, api, trainable="all")
    assert rows[FREE.key].result == f"{video_id(FREE)}.m4a"
    assert rows[STANDARD.key].result == "skipped, training not permitted"
    waiting = rows[UNSEEN.key].lease
    assert (waiting.state, waiting.tries, waiting.reason) == (State.PENDING, 0, "trainability")
    assert waiting.not_before
    assert fetched(replay) == {video_id(FREE)}
    log = str(replay.log())
    assert video_id(STANDARD) not in log
    assert video_id(UNSEEN) not in log
    assert api.asked == [video_id(video) for video in (FREE, STANDARD, UNSEEN)]
    sidecar = json.loads((tmp_path / "media" / f"{video_id(FREE)}.m4a.json").read_text())
    assert {**sidecar["rights"], "asked_at": ""} == {
        "license": "creative-commons", "trainable": "all", "etag": "e1", "asked_at": ""
    }  # fmt: skip
