"""The checks of a worker on its machine before it claims, which are also those of `ydc doctor`."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest
from yt_dlp.extractor.youtube.jsc._builtin import vendor
from yt_dlp.utils._jsruntime import DenoJsRuntime

from tests.unit.youtube.test_cookies import line, write
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import PreflightError, UnfitError, UpgradeError, UserError
from youtube_download_coordinator.operations import doctor, preflight
from youtube_download_coordinator.operations.examine import examine
from youtube_download_coordinator.operations.package_index import Release, ejs_version_in
from youtube_download_coordinator.youtube.versions import is_newer


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
    """Put a deno in PATH, and none beside this Python."""
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
    assert "and 1,000,000,000,000 MB are needed (YDC_MIN_FREE_DISK_BYTES); there is no ffmpeg" in str(caught.value)
    assert "\n" not in str(caught.value)
    preflight.require(full, "mine:transcribe")


def test_an_old_yt_dlp_is_warned_of(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2024.1.1" if name == "yt-dlp" else real(name))
    preflight.require(config, "metadata")
    assert "days old, and YouTube changes every few weeks: ydc upgrade-yt-dlp" in caplog.text


def test_it_is_cheap() -> None:
    """Every run begins with it; also with ffmpeg's and Google's libraries it would take a second."""
    program = """
import sys
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.operations import preflight
from youtube_download_coordinator.youtube.versions import is_newer
preflight.require(Config(), "audio")
print(*sorted({"yt_dlp", "gspread", "sqlalchemy", "prefect"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# -- the looks


def test_the_age_of_yt_dlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2026.5.1")
    assert preflight.check_yt_dlp(date(2026, 5, 31)) == "yt-dlp 2026.5.1, 30 days old"
    with pytest.raises(UnfitError, match=r"92 days old.*ydc upgrade-yt-dlp"):
        preflight.check_yt_dlp(date(2026, 8, 1))


def test_the_javascript_runtime_is_the_one_that_yt_dlp_finds() -> None:
    found = DenoJsRuntime().info
    assert found
    assert preflight.check_javascript().startswith(f"deno {found.version} for yt-dlp")


def test_yt_dlps_own_bounds_are_ours() -> None:
    assert preflight.DENO_MIN_VERSION == DenoJsRuntime.MIN_SUPPORTED_VERSION
    assert preflight.required_scripts_version() == vendor.VERSION


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
    with pytest.raises(UnfitError, match=r"but 0\.1\.0 is installed: pip install yt-dlp-ejs=="):
        preflight.check_javascript()


def test_a_machine_without_yt_dlp(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    with pytest.raises(PreflightError, match="there is no yt-dlp in this environment: ydc upgrade-yt-dlp installs it"):
        preflight.require(config, "metadata")


# -- newer versions


def set_newest(monkeypatch: pytest.MonkeyPatch, newest: str | Exception) -> None:
    def release() -> Release:
        if isinstance(newest, Exception):
            raise newest
        return Release(newest, "0.8.0")

    monkeypatch.setattr(preflight, "release", release)


def test_doctor_reports_a_newer_yt_dlp_and_workers_do_not_ask_for_it(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_newest(monkeypatch, "2031.1.1")
    with ExitStack() as stack:
        (check,) = (check for check in doctor.checks(config, stack) if check.name == "package index")
    (finding,) = examine([check])
    installed = metadata.version("yt-dlp")
    assert str(finding) == (
        f"warning  package index: yt-dlp 2031.1.1 is on the package index, and {installed} is installed: ydc upgrade-yt-dlp"
    )
    assert "package index" not in [check.name for check in preflight.checks(config)]


@pytest.mark.parametrize(
    ("newest", "text"),
    [
        ("2026.1.1", "is installed, and the package index has no newer one"),
        (metadata.version("yt-dlp"), "is installed, and the package index has no newer one"),
        (
            UpgradeError("the package index does not answer"),
            "cannot check for a newer yt-dlp: the package index does not answer",
        ),
        (UserError("there is no pip in /x"), "cannot check for a newer yt-dlp: there is no pip in /x"),
    ],
)
def test_an_index_with_nothing_newer_or_that_does_not_answer_is_not_a_problem(
    monkeypatch: pytest.MonkeyPatch, newest: str | Exception, text: str
) -> None:
    set_newest(monkeypatch, newest)
    assert text in preflight.check_newest()


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [
        ("2026.10.26", "2026.8.19", True),
        ("2026.10.26", "2026.10.26", False),
        ("2026.3.3", "2026.03.03", False),
        ("2026.10.26.232345.dev0", "2026.10.26", True),
        ("2026.10.26", "2026.10.26.232345.dev0", False),
        ("2026.10.26", "", True),
    ],
)
def test_versions_are_dates(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer


@pytest.mark.parametrize(
    ("requirement", "version"),
    [
        ("yt-dlp-ejs==0.8.0; extra == 'default'", "0.8.0"),
        ("yt-dlp-ejs (==0.3.1) ; extra == 'default'", "0.3.1"),
        ("yt-dlp-ejs>=0.8", ""),
        ("requests<3", ""),
    ],
)
def test_the_scripts_that_a_release_asks_for(requirement: str, version: str) -> None:
    assert ejs_version_in(["brotli", requirement]) == version


# -- the provider of tokens


class Provider(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, bytes]] = (200, b'{"server_uptime": 3.1, "version": "2.0.2"}')

    def do_GET(self) -> None:
        status, body = self.answer if self.path == "/ping" else (404, b"")
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a provider and return its address. The proxy of the environment leads nowhere: nothing may use it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def with_provider(config: Config, url: str) -> Config:
    arguments = {"youtubepot-bgutilhttp": {"base_url": [url]}}
    return config.model_copy(update={"yt_dlp_options": {"extractor_args": arguments}})


def tokens(config: Config) -> str:
    checks = [check for check in preflight.checks(config, "mine:transcribe") if check.name == "tokens"]
    return " ".join(str(finding) for finding in examine(checks))


def test_without_a_provider_there_is_no_line(config: Config) -> None:
    assert tokens(config) == ""


@pytest.mark.parametrize("plugin", ["2.0.2", "2.1.0"])
def test_a_provider_that_answers(config: Config, provider: str, plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "plugin_version", lambda: plugin)
    assert tokens(with_provider(config, provider)) == (
        f"ok       tokens: the token provider at {provider} answers; version 2.0.2, plugin {plugin}"
    )


def test_a_provider_of_another_major_version(config: Config, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin refuses it."""
    monkeypatch.setattr(preflight, "plugin_version", lambda: "1.3.1")
    assert tokens(with_provider(config, provider)) == (
        f"warning  tokens: the token provider at {provider} has version 2.0.2, but its plugin here has version"
        " 1.3.1: upgrade the older one"
    )


def test_a_provider_without_its_plugin_is_never_asked(config: Config, provider: str) -> None:
    assert "yt-dlp lacks the plugin that uses it: pip install bgutil-ytdlp-pot-provider==2.0.2" in tokens(
        with_provider(config, provider)
    )


def test_a_plugin_in_a_folder_of_yt_dlps_own_is_found(
    config: Config, provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "yt-dlp" / "plugins" / "bgutil" / "yt_dlp_plugins" / "extractor"
    folder.mkdir(parents=True)
    (folder / "getpot_bgutil_http.py").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert tokens(with_provider(config, provider)).endswith("answers; version 2.0.2")


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (200, b"[]"), (200, b"{}"), (500, b""), (404, b""), (200, b"\xff\x00")]
)
def test_another_server_is_not_a_provider(
    config: Config, provider: str, answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Provider, "answer", answer)
    line = tokens(with_provider(config, provider))
    assert line.startswith(f"warning  tokens: the token provider at {provider} does not answer (")
    assert "start it, or correct base_url in YDC_YT_DLP_OPTIONS" in line


def test_a_provider_that_is_not_there_stops_no_worker(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        preflight.require(with_provider(config, url), "mine:transcribe")
    assert f"the token provider at {url} does not answer (" in caplog.text
    assert "Connection refused" in caplog.text


def test_a_provider_that_is_silent_is_not_waited_for(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PING_SECONDS", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        line = tokens(with_provider(config, f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert "does not answer (timed out)" in line


# -- programs


def test_ffmpeg() -> None:
    assert preflight.check_ffmpeg().startswith("ffmpeg at ")


@pytest.mark.usefixtures("no_ffmpeg")
def test_no_ffmpeg() -> None:
    with pytest.raises(UnfitError, match=r"there is no ffmpeg.*Install ffmpeg"):
        preflight.check_ffmpeg()
