"""Take the pictures of `ydc` at a terminal again: `python -m tools.pictures.terminal_pictures`, into docs/images.

The real commands are typed into a shell in tmux, and its screen is drawn. `run` processes the small media site, `status` shows
the database of a small fleet, and `doctor` checks a simulated spreadsheet that its account may read but not edit. Needs
Chromium and tmux (Debian: `apt-get install chromium tmux`).
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from examples.demo import TITLES
from examples.media_site import make_site, serving
from tests.support.prefect_server import ROOT, YDC
from tests.support.rows import make_queue
from tests.support.sheets_setting import Setting, google
from tools.pictures.chromium import POLL_SECONDS, Page, needed_program, take_pictures
from tools.pictures.small_fleet import live
from youtube_download_coordinator.stores.sql import SqlStore

COLUMNS, LINES = 100, 70
COMMAND_SECONDS = 180
PROMPT = "$ "
COLUMN_PIXELS, LINE_PIXELS, PADDING_PIXELS = 8.43, 16, 14
PAGE = (
    "<!doctype html><meta charset='utf-8'><style>body {{ margin: 0; background: {background}; color: {foreground}; }} pre {{"
    f" margin: {PADDING_PIXELS}px; font: 14px/{LINE_PIXELS}px 'DejaVu Sans Mono', monospace;"
    " }}</style><pre>{code}</pre>"
)


class Terminal:
    """A shell in a terminal."""

    def __init__(self, tmux: list[str]) -> None:
        self._tmux = tmux

    def type(self, command: str) -> None:
        """Type a command and press Enter."""
        self._do("send-keys", command, "Enter")

    def wait_for(self, pattern: str) -> str:
        """Return the screen, with colours as escapes, once a regular expression matches it. Raises TimeoutError."""
        until = time.monotonic() + COMMAND_SECONDS
        while not re.search(pattern, self._do("capture-pane", "-p").rstrip(), flags=re.MULTILINE):
            if time.monotonic() > until:
                raise TimeoutError(f"the screen does not match {pattern!r}: {self._do('capture-pane', '-p')}")
            time.sleep(POLL_SECONDS)
        return self._do("capture-pane", "-p", "-e").rstrip()

    def wait_for_prompt(self) -> str:
        """Return the screen when the command has ended, without the new prompt. Raises TimeoutError."""
        return self.wait_for(r"\n\$\Z").rpartition("\n")[0]

    def _do(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout


def take(page: Page, folder: Path) -> None:
    """Run the commands, each in its own folder, and draw their output."""
    _take_run(page, _new(folder / "run"))
    _take_status(page, _new(folder / "status"))
    _take_doctor(page, _new(folder / "doctor"))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _take_run(page: Page, folder: Path) -> None:
    settings = {"YDC_ALLOW_OTHER_SITES": "true", "YDC_ALLOW_PRIVATE_ADDRESSES": "true"}  # the site is on this machine
    with serving(make_site(folder / "site", TITLES), TITLES) as address, terminal(folder, settings) as shell:
        (folder / "sources.txt").write_text(f"{address}/feed.xml|Lagos|interview\n", encoding="utf-8")
        shell.type("ydc run --sources sources.txt --processor examples.own_function:formats --concurrency 1")
        draw(page, folder, "ydc-run", shell.wait_for("· 3 done"))
        shell.wait_for_prompt()


def _take_status(page: Page, folder: Path) -> None:
    url = f"sqlite:///{folder / 'coordinator.db'}"
    live(lambda machine: make_queue(SqlStore(url), f"{machine}/worker"), lambda: None)
    with terminal(folder, {}) as shell:
        shell.type("ydc status")
        draw(page, folder, "ydc-status", shell.wait_for_prompt())


def _take_doctor(page: Page, folder: Path) -> None:
    with google(folder) as here:
        here.new_book(title="Speech corpus")
        here.run("init")
        here.book.share(here.account.email, "reader")
        with terminal(folder, settings_of(here)) as shell:
            shell.type("ydc doctor --processor metadata")
            draw(page, folder, "ydc-doctor", shell.wait_for_prompt())


def settings_of(here: Setting) -> dict[str, str]:
    """Return the settings for a simulated spreadsheet, with the key file's name without its folder."""
    settings = {name: text for name, text in here.command()["env"].items() if name.startswith("YDC_")}
    return settings | {"YDC_CREDENTIALS_FILE": here.key_file.name}


@contextmanager
def terminal(folder: Path, settings: Mapping[str, str], lines: int = LINES) -> Iterator[Terminal]:
    """Open a shell in the folder, in a terminal with `lines` lines, and end it after the block."""
    tmux = [needed_program("tmux", package="tmux"), "-S", str(folder / "tmux"), "-f", os.devnull]
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("YDC_", "GOOGLE_", "TMUX"))}
    environment = kept | {
        "PATH": f"{YDC.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),  # for the user's own processor
        "PS1": PROMPT,
        **settings,
    }
    size = ["-x", str(COLUMNS), "-y", str(lines)]
    bash = ["bash", "--norc", "--noprofile"]
    subprocess.run([*tmux, "new-session", "-d", *size, *bash], cwd=folder, env=environment, check=True)
    try:
        shell = Terminal(tmux)
        shell.wait_for(r"\A\$\Z")  # text typed before the prompt would appear twice
        yield shell
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def draw(page: Page, folder: Path, name: str, screen: str) -> None:
    """Draw a screen of `wait_for` as docs/images/<name>.png."""
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, soft_wrap=True)
    console.print(Text.from_ansi(screen))
    html = console.export_html(theme=SVG_EXPORT_THEME, code_format=PAGE, inline_styles=True)
    file = folder / f"{name}.html"
    file.write_text(html, encoding="utf-8")
    page.open(file.as_uri(), PROMPT)
    lines = len(screen.splitlines())
    page.save(
        name, height=lines * LINE_PIXELS + 2 * PADDING_PIXELS, width=round(COLUMNS * COLUMN_PIXELS) + 2 * PADDING_PIXELS
    )


if __name__ == "__main__":
    sys.exit(take_pictures(take))
