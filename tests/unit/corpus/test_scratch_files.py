"""A local disk without room for the scratch files of a corpus is one clear error."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.recordings import recording
from youtube_download_coordinator.corpus.facts_table import facts_table
from youtube_download_coordinator.corpus.statistics import gather
from youtube_download_coordinator.errors import StoreError


@contextmanager
def full_disk() -> Iterator[None]:
    """Refuse every byte that this process writes to a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_table_of_facts_needs_room(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(StoreError, match=r"no room for a scratch file"), facts_table(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_sums_of_a_card_need_room() -> None:
    with full_disk(), pytest.raises(StoreError, match=r"no room for a scratch file"):
        gather([recording(1)])
