"""A run with nothing to do, on a sheet: a start, as any worker has, and at most two requests more. docs/costs.md has the numbers.

It has a schedule, for weeks. The simulated API counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.coordinate import coordinate
from flows.expand_sources import expand_sources
from flows.ingest_sources import ingest_sources
from flows.process_videos import process_videos
from flows.recover_stalled import recover_stalled
from flows.report import report
from tests.fake_google import SheetsServer, Simulator
from tests.support.rows import new_video
from youtube_download_coordinator import Config, Coordinator, wiring
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.summary import page
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

LIMIT = 6
"""A start, the tabs, their headers, a look through them and what the run asks for first; and two more."""
NOTHING = "tests.support.sample_processors:does_nothing"


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Yield a sheet on which everything is done, and whose sources are also in the sources file."""
    (tmp_path / "sources.txt").write_text(
        "https://www.youtube.com/playlist?list=PLknown|Cork|reading\n", encoding="utf-8"
    )
    with SheetsServer() as server:
        account = server.simulator.accounts.add("worker")
        key = account.write_key_file(tmp_path / "key.json", server.simulator.token_uri)
        book = server.simulator.create_spreadsheet({"Sources": []}, (account,))
        monkeypatch.setenv("YDC_SPREADSHEET_ID", book.spreadsheet_id)
        monkeypatch.setenv("YDC_CREDENTIALS_FILE", str(key))
        monkeypatch.setenv("YDC_SHEETS_API_URL", server.address)
        monkeypatch.setenv("YDC_SOURCES_FILE_PATH", str(tmp_path / "sources.txt"))
        monkeypatch.setattr(wiring, "_stores", {})
        coordinator = Coordinator(Config())
        queue = coordinator.queue
        coordinator.ingest()
        queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
        queue.settle([(claim, Done()) for claim in queue.claim(SOURCES, 10)])
        queue.settle([(claim, Done()) for claim in queue.claim(VIDEO_TASKS, 10)])
        coordinator.show_dashboard(page(overview(queue)))  # an earlier report has made the tab
        queue.store.close()
        yield server.simulator


def is_ours(record: logging.LogRecord) -> bool:
    return record.name.startswith("youtube_download_coordinator")


@pytest.mark.parametrize(
    ("run", "requests"),
    [
        pytest.param(ingest_sources, 4, id="ingest-sources"),
        pytest.param(expand_sources, 3, id="expand-sources"),
        pytest.param(partial(process_videos, NOTHING), 3, id="process-videos"),
        pytest.param(partial(process_videos, NOTHING, one_per_machine=True), 3, id="keep-processing"),
        pytest.param(recover_stalled, 3, id="recover-stalled"),
        pytest.param(report, 4, id="report"),
        pytest.param(partial(coordinate, NOTHING), 5, id="coordinate"),
    ],
)
def test_a_run_with_nothing_to_do_costs_few_requests_and_logs_one_line(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    run: Callable[..., State[Any]],
    requests: int,
) -> None:
    monkeypatch.setattr(wiring, "_stores", {})  # a run is a process of its own
    before = simulator.stats()["requests"]
    with caplog.at_level("INFO", "youtube_download_coordinator"):
        state = run(return_state=True)
    assert state.is_completed()
    wiring._close_stores()
    assert [record.getMessage() for record in caplog.records if is_ours(record)] == [f"Completed: {state.message}"]
    # A look holds for a second (FRESH_SECONDS), so on a busy machine a run may look once more.
    assert requests <= simulator.stats()["requests"] - before <= min(requests + 1, LIMIT)
