"""publish-manifest: it repeats what was published, with the card, and shows what it wrote."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from flows.publish_manifest import publish_manifest
from tests.flows import seen
from tests.support.corpus_rows import Machine, video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.corpus.card import PAGE, CardOptions, write_card
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


def test_the_card_that_a_place_has_is_published_too(coordinator: Coordinator, tmp_path: Path) -> None:
    machine = with_card(coordinator, tmp_path)
    machine.done(video(2))

    again = publish_manifest(return_state=True)

    assert again.message == "2 recordings, 122.5 seconds in manifest.jsonl; the card in README.md"
    text = machine.place.get(PAGE).decode()
    assert "hours of 2 videos" in text
    assert "# Two towns" in text
    assert "Recorded for a thesis." in text


def test_without_pygal_the_manifest_is_published_and_one_line_says_what_is_missing(
    coordinator: Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = with_card(coordinator, tmp_path)
    before = machine.place.get(PAGE)
    machine.done(video(2))
    monkeypatch.setitem(sys.modules, "pygal", None)

    again = publish_manifest(return_state=True)

    assert (again.type.name, again.message) == ("COMPLETED", "2 recordings, 122.5 seconds in manifest.jsonl")
    assert machine.place.get(PAGE) == before
    wait_until(lambda: any("Finished in state" in log.message for log in seen.logs(again)))
    (line,) = [log.message for log in seen.logs(again) if log.level == logging.WARNING]
    assert line.startswith("the card was not updated; run ydc card: ")
    assert line.endswith("pip install pygal")


def with_card(coordinator: Coordinator, folder: Path) -> Machine:
    """Return a machine whose place has a manifest and a card of one video, with a name and a part of the owner's."""
    machine = Machine(folder / "machine", LocalPlace(folder / "media"), coordinator.queue)
    machine.done(video(1))
    first = publish_manifest("nemo", return_state=True)
    assert first.message == "1 recording, 61.2 seconds in manifest.jsonl"
    write_card(coordinator.queue, machine.place, coordinator.config, CardOptions(name="Two towns"))
    page = folder / "media" / PAGE
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("_Write here what", "Recorded for a thesis. _Write here what"), encoding="utf-8")
    return machine
