"""What a worker looks at before it claims: this machine."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest
from yt_dlp.extractor.youtube.jsc._builtin import vendor
from yt_dlp.utils._jsruntime import DenoJsRuntime

from tests.unit.youtube.test_cookies import line, write
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import PreflightError, UnfitError
from youtube_download_coordinator.operations import preflight


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(output_dir=tmp_path / "not" / "yet")


def give_deno(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A deno of the machine's own, and none beside this Python."""
    deno = folder / "deno"
    deno.write_text(f"#!/bin/sh\n{script}\n")
    deno.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")


# -- what is looked at


@pytest.mark.parametrize(
    ("processor", "names"),
    [
        ("download", ["settings", "yt-dlp", "JavaScript", "disk", "ffmpeg"]),
        ("audio", ["settings", "yt-dlp", "JavaScript", "disk", "ffmpeg"]),
        ("metadata", ["settings", "yt-dlp", "JavaScript", "disk"]),
        ("subtitles", ["settings", "yt-dlp", "JavaScript", "disk"]),
        ("mine:transcribe", ["settings", "yt-dlp"]),
    ],
)
def test_only_what_the_processor_needs(config: Config, processor: str, names: list[str]) -> None:
    assert [check.name for check in preflight.checks(config, processor)] == names
    preflight.require(config, processor)


def test_cookies_are_looked_at_when_there_are_some(config: Config, tmp_path: Path) -> None:
    path = write(tmp_path / "cookies.txt", line("PREF", domain=".example.org"))
    with pytest.raises(PreflightError, match=r"has no cookies of youtube.com: log in"):
        preflight.require(config.model_copy(update={"cookies_file": path}), "mine:transcribe")


@pytest.mark.usefixtures("no_ffmpeg")
def test_everything_that_is_missing_is_said_in_one_line(config: Config) -> None:
    full = config.model_copy(update={"min_free_disk_bytes": 10**18})
    with pytest.raises(PreflightError) as caught:
        preflight.require(full, "audio")
    assert str(caught.value).startswith("this machine cannot process videos yet: ")
    assert "and 1,000,000,000,000 MB must be (YDC_MIN_FREE_DISK_BYTES); there is no ffmpeg" in str(caught.value)
    assert "\n" not in str(caught.value)
    preflight.require(full, "mine:transcribe")


def test_an_old_yt_dlp_is_warned_of(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2024.1.1" if name == "yt-dlp" else real(name))
    preflight.require(config, "metadata")
    assert "days old, and YouTube changes every few weeks: pip install -U yt-dlp" in caplog.text


def test_it_is_cheap() -> None:
    """Every run begins with it; also with ffmpeg's and Google's libraries it would take a second."""
    program = """
import sys
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.operations import preflight
preflight.require(Config(), "audio")
print(*sorted({"yt_dlp", "gspread", "sqlalchemy", "prefect"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# -- the looks


def test_the_age_of_yt_dlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2026.5.1")
    assert preflight.check_yt_dlp(date(2026, 5, 31)) == "yt-dlp 2026.5.1, 30 days old"
    with pytest.raises(UnfitError, match=r"92 days old.*pip install -U yt-dlp"):
        preflight.check_yt_dlp(date(2026, 8, 1))


def test_the_javascript_runtime_is_the_one_that_yt_dlp_finds() -> None:
    found = DenoJsRuntime().info
    assert found
    assert preflight.check_javascript().startswith(f"deno {found.version} for yt-dlp")


def test_yt_dlps_own_bounds_are_ours() -> None:
    assert preflight.DENO_LEAST == DenoJsRuntime.MIN_SUPPORTED_VERSION
    assert preflight.scripts_needed() == vendor.VERSION


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo deno 1.0.0", "deno 1.0.0 is too old"), ("echo what", "there is no deno"), ("exit 1", "no deno")],
)
def test_a_javascript_runtime_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, says: str
) -> None:
    give_deno(monkeypatch, tmp_path, script)
    with pytest.raises(UnfitError, match=f"{says}: yt-dlp needs deno .*pip install -U deno"):
        preflight.check_javascript()


def test_no_javascript_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give_deno(monkeypatch, tmp_path, "")
    (tmp_path / "deno").unlink()
    with pytest.raises(UnfitError, match="there is no deno"):
        preflight.check_javascript()


def test_the_scripts_for_youtubes_player(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.1.0")
    with pytest.raises(UnfitError, match=r"there is 0\.1\.0: pip install yt-dlp-ejs=="):
        preflight.check_javascript()


def test_ffmpeg() -> None:
    assert preflight.check_ffmpeg().startswith("ffmpeg at ")


@pytest.mark.usefixtures("no_ffmpeg")
def test_no_ffmpeg() -> None:
    with pytest.raises(UnfitError, match=r"there is no ffmpeg.*Install ffmpeg"):
        preflight.check_ffmpeg()
