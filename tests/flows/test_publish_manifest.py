"""publish-manifest: it repeats what was published, and shows what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

from flows.publish_manifest import publish_manifest
from tests.flows import seen
from tests.support.corpus_rows import Machine, video
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.storage.local import LocalPlace


def test_what_was_published_is_published_again_with_new_videos(coordinator: Coordinator, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", LocalPlace(tmp_path / "media"), coordinator.queue)
    state = publish_manifest(return_state=True)
    assert (state.name, state.type.name) == ("Skipped", "COMPLETED")

    machine.done(video(1))
    first = publish_manifest("nemo", return_state=True)
    assert first.message == "1 recording, 61.2 seconds in manifest.jsonl"
    machine.done(video(2))
    again = publish_manifest(return_state=True)
    assert again.message == "2 recordings, 122.5 seconds in manifest.jsonl"
    (row,) = seen.table(again, "published-manifests")
    assert (row["file"], row["recordings"]) == ("manifest.jsonl", 2)
    lines = (tmp_path / "media" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["Title 1", "Title 2"]
