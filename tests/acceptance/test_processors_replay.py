"""The built-in processors against recorded YouTube: real yt-dlp, real deno, real ffmpeg, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mutagen
import pytest

from tests.acceptance.conftest import Replay
from tests.support import rows
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict
from youtube_download_coordinator.workers.run_processor import process_video

pytestmark = pytest.mark.slow

PLAYABLE = "UKwSQSFN4Nw"
CHANNEL = "UCuLGmD72gJDBwmLw06X58SA"
"""The recordings do not say what it is called."""
WITH_CAPTIONS = "M4gD1WSo5mA"
Process = Callable[..., Outcome]


@pytest.fixture
def process(replay: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Process:
    """A built-in on one video; its child inherits the way to the recordings."""
    for name, value in replay.environment.items():
        monkeypatch.setenv(name, value)

    def run(spec: str, video_id: str, **settings: Any) -> Outcome:
        task = rows.new_video(
            1, key=f"yt:v:{video_id}", url=f"https://www.youtube.com/watch?v={video_id}", accent="Irish"
        )
        return process_video(spec, task, Config(output_dir=tmp_path, **settings))

    return run


def title(path: str) -> str:
    tags = mutagen.File(path, easy=True)
    return str(tags["title"][0])


@pytest.mark.parametrize(("codec", "extension"), [("m4a", "m4a"), ("opus", "opus"), ("mp3", "mp3")])
def test_audio_is_there_and_is_this_videos(process: Process, tmp_path: Path, codec: str, extension: str) -> None:
    outcome = process("audio", PLAYABLE, audio_codec=codec)
    assert outcome == Done(result=str(tmp_path / "Irish" / CHANNEL / f"{PLAYABLE}.{extension}"))
    assert title(outcome.result).startswith(f"YTKIT:{PLAYABLE}:")


def test_a_download_has_a_video(process: Process, tmp_path: Path) -> None:
    outcome = process("download", PLAYABLE)
    assert isinstance(outcome, Done), outcome
    path = Path(outcome.result)
    assert (path.parent, path.stem) == (tmp_path / "Irish" / CHANNEL, PLAYABLE)
    assert sorted(path.parent.iterdir()) == [path, path.with_name(f"{path.name}.json")]


def test_metadata_says_what_youtube_says(process: Process, tmp_path: Path) -> None:
    outcome = process("metadata", PLAYABLE)
    assert outcome == Done(result=str(tmp_path / "Irish" / CHANNEL / f"{PLAYABLE}.info.json"))
    info = json.loads(Path(outcome.result).read_text())
    assert (info["id"], info["duration"]) == (PLAYABLE, 131)
    assert info["video_task"]["Accent"] == "Irish"


def test_subtitles_are_there_in_the_language_that_is_spoken(process: Process, replay: Replay) -> None:
    outcome = process("subtitles", WITH_CAPTIONS)
    assert isinstance(outcome, Done), outcome
    assert outcome.result.endswith(f"/{WITH_CAPTIONS}.en.vtt"), outcome
    assert Path(outcome.result).read_text().startswith("WEBVTT")
    assert json.loads(Path(f"{outcome.result}.json").read_text())["made_with"]["language"] == "en"
    replay.reset()
    again = process("subtitles", WITH_CAPTIONS)
    assert again == Done(result=outcome.result, asked_youtube=False)
    assert replay.log() == []


def test_a_video_without_subtitles_is_done_unless_they_are_required(process: Process) -> None:
    assert process("subtitles", PLAYABLE) == Done(result="no subtitles in original")
    outcome = process("subtitles", PLAYABLE, subtitles_required=True)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.PERMANENT, "no-subtitles")


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [
        ({"match": "videoplayback", "status": 403}, Verdict.THROTTLED, "http-403"),
        ({"match": "videoplayback", "status": 503}, Verdict.RETRY, "http-503"),
        ({"match": "videoplayback", "action": "reset"}, Verdict.RETRY, "network"),
    ],
)
def test_faults_have_their_verdicts(
    process: Process, replay: Replay, fault: dict[str, Any], verdict: Verdict, reason: str
) -> None:
    replay.faults(fault)
    outcome = process("audio", PLAYABLE)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (verdict, reason), outcome


def test_media_that_never_arrives_ends_with_the_deadline(process: Process, replay: Replay) -> None:
    replay.faults({"match": "videoplayback", "action": "hang"})
    outcome = process("audio", PLAYABLE, attempt_timeout_minutes=5 / 60)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "timeout")


def test_a_premiere_says_when(process: Process, replay: Replay) -> None:
    replay.faults({"match": "/v1/player", "action": "json", "preset": "premiere"})
    outcome = process("audio", PLAYABLE)
    assert isinstance(outcome, Failure)
    assert outcome.not_before is not None  # "Premieres in 5 hours"
    assert abs(outcome.not_before - datetime.now(UTC) - timedelta(hours=5)) < timedelta(minutes=5)
