"""The built-in processors, with the real yt-dlp and ffmpeg, against a small media site on loopback."""

from __future__ import annotations

import gc
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import rows
from youtube_download_coordinator import processors
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError, UnfitError
from youtube_download_coordinator.models import Done, Failure, Verdict, VideoTask
from youtube_download_coordinator.network import Network
from youtube_download_coordinator.processing import process_video
from youtube_download_coordinator.processors import Settings, audio, download, file_stem, metadata, safe_name

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # yt-dlp drops failed connections without closing them

LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsegment.ts\n"
FEED = """<rss><channel><title>feed</title>
<item><title>one</title><link>{site}/clip.mp4</link></item>
<item><title>two</title><link>{site}/second/clip.mp4</link></item></channel></rss>"""


class Site(ThreadingHTTPServer):
    """A media site: `faults` maps a path to what is to go wrong there, `log` has the requests."""

    daemon_threads = True

    def __init__(self, files: dict[str, tuple[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.faults: dict[str, list[str]] = {}
        self.log: list[tuple[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range") or ""
        self.server.log.append((self.path, wanted))
        fault = (self.server.faults.get(self.path) or [""]).pop(0) if self.server.faults.get(self.path) else ""
        if fault.isdecimal() or self.path not in self.server.files:
            self.send_error(int(fault or 404))
        elif fault == "hang":
            self.server.closing.wait(60)
        else:
            self._send(wanted, reset=fault == "reset")

    do_HEAD = do_GET

    def _send(self, wanted: str, *, reset: bool) -> None:
        kind, body = self.server.files[self.path]
        start = int(wanted.removeprefix("bytes=").partition("-")[0] or 0)
        part = body[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part[: len(part) // 2] if reset else part)
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of video with a tone, and a title tag."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sources = "-f lavfi -i testsrc=duration=1:size=160x120:rate=10 -f lavfi -i sine=frequency=440:duration=1"
    command = f"{imageio_ffmpeg.get_ffmpeg_exe()} -v error {sources} -c:a aac -metadata title=tone -shortest {path}"
    subprocess.run(command.split(), check=True)
    return path.read_bytes()


@pytest.fixture
def site(clip: bytes) -> Iterator[Site]:
    video = ("video/mp4", clip)
    server = Site(
        {"/clip.mp4": video, "/second/clip.mp4": video, "/live.m3u8": ("application/vnd.apple.mpegurl", LIVE.encode())}
    )
    server.files["/feed.rss"] = ("application/rss+xml", FEED.format(site=server.url).encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()
    if server.faults:
        gc.collect()  # now, while the warnings about yt-dlp's connections are ignored


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "media", network=Network(allow_other_sites=True, socket_timeout_seconds=0.3))


def task(site: Site, path: str = "/clip.mp4", accent: str = "Scottish") -> VideoTask:
    return rows.new_video(1, url=site.url + path, key=f"url:{site.url}{path}", accent=accent)


def streams(path: str) -> str:
    """What ffmpeg says of a file."""
    shown = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True, check=False)
    return shown.stderr


def files(settings: Settings) -> list[str]:
    return sorted(
        str(path.relative_to(settings.output_dir)) for path in settings.output_dir.rglob("*") if path.is_file()
    )


# -- what they make


def test_download_makes_a_video_with_sound(site: Site, settings: Settings) -> None:
    path = download(task(site), settings)
    assert Path(path).parent == settings.output_dir / "Scottish"
    assert "Video:" in streams(path)
    assert "Audio:" in streams(path)


@pytest.mark.parametrize(
    ("codec", "extension", "says"), [("m4a", "m4a", "aac"), ("mp3", "mp3", "mp3"), ("vorbis", "ogg", "vorbis")]
)
def test_audio_makes_audio_alone(site: Site, settings: Settings, codec: str, extension: str, says: str) -> None:
    path = audio(task(site), replace(settings, audio_codec=codec))
    assert path.endswith(f".{extension}")
    assert f"Audio: {says}" in streams(path)
    assert "Video:" not in streams(path)
    assert files(settings) == [str(Path(path).relative_to(settings.output_dir))]


def test_metadata_writes_what_is_told(site: Site, settings: Settings) -> None:
    path = metadata(task(site), settings)
    assert path.endswith(".info.json")
    info = json.loads(Path(path).read_text())
    assert info["id"] == "clip"
    assert info["webpage_url"] == f"{site.url}/clip.mp4"
    assert files(settings) == [str(Path(path).relative_to(settings.output_dir))]


@pytest.mark.parametrize("processor", [download, audio, metadata])
def test_a_second_run_finds_the_file_and_asks_nobody(site: Site, settings: Settings, processor: Any) -> None:
    path = processor(task(site), settings)
    stamp = os.stat(path).st_mtime_ns
    site.log.clear()
    assert processor(task(site), settings) == path
    assert os.stat(path).st_mtime_ns == stamp
    assert site.log == []


def test_the_three_do_not_take_each_others_files(site: Site, settings: Settings) -> None:
    assert len({processor(task(site), settings) for processor in (download, audio, metadata)}) == 3
    assert len(files(settings)) == 3


def test_two_videos_with_one_name_are_two_files(site: Site, settings: Settings) -> None:
    one, two = (metadata(task(site, path), settings) for path in ("/clip.mp4", "/second/clip.mp4"))
    assert one != two


def test_without_an_accent_there_is_no_folder(site: Site, settings: Settings) -> None:
    assert Path(metadata(task(site, accent=" "), settings)).parent == settings.output_dir


def test_it_runs_in_a_child_and_tells_its_progress(site: Site, tmp_path: Path) -> None:
    told: list[Any] = []
    config = Config(output_dir=tmp_path, allow_other_sites=True)
    outcome = process_video("audio", task(site), config, on_message=told.append)
    assert isinstance(outcome, Done)
    assert Path(outcome.result).is_file()
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
    path = download(task(site), settings)
    assert Path(path).read_bytes() == site.files["/clip.mp4"][1]
    assert any(wanted and not wanted.startswith("bytes=0") for _, wanted in site.log)
    assert files(settings) == [str(Path(path).relative_to(settings.output_dir))]


def test_half_a_conversion_is_not_taken_for_a_file(site: Site, settings: Settings) -> None:
    stem = file_stem(task(site))
    work = settings.output_dir / "Scottish" / ".parts" / f"{stem}.audio"
    work.mkdir(parents=True)
    (work / f"{stem}.m4a").write_bytes(b"half")
    assert "Audio: aac" in streams(audio(task(site), settings))


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


# -- what is checked before anything is downloaded


def test_an_upcoming_video_says_when() -> None:
    with pytest.raises(LaterError) as caught:
        processors._check({"live_status": "is_upcoming", "release_timestamp": 2_000_000_000}, ())
    assert caught.value.not_before == datetime.fromtimestamp(2_000_000_000, UTC)


@pytest.mark.parametrize(
    ("status", "reason"), [("is_live", "live"), ("post_live", "processing"), ("is_upcoming", "upcoming")]
)
def test_what_is_not_there_yet_comes_later(status: str, reason: str) -> None:
    with pytest.raises(LaterError) as caught:
        processors._check({"live_status": status, "url": "https://example.org"}, ())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("messages", "verdict", "reason"),
    [
        (["[youtube] This video is private", "No video formats found!"], Verdict.PERMANENT, "private"),
        (["[youtube] HTTP Error 403", "[youtube] This video is private", "No video formats found!"],
         Verdict.PERMANENT, "private"),
        (["[youtube] Video unavailable", "Requested format is not available"], Verdict.GONE, "gone"),
        (["[youtube] x: HTTP Error 429", "[youtube] Video unavailable", "No video formats found!"],
         Verdict.THROTTLED, "http-429"),
        (["[youtube] x: HTTP Error 403: Forbidden", "No video formats found!"], Verdict.THROTTLED, "http-403"),
        (["[youtube] Something that nobody has seen yet", "No video formats found!"], Verdict.RETRY, "error"),
        (["No video formats found!"], Verdict.RETRY, "no-formats"),
        ([], Verdict.RETRY, "no-formats"),
    ],
)  # fmt: skip
def test_what_youtube_says_without_formats_is_the_verdict(messages: list[str], verdict: Verdict, reason: str) -> None:
    with pytest.raises(AttemptError) as caught:
        processors._check({}, messages)
    assert (caught.value.verdict, caught.value.reason) == (verdict, reason), caught.value


def test_progress_is_told_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    told: list[Any] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hook = processors._progress_hook(told.append)
    for step in range(25):
        now[0] = 100 + step / 10
        hook({"status": "downloading", "downloaded_bytes": step, "total_bytes_estimate": 24.5})
    hook({"status": "finished", "downloaded_bytes": 25})
    assert told == [{"downloaded_bytes": step, "total_bytes": 24} for step in (0, 10, 20)]


# -- names


@given(st.text(max_size=400))
def test_a_name_leads_nowhere_else(text: str) -> None:
    name = safe_name(text)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\\0<>:"|?*%$~\n')
    assert len(name.encode()) <= processors.NAME_MAX_BYTES + 1
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scottish", "Scottish"),
        ("New Zealand (South)", "New Zealand (South)"),
        ("..", "_"),
        ("../../etc", "_.._etc"),
        ("/", "_"),
        ("a\0b", "a_b"),
        ("nul", "_nul"),
        ("COM1.txt", "_COM1.txt"),
        ("$HOME %(id)s ~root", "_HOME _(id)s _root"),
        ("e\u0301", "é"),
        ("🏴 x", "🏴 x"),
    ],
)
def test_a_name_stays_readable(text: str, name: str) -> None:
    assert safe_name(text) == name


@pytest.mark.parametrize(
    "accent", ["..", "../../x", "a/b", "\0", "🏴" * 300, "x" * 300, "CON", " . ", "%(id)s", "\ud800"]
)
def test_files_stay_in_the_output_folder(site: Site, settings: Settings, accent: str) -> None:
    path = Path(metadata(task(site, accent=accent), settings)).resolve()
    assert path.is_file()
    assert path.parent.parent == settings.output_dir.resolve()


def test_a_link_that_leads_out_is_not_followed(site: Site, settings: Settings, tmp_path: Path) -> None:
    settings.output_dir.mkdir()
    (settings.output_dir / "Scottish").symlink_to(tmp_path)
    with pytest.raises(UnfitError) as caught:
        metadata(task(site), settings)
    assert caught.value.reason == "output-dir"


def test_a_youtube_video_is_called_by_its_id() -> None:
    assert (
        file_stem(rows.new_video(1, key="yt:v:-aB_cdefghi", url="https://www.youtube.com/watch?v=x")) == "-aB_cdefghi"
    )


@pytest.mark.parametrize(
    ("key", "url", "start"),
    [
        ("yt:v:../../../x", "https://www.youtube.com/watch?v=..%2F", "watch-"),
        ("url:https://a.org/%2e%2e%2fx.mp4?k=1", "https://a.org/%2e%2e%2fx.mp4?k=1#__youtubedl_smuggle=%7B%7D", "x-"),
        ("url:https://a.org/", "https://a.org/", "video-"),
        ("", "https://a.org/b/long.name.mp4", "long.name-"),
    ],
)
def test_another_sites_video_is_called_by_its_address(key: str, url: str, start: str) -> None:
    stem = file_stem(rows.new_video(1, key=key, url=url))
    assert stem.startswith(start)
    assert len(stem) == len(start) + 12
    assert "/" not in stem


def test_an_outcome_in_a_child_has_the_reason(site: Site, tmp_path: Path) -> None:
    outcome = process_video("metadata", task(site, "/missing.mp4"), Config(output_dir=tmp_path, allow_other_sites=True))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.GONE, "gone")
