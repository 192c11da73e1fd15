"""A queue in memory that can be made to fail, one on a sheet, and the media site, for the tests of processors."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clip_site import FEED, LIVE, Site, make_clip
from tests.support.faulty_store import ClockedStore, FaultyStore
from tests.support.rows import Clock, make_queue
from tests.support.sheet import SheetDesk, sheet_desk
from tests.support.sheets_setting import Setting, google
from youtube_download_coordinator.processors.built_in import Settings
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.youtube.network import Network


@pytest.fixture
def store() -> Iterator[FaultyStore]:
    store = FaultyStore()
    yield store
    store.close()


@pytest.fixture
def machine_state() -> Iterator[ClockedStore]:
    """Yield the state that the processes of a machine share."""
    machine_state = ClockedStore()
    yield machine_state
    machine_state.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Yield a simulated Google with an empty spreadsheet; the working directory and the settings are empty too."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("YDC_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    with google(tmp_path) as setting:
        yield setting


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(store: FaultyStore) -> Queue:
    return make_queue(store)


@pytest.fixture
def desk() -> Iterator[SheetDesk]:
    with sheet_desk() as desk:
        yield desk


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def site(clip: bytes) -> Iterator[Site]:
    video = ("video/mp4", clip)
    server = Site(
        {"/clip.mp4": video, "/second/clip.mp4": video, "/live.m3u8": ("application/vnd.apple.mpegurl", LIVE.encode())}
    )
    server.files["/feed.rss"] = ("application/rss+xml", FEED.format(site=server.url).encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()
    if server.faults:
        gc.collect()  # now, while the warnings about yt-dlp's connections are ignored


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "media", network=Network(allow_other_sites=True, socket_timeout_seconds=0.3))
