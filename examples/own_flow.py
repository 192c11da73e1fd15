"""Your own flow, the third way to process videos: download the audio of each video, then read the file in your own step.

python -m examples.own_flow
"""

from __future__ import annotations

import hashlib

from prefect import flow, task

from youtube_download_coordinator import Config, open_place
from youtube_download_coordinator.prefect import claim_videos, finish, process_video


@task(retries=2)
def fingerprint(name: str) -> str:
    """Compute the SHA-256 of a file in the output folder, or in object storage, as an example of your own step."""
    with open_place(Config().output_dir).open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@flow
def fingerprint_corpus(max_videos: int = 10) -> None:
    """Download the audio of due videos, and store each file's fingerprint in its row."""
    with claim_videos(max_videos) as videos:
        for video in videos:
            try:
                audio = process_video(video, "audio")
                finish(video, {"file": audio, "sha256": fingerprint(audio)})
            except Exception as error:  # noqa: BLE001  it is recorded, and the flow continues with the next video
                finish(video, error)


if __name__ == "__main__":
    fingerprint_corpus()
