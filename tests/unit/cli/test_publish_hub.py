"""`ydc publish-hub` as a process: killed while it publishes, and started twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub_server import TOKEN, Hub, hub_server
from tests.support.recordings import publish, recording
from youtube_download_coordinator.storage.local import LocalPlace

pytestmark = pytest.mark.slow
REPO = "lab/corpus"


def corpus(folder: Path) -> list[str]:
    """Make a local place with three recordings, and return their paths."""
    contents = {f"Irish/{number}.m4a": f"sound {number}".encode() for number in (1, 2, 3)}
    for path, content in contents.items():
        (folder / "media" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "media" / path).write_bytes(content)
    digests = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    made = [
        recording(number, path=path, sha256=digest)
        for number, (path, digest) in enumerate(zip(contents, digests, strict=True), 1)
    ]
    publish(LocalPlace(folder / "media"), folder, made)
    return list(contents)


def command(hub: Hub, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("YDC_", "HF_"))}
    environment = kept | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(folder / "hf"),
        "XDG_STATE_HOME": str(folder / "state"),
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "youtube_download_coordinator", "publish-hub", REPO, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_killed_process_is_continued_and_a_second_one_refused(tmp_path: Path) -> None:
    paths = corpus(tmp_path)
    with hub_server() as hub:
        hub.block_path = "/commit/"
        first = command(hub, tmp_path)
        assert hub.blocked.wait(60)
        second = command(hub, tmp_path)
        refused, _ = second.communicate(timeout=60)
        first.kill()
        first.communicate()
        hub.block_path = ""
        hub.unblocked.set()
        third = command(hub, tmp_path)
        said, _ = third.communicate(timeout=60)

    assert second.returncode == 2
    assert f"process {first.pid}, since" in refused
    assert third.returncode == 1, said  # there is no card
    assert {*paths} < set(hub.files(REPO))
    assert len(hub.uploads) == len(set(hub.uploads)) == 4
    assert TOKEN not in said + refused
    everything = [file for folder in ("media", "state") for file in (tmp_path / folder).rglob("*") if file.is_file()]
    assert not [file for file in everything if TOKEN.encode() in file.read_bytes()]
    assert not (tmp_path / "media" / ".corpus" / "hub.lock").exists()


def test_a_preview_says_what_would_be_uploaded(tmp_path: Path) -> None:
    corpus(tmp_path)
    with hub_server() as hub:
        preview = command(hub, tmp_path, "--dry-run")
        said, _ = preview.communicate(timeout=60)
        assert (preview.returncode, said) == (0, "3 files to upload (0.0 MB); 0 are there already\n")
