"""The built-in processors, with the real yt-dlp and ffmpeg, against a small media site on loopback."""

from __future__ import annotations

import json
import os
import time
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.support.clip_site import Site, files, is_sidecar, streams, task, with_sidecar
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError, UnfitError
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.processors import media
from youtube_download_coordinator.processors.built_in import Settings, audio, download, metadata
from youtube_download_coordinator.processors.output_paths import file_stem
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube.network import Network

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # yt-dlp drops failed connections without closing them

# -- what they make


def test_download_makes_a_video_with_sound(site: Site, settings: Settings) -> None:
    path = str(settings.output_dir / download(task(site), settings).result)
    assert Path(path).parent == settings.output_dir / "Scottish"
    assert "Video:" in streams(path)
    assert "Audio:" in streams(path)


@pytest.mark.parametrize(
    ("codec", "extension", "says"), [("m4a", "m4a", "aac"), ("mp3", "mp3", "mp3"), ("vorbis", "ogg", "vorbis")]
)
def test_audio_makes_audio_alone(site: Site, settings: Settings, codec: str, extension: str, says: str) -> None:
    path = str(settings.output_dir / audio(task(site), replace(settings, audio_codec=codec)).result)
    assert path.endswith(f".{extension}")
    assert f"Audio: {says}" in streams(path)
    assert "Video:" not in streams(path)
    assert files(settings) == with_sidecar(path, settings)


@pytest.mark.parametrize(
    ("rate", "mono", "channels"), [(16000, True, 1), (16000, False, 2), (None, True, 1), (8000, True, 1)]
)
def test_audio_for_a_speech_corpus(site: Site, settings: Settings, rate: int | None, mono: bool, channels: int) -> None:
    path = str(
        settings.output_dir
        / audio(task(site), replace(settings, audio_codec="wav", audio_sample_rate_hz=rate, audio_mono=mono)).result
    )
    with wave.open(path) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (rate or 44100, channels, 2)
        assert 0.8 < sound.getnframes() / sound.getframerate() < 1.2


def test_what_is_in_the_wanted_codec_already_is_resampled_all_the_same(site: Site, settings: Settings) -> None:
    path = str(settings.output_dir / audio(task(site), replace(settings, audio_sample_rate_hz=16000)).result)
    assert path.endswith(".m4a")
    assert "16000 Hz" in streams(path)


def test_metadata_writes_what_is_told(site: Site, settings: Settings) -> None:
    path = str(settings.output_dir / metadata(task(site), settings).result)
    assert path.endswith(".info.json")
    info = json.loads(Path(path).read_text())
    assert info["id"] == "clip"
    assert info["webpage_url"] == f"{site.url}/clip.mp4"
    assert files(settings) == [str(Path(path).relative_to(settings.output_dir))]


@pytest.mark.parametrize("processor", [download, audio, metadata])
def test_a_second_run_finds_the_file_and_asks_nobody(site: Site, settings: Settings, processor: Any) -> None:
    path = str(settings.output_dir / processor(task(site), settings).result)
    stamp = os.stat(path).st_mtime_ns
    site.log.clear()
    assert processor(task(site), settings) == Done(
        result=str(Path(path).relative_to(settings.output_dir)), asked_youtube=False
    )
    assert os.stat(path).st_mtime_ns == stamp
    assert site.log == []


def test_the_three_do_not_take_each_others_files(site: Site, settings: Settings) -> None:
    assert len({processor(task(site), settings).result for processor in (download, audio, metadata)}) == 3
    assert len([name for name in files(settings) if not is_sidecar(name)]) == 3


def test_two_videos_with_one_name_are_two_files(site: Site, settings: Settings) -> None:
    one, two = (metadata(task(site, path), settings).result for path in ("/clip.mp4", "/second/clip.mp4"))
    assert one != two


def test_without_an_accent_there_is_no_folder(site: Site, settings: Settings) -> None:
    assert Path(metadata(task(site, accent=" "), settings).result).parent == Path()


def test_it_runs_in_a_child_and_tells_its_progress(site: Site, tmp_path: Path) -> None:
    told: list[Any] = []
    config = Config(output_dir=tmp_path, allow_other_sites=True)
    outcome = process_video("audio", task(site), config, on_message=told.append)
    assert isinstance(outcome, Done)
    assert (tmp_path / outcome.result).is_file()
    assert told
    assert told[0]["total_bytes"] == len(site.files["/clip.mp4"][1])


# -- what goes wrong


@pytest.mark.parametrize(
    ("path", "faults", "verdict", "reason"),
    [
        ("/missing.mp4", [], Verdict.GONE, "gone"),
        ("/clip.mp4", ["503"] * 9, Verdict.RETRY, "http-503"),
        ("/clip.mp4", ["429"] * 9, Verdict.THROTTLED, "http-429"),
        ("/clip.mp4", ["", *["503"] * 9], Verdict.RETRY, "http-503"),
        ("/clip.mp4", ["hang"] * 9, Verdict.RETRY, "timeout"),
        ("/clip.mp4", ["", *["hang"] * 9], Verdict.RETRY, "timeout"),
        ("/clip.mp4", ["", *["reset"] * 9], Verdict.RETRY, "network"),
        ("/clip.mp4", ["", *["403"] * 9], Verdict.RETRY, "http-403"),
        ("/live.m3u8", [], Verdict.LATER, "live"),
        ("/feed.rss", [], Verdict.PERMANENT, "list"),
    ],
)
def test_what_goes_wrong_has_its_verdict(
    site: Site, settings: Settings, path: str, faults: list[str], verdict: Verdict, reason: str
) -> None:
    site.faults[path] = list(faults)
    with pytest.raises(AttemptError) as caught:
        audio(task(site, path), settings)
    assert (caught.value.verdict, caught.value.reason) == (verdict, reason), caught.value
    assert [name for name in files(settings) if ".parts" not in name] == []


def test_nothing_of_a_live_stream_is_downloaded(site: Site, settings: Settings) -> None:
    for processor in (download, audio, metadata):
        with pytest.raises(LaterError):
            processor(task(site, "/live.m3u8"), settings)
    assert "/segment.ts" not in {path for path, _ in site.log}


def test_a_download_that_was_cut_off_goes_on_where_it_stood(site: Site, settings: Settings) -> None:
    site.faults["/clip.mp4"] = ["", *["reset"] * 4]
    with pytest.raises(AttemptError):
        download(task(site), settings)
    assert any(name.endswith(".part") for name in files(settings))
    site.log.clear()
    path = str(settings.output_dir / download(task(site), settings).result)
    assert Path(path).read_bytes() == site.files["/clip.mp4"][1]
    assert any(wanted and not wanted.startswith("bytes=0") for _, wanted in site.log)
    assert files(settings) == with_sidecar(path, settings)


def test_a_partial_file_that_cannot_be_resumed_is_thrown_away(site: Site, settings: Settings) -> None:
    """A 416 would come back with every attempt."""
    site.faults["/clip.mp4"] = ["", *["reset"] * 4]
    with pytest.raises(AttemptError):
        download(task(site), settings)
    assert any(name.endswith(".part") for name in files(settings))
    site.faults["/clip.mp4"] = ["", *["416"] * 9]
    with pytest.raises(AttemptError) as caught:
        download(task(site), settings)
    assert (caught.value.verdict, caught.value.reason) == (Verdict.RETRY, "network")
    assert files(settings) == []
    site.faults.clear()
    site.log.clear()
    path = str(settings.output_dir / download(task(site), settings).result)
    assert Path(path).read_bytes() == site.files["/clip.mp4"][1]
    assert not any(wanted and not wanted.startswith("bytes=0") for _, wanted in site.log)


def test_half_a_conversion_is_not_taken_for_a_file(site: Site, settings: Settings) -> None:
    stem = file_stem(task(site))
    work = settings.output_dir / ".parts" / f"{stem}.audio-m4a"
    work.mkdir(parents=True)
    (work / f"{stem}.m4a").write_bytes(b"half")
    assert "Audio: aac" in streams(str(settings.output_dir / audio(task(site), settings).result))


def test_other_sites_are_asked_only_when_they_are_allowed(site: Site, settings: Settings) -> None:
    with pytest.raises(PermanentError) as caught:
        audio(task(site), replace(settings, network=Network()))
    assert caught.value.reason == "unsupported-url"
    assert site.log == []


def test_a_folder_that_cannot_be_made_is_the_machines_fault(site: Site, settings: Settings) -> None:
    settings.output_dir.write_text("a file")
    with pytest.raises(UnfitError) as caught:
        download(task(site), settings)
    assert caught.value.reason == "output-dir"


def test_no_ffmpeg_is_the_machines_fault(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(UnfitError) as caught:
        audio(task(site), settings)
    assert caught.value.reason == "no-ffmpeg"


def test_progress_is_told_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    told: list[Any] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hook = media._progress_hook(told.append)
    for step in range(25):
        now[0] = 100 + step / 10
        hook({"status": "downloading", "downloaded_bytes": step, "total_bytes_estimate": 24.5})
    hook({"status": "finished", "downloaded_bytes": 25})
    assert told == [{"downloaded_bytes": step, "total_bytes": 24} for step in (0, 10, 20)]


# -- where they put it


@pytest.mark.parametrize(
    "accent", ["..", "../../x", "a/b", "\0", "🏴" * 300, "x" * 300, "CON", " . ", "%(id)s", "\ud800"]
)
def test_files_stay_in_the_output_folder(site: Site, settings: Settings, accent: str) -> None:
    path = (settings.output_dir / metadata(task(site, accent=accent), settings).result).resolve()
    assert path.is_file()
    assert path.parent.parent == settings.output_dir.resolve()


@pytest.mark.parametrize("template", ["{accent}/{title}", "{title}/{id}"])
def test_a_title_of_whoever_uploaded_it_stays_inside(site: Site, settings: Settings, template: str) -> None:
    nasty = "../../" + "🏴‍☠️" * 60 + "\u202eNUL" + "x" * 300
    page = f"<html><head><meta charset='utf-8'><title>{nasty}</title></head><video src='/clip.mp4'></video></html>"
    site.files["/page.html"] = ("text/html; charset=utf-8", page.encode())
    path = settings.output_dir / metadata(task(site, "/page.html"), replace(settings, output_template=template)).result
    assert path.is_relative_to(settings.output_dir)
    assert "🏴" in str(path.relative_to(settings.output_dir))
    assert [each.name for each in settings.output_dir.parent.iterdir()] == [settings.output_dir.name]


@pytest.mark.parametrize("name", ["Scottish", "Scottish/generic", ".parts", ".archive", ".archive/metadata"])
@pytest.mark.parametrize("leads_to", ["", "missing", "second link"])
def test_a_link_that_leads_out_is_not_followed(
    site: Site, settings: Settings, tmp_path: Path, name: str, leads_to: str
) -> None:
    """Neither to a folder, nor to where there is none yet, nor through another link; in no folder that is written to."""
    link = settings.output_dir / name
    link.parent.mkdir(parents=True)
    if leads_to == "second link":
        (tmp_path / leads_to).symlink_to(tmp_path)
    link.symlink_to(tmp_path / leads_to)
    settings = replace(settings, output_template="{accent}/generic/{id}")
    with pytest.raises(UnfitError) as caught:
        metadata(task(site), settings)
    assert caught.value.reason == "output-dir"


def test_an_outcome_in_a_child_has_the_reason(site: Site, tmp_path: Path) -> None:
    outcome = process_video("metadata", task(site, "/missing.mp4"), Config(output_dir=tmp_path, allow_other_sites=True))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.GONE, "gone")
