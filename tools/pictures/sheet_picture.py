"""Draw the picture of the queue in a sheet: `python -m tools.pictures.sheet_picture`, into docs/images.

Two workers process a few rows on the simulated spreadsheet of the tests, and the cells that the tab then contains are drawn by
tools/pictures/sheet_drawing.py. The titles, files and failures are made up. No Google is asked, and Google's own drawing differs.
Needs Chromium (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.fake_google import Person
from tests.fake_google.errors import Json
from tests.fake_google.masks import WHOLE
from tests.fake_google.resource import spreadsheet_resource
from tests.support.rows import make_queue
from tests.support.sheet import VIDEOS, a_video
from tests.support.sheets_setting import Setting, google
from tools.pictures.chromium import Page, take_pictures
from tools.pictures.sheet_drawing import MARGIN_PIXELS, drawn
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict, VideoTask
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

WIDTHS: Mapping[str, int] = {
    "ID": 30, "Title": 214, "Accent": 56, "Type": 68, "Status": 98, "ClaimedBy": 78, "RetryCount": 78, "LastError": 160,
    "Result": 250,
}  # fmt: skip
"""The columns that are pictured, in a person's own order. The others are to the right of them."""
VIDEO_ROWS = (
    ("Interview in Lagos, part 1", "en-NG", "interview", 1841),
    ("Interview in Lagos, part 2", "en-NG", "interview", 2212),
    ("A reading from Recife", "pt-BR", "reading", 912),
    ("Market talk, Chennai", "ta-IN", "talk", 1520),
    ("Weather for the fishermen of Cork", "en-IE", "reading", 304),
    ("=SUM(1;2) is only a title", "en-IE", "talk", 655),
    ("Two sisters in Salvador", "pt-BR", "interview", 3024),
    ("Lecture on tides", "en-IE", "lecture", 2740),
    ("Street food, Madurai", "ta-IN", "talk", 1133),
    ("The harbour at night", "en-IE", "reading", 411),
)
"""Title, accent, type and length in seconds."""
OUTCOMES: Mapping[str, Outcome] = {
    "Market talk, Chennai": Failure(verdict=Verdict.RETRY, reason="http-503", message="HTTP Error 503"),
}
"""The outcomes of attempts at some videos. Other attempts end with a file."""
HELD, WAITING = 2, 2
"""The last videos: that workers are processing, and that wait."""


def take(page: Page, folder: Path) -> None:
    """Fill a spreadsheet and draw its tab."""
    with google(folder) as here:
        here.new_book({VIDEOS: [list(WIDTHS)]}, title="Speech corpus", rows=len(VIDEO_ROWS) + 1, columns=len(WIDTHS))
        init_spreadsheet(here.config())
        _work(here)
        drawing = drawn(_tab(here), lines=True)
    file = folder / "sheet.html"
    file.write_text(drawing.html, encoding="utf-8")
    page.open(file.as_uri(), VIDEO_ROWS[0][0])
    page.save("sheet", height=drawing.height_pixels, width=MARGIN_PIXELS + sum(WIDTHS.values()))


def _work(here: Setting) -> None:
    """Add the videos and have two workers process all but the last ones."""
    videos = [
        a_video(number, title=title, accent=accent, type=kind, duration_seconds=seconds)
        for number, (title, accent, kind, seconds) in enumerate(VIDEO_ROWS, start=1)
    ]
    with closing(SheetsStore(here.config())) as store:
        queues = [make_queue(store, f"lab-{number}/{word}") for number, word in ((1, "4f2c"), (2, "91ae"))]
        queues[0].add(VIDEO_TASKS, videos[:-WAITING])
        for number in range(len(videos) - WAITING):
            queue = queues[number % len(queues)]
            (claim,) = queue.claim(VIDEO_TASKS, 1)
            if number < len(videos) - WAITING - HELD:
                queue.settle([(claim, OUTCOMES.get(claim.row.title, _done(claim.row)))])
        queues[0].add(VIDEO_TASKS, videos[-WAITING:])


def _done(video: VideoTask) -> Done:
    return Done(result=f"{video.accent}/Radio Atlantic/{video.key.rpartition(':')[2]}.m4a")


def _tab(here: Setting) -> Json:
    """Return the tab as the API returns it, with the widths that a person has given to its columns."""
    person = Person(here.book)
    for name, pixels in WIDTHS.items():
        person.set_width(VIDEOS, name, pixels)
    with here.book.lock:
        found = spreadsheet_resource(here.book, here.book.contents, [VIDEOS], WHOLE)
    tab: Json = found["sheets"][0]
    return tab


if __name__ == "__main__":
    sys.exit(take_pictures(take))
