"""A flow of your own, the third way: our steps around yours. Each video's audio is taken, then a step of your own reads the file.

python -m examples.own_flow
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from prefect import flow, task

from tasks.claims import claim_videos, finish, process_video


@task(retries=2)
def fingerprint(path: Path) -> str:
    """Your own step: here the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@flow
def fingerprint_corpus(max_videos: int = 10) -> None:
    """Take the audio of videos that are due, and keep each file's fingerprint in its row."""
    with claim_videos(max_videos) as videos:
        for video in videos:
            try:
                audio = process_video(video, "audio")
                finish(video, {"file": audio, "sha256": fingerprint(Path(audio))})
            except Exception as error:  # noqa: BLE001  it is recorded, and the flow goes on with the next video
                finish(video, error)


if __name__ == "__main__":
    fingerprint_corpus()
