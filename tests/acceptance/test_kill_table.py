"""The rows of the kill table that are cheap; `python -m tests.acceptance.kill_table` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.kill_table import EVENTS, LEASE_SECONDS, Event, see, server_for_kills
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

CHEAP = {"cancel, while a Prefect task hangs", "SIGKILL to the flow", "SIGTERM to the worker"}
PREFECT_KILLS_SECONDS = 30
"""After a cancel: a flow that has not ended by then is killed."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with server_for_kills(tmp_path_factory.mktemp("kills")) as server:
        yield server


@pytest.mark.parametrize("event", [event for event in EVENTS if event.name in CHEAP], ids=lambda event: event.name)
def test_what_it_held_is_free_before_its_lease_ends(server: PrefectServer, tmp_path: Path, event: Event) -> None:
    """How many attempts are counted, which `see` looks at, tells that nobody waited for the lease: that counts one for each."""
    seen = see(server, tmp_path / "queue", event)
    assert seen.flow_ended_seconds < PREFECT_KILLS_SECONDS
    assert seen.rows_free_seconds < LEASE_SECONDS
