"""The screenshots of the documentation, taken anew: `python -m examples.screenshots`, into docs/images.

Everything runs on loopback and is gone afterwards: a Prefect server with its UI, the deployments, a worker, and the small media
site as a source that is expanded on demand. Needs Chromium (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from examples.demo import TITLES
from examples.media_site import make_site
from examples.media_site import serving as serving_site
from examples.prefect_server import PrefectServer, ask, serving

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip
WIDTH, HEIGHT = 1280, 800
SHOWN_SECONDS = 60
"""What a page may take to show what is waited for."""
PROCESSED_SECONDS = 300
POLL_SECONDS = 0.2
SETTLED_SECONDS = 1.0
"""For what moves in when the text is there already."""


class Page:
    """The one tab of a headless Chromium, spoken to by its DevTools protocol."""

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

    def save(self, name: str, height: int = HEIGHT) -> None:
        """Write what is shown to docs/images."""
        self._do("Emulation.setDeviceMetricsOverride", width=WIDTH, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(SETTLED_SECONDS)
        shot = self._do("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path = IMAGES / f"{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")

    def _text(self) -> str:
        answer = self._do("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(answer["result"].get("value", ""))

    def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(SHOWN_SECONDS))).get("id") != number:
            continue  # an event of the page's
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


def main() -> int:
    """Start everything, take the screenshots, end everything; the exit code."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        print("Chromium is needed, and not installed: apt-get install chromium", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        feed = stack.enter_context(serving_site(make_site(folder / "site", TITLES), TITLES)) + "/feed.xml"
        server = stack.enter_context(_fleet(folder))
        page = stack.enter_context(_page(browser, folder / "browser"))
        _take(server, page, feed)
    return 0


@contextmanager
def _fleet(folder: Path) -> Iterator[PrefectServer]:
    settings = {
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_ALLOW_OTHER_SITES": "true",
    }
    with serving(folder, ui=True) as server:
        server.deploy()
        with server.worker("--name", "worker-1", environment=settings):
            yield server


@contextmanager
def _page(browser: str, profile: Path) -> Iterator[Page]:
    command = [
        browser,
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
    """Where Chromium listens, which it writes down when it does."""
    file = profile / "DevToolsActivePort"
    until = time.monotonic() + SHOWN_SECONDS
    while not (file.exists() and file.read_text().strip()):
        if time.monotonic() > until:
            raise TimeoutError("Chromium did not start")
        time.sleep(POLL_SECONDS)
    return f"127.0.0.1:{file.read_text().split()[0]}"


def _take(server: PrefectServer, page: Page, feed: str) -> None:
    ui = f"{server.address}/v2"
    server.run("expand-source/expand-source", f"url={feed}", "accent=Lagos", "type=interview")
    run = _processed(server)
    page.open(f"{ui}/deployments", "expand-source", "process-videos", "report")
    page.save("deployments")
    form = server.ask("/deployments/name/expand-source/expand-source")
    page.open(f"{ui}/deployments/deployment/{form['id']}/run", "Enforce Parameter Schema", "Submit")
    page.fill("textarea", "https://www.youtube.com/@handle", "pt-BR", "interview")
    page.save("expand-source-form", height=840)
    page.open(f"{ui}/runs/flow-run/{run['id']}?tab=Artifacts", run["name"], "processed-videos")
    page.save("run-with-artifact", height=1000)


def _processed(server: PrefectServer) -> dict[str, Any]:
    """The run that the expansion's event has started, at its end."""
    asked = {
        "deployments": {"name": {"any_": ["keep-processing"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "name": {"like_": f"{len(TITLES)} videos"}},
    }
    until = time.monotonic() + PROCESSED_SECONDS
    while not (runs := server.ask("/flow_runs/filter", asked)):
        if time.monotonic() > until:
            raise TimeoutError("the videos were not processed by one run")
        time.sleep(POLL_SECONDS)
    run: dict[str, Any] = runs[0]
    return run


if __name__ == "__main__":
    sys.exit(main())
