"""The example of a processor that follows the audio in the same attempt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.find_speech import SAMPLE_RATE_HZ, decoded
from tests.support.clip_site import Site, task
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video


def test_the_sound_is_decoded(clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    assert 0.8 < len(decoded(path)) / 4 / SAMPLE_RATE_HZ < 1.2


def test_it_gets_the_audio_of_the_same_attempt(site: Site, tmp_path: Path) -> None:
    pytest.importorskip("silero_vad")
    config = Config(output_dir=tmp_path, allow_other_sites=True)
    outcome = process_video("audio,examples.find_speech:find_speech", task(site), config)
    assert isinstance(outcome, Done), outcome
    assert outcome.result.endswith(".m4a")
    found = json.loads((tmp_path / outcome.result).with_suffix(".speech.json").read_text())
    assert found == {"file": Path(outcome.result).name, "speech_seconds": 0, "speech": []}  # it is a tone
    assert [path for path, _ in site.log].count("/clip.mp4") <= 2  # the extraction, and the media
