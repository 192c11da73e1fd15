"""Distribute the tests over processes: `make test` and `make slow` use two."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ONE_SERVER = (
    ("tests/flows/",),
    ("tests/acceptance/test_deployments.py", "tests/acceptance/test_fleet.py", "tests/acceptance/test_kill_table.py"),
)
"""The tests of a line share a Prefect server, which takes twenty seconds to start."""


settings.register_profile("default", deadline=None)  # on a busy machine an example takes long
settings.load_profile("default")


class OnePrefectServer(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests go to whoever is free, but for those that share a server, which stay together.

    `--dist loadgroup` would be for this, but with pytest 9.2 it silently groups nothing (pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((places[0] for places in ONE_SERVER if nodeid.startswith(places)), nodeid)


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own machine state. Switch the rate limit off; tests of it set it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("YDC_VIDEOS_PER_HOUR", "0")


def pytest_configure() -> None:
    """Let Ctrl-C and the end of a terminal reach the processes that tests start, even if a script runs them in the background.

    And let them connect to this machine, where every site of the tests is.
    """
    os.environ["YDC_ALLOW_PRIVATE_ADDRESSES"] = "true"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OnePrefectServer:
    return OnePrefectServer(config, log)
