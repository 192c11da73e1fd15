"""Requesting the canary: a child process extracts one video, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clip_site import Site
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.processes.parent import stop_all
from youtube_download_coordinator.workers import request_canary as request_canary_module
from youtube_download_coordinator.workers.request_canary import request_canary


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folders = {"output_dir": tmp_path / "media", "state_dir": tmp_path / "state"}
    return Config(allow_other_sites=True, allow_private_addresses=True, **folders)


def test_a_video_that_is_there_is_extracted_and_not_downloaded(site: Site, config: Config) -> None:
    assert request_canary(f"{site.url}/clip.mp4", config) == Done()
    assert not config.work_dir.exists()
    assert site.log


def test_a_video_that_is_gone_and_a_refusal_are_told_apart(site: Site, config: Config) -> None:
    gone = request_canary(f"{site.url}/nothing.mp4", config)
    assert isinstance(gone, Failure)
    assert gone.verdict is Verdict.GONE
    site.faults["/clip.mp4"] = ["429"] * 9
    refused = request_canary(f"{site.url}/clip.mp4", config)
    assert isinstance(refused, Failure)
    assert refused.verdict is Verdict.THROTTLED


def test_a_canary_that_does_not_answer_in_time_proves_nothing(
    site: Site, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_canary_module, "DEADLINE_SECONDS", 3.0)
    site.faults["/clip.mp4"] = ["hang"] * 9
    slow = request_canary(f"{site.url}/clip.mp4", config)
    assert isinstance(slow, Failure)
    assert slow.verdict is Verdict.RETRY
    stop_all()


@pytest.mark.parametrize("url", ["https://www.youtube.com/@channel", "https://example.org/x", "nonsense"])
def test_a_canary_that_is_no_video_of_youtube_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^canary_url="):
        Config(canary_url=url)


def test_a_canary_may_be_given_by_its_id() -> None:
    assert Config(canary_url="UKwSQSFN4Nw").canary_url == "https://www.youtube.com/watch?v=UKwSQSFN4Nw"
