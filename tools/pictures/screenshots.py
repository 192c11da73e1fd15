"""Take the screenshots of the documentation: `python -m tools.pictures.screenshots`, into docs/images.

Everything runs on loopback and is removed afterwards: a Prefect server with its UI, the deployments, a worker, and the small
media site as a source that is expanded on demand. Needs Chromium (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from examples.demo import TITLES
from examples.media_site import make_site
from examples.media_site import serving as serving_site
from tests.support.prefect_server import PrefectServer, serving
from tools.pictures.chromium import Page, take_pictures

PROCESSED_SECONDS = 300
POLL_SECONDS = 0.2
GRAPH_SECONDS = 10
"""For the graph of a run, whose text Chromium does not report."""


def take(page: Page, folder: Path) -> None:
    """Start everything, take the screenshots, and stop everything."""
    with ExitStack() as stack:
        feed = stack.enter_context(serving_site(make_site(folder / "site", TITLES), TITLES)) + "/feed.xml"
        server = stack.enter_context(_fleet(folder))
        _take(server, page, feed)


@contextmanager
def _fleet(folder: Path) -> Iterator[PrefectServer]:
    settings = {
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_ALLOW_OTHER_SITES": "true",
        "YDC_ALLOW_PRIVATE_ADDRESSES": "true",  # the site is on this machine
    }
    with serving(folder, ui=True) as server:
        server.deploy()
        with server.worker("--name", "worker-1", environment=settings):
            yield server


def _take(server: PrefectServer, page: Page, feed: str) -> None:
    ui = f"{server.address}/v2"
    page.open(ui)
    page.remember("prefect-password", base64.b64encode(server.password.encode()).decode())
    server.run("expand-source/expand-source", f"url={feed}", "accent=Lagos", "type=interview")
    run = _processed(server)
    page.open(f"{ui}/deployments?limit=25", "coordinate", "requeue-dead-letters", "verify-corpus")
    page.save("deployments", height=920)
    form = server.ask("/deployments/name/expand-source/expand-source")
    page.open(f"{ui}/deployments/deployment/{form['id']}/run", "Enforce Parameter Schema", "Submit")
    page.fill("textarea", "https://www.youtube.com/@handle", "pt-BR", "interview")
    page.save("expand-source-form", height=900)
    page.open(f"{ui}/runs/flow-run/{run['id']}?tab=Artifacts", run["name"], "processed-videos")
    time.sleep(GRAPH_SECONDS)
    page.save("run-with-artifact", height=850)


def _processed(server: PrefectServer) -> dict[str, Any]:
    """Return the finished run that the expansion's event started."""
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
    sys.exit(take_pictures(take))
