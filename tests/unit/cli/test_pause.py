"""`ydc pause` and `ydc resume`, and that `ydc status` says who is held back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.rows import new_video
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS

Ydc = Callable[..., str]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Yield the queue of a worker on this machine."""
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path}/queue.db")
    queue = Coordinator(Config()).queue
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
    yield queue
    queue.store.close()


@pytest.fixture
def ydc(queue: Queue, capfd: pytest.CaptureFixture[str]) -> Ydc:
    def run(*arguments: str) -> str:
        assert app(arguments, result_action="return_value", print_error=False, exit_on_error=False) == 0
        return capfd.readouterr().out

    return run


def test_a_fleet_is_paused_and_goes_on(queue: Queue, ydc: Ydc) -> None:
    assert ydc("pause", "--reason", "sorting") == "fleet: paused (sorting)\n"
    assert queue.claim(VIDEO_TASKS, 1) == []
    assert "fleet: running" in ydc("resume")
    assert queue.store.controls(fresh=True) == []
    assert len(queue.claim(VIDEO_TASKS, 1)) == 1
    assert ydc("resume") == "the fleet was not paused\n"


def test_a_run_warns_of_a_disk_that_is_too_small_for_what_is_left(
    queue: Queue, ydc: Ydc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before it processes anything, and on the page at its end. Of metadata it is not known what they take."""
    monkeypatch.setenv("YDC_OUTPUT_DIR", f"{tmp_path}/media")
    queue.add(VIDEO_TASKS, [new_video(9, duration_seconds=3600 * 10**6)])
    ydc("pause")

    def run(processor: str) -> tuple[str, str]:
        arguments = ["run", "--max-minutes", "0.001", "--processor", processor]
        assert app(arguments, result_action="return_value", print_error=False, exit_on_error=False) == 1
        said = capfd.readouterr()
        return said.out, said.err

    out, err = run("audio")
    warning = "what is left does not fit on this disk: about 232 TB are missing"
    assert f"What is left\twarning\t{warning}\n" in out
    assert err.startswith(f"ydc: {warning} ({tmp_path}/media)\n")
    assert "does not fit" not in "".join(run("metadata"))


def test_a_pause_may_have_an_end(queue: Queue, ydc: Ydc) -> None:
    assert ydc("pause", "--minutes", "90").startswith("fleet: paused until 2")
    closed = queue.admission.blocked()
    assert closed
    assert closed.until
    assert timedelta(minutes=89) < closed.until - queue.store.now() < timedelta(minutes=91)


def test_a_pause_without_length_is_refused(ydc: Ydc) -> None:
    with pytest.raises(ConfigError, match="--minutes=0"):
        ydc("pause", "--minutes", "0")


def test_a_cooldown_is_shown_and_lifted(queue: Queue, ydc: Ydc) -> None:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="=1+1"))])
    shown = json.loads(ydc("status", "--json"))["controls"]
    assert shown["fleet"]["value"] == "running"
    assert shown[queue.admission.cooldown_name]["value"] == "cooling"
    assert shown[queue.admission.cooldown_name]["reason"].endswith("bot-check: =1+1")
    assert "cooling" in ydc("status")
    assert ydc("resume", "--cooldown").splitlines()[1].startswith(f"{queue.admission.cooldown_name}: clear")
    assert len(queue.claim(VIDEO_TASKS, 3)) == 2, "the refused video waits until its NotBefore"
