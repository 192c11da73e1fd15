"""A Prefect server for all tests of this folder, and for each test a queue of its own, set up by the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_BATCH_INTERVAL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from examples.media_site import make_site, serving
from tests.support import rows
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.queue.store import VIDEO_TASKS

SERVER_SECONDS = 120
TITLES = ("A reading from Recife", "Market talk, Chennai")

AddVideos = Callable[[int], None]


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """Start a server on its own database. Heartbeats are off, because ending them takes a second for each flow run."""
    quick = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 0.1}
    with prefect_test_harness(server_startup_timeout=SERVER_SECONDS), temporary_settings(quick):
        yield


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path / 'queue.db'}")
    monkeypatch.setenv("YDC_OUTPUT_DIR", str(tmp_path / "media"))
    monkeypatch.setenv("YDC_ALLOW_OTHER_SITES", "true")
    monkeypatch.delenv("YDC_SOURCES_FILE_PATH", raising=False)


@pytest.fixture
def coordinator(settings: None) -> Coordinator:
    """Return a coordinator on the queue that the flows of this test work on."""
    return Coordinator(Config())


@pytest.fixture
def add_videos(coordinator: Coordinator) -> AddVideos:
    """Add so many videos that are due."""

    def add(count: int) -> None:
        coordinator.queue.add(VIDEO_TASKS, [rows.new_video(number, accent="Cork") for number in range(1, count + 1)])

    return add


@pytest.fixture(scope="session")
def media_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a feed with a clip for each of TITLES."""
    with serving(make_site(tmp_path_factory.mktemp("site"), TITLES), TITLES) as address:
        yield f"{address}/feed.xml"


@pytest.fixture
def sources_file(media_site: str, tmp_path: Path) -> Path:
    path = tmp_path / "sources.txt"
    path.write_text(f"URL|Accent|Type\n{media_site}|Cork|reading\n", encoding="utf-8")
    return path
