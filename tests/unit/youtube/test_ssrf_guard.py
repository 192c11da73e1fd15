"""Other sites than YouTube cannot lead a worker into its own network, unless the operator allows it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import rows
from tests.support.clip_site import Site
from tests.unit.youtube.test_network import SECRET, Proxy, proxy  # noqa: F401  a fixture
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import PermanentError
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.sources.sources_file import new_source
from youtube_download_coordinator.workers.expansion import list_in_child
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube.ssrf_guard import is_public

OUTSIDE = "http://outside.example"
GUARDED = """
import subprocess, sys
from youtube_download_coordinator.youtube.ssrf_guard import block_private_addresses
block_private_addresses(sys.argv[1])
subprocess.run(["true", *sys.argv[2:]])
"""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1",
        "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "2002:7f00:1::", "64:ff9b:1::808:808", "64:ff9b:1:ffff::1", "fec0::1", "feff::1", "::8.8.8.8", "::127.0.0.1",
        "::ffff:0:8.8.8.8", "::ffff:0:127.0.0.1", "100::1", "2001:0:7f00:1::1", "2001:db8::1", "3fff::1", "5f00::1",
        "224.0.0.1", "ff02::1", "255.255.255.255", "localhost", "metadata.google.internal", "",
    ],
)  # fmt: skip
def test_what_is_no_public_address(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "142.250.74.110", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"],
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


def closed(tmp_path: Path, **settings: object) -> Config:
    return Config(output_dir=tmp_path / "media", allow_other_sites=True, allow_private_addresses=False, **settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
@pytest.mark.parametrize("processor", ["metadata", "download"])
def test_no_video_of_another_site_is_asked_for_in_the_own_network(
    site: Site, tmp_path: Path, host: str, processor: str
) -> None:
    """Also not by a name, and by no other spelling."""
    url = f"http://{host}:{site.server_address[1]}/clip.mp4"
    outcome = process_video(processor, rows.new_video(1, url=url, key=f"url:{url}"), closed(tmp_path))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.PERMANENT, "own-network"), outcome
    assert "YDC_ALLOW_PRIVATE_ADDRESSES" in outcome.message
    assert site.log == []


def test_no_source_is_listed_there(site: Site, tmp_path: Path) -> None:
    source = new_source(f"{site.url}/feed.rss", allow_other_sites=True)
    with pytest.raises(PermanentError) as caught:
        list(list_in_child(source, closed(tmp_path)))
    assert caught.value.reason == "own-network"
    assert site.log == []


def test_whoever_allows_it_reaches_it(site: Site, tmp_path: Path) -> None:
    source = new_source(f"{site.url}/feed.rss", allow_other_sites=True)
    listed = list(list_in_child(source, Config(allow_other_sites=True, allow_private_addresses=True)))
    assert len(listed) == 3
    assert site.log


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Start a host of the internet, OUTSIDE, that is reached through a proxy of the environment."""
    server = Site({})
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost,2130706433,127.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", *(pytest.param(host, marks=pytest.mark.slow) for host in ("localhost", "2130706433", "127.1"))],
)
def test_no_redirect_leads_there(outside: Site, site: Site, tmp_path: Path, host: str) -> None:
    outside.redirects[f"{OUTSIDE}/clip.mp4"] = f"http://{host}:{site.server_address[1]}/clip.mp4"
    url = f"{OUTSIDE}/clip.mp4"
    outcome = process_video("download", rows.new_video(1, url=url, key=f"url:{url}"), closed(tmp_path))
    assert isinstance(outcome, Failure)
    assert outcome.reason == "own-network"
    assert (len(outside.log) > 0, site.log) == (True, [])


@pytest.mark.parametrize(
    "markup",
    [
        "<video src='{}/clip.mp4'></video>",
        pytest.param('<meta http-equiv="refresh" content="0;url={}/clip.mp4">', marks=pytest.mark.slow),
        pytest.param('<meta property="og:video" content="{}/clip.mp4">', marks=pytest.mark.slow),
    ],
)
def test_no_page_leads_there(outside: Site, site: Site, tmp_path: Path, markup: str) -> None:
    page = f"<html><title>x</title>{markup.format(site.url)}</html>"
    outside.files[f"{OUTSIDE}/page.html"] = ("text/html", page.encode())
    url = f"{OUTSIDE}/page.html"
    outcome = process_video("download", rows.new_video(1, url=url, key=f"url:{url}"), closed(tmp_path))
    assert isinstance(outcome, Failure)
    assert outcome.reason == "own-network", outcome
    assert (len(outside.log) > 0, site.log) == (True, [])


def test_a_proxy_may_be_there(proxy: Proxy, tmp_path: Path) -> None:  # noqa: F811  the fixture
    """It decides itself what it asks for."""
    address = f"http://me:{SECRET}@127.0.0.1:{proxy.server_address[1]}"
    config = closed(tmp_path, proxy=address, yt_dlp_options={"extractor_retries": 0})
    outcome = process_video("metadata", rows.new_video(1, url=OUTSIDE, key=f"url:{OUTSIDE}"), config)
    assert isinstance(outcome, Failure)
    assert outcome.reason != "own-network"
    assert proxy.asked[0][0].startswith(OUTSIDE)


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Start a second service in the worker's own network."""
    with Site({"/clip.mp4": ("video/mp4", b"x")}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def with_provider(url: str) -> dict[str, object]:
    return {"yt_dlp_options": {"extractor_args": {"youtubepot-bgutilhttp": {"base_url": [url]}}}}


def test_a_token_provider_is_reached_and_nothing_else_there(site: Site, other_site: Site, tmp_path: Path) -> None:
    config = closed(tmp_path, **with_provider(site.url.replace("127.0.0.1", "localhost")))
    outcomes = []
    for host in (site.url, other_site.url):
        url = f"{host}/clip.mp4"
        outcomes.append(process_video("metadata", rows.new_video(1, url=url, key=f"url:{url}"), config))
    assert not (isinstance(outcomes[0], Failure) and outcomes[0].reason == "own-network"), outcomes[0]
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].reason == "own-network"
    assert (len(site.log) > 0, other_site.log) == (True, [])


def test_a_listing_reaches_a_token_provider_too(site: Site, tmp_path: Path) -> None:
    source = new_source(f"{site.url}/feed.rss", allow_other_sites=True)
    assert len(list(list_in_child(source, closed(tmp_path, **with_provider(site.url))))) == 3


@pytest.mark.parametrize(
    ("allowed", "connects"),
    [
        ([], False),
        (["http://127.0.0.1:4416"], True),
        (["http://localhost:4416/bgutil"], True),
        (["http://127.0.0.1:4417"], False),
        (["http://127.0.0.2:4416"], False),
        (["http://127.0.0.1"], False),
        (["http://no-such-host.invalid:4416"], False),
        (["http://[::1"], False),
    ],
)
def test_only_the_host_and_port_of_a_service_are_reached(allowed: list[str], connects: bool) -> None:
    """Nothing listens there: a connection that may be tried is refused by the machine, not by the guard."""
    program = """
import socket, sys
from youtube_download_coordinator.youtube.ssrf_guard import PrivateAddressError, block_private_addresses
block_private_addresses("", sys.argv[1:])
try:
    socket.create_connection(("127.0.0.1", 4416), 5).close()
except PrivateAddressError:
    print("blocked")
except OSError:
    print("tried")
else:
    print("tried")
"""
    done = subprocess.run([sys.executable, "-c", program, *allowed], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("tried" if connects else "blocked")


CONNECTS = """
import socket, sys
from youtube_download_coordinator.youtube.ssrf_guard import PrivateAddressError, block_private_addresses
block_private_addresses()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).close()
except PrivateAddressError:
    print("blocked")
except OSError:
    print("tried")
"""


@pytest.mark.parametrize(
    ("variable", "value", "port", "connects"),
    [
        ("no_proxy", "127.0.0.1", 80, False),
        ("NO_PROXY", "127.0.0.1", 80, False),
        ("no_proxy", "http://127.0.0.1:4416", 4416, False),
        ("no_proxy", "127.0.0.1:4416", 4416, False),
        ("other_proxy", "127.0.0.1:4416", 4416, False),
        ("https_proxy", "127.0.0.1:4416", 4416, True),
        ("ALL_PROXY", "http://127.0.0.1:4416", 4416, True),
    ],
)
def test_the_environment_opens_its_proxies_and_no_other_host(
    variable: str, value: str, port: int, connects: bool
) -> None:
    """Nothing listens there."""
    environment = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", CONNECTS, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**environment, variable: value})
    assert done.stdout.strip() == ("tried" if connects else "blocked")


@pytest.mark.parametrize("first", ["block", "yt_dlp"])
def test_curl_cffi_is_kept_out_while_the_guard_is_on(tmp_path: Path, first: str) -> None:
    """It connects without Python's sockets. Here a package of that name is installed, before or after yt-dlp is imported."""
    package = tmp_path / "curl_cffi"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '0.13.0'\n")
    steps = {
        "block": "from youtube_download_coordinator.youtube.ssrf_guard import *; block_private_addresses()",
        "yt_dlp": "import yt_dlp.networking.common as c; import curl_cffi; c._REQUEST_HANDLERS['CurlCFFI'] = object",
    }
    program = "\n".join(
        [
            *([steps["yt_dlp"]] if first == "yt_dlp" else []),
            steps["block"],
            "from yt_dlp.networking import common",
            "print('CurlCFFI' in common._REQUEST_HANDLERS)",
            "try:\n    import curl_cffi.requests\nexcept ImportError:\n    print('kept out')",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split("\n")[:2] == ["False", "kept out"]


PROXY = "http://me:hush@proxy.example:3128"


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        (["http://127.0.0.1/live.m3u8"], False),
        ([f"{PROXY}/"], False),
        ([f"{PROXY}@127.0.0.1"], False),
        ([f"concat:{PROXY}"], False),
        (["concat:http://127.0.0.1/a|http://127.0.0.1/b"], False),
        (["crypto+http://127.0.0.1/a"], False),
        (["-i=http://127.0.0.1/a"], False),
        (["x,HTTP://127.0.0.1/a"], False),
        (["http:127.0.0.1/a"], False),
        (["concat:tcp:127.0.0.1:80"], False),
        (["file:///etc/passwd"], False),
        (["-metadata", "title=x", "http://127.0.0.1/a"], False),
        ([f"--url=http://127.0.0.1/={PROXY}"], False),
        ([PROXY], True),
        ([f"--proxy={PROXY}"], True),
        (["purl=http://a.example/"], True),
        (["-metadata", "title=see http://a.example/"], True),
        (["-metadata:s:0", "handler=http://a.example/"], True),
        (["-i", "file:/media/a.webm", "-f", "title: one"], True),
    ],
)
def test_no_program_is_started_that_would_fetch_unwatched(words: list[str], starts: bool) -> None:
    """yt-dlp has ffmpeg fetch some streams. A token provider's script gets the address of the proxy."""
    done = subprocess.run([sys.executable, "-c", GUARDED, PROXY, *words], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is starts, done.stderr
    assert ("only another program could fetch this stream" in done.stderr) is not starts


@pytest.mark.parametrize(
    "start",
    [
        "os.system('true http://127.0.0.1/')",
        "os.execv('/bin/true', ['true', 'http://127.0.0.1/'])",
        "os.posix_spawn('/bin/true', ['true', 'http://127.0.0.1/'], {})",
        "subprocess.run('true http://127.0.0.1/', shell=True)",
        "subprocess.run(['true', b'http://127.0.0.1/'])",
    ],
)
def test_no_other_way_starts_such_a_program(start: str) -> None:
    program = GUARDED.partition("block_private_addresses(sys")[0] + f"block_private_addresses()\nimport os\n{start}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "only another program could fetch this stream" in done.stderr
