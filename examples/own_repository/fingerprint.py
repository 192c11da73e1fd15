"""Take the audio of videos that are due, and store each file's fingerprint in its row."""

from __future__ import annotations

import hashlib
from pathlib import Path

from prefect import flow, task

from youtube_download_coordinator.prefect import claim_videos, finish, process_video


@task(retries=2)
def fingerprint(path: Path) -> str:
    """Compute the file's SHA-256, as an example of your own step."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@flow(name="fingerprint-corpus")
def fingerprint_corpus(max_videos: int = 10, processor: str = "audio") -> None:
    """Process videos that are due until `max_videos` are done or none is left."""
    with claim_videos(max_videos) as videos:
        for video in videos:
            try:
                file = process_video(video, processor)
                finish(video, {"file": file, "sha256": fingerprint(Path(file))})
            except Exception as error:  # noqa: BLE001  it is recorded, and the flow continues with the next video
                finish(video, error)
