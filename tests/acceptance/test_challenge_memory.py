"""The memory limit of an attempt leaves room for YouTube's challenges: Deno reserves 17 GB of addresses and uses little of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.acceptance.conftest import SHARED
from tests.support.challenge import CHALLENGE
from youtube_download_coordinator import Config
from youtube_download_coordinator.processes import parent

PLAYER_LEAST_BYTES = 1_000_000


@pytest.fixture
def player(tmp_path: Path) -> Path:
    """Return a file with the script of YouTube's player, from the recordings."""
    for path in sorted((SHARED / "youtube-replay" / "data").glob("*.gz")):
        script = gzip.decompress(path.read_bytes())
        if len(script) > PLAYER_LEAST_BYTES and b"_yt_player" in script[:2000]:
            (tmp_path / "base.js").write_bytes(script)
            return tmp_path / "base.js"
    pytest.skip("there are no recordings of YouTube")


@pytest.mark.slow
@pytest.mark.parametrize("limit_bytes", [None, 500_000_000])
def test_a_challenge_is_solved_within_the_memory_limit(player: Path, limit_bytes: int | None) -> None:
    pytest.importorskip("deno")
    pytest.importorskip("yt_dlp_ejs")
    limits = Config(max_child_memory_bytes=limit_bytes).child_limits()
    target, payload = "tests.support.challenge:solve", {"player": str(player)}
    with parent.run(target, payload, deadline_seconds=100, name="challenge", limits=limits) as child:
        answer = child.result()
    assert answer["type"] == "result"
    assert answer["data"][CHALLENGE] not in ("", CHALLENGE)
