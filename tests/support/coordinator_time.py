"""The clock of a Coordinator, turned by a test."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from youtube_download_coordinator import coordinator as coordinator_module


class CoordinatorTime:
    """The coordinator's clock, which a test turns by hand; sleeping only turns it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stand_in = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(coordinator_module, "time", stand_in)
