"""A Prefect server that is away in the middle of a fleet's work, for longer than Prefect's client waits by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.outage import PATIENCE_SECONDS, survive

AWAY_SECONDS = 75


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fleet_works_on_while_the_server_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make outage` does it for 10 s and for 6 minutes."""
    monkeypatch.delenv("YDC_SOURCES_FILE_PATH", raising=False)
    survive(tmp_path, AWAY_SECONDS, restart_seconds=0, spread_seconds=PATIENCE_SECONDS)
