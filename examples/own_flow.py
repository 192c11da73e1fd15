"""Your own flow, the third way to process videos: take the audio of each video, then read the file in a step of your own.

python -m examples.own_flow
"""

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


@flow
def fingerprint_corpus(max_videos: int = 10) -> None:
    """Take the audio of videos that are due, and store each file's fingerprint in its row."""
    with claim_videos(max_videos) as videos:
        for video in videos:
            try:
                audio = process_video(video, "audio")
                finish(video, {"file": audio, "sha256": fingerprint(Path(audio))})
            except Exception as error:  # noqa: BLE001  it is recorded, and the flow continues with the next video
                finish(video, error)


if __name__ == "__main__":
    fingerprint_corpus()
