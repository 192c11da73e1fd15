"""The way to YouTube: proxies, cookies and the operator's options reach yt-dlp, and no secret leaves it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import rows
from tests.unit.youtube.test_cookies import LOGIN, line, write
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, TransientError, UnfitError
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.workers.expansion import list_in_child
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube.error_rules import MessageKeeper
from youtube_download_coordinator.youtube.network import Network

SECRET = "hush-hush"


class Proxy(ThreadingHTTPServer):
    """A proxy that records requests and refuses all of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusal)
        self.asked: list[tuple[str, str]] = []
        self.cookies: list[str] = []


class Refusal(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization") or ""))
        self.server.cookies.append(self.headers.get("Cookie") or "")
        self.send_error(502)

    do_CONNECT = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def through(proxy: Proxy, **settings: object) -> Config:
    address = f"http://me:{SECRET}@127.0.0.1:{proxy.server_address[1]}"
    return Config(proxy=address, yt_dlp_options={"extractor_retries": 0}, **settings)


def test_a_processor_uses_the_proxy_and_its_password_stays_secret(
    proxy: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = rows.new_video(1, url="https://www.youtube.com/watch?v=UKwSQSFN4Nw", key="yt:v:UKwSQSFN4Nw")
    with caplog.at_level("DEBUG"):
        outcome = process_video("metadata", task, through(proxy, output_dir=tmp_path))
    assert isinstance(outcome, Failure)
    assert outcome.verdict is Verdict.RETRY
    assert proxy.asked[0][0].startswith("www.youtube.com:443")
    assert base64.b64decode(proxy.asked[0][1].removeprefix("Basic ")).decode() == f"me:{SECRET}"
    assert SECRET not in f"{outcome}{caplog.text}"


def test_a_listing_uses_the_proxy_too(proxy: Proxy) -> None:
    source = rows.new_source(1, url="https://www.youtube.com/playlist?list=PLexample", key="yt:p:PLexample")
    with pytest.raises(TransientError) as caught:
        list(list_in_child(source, through(proxy)))
    assert proxy.asked[0][0].startswith("www.youtube.com:443")
    assert SECRET not in str(caught.value)


def test_a_proxy_is_not_shown(proxy: Proxy) -> None:
    config = through(proxy)
    assert SECRET not in f"{config!r}{config}{config.model_dump()}{config.network!r}"


@pytest.mark.parametrize(
    "address", [f"me:{SECRET}@host", f"ftp://me:{SECRET}@host", f"http://{SECRET}:x", "http://", ""]
)
def test_a_malformed_proxy_is_reported_without_its_value(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^proxy: it must be an address like") as caught:
        Config(proxy=address)
    assert SECRET not in str(caught.value)


def test_cookies_are_sent_and_their_file_is_not_written(proxy: Proxy, tmp_path: Path) -> None:
    site = f"127.0.0.1:{proxy.server_address[1]}"
    over_http = line("seen", domain="127.0.0.1").replace("/\tTRUE", "/\tFALSE")
    path = write(tmp_path / "cookies.txt", *LOGIN, over_http)
    path.chmod(0o400)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    network = Network(allow_other_sites=True, cookies_file=str(path))
    with network.youtube_dl({}, MessageKeeper()) as ydl, pytest.raises(Exception, match="502"):
        ydl.urlopen(f"http://{site}/x")
    assert proxy.cookies == ["seen=secret-value"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_cookies_are_a_fault_of_the_machine(tmp_path: Path) -> None:
    task = rows.new_video(1, url="https://www.youtube.com/watch?v=UKwSQSFN4Nw", key="yt:v:UKwSQSFN4Nw")
    outcome = process_video("metadata", task, Config(output_dir=tmp_path, cookies_file=tmp_path / "none.txt"))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.UNFIT, "cookies")


def test_options_of_the_operator_take_precedence() -> None:
    options = {"retries": 9, "extractor_args": {"youtube": {"player_client": ["web"]}}}
    network = Network(yt_dlp_options=options, rate_limit_bytes_per_second=1000)
    own = {"retries": 3, "extractor_args": {"youtube": {"raise_incomplete_data": ["1"]}}}
    with network.youtube_dl(own, MessageKeeper()) as ydl:
        assert ydl.params["retries"] == 9
        assert ydl.params["ratelimit"] == 1000
        assert ydl.params["extractor_args"]["youtube"] == {"player_client": ["web"], "raise_incomplete_data": ["1"]}
        assert "proxy" not in ydl.params


def test_an_option_that_yt_dlp_cannot_read_is_a_fault_of_the_machine() -> None:
    with pytest.raises(UnfitError) as caught:
        Network(yt_dlp_options={"format": "best["}).youtube_dl({}, MessageKeeper())
    assert caught.value.reason == "yt-dlp-options"
