"""Take the pictures of docs/google.md that are not drawings: `python -m tools.pictures.google_pictures`, into docs/images.

They show `ydc doctor` and `ydc init` at a real terminal, with a simulated Google, from an empty set-up to a complete one; and a
tab before and after `ydc init`, drawn from the simulated API's data. Google is not contacted, and Google's own drawing differs.
Needs Chromium and tmux (Debian: `apt-get install chromium tmux`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.fake_google.masks import WHOLE
from tests.fake_google.resource import spreadsheet_resource
from tests.support.sheets_setting import Setting, google
from tools.pictures.chromium import Page, take_pictures
from tools.pictures.sheet_drawing import drawn
from tools.pictures.terminal_pictures import draw, settings_of, terminal

LINES = 80
DOCTOR = "ydc doctor --processor metadata"
TAB = "Sources"
OWN_SHEET = {
    TAB: [
        ["URL", "Accent", "Status", "Speaker"],
        ["@lagos", "Lagos", "pending", "Adaeze"],
        ["@recife", "Recife", "done", "João"],
    ]
}


def take(page: Page, folder: Path) -> None:
    """Take the pictures of all problems, of the sheet that `init` makes, and of a sheet without problems."""
    with google(folder) as here:
        here.new_book(title="Speech corpus")
        _take_problems(page, folder, here)
    with google(folder) as here:
        here.new_book(OWN_SHEET, title="Speech corpus", rows=5, columns=4)
        _take_tab(page, folder, here, "sheet-before-init")
        _take_no_problems(page, folder, here)
        _take_tab(page, folder, here, "sheet-after-init")


def _take_problems(page: Page, folder: Path, here: Setting) -> None:
    """Take a picture of one problem after the other. Fix each before `ydc doctor` runs again."""
    key = here.key_file.rename(folder / "not-there-yet.json")
    here.simulator.enabled = False
    here.book.share(here.account.email, "nobody")
    fixes: list[tuple[str, Callable[[], object]]] = [
        ("# the key's file is not here yet: step 4", lambda: key.rename(here.key_file)),
        ("# the API is not enabled: step 2", lambda: setattr(here.simulator, "enabled", True)),
        ("# not shared: step 5", lambda: here.book.share(here.account.email, "reader")),
        ("# shared, but to view only: step 5 again", lambda: here.book.share(here.account.email)),
    ]
    with terminal(folder, settings_of(here), LINES) as shell:
        for number, (comment, fix) in enumerate(fixes, start=1):
            shell.type(f"{DOCTOR}   {comment}")
            screen = shell.wait_for(rf"(?s)(\d problems?\n.*?){{{number}}}\$\Z").rpartition("\n")[0]
            fix()
    draw(page, folder, "ydc-doctor-problems", screen)


def _take_no_problems(page: Page, folder: Path, here: Setting) -> None:
    with terminal(folder, settings_of(here), LINES) as shell:
        shell.type("ydc init")
        shell.wait_for_prompt()
        shell.type(DOCTOR)
        draw(page, folder, "ydc-init-and-doctor", shell.wait_for(r"(?s)no problems\n\$\Z").rpartition("\n")[0])


def _take_tab(page: Page, folder: Path, here: Setting, name: str) -> None:
    with here.book.lock:
        found = spreadsheet_resource(here.book, here.book.contents, [TAB], WHOLE)
    drawing = drawn(found["sheets"][0], lines=True)
    file = folder / f"{name}.html"
    file.write_text(drawing.html, encoding="utf-8")
    page.open(file.as_uri(), "Speaker")
    page.save(name, height=drawing.height_pixels, width=drawing.width_pixels)


if __name__ == "__main__":
    sys.exit(take_pictures(take))
