"""A worker never reads a file of its own machine for an address, whoever wrote it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clip_site import Site, files, task
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.processors.built_in import Settings, download, metadata
from youtube_download_coordinator.youtube.listing import ListedSource, ListedVideo, listing
from youtube_download_coordinator.youtube.network import Network

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # yt-dlp leaves half a file open when a stream fails

M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
KEY = (
    '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n'
)
FOR_FFMPEG = M3U8 + "#EXT-X-KEY:METHOD=SAMPLE-AES\n"
"""yt-dlp has ffmpeg fetch what it cannot decrypt."""
PAGE = "<html><title>x</title><video src='{secret}'></video></html>"
FEED = "<rss><channel><title>f</title><item><title>x</title><link>{secret}</link></item></channel></rss>"


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()  # now, while the warnings are ignored


@pytest.fixture
def secret(clip: bytes, tmp_path: Path) -> Path:
    """Write a video that a processor could use if it reached it. Return its path."""
    path = tmp_path / "secret.mp4"
    path.write_bytes(clip)
    return path


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/page.html", "text/html", PAGE),
        ("/a.m3u8", "application/vnd.apple.mpegurl", M3U8),
        ("/b.m3u8", "application/vnd.apple.mpegurl", KEY),
        ("/c.m3u8", "application/vnd.apple.mpegurl", FOR_FFMPEG),
        ("/feed.rss", "application/rss+xml", FEED),
    ],
)
def test_no_page_or_playlist_of_another_site_makes_a_worker_read_its_files(
    site: Site, settings: Settings, secret: Path, path: str, kind: str, text: str
) -> None:
    site.files[path] = (kind, text.replace("{secret}", secret.as_uri()).encode())
    with pytest.raises(AttemptError, match=r"file:// URLs are disabled|ffmpeg exited"):
        download(task(site, path), settings)
    assert site.log
    assert [name for name in files(settings) if not name.startswith(".")] == []


@pytest.mark.parametrize("processor", [download, metadata])
def test_no_redirect_leads_to_a_file(site: Site, settings: Settings, secret: Path, processor: object) -> None:
    site.redirects["/clip.mp4"] = secret.as_uri()
    with pytest.raises(AttemptError):
        processor(task(site), settings)  # type: ignore[operator]
    assert site.log
    assert [name for name in files(settings) if not name.startswith(".")] == []


@pytest.mark.parametrize(
    "spelling", ["file://{}", "FILE://{}", "file:{}", "file://localhost{}", " file://{}", "local:{}", "{}"]
)
def test_no_file_in_a_feed_becomes_a_row(site: Site, secret: Path, spelling: str) -> None:
    both = FEED.replace("{secret}", spelling.format(secret)).replace(
        "</channel>", "<item><link>{0}/clip.mp4</link></item></channel>"
    )
    site.files["/feed.rss"] = ("application/rss+xml", both.replace("{0}", site.url).encode())
    listed = listing(f"{site.url}/feed.rss", network=Network(allow_other_sites=True), mix_max_videos=1)
    assert [item.url for item in listed if isinstance(item, ListedVideo | ListedSource)] == [f"{site.url}/clip.mp4"]
