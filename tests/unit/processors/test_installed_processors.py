"""A processor that an installed distribution brings is known by the name that it has there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.rows import new_video
from youtube_download_coordinator import Config, ProcessorError
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.find_processor import ENTRY_POINTS, check_processor
from youtube_download_coordinator.workers.run_processor import process_video

MODULE = """
    def transcribe(url):
        return f"text of {url}"
"""


def install(folder: Path, name: str, entry_points: str) -> None:
    """Write a distribution's module and metadata, as pip installs them."""
    (folder / f"{name}.py").write_text(textwrap.dedent(MODULE))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry_points}\n")


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_it_is_processed_by_its_name(site_packages: Path) -> None:
    install(site_packages, "whisper_for_ydc", "whisper = whisper_for_ydc:transcribe")
    check_processor("whisper")
    video = new_video(1)
    assert process_video("whisper", video, Config()) == Done(result=f"text of {video.url}")


def test_a_built_in_keeps_its_name(site_packages: Path) -> None:
    install(site_packages, "whisper_for_ydc", "metadata = not_there:transcribe")
    check_processor("metadata")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("whispr", "neither download, audio, metadata, subtitles, whisper nor module:function; did you mean whisper?"),
        ("typo", "there is no transcrib in "),
        ("gone", "there is no module not_there"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_clear_line(site_packages: Path, spec: str, says: str) -> None:
    points = {"typo": "typo = whisper_for_ydc:transcrib", "gone": "gone = not_there:transcribe"}
    install(site_packages, "whisper_for_ydc", points.get(spec, "whisper = whisper_for_ydc:transcribe"))
    with pytest.raises(ProcessorError) as raised:
        check_processor(spec)
    assert says in str(raised.value)


def test_a_name_that_two_distributions_use_is_not_guessed(site_packages: Path) -> None:
    for name in ("one_whisper", "two_whisper"):
        install(site_packages, name, f"whisper = {name}:transcribe")
    with pytest.raises(ProcessorError, match="more than once: choose one_whisper:transcribe or two_whisper:transcribe"):
        check_processor("whisper")
