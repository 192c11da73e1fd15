"""Control a page of a headless Chromium, for the pictures of the documentation.

def take(page: Page, folder: Path) -> None:
    page.open("https://example.org/", "a text that it shows")
    page.save("example")        # docs/images/example.png

sys.exit(take_pictures(take))
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imageio_ffmpeg
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.prefect_server import ask

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip
WIDTH, HEIGHT = 1280, 800
SHOWN_SECONDS = 60
"""The longest wait for a page to show the expected texts."""
POLL_SECONDS = 0.2
SETTLED_SECONDS = 1.0
"""The wait for animations that end after the text is shown."""


class Page:
    """The one tab of a headless Chromium, controlled by its DevTools protocol."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = count(1)

    def open(self, url: str, *texts: str) -> None:
        """Go to a page and wait until it shows all the texts. Raises TimeoutError."""
        self._do("Page.navigate", url=url)
        self.wait_for(*texts)

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all the texts. Raises TimeoutError."""
        until = time.monotonic() + SHOWN_SECONDS
        while missing := [text for text in texts if text not in self._text()]:
            if time.monotonic() > until:
                raise TimeoutError(f"the page does not show {missing}, but: {self._text()[:2000]}")
            time.sleep(POLL_SECONDS)
        time.sleep(SETTLED_SECONDS)

    def fill(self, selector: str, *texts: str) -> None:
        """Type a text into each of the first elements that a CSS selector finds."""
        for number, text in enumerate(texts):
            self._do(
                "Runtime.evaluate", expression=f"document.querySelectorAll({json.dumps(selector)})[{number}].focus()"
            )
            self._do("Input.insertText", text=text)

    def remember(self, key: str, value: str) -> None:
        """Put a value into the local storage of the page's site."""
        self._do("Runtime.evaluate", expression=f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)})")

    def scroll_to(self, text: str, height: int = HEIGHT, width: int = WIDTH) -> None:
        """Put the last element that ends with a text at the top of a page of that size."""
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        elements = f"[...document.querySelectorAll('*')].filter(e => e.innerText?.trim().endsWith({json.dumps(text)}))"
        self._do("Runtime.evaluate", expression=f"{elements}.pop()?.scrollIntoView()")

    def save(self, name: str, height: int = HEIGHT, width: int = WIDTH) -> None:
        """Write a screenshot to docs/images; sizes in pixels."""
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(SETTLED_SECONDS)
        shot = self._do("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path = IMAGES / f"{name}.png"
        path.write_bytes(_with_palette(base64.b64decode(shot["data"])))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")

    def _text(self) -> str:
        answer = self._do("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(answer["result"].get("value", ""))

    def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(SHOWN_SECONDS))).get("id") != number:
            continue  # an event of the page
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


def _with_palette(png: bytes) -> bytes:
    """Reduce a picture to 256 colours. Text and areas look the same, at a third of the size."""
    palette = "split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "png_pipe", "-i", "-", "-vf", palette]
    return subprocess.run(
        [*command, "-f", "image2pipe", "-c:v", "png", "-"], input=png, capture_output=True, check=True
    ).stdout


class MissingProgramError(Exception):
    """A program is not installed; the message says how to install it."""


def take_pictures(take: Callable[[Page, Path], None]) -> int:
    """Call `take` with a page and an empty folder, both temporary. Return the exit code: 2 for a missing program."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            with _opened_page(folder / "browser") as page:
                take(page, folder)
        except MissingProgramError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


def needed_program(*names: str, package: str) -> str:
    """Return the path of the first installed program; `package` is Debian's. Raises MissingProgramError."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise MissingProgramError(f"{names[0]} is needed, and not installed: apt-get install {package}")
    return path


@contextmanager
def _opened_page(profile: Path) -> Iterator[Page]:
    command = [
        needed_program(*CHROMIUM, package="chromium"),
        *CHROMIUM_OPTIONS,
        f"--user-data-dir={profile}",
        f"--window-size={WIDTH},{HEIGHT}",
        "about:blank",
    ]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            (tab,) = [target for target in ask(f"http://{_debugger(profile)}/json/list") if target["type"] == "page"]
            with connect(tab["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()


def _debugger(profile: Path) -> str:
    """Return the address that Chromium listens on, which it writes into a file."""
    file = profile / "DevToolsActivePort"
    until = time.monotonic() + SHOWN_SECONDS
    while not (file.exists() and file.read_text().strip()):
        if time.monotonic() > until:
            raise TimeoutError("Chromium did not start")
        time.sleep(POLL_SECONDS)
    return f"127.0.0.1:{file.read_text().split()[0]}"
