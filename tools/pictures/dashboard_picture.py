"""Draw the picture of the tab Dashboard: `python -m tools.pictures.dashboard_picture`, into docs/images.

A small fleet works for a month on the simulated spreadsheet of the tests, and the report writes its tab there. Then
tools/pictures/sheet_drawing.py draws the tab: its cells, their colours and its chart. Google is not contacted, and Google's own
drawing differs. Needs Chromium (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fake_google.errors import Json
from tests.fake_google.masks import WHOLE
from tests.fake_google.resource import spreadsheet_resource
from tests.support.rows import make_queue
from tests.support.sheet import SheetDesk, sheet_desk
from tools.pictures.chromium import Page, take_pictures
from tools.pictures.sheet_drawing import drawn
from tools.pictures.small_fleet import live
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.summary import page as report_page
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.stores.sheets.setup.dashboard import TITLE, show_dashboard

DAY_SECONDS = 86_400
ROWS = 1500


def take(page: Page, folder: Path) -> None:
    """Fill a spreadsheet, write the report, and draw its tab."""
    with sheet_desk(rows=ROWS) as desk:
        drawing = drawn(_reported(desk))
    file = folder / "dashboard.html"
    file.write_text(drawing.html, encoding="utf-8")
    page.open(file.as_uri(), "Videos and hours done each day", "Videos by accent")
    page.save("dashboard", height=drawing.height_pixels, width=drawing.width_pixels)


def _reported(desk: SheetDesk) -> Json:
    """Return the tab after a report, as the API returns it."""

    def queue_of(machine: str) -> Queue:
        queue = make_queue(desk.store(machine), f"{machine}/worker")
        queue.monotonic = desk.clock.now
        return queue

    live(queue_of, lambda: desk.clock.advance(DAY_SECONDS))
    show_dashboard(desk.config, report_page(overview(desk.queue("report"))), desk.environment("report"))
    with desk.book.lock:
        found = spreadsheet_resource(desk.book, desk.book.contents, [TITLE], WHOLE)
    tab: Json = found["sheets"][0]
    return tab


if __name__ == "__main__":
    sys.exit(take_pictures(take))
