"""A small media site on loopback: a podcast feed with clips that are made by the packaged ffmpeg.

with serving(make_site(folder, TITLES)) as address:
    ...     # f"{address}/feed.xml" is an RSS feed that yt-dlp lists
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import imageio_ffmpeg

CLIP_SECONDS = 3

OnGet = Callable[[str], HTTPStatus | None]
"""A function that is called with the address of each GET. If it returns an error status, that is the answer."""


def make_site(folder: Path, titles: Sequence[str]) -> Path:
    """Make a clip for each title unless it exists. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, title in enumerate(titles, start=1):
        _make_clip(folder / f"clip-{number}.mp4", title, 220 * number)
    return folder


def _make_clip(path: Path, title: str, pitch_hertz: int) -> None:
    if path.exists():
        return
    draft = path.with_suffix(".part.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc=size=160x120:rate=10:duration={CLIP_SECONDS}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency={pitch_hertz}:duration={CLIP_SECONDS}"]
    subprocess.run([*command, "-metadata", f"title={title}", "-shortest", str(draft)], check=True)
    draft.replace(path)


def feed(address: str, titles: Sequence[str], *, first: int = 1, name: str = "A small media site") -> str:
    """Return an RSS feed with an enclosure for each clip. `first` is the number of the first clip."""
    items = "".join(
        f"<item><title>{escape(title)}</title><enclosure url='{address}/clip-{number}.mp4' type='video/mp4' length='1'/></item>"
        for number, title in enumerate(titles, start=first)
    )
    return f"<rss version='2.0'><channel><title>{escape(name)}</title>{items}</channel></rss>"


@contextmanager
def serving(folder: Path, titles: Sequence[str], on_get: OnGet | None = None) -> Iterator[str]:
    """Serve the folder and its feed on 127.0.0.1, on the same port as before if it is free. Yield the address.

    `on_get` is called with the address of each GET. It may return an error to answer with.
    """
    server = _server(folder, on_get)
    address = f"http://127.0.0.1:{server.server_port}"
    (folder / "feed.xml").write_text(feed(address, titles), encoding="utf-8")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(folder: Path, on_get: OnGet | None) -> ThreadingHTTPServer:
    """Return a server on the port of the last run if it is free: a source is identified by its address."""
    port_file = folder / "port"
    handler = partial(_Quiet, on_get, directory=str(folder))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(port_file.read_text())), handler)
    except (OSError, ValueError):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    port_file.write_text(str(server.server_port))
    return server


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, on_get: OnGet | None, *arguments: Any, **named: Any) -> None:
        self._on_get = on_get
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        error = self._on_get(f"http://{self.headers['Host']}{self.path}") if self._on_get else None
        if error:
            self.send_error(error)
        else:
            with suppress(ConnectionError):  # the client is gone
                super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
