"""The costs of a process in docs/in-your-system.md: requests to Google, and transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa

from tests.fake_google import SheetsServer, Simulator
from tests.support.rows import new_video
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from youtube_download_coordinator import Config, Coordinator, wiring
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.testing import temporary_coordinator

KEPT = 6
SIGN_IN = None
"""The kind of a request that is not the Sheets API's."""


@contextmanager
def queue_on_a_sheet(folder: Path) -> Iterator[tuple[Simulator, Config]]:
    """Yield a sheet that others have worked on already, as this process finds it when it has just begun."""
    with SheetsServer() as server, mock.patch.object(wiring, "_stores", {}):
        account = server.simulator.accounts.add("worker")
        key_file = account.write_key_file(folder / "key.json", server.simulator.token_uri)
        tabs = {"Sources": [], "Video Tasks": [SEED_VIDEO_COLUMNS], "Dead-Letter Queue": [SEED_VIDEO_COLUMNS]}
        book = server.simulator.create_spreadsheet(tabs, (account,), rows=60, columns=24)
        config = Config(
            spreadsheet_id=book.spreadsheet_id,
            credentials_file=key_file,
            sheets_api_url=server.address,
            state_dir=folder / "state",
            claim_jitter_seconds=0,
            idle_poll_seconds=0,
        )
        with Coordinator(config) as coordinator:
            coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(2 * KEPT)])
            coordinator.process_next_task(str)
        wiring._stores.clear()
        yield server.simulator, config


def requests_of(simulator: Simulator, call: Callable[[], object]) -> Counter[str | None]:
    before = len(simulator.log)
    call()
    return Counter(entry.kind for entry in list(simulator.log)[before:])


@pytest.mark.parametrize("writes_at_once", [False, True])
def test_a_fresh_process_and_a_kept_coordinator_on_a_sheet(tmp_path: Path, writes_at_once: bool) -> None:
    with queue_on_a_sheet(tmp_path) as (simulator, config):
        config = config.model_copy(update={"flush_every_call": writes_at_once})

        def fresh() -> None:
            with Coordinator(config) as coordinator:
                coordinator.process_next_task(str)

        def kept() -> None:
            for _ in range(KEPT):
                coordinator.process_next_task(str)

        assert requests_of(simulator, fresh) == {SIGN_IN: 1, "read": 4, "write": 3}
        with Coordinator(config) as coordinator:
            coordinator.process_next_task(str)
            assert requests_of(simulator, kept) == {"write": (3 if writes_at_once else 2) * KEPT}


def test_a_kept_coordinator_in_a_database() -> None:
    transactions: Counter[str] = Counter()
    with temporary_coordinator() as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(2 * KEPT)])
        coordinator.process_next_task(str)
        engine = coordinator.queue.store._engine  # type: ignore[attr-defined]
        sa.event.listen(engine, "begin", lambda connection: transactions.update(["begun"]))
        for _ in range(KEPT):
            coordinator.process_next_task(str)
    assert transactions["begun"] == 3 * KEPT
