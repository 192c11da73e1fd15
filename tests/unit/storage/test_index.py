"""The index of a corpus on every place: put, merged, rewritten, read."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtube_download_coordinator.corpus import index
from youtube_download_coordinator.corpus.index import INDEX, Index
from youtube_download_coordinator.processors.facts import CheckedRow
from youtube_download_coordinator.storage.place import Place


def test_an_index_is_kept_on_every_place(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MERGED_AT_ONCE", 4)
    machines = [Index(place, tmp_path / name) for name in ("a", "b")]
    for number in range(4):
        machine = machines[number % 2]
        machine.add([CheckedRow(key=f"yt:v:{number:02}", version=number)])
        assert machine.flush()
    assert len(list(place.list(INDEX))) == 4
    machines[0].merge()
    assert len(list(place.list(INDEX))) == 1
    assert machines[1].drop(["yt:v:03"]) == 1
    keys = sorted(entry.key for entry in machines[1].entries())
    assert keys == [f"yt:v:{number:02}" for number in range(4) if number != 3]
