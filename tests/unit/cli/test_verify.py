"""`ydc verify` as a person runs it: its lines, its exit codes, and what it says about mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.corpus_rows import Machine, video
from tests.support.terminal import Ydc
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.storage.local import LocalPlace


@pytest.fixture
def machine(folder: Path, queue: Queue) -> Machine:
    machine = Machine(folder / "machine", LocalPlace(folder / "media"), queue)
    for number in (1, 2):
        machine.done(video(number))
    return machine


def test_files(ydc: Ydc, machine: Machine, folder: Path) -> None:
    done = ydc("verify", "--files", state_dir=machine.state_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "queue: coordinator.db",
        "2 files of 2 videos, 2 read (0 MB), no problem",
    ]
    (folder / "media" / "Irish" / "video000002.m4a").unlink()
    done = ydc("verify", "--files", "--quick", "--json", state_dir=machine.state_dir)
    assert done.returncode == 1
    finding = json.loads(done.stdout)
    assert (finding["kind"], finding["name"], finding["advice"]) == ("missing", "Irish/video000002.m4a", "ydc retry 2")
    assert done.stderr.splitlines()[-1] == "2 files of 2 videos, 0 read (0 MB), 1 missing"


def test_nothing_is_asked_while_the_fleet_is_paused(ydc: Ydc, machine: Machine) -> None:
    ydc("pause", "--reason", "maintenance")
    done = ydc("verify")
    assert done.returncode == 1
    assert "0 of 2 videos asked about, 0 there; stopped: the fleet is paused: maintenance" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quick"], "--quick needs --files"),
        (["--files", "--per-hour", "5"], "--per-hour has no effect with --files"),
        (["--status", "error"], "--status has no effect here"),
        (["--reason", "private"], "--reason has no effect here"),
        (["--older-than", "-1"], "--older-than=-1: it must be 0"),
        (["--limit", "0"], "--limit=0: it must be greater than 0"),
    ],
)
def test_mistakes(ydc: Ydc, options: list[str], message: str) -> None:
    done = ydc("verify", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"ydc: {message}"), done.stderr


def test_changes_between_two_manifests(ydc: Ydc, machine: Machine) -> None:
    assert "nothing is published in" in ydc("changes").stderr
    for number in (3, 4):
        assert ydc("manifest", state_dir=machine.state_dir).returncode == 0
        machine.done(video(number))
    first, second = ydc("changes").stdout.splitlines()
    assert first.endswith("2 recordings, first published")
    assert second.endswith("3 recordings: +1 (0.02 hours), -0 (0.00 hours), 0 changed")
    assert json.loads(ydc("changes", "--last", "1", "--json").stdout)["added"] == 1
    assert ydc("changes", "--last", "0").returncode == 2
    excluded = ydc("manifest", "x.jsonl", "--exclude", "gone", "--exclude", "degraded", state_dir=machine.state_dir)
    assert (excluded.returncode, excluded.stderr) == (0, "")
