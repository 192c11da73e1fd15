"""Every place against the same suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtube_download_coordinator.storage.memory import MemoryPlace
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import Place


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place without files, of each kind."""
    if request.param == "memory":
        return MemoryPlace()
    return open_place(tmp_path / "place")
