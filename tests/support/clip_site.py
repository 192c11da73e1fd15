"""A small media site on loopback with one clip, whose answers go wrong as a test wants; and what looks at files made of it."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.support import rows
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.built_in import Settings

LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsegment.ts\n"
FEED = """<rss><channel><title>feed</title>
<item><title>one</title><link>{site}/clip.mp4</link></item>
<item><title>two</title><link>{site}/second/clip.mp4</link></item></channel></rss>"""


def make_clip(path: Path) -> bytes:
    """Return one second of video with a tone and a title tag."""
    sources = "-f lavfi -i testsrc=duration=1:size=160x120:rate=10 -f lavfi -i sine=frequency=440:duration=1"
    command = (
        f"{imageio_ffmpeg.get_ffmpeg_exe()} -v error {sources} -c:a aac -ac 2 -metadata title=tone -shortest {path}"
    )
    subprocess.run(command.split(), check=True)
    return path.read_bytes()


class Site(ThreadingHTTPServer):
    """A media site. `faults` maps a path to what is to go wrong, `redirects` to where it leads; `log` has the requests."""

    daemon_threads = True

    def __init__(self, files: dict[str, tuple[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.faults: dict[str, list[str]] = {}
        self.redirects: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report a client that hangs up."""


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range") or ""
        self.server.log.append((self.path, wanted))
        fault = (self.server.faults.get(self.path) or [""]).pop(0) if self.server.faults.get(self.path) else ""
        if leads_to := self.server.redirects.get(self.path):
            self.send_response(302)
            self.send_header("Location", leads_to)
            self.end_headers()
        elif fault.isdecimal() or self.path not in self.server.files:
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


def task(site: Site, path: str = "/clip.mp4", accent: str = "Scottish") -> VideoTask:
    return rows.new_video(1, url=site.url + path, key=f"url:{site.url}{path}", accent=accent)


def streams(path: str) -> str:
    """Return what ffmpeg reports about a file."""
    shown = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True, check=False)
    return shown.stderr


def files(settings: Settings) -> list[str]:
    """Return the paths of all files in the output folder, the archive's records apart."""
    paths = (path.relative_to(settings.output_dir) for path in settings.output_dir.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != ".archive")


def with_sidecar(path: str | Path, settings: Settings) -> list[str]:
    name = str(Path(path).relative_to(settings.output_dir))
    return [name, f"{name}.json"]


def is_sidecar(name: str) -> bool:
    return name.endswith(".json") and not name.endswith(".info.json")
