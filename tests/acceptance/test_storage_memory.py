"""A large file goes through a worker to object storage in pieces: memory does not grow with it.

YDC_TEST_UPLOAD_BYTES=2000000000 says how large; with -s the figures are printed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.clip_site import make_clip
from tests.support.object_storage import s3_environment
from tests.support.rows import new_video
from tests.support.upload_sink import sink
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = int(os.environ.get("YDC_TEST_UPLOAD_BYTES") or 200_000_000)
MEMORY_BYTES = 150_000_000


def peak_of_children(run: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a function returns, and the most memory that a process which it starts had meanwhile."""
    peak, is_over, others = 0, threading.Event(), psutil.Process().children(recursive=True)

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.02):
            for process in set(psutil.Process().children(recursive=True)).difference(others):
                try:
                    peak = max(peak, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return run(), peak
    finally:
        is_over.set()
        watcher.join()


def test_a_large_file_needs_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sink(make_clip(tmp_path / "clip.mp4"), SIZE) as server:
        for name, value in s3_environment(server.url).items():
            monkeypatch.setenv(name, value)
        config = Config(
            output_dir="s3://bucket/corpus",
            state_dir=tmp_path / "state",
            allow_other_sites=True,
            allow_private_addresses=True,
        )
        video = new_video(1, id=1, url=f"{server.url}/video.mp4", key="url:video", accent="Cork")
        began = time.monotonic()
        outcome, peak = peak_of_children(lambda: process_video("download", video, config))
        seconds = time.monotonic() - began
        requests = len(server.requests)
        plain_seconds = plain_upload(tmp_path, server.url)
    print(
        f"{SIZE / 1e6:.0f} MB: {seconds:.1f} s with the download, {peak / 1e6:.0f} MB of memory, {requests} requests;"
        f" the plain upload takes {plain_seconds:.1f} s"
    )
    assert isinstance(outcome, Done), outcome
    assert outcome.result.endswith(".mp4")
    assert server.put_bytes >= 2 * SIZE
    assert peak < MEMORY_BYTES
    assert [path for path in (tmp_path / "state" / "files").rglob("*") if path.is_file()] == []


def plain_upload(folder: Path, url: str) -> float:
    """Return how long obstore takes to upload as many bytes."""
    import obstore
    from obstore.store import S3Store

    path = folder / "plain"
    with path.open("wb") as file:
        file.truncate(SIZE)
    store = S3Store("bucket", endpoint=url, access_key_id="a", secret_access_key="b", region="us-east-1",
                    client_options={"allow_http": True})  # fmt: skip
    began = time.monotonic()
    obstore.put(store, "plain", path)
    path.unlink()
    return time.monotonic() - began
