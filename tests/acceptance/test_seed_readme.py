"""The first implementation's README, followed word by word: its tabs, its sources file, its loop, on a simulated Google."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.media_site import make_site, serving
from tests.fake_google import SheetsServer, Spreadsheet
from tests.support.seed_columns import SEED_SOURCE_COLUMNS, SEED_VIDEO_COLUMNS

TITLES = ("One", "=SUM(1;2)", "12:30", "Vier")


@pytest.fixture
def server() -> Iterator[SheetsServer]:
    with SheetsServer() as running:
        yield running


@pytest.fixture
def book(server: SheetsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spreadsheet:
    """Create the README's spreadsheet, shared with a service account whose key is in the working directory."""
    monkeypatch.chdir(tmp_path)
    account = server.simulator.accounts.add("worker")
    account.write_key_file(tmp_path / "service-account.json", server.simulator.token_uri)
    tabs = {
        "Sources": [SEED_SOURCE_COLUMNS],
        "Video Tasks": [SEED_VIDEO_COLUMNS],
        "Dead-Letter Queue": [SEED_VIDEO_COLUMNS],
    }
    monkeypatch.setenv("YDC_SHEETS_API_URL", server.address)
    monkeypatch.setenv("YDC_ALLOW_OTHER_SITES", "true")
    monkeypatch.setenv("YDC_CLAIM_JITTER_SECONDS", "0")
    monkeypatch.setenv("YDC_RETRY_BACKOFF_SECONDS", "0")
    return server.simulator.create_spreadsheet(tabs, (account,))


def test_the_loop_processes_every_video_once(book: Spreadsheet, server: SheetsServer, tmp_path: Path) -> None:
    from download_coordinator import Config, Coordinator

    processed: list[str] = []

    def process_video(video_url: str) -> None:
        processed.append(video_url)
        if video_url.endswith("clip-2.mp4"):
            raise RuntimeError("always")

    with serving(make_site(tmp_path / "site", TITLES), TITLES) as address:
        (tmp_path / "sources.txt").write_text(f"{address}/feed.xml|Brazilian|interview\n", encoding="utf-8")
        coordinator = Coordinator(
            Config(
                credentials_file="service-account.json",
                spreadsheet_id=book.spreadsheet_id,
                sources_file_path="sources.txt",
            )
        )
        while coordinator.process_next_task(process_video):
            pass
    coordinator.queue.store.close()
    assert len(processed) == len(TITLES) + 2, "three attempts at the one that fails, one at each other"
    (source,) = coordinator.client.get_sources()
    assert (source["Status"], source["Accent"], source["Videos"]) == ("done", "Brazilian", 4)
    tasks = coordinator.client.get_video_tasks()
    assert [(task["Title"], task["Status"], task["Accent"]) for task in tasks] == [
        ("One", "done", "Brazilian"),
        ("12:30", "done", "Brazilian"),
        ("Vier", "done", "Brazilian"),
    ]
    coordinator.queue.store.close()
    check_what_people_see(book)
    assert server.simulator.answer_problems == []


def check_what_people_see(book: Spreadsheet) -> None:
    """Check that the seed's columns are in their places and show the results, and that no title became a formula."""
    header, *rows = book.rows("Video Tasks")
    assert header[: len(SEED_VIDEO_COLUMNS)] == SEED_VIDEO_COLUMNS
    assert [row[3] for row in rows if row and row[0]] == ["done"] * 3
    dead = [row for row in book.rows("Dead-Letter Queue")[1:] if row and row[0]]
    assert [(row[3], row[9]) for row in dead] == [("error", "3")]
    assert book.formulas() == []


def test_a_missing_credentials_file_is_also_a_file_that_is_not_found(book: Spreadsheet) -> None:
    from download_coordinator import Config, Coordinator

    with pytest.raises(FileNotFoundError, match=r"missing\.json.* does not exist"):
        Coordinator(Config(credentials_file="missing.json", spreadsheet_id=book.spreadsheet_id))


def test_a_spreadsheet_that_is_not_there_is_also_gspreads_error(book: Spreadsheet) -> None:
    import gspread

    from download_coordinator import Config, Coordinator

    with pytest.raises(gspread.SpreadsheetNotFound, match="share it with worker@"):
        Coordinator(Config(credentials_file="service-account.json", spreadsheet_id="no-such-sheet"))
