"""The picture of the tab Dashboard, drawn anew: `python -m examples.dashboard_picture`, into docs/images.

A small fleet lives through a month on the simulated spreadsheet of the tests, the report writes its tab there, and what then
stands in the tab is drawn by examples/sheet_drawing.py: its cells, their colours and its chart. No Google is asked, and
Google's own drawing differs. Needs Chromium (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from examples.chromium import Page, take_pictures
from examples.sheet_drawing import drawn
from examples.small_fleet import live
from tests.rows import make_queue
from tests.sheet import SheetDesk, sheet_desk
from tests.sheets_api.errors import Json
from tests.sheets_api.masks import WHOLE
from tests.sheets_api.resource import spreadsheet_resource
from youtube_download_coordinator.overview import overview
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.report import page as report_page
from youtube_download_coordinator.stores.sheets.dashboard import TITLE, show_dashboard

DAY_SECONDS = 86_400
ROWS = 1500


def take(page: Page, folder: Path) -> None:
    """Fill a spreadsheet, report on it, draw its tab."""
    with sheet_desk(rows=ROWS) as desk:
        drawing = drawn(_reported(desk))
    file = folder / "dashboard.html"
    file.write_text(drawing.html, encoding="utf-8")
    page.open(file.as_uri(), "Videos and hours done each day", "Videos by accent")
    page.save("dashboard", height=drawing.height_pixels, width=drawing.width_pixels)


def _reported(desk: SheetDesk) -> Json:
    """The tab as the API gives it, after a report."""

    def queue_of(machine: str) -> Queue:
        queue = make_queue(desk.store(machine), f"{machine}/worker")
        queue.monotonic = desk.clock.now
        return queue

    live(queue_of, lambda: desk.clock.advance(DAY_SECONDS))
    show_dashboard(desk.config, report_page(overview(desk.queue("report"))), desk.outside("report"))
    with desk.book.lock:
        found = spreadsheet_resource(desk.book, desk.book.contents, [TITLE], WHOLE)
    tab: Json = found["sheets"][0]
    return tab


if __name__ == "__main__":
    sys.exit(take_pictures(take))
