"""Programs that use the public names pass a strict type check, under both import names."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SEED = """
from {module} import Config, Coordinator

coordinator = Coordinator(
    Config(credentials_file="service-account.json", spreadsheet_id="1AbC", sources_file_path="sources.txt")
)
coordinator.client.add_source(url="https://youtu.be/dQw4w9WgXcQ", accent="Scottish", source_type="interview")
for row in coordinator.client.get_video_tasks():
    print(row["ID"], row["URL"])
for source in coordinator.client.get_sources():
    print(source["Accent"])


def process_video(video_url: str) -> None:
    print(video_url)


while coordinator.process_next_task(process_video):
    pass
coordinator.process_next_task(lambda url: print(url))
"""
"""The programs of the first implementation's README."""

FACES = """
import asyncio
from collections.abc import Iterator

from youtube_download_coordinator import (
    AttemptResult, ClaimBlock, ClaimLost, Client, Config, Coordinator, Limits, PermanentError, Source, Status, Summary,
    VideoTask, __version__,
)
from youtube_download_coordinator.testing import Done, Failure, run_processor, temporary_coordinator


class Transcriber:
    def __call__(self, task: VideoTask) -> dict[str, int]:
        raise PermanentError("no speech", reason="silent")

    def transcribe(self, url: str) -> str:
        return url + __version__


async def fetch(task: VideoTask) -> str:
    return task.accent


def rows(client: Client) -> int:
    videos: Iterator[VideoTask] = client.videos(status=Status.DONE, accent="Scottish")
    lost = {video.url: video.lease.tries for video in client.dead_letters(reason="gone")}
    client.pause(minutes=3, reason="lunch")
    was_paused: bool = client.resume()
    counts: dict[str, int] = client.counts()
    print(next(videos).title, lost, was_paused, counts["done"])
    return client.add_video("https://youtu.be/dQw4w9WgXcQ") + client.retry(ids=[1]) + client.skip(status="error")


def attempts(coordinator: Coordinator) -> list[AttemptResult | None]:
    coordinator.stop()
    asyncio.run(coordinator.aprocess_next_task(fetch))
    return [coordinator.process_next(each) for each in (fetch, Transcriber(), Transcriber().transcribe)]


def block(coordinator: Coordinator) -> None:
    with coordinator.claim_videos(100) as videos:
        claimed: ClaimBlock = videos
        for video in claimed:
            try:
                result: AttemptResult = claimed.finish(video, {"seconds": claimed.seconds_left(video)})
                print(result is AttemptResult.DONE)
            except ClaimLost:
                continue


def run(coordinator: Coordinator) -> int:
    summary: Summary = coordinator.process("audio", Limits(concurrency=2, max_videos=10))
    return summary.failed


def source_title(source: Source) -> str:
    return source.title


with temporary_coordinator(max_retries=1) as coordinator:
    print(rows(coordinator.client), attempts(coordinator), run(coordinator))
    block(coordinator)
with Coordinator(Config(database_url="sqlite:///queue.db", claim_batch_size=5), run="night") as coordinator:
    print(coordinator.config.database_url)
outcome: Done | Failure = run_processor(fetch, url="https://youtu.be/dQw4w9WgXcQ", accent="Scottish")
"""

PYRIGHT = pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", pytest.param("pyright", marks=PYRIGHT)])
def test_programs_type_check_strictly(checker: str, tmp_path: Path) -> None:
    for module in ("youtube_download_coordinator", "download_coordinator"):
        (tmp_path / f"seed_{module}.py").write_text(SEED.format(module=module))
    (tmp_path / "faces.py").write_text(FACES)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    options = {
        "mypy": ["--strict", "--config-file", "", "--no-incremental"],
        "pyright": ["--pythonpath", sys.executable, "--project", str(tmp_path)],
    }
    programs = sorted(map(str, tmp_path.glob("*.py"))) if checker == "mypy" else []
    command = [sys.executable, "-m", checker, *options[checker], *programs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout
